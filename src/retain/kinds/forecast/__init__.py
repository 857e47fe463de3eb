"""The kind `forecast`: the next values of time series, as quantiles."""

from typing import TYPE_CHECKING

from retain.config.kind import Kind, Lazy

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable
    from pathlib import Path

    from retain.config import exports, forecasts, kind, monitoring
    from retain.config.search import BuildSpace, BuildTrial
    from retain.kinds.forecast import prepare, search
    from retain.kinds.forecast.capacity import plan
    from retain.kinds.forecast.config import Problem
    from retain.kinds.forecast.data import append, profile
    from retain.kinds.forecast.evaluation import (
        champion,
        evaluate,
        fan,
        lstm_gates,
        outlook,
        report,
    )
    from retain.kinds.forecast.export import bundle, onnx_predictor
    from retain.kinds.forecast.model import refit, setup
    from retain.kinds.forecast.monitoring import backtest, drift, forecast_log, monitor
    from retain.kinds.forecast.predict import bulk, endpoint, forecast_table, predictor
    from retain.serving.endpoint import BuildEndpoint

    _prepare: kind.Prepare[Problem] = prepare.prepare
    _training: kind.BuildTraining[Problem] = setup.build
    _fold: kind.BuildFold[Problem] = setup.build_fold
    _refit: kind.BuildRefit[Problem] = refit.build
    _evaluate: kind.Evaluate[Problem, evaluate.Evaluation] = evaluate.evaluate
    _report: kind.BuildReport[Problem, evaluate.Evaluation] = report.report
    _compare: kind.Compare[Problem] = champion.compare_with_champion
    _predictor: kind.LoadPredictor = predictor.load
    _check_table: kind.CheckTable[Problem] = prepare.check_table
    _append: kind.Append[Problem] = append.append
    _plan: kind.PlanCapacity[Problem] = plan.plan
    _forecast: forecasts.ForecastFile = forecast_table.forecast_file
    _outlook: forecasts.BuildOutlook[Problem] = outlook.build
    _plot: forecasts.PlotForecasts[Problem] = fan.plot
    _bulk: forecasts.ForecastBulk = bulk.forecast_bulk
    _lstm_gates: kind.InspectGates[Problem] = lstm_gates.inspect
    _endpoint: BuildEndpoint = endpoint.ForecastEndpoint
    _drift: kind.CheckDrift[Problem] = drift.check
    _newest: Callable[[Path], dt.datetime] = profile.newest
    _backtest: monitoring.Backtest[Problem] = backtest.backtest
    _keep: monitoring.KeepForecasts = forecast_log.keep
    _monitor: monitoring.Monitor[Problem] = monitor.monitor
    _search: BuildSpace[Problem] = search.build
    _trial: BuildTrial[Problem] = search.build_trial
    _export: exports.ExportModel = bundle.export
    _onnx: exports.LoadOnnx = onnx_predictor.load

KIND: "Kind[Problem, evaluate.Evaluation]" = Kind(
    name="forecast",
    command="retain forecast",
    problem=Lazy("retain.kinds.forecast.config:Problem"),
    prepare=Lazy("retain.kinds.forecast.prepare:prepare"),
    training=Lazy("retain.kinds.forecast.model.setup:build"),
    fold=Lazy("retain.kinds.forecast.model.setup:build_fold"),
    refit=Lazy("retain.kinds.forecast.model.refit:build"),
    evaluate=Lazy("retain.kinds.forecast.evaluation.evaluate:evaluate"),
    report=Lazy("retain.kinds.forecast.evaluation.report:report"),
    compare=Lazy("retain.kinds.forecast.evaluation.champion:compare_with_champion"),
    predictor=Lazy("retain.kinds.forecast.predict.predictor:load"),
    check_table=Lazy("retain.kinds.forecast.prepare:check_table"),
    append=Lazy("retain.kinds.forecast.data.append:append"),
    plan=Lazy("retain.kinds.forecast.capacity.plan:plan"),
    forecast=Lazy("retain.kinds.forecast.predict.forecast_table:forecast_file"),
    bulk=Lazy("retain.kinds.forecast.predict.bulk:forecast_bulk"),
    outlook=Lazy("retain.kinds.forecast.evaluation.outlook:build"),
    plot=Lazy("retain.kinds.forecast.evaluation.fan:plot"),
    lstm_gates=Lazy("retain.kinds.forecast.evaluation.lstm_gates:inspect"),
    endpoint=Lazy("retain.kinds.forecast.predict.endpoint:ForecastEndpoint"),
    drift=Lazy("retain.kinds.forecast.monitoring.drift:check"),
    newest=Lazy("retain.kinds.forecast.data.profile:newest"),
    backtest=Lazy("retain.kinds.forecast.monitoring.backtest:backtest"),
    keep=Lazy("retain.kinds.forecast.monitoring.forecast_log:keep"),
    monitor=Lazy("retain.kinds.forecast.monitoring.monitor:monitor"),
    search=Lazy("retain.kinds.forecast.search:build"),
    trial=Lazy("retain.kinds.forecast.search:build_trial"),
    export=Lazy("retain.kinds.forecast.export.bundle:export"),
    onnx=Lazy("retain.kinds.forecast.export.onnx_predictor:load"),
)

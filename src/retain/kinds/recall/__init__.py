"""The kind `recall`: what a network remembers of the beginning of a sequence at its end."""

from typing import TYPE_CHECKING

from retain.config.kind import Kind, Lazy

if TYPE_CHECKING:
    from retain.config import kind, sequences
    from retain.config.search import BuildSpace
    from retain.kinds.recall import (
        endpoint,
        evaluate,
        predictor,
        prepare,
        report,
        search,
        setup,
    )
    from retain.kinds.recall.config import Problem
    from retain.serving.endpoint import BuildEndpoint

    _prepare: kind.Prepare[Problem] = prepare.prepare
    _training: kind.BuildTraining[Problem] = setup.build
    _evaluate: kind.Evaluate[Problem, evaluate.Evaluation] = evaluate.evaluate
    _report: kind.BuildReport[Problem, evaluate.Evaluation] = report.report
    _compare: kind.Compare[Problem] = evaluate.compare_with_champion
    _predictor: kind.LoadPredictor = predictor.load
    _ask: sequences.Ask = predictor.ask
    _lstm_gates: kind.InspectGates[Problem] = predictor.inspect
    _endpoint: BuildEndpoint = endpoint.AskEndpoint
    _search: BuildSpace[Problem] = search.build

KIND: "Kind[Problem, evaluate.Evaluation]" = Kind(
    name="recall",
    command="retain ask",
    problem=Lazy("retain.kinds.recall.config:Problem"),
    prepare=Lazy("retain.kinds.recall.prepare:prepare"),
    training=Lazy("retain.kinds.recall.setup:build"),
    evaluate=Lazy("retain.kinds.recall.evaluate:evaluate"),
    report=Lazy("retain.kinds.recall.report:report"),
    compare=Lazy("retain.kinds.recall.evaluate:compare_with_champion"),
    predictor=Lazy("retain.kinds.recall.predictor:load"),
    ask=Lazy("retain.kinds.recall.predictor:ask"),
    lstm_gates=Lazy("retain.kinds.recall.predictor:inspect"),
    endpoint=Lazy("retain.kinds.recall.endpoint:AskEndpoint"),
    search=Lazy("retain.kinds.recall.search:build"),
)

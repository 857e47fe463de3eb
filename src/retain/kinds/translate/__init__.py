"""The kind `translate`: sentences from one language to another."""

from typing import TYPE_CHECKING

from retain.config.kind import Kind, Lazy

if TYPE_CHECKING:
    from retain.config import kind, sequences
    from retain.config.search import BuildSpace
    from retain.kinds.translate import (
        endpoint,
        evaluate,
        predictor,
        prepare,
        report,
        search,
        setup,
    )
    from retain.kinds.translate.config import Problem
    from retain.serving.endpoint import BuildEndpoint

    _prepare: kind.Prepare[Problem] = prepare.prepare
    _training: kind.BuildTraining[Problem] = setup.build
    _evaluate: kind.Evaluate[Problem, evaluate.Evaluation] = evaluate.evaluate
    _report: kind.BuildReport[Problem, evaluate.Evaluation] = report.report
    _compare: kind.Compare[Problem] = evaluate.compare_with_champion
    _predictor: kind.LoadPredictor = predictor.load
    _translate: sequences.Translate = predictor.translate
    _lstm_gates: kind.InspectGates[Problem] = predictor.inspect
    _endpoint: BuildEndpoint = endpoint.TranslateEndpoint
    _search: BuildSpace[Problem] = search.build

KIND: "Kind[Problem, evaluate.Evaluation]" = Kind(
    name="translate",
    command="retain translate",
    problem=Lazy("retain.kinds.translate.config:Problem"),
    prepare=Lazy("retain.kinds.translate.prepare:prepare"),
    training=Lazy("retain.kinds.translate.setup:build"),
    evaluate=Lazy("retain.kinds.translate.evaluate:evaluate"),
    report=Lazy("retain.kinds.translate.report:report"),
    compare=Lazy("retain.kinds.translate.evaluate:compare_with_champion"),
    predictor=Lazy("retain.kinds.translate.predictor:load"),
    translate=Lazy("retain.kinds.translate.predictor:translate"),
    lstm_gates=Lazy("retain.kinds.translate.predictor:inspect"),
    endpoint=Lazy("retain.kinds.translate.endpoint:TranslateEndpoint"),
    search=Lazy("retain.kinds.translate.search:build"),
)

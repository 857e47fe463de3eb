"""The kind `text`: the next letter, or word, of a text."""

from typing import TYPE_CHECKING

from retain.config.kind import Kind, Lazy

if TYPE_CHECKING:
    from retain.config import kind, sequences
    from retain.config.search import BuildSpace
    from retain.kinds.text import (
        endpoint,
        evaluate,
        predictor,
        prepare,
        report,
        search,
        setup,
    )
    from retain.kinds.text.config import Problem
    from retain.serving.endpoint import BuildEndpoint

    _prepare: kind.Prepare[Problem] = prepare.prepare
    _training: kind.BuildTraining[Problem] = setup.build
    _evaluate: kind.Evaluate[Problem, evaluate.Evaluation] = evaluate.evaluate
    _report: kind.BuildReport[Problem, evaluate.Evaluation] = report.report
    _compare: kind.Compare[Problem] = evaluate.compare_with_champion
    _predictor: kind.LoadPredictor = predictor.load
    _complete: sequences.Complete = predictor.complete
    _lstm_gates: kind.InspectGates[Problem] = predictor.inspect
    _endpoint: BuildEndpoint = endpoint.CompleteEndpoint
    _search: BuildSpace[Problem] = search.build

KIND: "Kind[Problem, evaluate.Evaluation]" = Kind(
    name="text",
    command="retain complete",
    problem=Lazy("retain.kinds.text.config:Problem"),
    prepare=Lazy("retain.kinds.text.prepare:prepare"),
    training=Lazy("retain.kinds.text.setup:build"),
    evaluate=Lazy("retain.kinds.text.evaluate:evaluate"),
    report=Lazy("retain.kinds.text.report:report"),
    compare=Lazy("retain.kinds.text.evaluate:compare_with_champion"),
    predictor=Lazy("retain.kinds.text.predictor:load"),
    complete=Lazy("retain.kinds.text.predictor:complete"),
    lstm_gates=Lazy("retain.kinds.text.predictor:inspect"),
    endpoint=Lazy("retain.kinds.text.endpoint:CompleteEndpoint"),
    search=Lazy("retain.kinds.text.search:build"),
)

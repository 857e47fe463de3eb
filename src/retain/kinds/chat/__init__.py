"""The kind `chat`: a bot that replies to each line, and remembers what was said before."""

from typing import TYPE_CHECKING

from retain.config.kind import Kind, Lazy

if TYPE_CHECKING:
    from retain.config import kind, sequences
    from retain.config.search import BuildSpace
    from retain.kinds.chat import (
        endpoint,
        evaluate,
        predictor,
        prepare,
        report,
        search,
        session,
        setup,
    )
    from retain.kinds.chat.config import Problem
    from retain.serving.endpoint import BuildEndpoint

    _prepare: kind.Prepare[Problem] = prepare.prepare
    _training: kind.BuildTraining[Problem] = setup.build
    _evaluate: kind.Evaluate[Problem, evaluate.Evaluation] = evaluate.evaluate
    _report: kind.BuildReport[Problem, evaluate.Evaluation] = report.report
    _compare: kind.Compare[Problem] = evaluate.compare_with_champion
    _predictor: kind.LoadPredictor = predictor.load
    _chat: sequences.OpenChat = session.open_session
    _lstm_gates: kind.InspectGates[Problem] = predictor.inspect
    _endpoint: BuildEndpoint = endpoint.ChatEndpoint
    _search: BuildSpace[Problem] = search.build

KIND: "Kind[Problem, evaluate.Evaluation]" = Kind(
    name="chat",
    command="retain chat",
    problem=Lazy("retain.kinds.chat.config:Problem"),
    prepare=Lazy("retain.kinds.chat.prepare:prepare"),
    training=Lazy("retain.kinds.chat.setup:build"),
    evaluate=Lazy("retain.kinds.chat.evaluate:evaluate"),
    report=Lazy("retain.kinds.chat.report:report"),
    compare=Lazy("retain.kinds.chat.evaluate:compare_with_champion"),
    predictor=Lazy("retain.kinds.chat.predictor:load"),
    chat=Lazy("retain.kinds.chat.session:open_session"),
    lstm_gates=Lazy("retain.kinds.chat.predictor:inspect"),
    endpoint=Lazy("retain.kinds.chat.endpoint:ChatEndpoint"),
    search=Lazy("retain.kinds.chat.search:build"),
)

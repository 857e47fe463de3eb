"""Networks that talk: replies, states, scores, what the gates keep, and the signed state."""

import base64
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from prometheus_client import CollectorRegistry
from torch import nn
from typer.testing import CliRunner

from retain import model_files
from retain.cli import sequences
from retain.config.loader import parse
from retain.config.schema import Bootstrap
from retain.errors import DataError, ModelError
from retain.kinds.chat import evaluate, memory, predictor, prepare, report, session, setup
from retain.kinds.chat.config import Model, Problem
from retain.kinds.chat.dataset import SPECIAL, Batch, Encoder, Schema
from retain.kinds.chat.endpoint import ChatEndpoint
from retain.kinds.chat.metrics import Outcomes, compare, floors
from retain.kinds.chat.network import ChatModel, chrono
from retain.kinds.chat.predictor import Predictor
from retain.kinds.chat.turns import Turn
from retain.networks import recurrent
from retain.networks.recurrent import CELLS
from retain.serving.endpoint import Limits

FACTS = {"name": ("ann", "ben"), "town": ("oslo", "rome")}
WORDS = ("i", "am", "who", "you", "are", "live", "in", "hello", *FACTS["name"], *FACTS["town"])
SCHEMA = Schema("folder", (*SPECIAL, *WORDS), FACTS, "")
TEST = [
    (
        Turn("i am ann", "hello ann", "told", "name", "ann"),
        Turn("ben live in rome", "hello"),
        Turn("who am i", "you are ann", "asked", "name", "ann", 2),
        Turn("i am ben", "hello ben", "changed", "name", "ben"),
        Turn("who am i", "you are ben", "asked", "name", "ben", 1, True),
        Turn("where", "hello", "asked", "town", "", 0),
    )
] * 45


def network_of(cell: str = "lstm", seed: int = 1) -> ChatModel:
    torch.manual_seed(seed)
    model = Model(hidden_size=6, embedding_size=4, chrono=40)
    network = ChatModel(cell, 6, len(SCHEMA.vocabulary), model)
    nn.init.normal_(network.project.weight, std=3.0)  # so that replies differ
    return network.eval()


def loaded(cell: str = "lstm") -> Predictor:
    config = {"kind": "chat", "cell": cell, "learning_rate": 0.01}
    return Predictor(network_of(cell), SCHEMA, config)


@pytest.mark.parametrize("cell", CELLS)
def test_replies_in_a_batch_are_those_of_each_conversation_alone(cell: str) -> None:
    network = network_of(cell)
    talks = [[[3, 4, 11], [5], [7, 8]], [[6]], [[9, 10], [3, 4, 5, 6, 7]]]
    state = network.begin(len(talks))
    together: list[list[list[int]]] = [[] for _ in talks]
    for place in range(3):
        lines = [talk[place] if place < len(talk) else [] for talk in talks]
        replies, state = network.reply(lines, state)
        for number, line in enumerate(lines):
            if line:
                together[number].append(replies[number])
    for talk, expected in zip(talks, together, strict=True):
        alone, own = network.begin(), []
        for line in talk:
            (reply,), alone = network.reply([line], alone)
            own.append(reply)
        assert own == expected


@pytest.mark.parametrize("cell", CELLS)
def test_the_network_reads_its_own_reply(cell: str) -> None:
    model = loaded(cell)
    tokens = model.transcript(model.read("i am ann\nwho am i"))
    _, expected = model.network(torch.tensor(tokens).unsqueeze(1))
    state = model.network.begin()
    for line in ("i am ann", "who am i"):
        _, state = model.reply(model.read_line(line), state)
    for ours, theirs in zip(state, expected, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)


def test_a_reply_has_no_mark_and_an_end() -> None:
    network = network_of()
    with torch.no_grad():
        network.bias[1:3] = 1e6  # <bot> and <unk>
        network.bias[11] = 1e5
    (reply,), _ = network.reply([[3]], network.begin())
    assert reply == [11] * 40


def test_gated_cells_begin_with_long_memories() -> None:
    torch.manual_seed(1)
    for cell, sign in (("lstm", -1), ("gru", 0)):
        network = recurrent.build(cell, 4, 500, 1, 0.0)
        chrono(network, 150)
        bias = network.get_parameter("bias_ih_l0")
        steps = bias[500:1000].exp() + 1  # of an open gate that closes: 1 / (1 - sigmoid)
        assert (steps.min() >= 2, steps.max() <= 150, steps.mean() > 60) == (True,) * 3
        assert torch.equal(bias[:500], sign * bias[500:1000])
    plain = recurrent.build("rnn", 4, 5, 1, 0.0)
    chrono(plain, 150)
    assert not plain.get_parameter("bias_ih_l0").any()


@pytest.mark.parametrize("cell", ["gru", "rnn"])
def test_cells_have_equal_numbers_of_parameters(cell: str) -> None:
    model = Model(hidden_size=64)
    network, sizes = recurrent.build_matched(
        cell, 64, lambda cell, hidden: ChatModel(cell, hidden, 200, model)
    )
    assert sizes["parameters"] == pytest.approx(sizes["parameter_budget"], rel=0.02)
    assert sizes["parameters"] == recurrent.parameter_count(network)


def test_the_loss_is_that_of_the_weighted_words() -> None:
    network = network_of()
    batch = Encoder(SCHEMA.vocabulary, 4.0).batch(TEST[:2])
    total, weight = setup.loss(network, batch)
    states, _ = network(batch.tokens[:-1])
    logs = network.scores(states).log_softmax(-1)
    right = logs.gather(-1, batch.tokens[1:].unsqueeze(-1)).squeeze(-1)
    assert total.item() == pytest.approx(-(right * batch.weights).sum().item(), rel=1e-5)
    assert weight.item() == batch.weights.sum().item()
    padded = Batch(nn.functional.pad(batch.tokens, (0, 0, 0, 3)),
                   nn.functional.pad(batch.weights, (0, 0, 0, 3)))  # fmt: skip
    assert setup.loss(network, padded)[0].item() == pytest.approx(total.item(), rel=1e-6)


def test_a_reply_is_right_if_all_its_words_are() -> None:
    replies = [["x", "x", "you are ann", "x", "you are ann", "hello"]] * 45
    scores = Outcomes.of(TEST, replies).scores()
    assert scores == {
        **{"accuracy": 2 / 3, "error": pytest.approx(1 / 3), "accuracy_others": 0},
        **{"accuracy_1_2": 0.5, "accuracy_changed": 0, "accuracy_not_told": 1},
    }
    assert Outcomes.of(TEST, replies).by_fact() == {"name": 0.5}


def test_rules_without_a_memory_of_who_said_what() -> None:
    known = [(Turn("who am i", "you are ann", "asked", "name", "ann", 3),)]
    found = {name: outcome.scores() for name, outcome in floors(TEST, known, FACTS).items()}
    assert found["not_told"]["accuracy"] == pytest.approx(1 / 3)
    assert found["most_frequent"]["accuracy_1_2"] == 0.5
    assert found["last_named"]["accuracy_1_2"] == 0.5  # the friend's name fools it
    assert found["last_named"]["accuracy_not_told"] == 0  # as his town does
    without_ben = FACTS | {"name": ("ann",)}  # who is not in training
    assert floors(TEST, known, without_ben)["last_named"].scores() == found["last_named"]


def test_a_difference_is_between_conversations() -> None:
    right = Outcomes.of(TEST, [[turn.bot for turn in turns] for turns in TEST])
    half = Outcomes.of(
        TEST, [[turn.bot if n % 2 else "" for turn in turns] for n, turns in enumerate(TEST)]
    )
    change = compare(right, half, Bootstrap(bootstrap=500))["error"]
    assert change.value == pytest.approx(-23 / 45)
    assert change.low < change.value < change.high < 0
    assert change.high - change.low == pytest.approx(2 * 1.96 * 0.5 / 45**0.5, rel=0.2)
    assert change.unit == "conversations"


def test_what_is_left_of_all_words_is_the_cell_state() -> None:
    """Where nothing is negative, the amounts of all words add up to the state of slow units."""
    network, tokens = network_of(), [0, 3, 4, 11, 1, 10, 11, 0]
    cell = network.cell
    assert isinstance(cell, nn.LSTM)
    with torch.no_grad():
        cell.weight_hh_l0[12:18] = 0
        cell.weight_ih_l0[12:18] = 0
        cell.bias_ih_l0[12:18] = 1  # the modulation is positive
    left = memory.left(network, tokens, range(len(tokens)))
    gates = recurrent.gates(cell, network.embedding(torch.tensor(tokens)).unsqueeze(0))
    slow = recurrent.half_life(gates.forget[0]) >= memory.SLOW
    assert 0 < slow.sum() < 6
    expected = gates.cell[0, :, slow].sum(1).detach().numpy()
    assert np.nansum(left, axis=0) == pytest.approx(expected, rel=1e-5)
    assert np.isnan(left[3, 2])


def test_a_fact_is_followed_until_it_is_said_again() -> None:
    ends, found = memory.mentions(TEST[0], {value for values in FACTS.values() for value in values})
    assert ends == [7, 14, 22, 29, 37, 41]
    assert found[0] == memory.Mention(memory.OTHERS, 1, 8, 1, 6)
    assert memory.Mention(memory.TOLD, 0, 3, 0, 2) in found
    assert memory.Mention(memory.TOLD, 3, 25, 3, 4) in found
    replaced = (TEST[0][0], TEST[0][3])
    assert memory.Mention(memory.REPLACED, 0, 3, 1, 2) in memory.mentions(replaced, {"ann"})[1]


def test_a_word_that_is_not_known_is_named_and_the_state_stays() -> None:
    talk = session.Session(loaded())
    first = talk.reply("I am Ann!")
    with pytest.raises(DataError, match="does not know the word 'frob', and did not read"):
        talk.reply("i am frob")
    with pytest.raises(DataError, match="did you mean 'hello'"):
        talk.reply("helllo")
    with pytest.raises(DataError, match="has no word"):
        talk.reply("?!")
    with pytest.raises(DataError, match="a line of 1,001 words; at most 1,000"):
        talk.reply("am " * 1001)
    second = talk.reply("who am i")
    talk.forget()
    assert (talk.reply("i am ann"), talk.reply("who am i")) == (first, second)


def test_the_cell_holds_what_was_said_by_whom_and_when() -> None:
    talk = session.Session(loaded())
    assert talk.held().empty
    talk.reply("hello")
    talk.reply("i am ann")
    held = talk.held()
    own = held[held["by"] == "you"]
    assert own[["turn", "word", "fact"]].values.tolist() == [[2, "ann", "name"]]
    assert (held["left"] <= held["written"]).all()
    with pytest.raises(ModelError, match="the model has the cell gru, not an lstm"):
        session.Session(loaded("gru")).held()


def test_lines_may_be_piped_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from contextlib import nullcontext

    monkeypatch.setattr(sequences.loader, "find_root", lambda: tmp_path)
    monkeypatch.setattr(sequences, "model_folder", lambda root, name: nullcontext(tmp_path))
    monkeypatch.setattr(sequences, "_part", lambda *_: lambda folder: session.Session(loaded()))
    lines = b"i am ann\n\n/gates\nx\n\xff\n/forget\n/who\ni am ann\n/end\nhello\n"
    result = CliRunner().invoke(sequences.app, ["chat", "p"], input=lines)
    assert result.exit_code == 2
    said = result.stdout.splitlines()
    assert said[0] == said[-1]  # the same from an empty state
    assert "name" in said[2]
    assert said[-2] == "(the state is empty: nothing is remembered)"
    assert "(the bot does not know the word 'x'" in result.stderr
    assert "'/who' is no command; there are /gates, /forget and /end" in result.stderr


@pytest.mark.parametrize("cell", CELLS)
def test_a_conversation_goes_on_from_its_state(cell: str) -> None:
    server, model = ChatEndpoint(Limits(), CollectorRegistry()), loaded(cell)

    def ask(line: str, state: str = "") -> dict[str, str]:
        request = server.request_model.model_validate({"conversation": line, "state": state})
        return server.answer_line(model, line, request)

    first = ask("i am ann")
    second = ask("who am i", first["state"])
    whole = ask("i am ann\nwho am i")
    assert whole["replies"] == [first["reply"], second["reply"]]
    assert whole["state"] == second["state"]


def test_a_state_that_the_server_did_not_sign_for_this_model_is_refused() -> None:
    server, model = ChatEndpoint(Limits(), CollectorRegistry()), loaded()
    state = server.seal(model, model.network.begin())
    server.open(model, state)
    changed = bytearray(base64.urlsafe_b64decode(state))
    changed[-1] ^= 1
    foreign = ChatEndpoint(Limits(), CollectorRegistry()).seal(model, model.network.begin())
    another = Predictor(network_of(seed=2), SCHEMA, model.config)
    for text, reader in (
        (base64.urlsafe_b64encode(bytes(changed)).decode(), model),
        (foreign, model),
        (state, another),
        ("no state", model),
        ("", model),
    ):
        with pytest.raises(DataError, match="`state` is none that this server gave"):
            server.open(reader, text)


def test_a_table_is_answered_row_by_row() -> None:
    model = loaded()
    table = pd.DataFrame({"conversation": ["i am ann\nwho am i", "who am i"]})
    answers = model.predict(table)
    assert answers["reply"][1] == model.predict(table.iloc[[1]].reset_index(drop=True))["reply"][0]
    assert answers["replies"][0].split("\n")[-1] == answers["reply"][0]
    with pytest.raises(DataError, match=r"row 2: .*word 'x'"):
        model.predict(pd.DataFrame({"conversation": ["hello", "hello x"]}))


def test_gates_are_drawn_of_a_test_conversation_with_unknown_words() -> None:
    shown = evaluate.inspect_test(loaded(), [(Turn("i am zoe", "hello zoe"),)])
    assert shown.steps[:5] == ("<you>", "i", "am", "<unk>", "<bot>")


def test_an_example_has_words_that_the_model_knows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stranger = (Turn("merci", "hello"), Turn("who am i", "you are ann"))
    monkeypatch.setattr("retain.kinds.chat.dataset.load", lambda *_: [stranger])
    assert list(loaded().example(tmp_path)["conversation"]) == ["who am i"]
    monkeypatch.setattr("retain.kinds.chat.dataset.load", lambda *_: [stranger[:1]])
    assert len(loaded().predict(loaded().example(tmp_path))) == 1


@pytest.mark.parametrize("source", ["introductions", "folder"])
def test_a_problem_is_prepared_scored_and_reported(tmp_path: Path, source: str) -> None:
    data = {"source": "introductions", "test": 45, "test_turns": 12, "validation": 4}
    if source == "folder":
        data = {"source": "folder", "path": "talk", "test_share": 0.5}
        (tmp_path / "talk").mkdir()
        small = "it rains\tyes\n" * 20
        names = [*(f"n{n % 5}" for n in range(89)), "stranger"]
        talk = (f"I am {x}\thello\n{small}{n}\tyes\nwho am i\t{x}\n\n" for n, x in enumerate(names))
        (tmp_path / "talk/a.txt").write_text("".join(talk), encoding="utf-8")
    entry = {
        "kind": "chat",
        "preset": "fast",
        "data": data,
        "model": {"hidden_size": 6, "embedding_size": 4, "chrono": 30},
        "training": {"cells": ["lstm", "gru"], "batch_size": 2},
        "evaluation": {"bootstrap": 100},
        "gate": [{"check": "finite"}],
    }
    problem, prepared, models = parse("p", entry), tmp_path / "prepared", {}
    assert isinstance(problem, Problem)
    prepared.mkdir()
    prepare.prepare(problem, tmp_path, prepared)
    for cell in problem.training.cells:
        built = setup.build(problem, prepared, cell)
        assert built.loss(built.network, built.train.batch(np.array([1, 2])))[0].isfinite()
        folder = models[cell] = tmp_path / cell
        folder.mkdir()
        model_files.write_model(folder, built.network, built.config, [])
        (folder / "history.csv").write_text("epoch,train_loss,validation_loss\n1,2.5,3.5\n")
    found = evaluate.evaluate(problem, prepared, models)
    assert {*found.metrics["models"]} == {
        *("lstm", "gru", "not_told", "most_frequent", "last_named")
    }
    assert found.metrics["models"]["last_named"]["accuracy"] > 0.1
    assert {"by_turns", "training"} <= found.plots().keys()
    assert 0 < found.metrics["models"]["lstm"]["loss"] < 10
    assert "error" in found.metrics["differences"]["lstm_minus_last_named"]
    assert found.talk[0][2] == found.talk[0][2].lower()
    text = report.report("p", problem, found, []).lead
    assert text.startswith("Right answers to questions: LSTM 0.0")
    compared = evaluate.compare_with_champion(problem, prepared, models["lstm"], models["lstm"])
    assert compared.differences["error"].value == 0
    model = predictor.load(models["gru"])
    assert asdict(model.schema)["source"] == source
    assert len(model.predict(model.example(prepared))) == 3

"""What trained recall models must be able to do, and answers to requests."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor

from retain.config.loader import parse
from retain.errors import DataError, IncomparableError, ModelError, ParamsError, Terminated
from retain.evaluation.lstm_gates import Inspection
from retain.kinds.recall import dataset, evaluate, predictor, prepare, setup
from retain.kinds.recall.config import Problem
from retain.kinds.recall.network import GapClassifier
from retain.kinds.recall.predictor import Predictor
from tests.learning import small

GAPS = [3, 20]


def problem(source: str = "copy", chrono: int | None = 100) -> Problem:
    parsed = parse(
        "small",
        {
            "kind": "recall",
            "preset": "fast",
            "data": {
                "source": source,
                "train_gaps": GAPS,
                "test_gaps": [*GAPS, 60],
                "symbols": 3,
                "train": 2000,
                "validation": 40,
                "test": 60,
            },
            "model": {"hidden_size": 10, "chrono": chrono},
            "training": {
                "learning_rates": {"lstm": [0.03, 0.1], "gru": [0.03, 0.1], "rnn": [0.003, 0.01]},
                "batch_size": 16,
                "epoch_steps": 40,
                "max_epochs": 4,
                "seeds": 2,
            },
            "evaluation": {"bootstrap": 200},
            "gate": [],
        },
    )
    assert isinstance(parsed, Problem)
    return parsed


def trained(root: Path, cell: str, given: Problem) -> Path:
    prepared = root / "prepared"
    if not prepared.is_dir():
        prepared.mkdir()
        prepare.prepare(given, Path(), prepared)
    return small.trained(setup.build, given, prepared, cell, root / cell)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copied")
    for cell in ("lstm", "rnn"):
        trained(folder, cell, problem())
    return folder


@pytest.fixture(scope="module")
def evaluation(root: Path) -> evaluate.Evaluation:
    folders = {cell: root / cell for cell in ("lstm", "rnn")}
    return evaluate.evaluate(problem(), root / "prepared", folders)


@pytest.fixture(scope="module")
def model(root: Path) -> Predictor:
    return predictor.load(root / "lstm")


def weights(
    prepared: Path, kept: Path | None, stop_after: int = 0, **training: Any
) -> list[Tensor]:
    given = problem()
    less = given.training.model_copy(update={"max_epochs": 2, "epoch_steps": 5, **training})
    given = given.model_copy(
        update={"training": less.model_copy(update={"checkpoint_every": 2, "gradient_clip": 0.01})}
    )
    return small.weights(setup.build, given, prepared, "rnn", kept, stop_after)


@pytest.mark.parametrize("call", [4, 8])
def test_networks_whose_training_was_stopped_and_resumed_end_with_the_same_bits(
    root: Path, tmp_path: Path, call: int
) -> None:
    with pytest.raises(Terminated):
        weights(root / "prepared", tmp_path, stop_after=call)
    resumed, undisturbed = (weights(root / "prepared", kept) for kept in (tmp_path, None))
    assert all(map(torch.equal, resumed, undisturbed))


def test_a_network_learns_the_same_whatever_else_is_trained(root: Path) -> None:
    rates = {"lstm": (0.01, 0.05), "gru": (0.01, 0.05), "rnn": (0.01, 0.05)}
    together = weights(root / "prepared", None, learning_rates=rates, seeds=2)
    alone = weights(root / "prepared", None, learning_rates={"rnn": (0.05,)}, seeds=1)
    second = together[len(alone) : 2 * len(alone)]  # of the second network: seed 1, rate 0.05
    assert all(map(torch.equal, second, alone))
    assert not any(map(torch.equal, second, together))


def test_every_cell_copies_over_a_short_gap(evaluation: evaluate.Evaluation) -> None:
    for cell in ("lstm", "rnn"):
        assert evaluation.metrics["models"][cell]["accuracy_at_3"] > 0.95, cell


def test_the_lstm_keeps_a_key_for_longer_than_it_was_trained(
    evaluation: evaluate.Evaluation,
) -> None:
    assert evaluation.metrics["models"]["lstm"]["memory_horizon"] == 60
    for seed in evaluation.metrics["seeds"]["lstm"].values():
        assert seed["accuracy"]["60"] >= 0.95


def test_the_lstms_answer_depends_on_the_key(evaluation: evaluate.Evaluation) -> None:
    table = evaluation.tables["look_back"]
    norms = table[table["model"] == "lstm"].set_index("lag")["norm"]
    assert len(norms) == 62
    assert norms[61] > 10 * norms[range(20, 55)].mean()


def test_the_newest_step_has_lag_0(root: Path) -> None:
    source = dataset.load(root / "prepared")
    network = GapClassifier("rnn", 6, source.schema, (1,), 1, None)
    with torch.no_grad():
        network.members[0].across.mul_(0.5)  # type: ignore[union-attr, operator]
    norms = evaluate.look_back(network, source)["norm"]
    assert norms[0] > 10 * norms[10] > 100 * norms[30]


def test_a_model_compared_with_itself_is_no_better(root: Path) -> None:
    folder = root / "lstm"
    both = evaluate.compare_with_champion(problem(), root / "prepared", folder, folder)
    change, level = both.differences["error"], both.scores[1]["error"]
    assert change.value == 0
    assert change.low <= 0 <= change.high
    assert 0 <= level <= 1


def test_a_champion_of_other_words_is_not_compared(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    prepare.prepare(problem("adding"), Path(), other)
    with pytest.raises(IncomparableError, match="the champion was trained with source copy"):
        evaluate.compare_with_champion(problem(), other, root / "lstm", root / "lstm")


def test_an_answer_comes_with_the_probability_of_each(model: Predictor) -> None:
    answer = model.predict(pd.DataFrame({"sequence": ["B a c a b c ?", "A a c a b c ?"]}))
    assert answer["answer"].tolist() == ["B", "A"]
    assert list(answer.columns) == ["answer", "probability", "p(A)", "p(B)", "p(C)"]
    assert answer[["p(A)", "p(B)", "p(C)"]].sum(axis=1).tolist() == pytest.approx([1, 1])
    assert (answer["probability"] > 0.8).all()


def test_one_sequence_is_answered_the_likeliest_first(model: Predictor) -> None:
    (best, share), *others = model.ask("C a b ?")
    assert best == "C"
    assert share is not None
    assert [share, *(p for _, p in others)] == sorted([share, *(p for _, p in others)])[::-1]


def test_an_answer_does_not_depend_on_the_other_rows(model: Predictor) -> None:
    texts = ["B a c a b c ?", "A a ?"]
    together = model.predict(pd.DataFrame({"sequence": texts}))
    alone = [model.predict(pd.DataFrame({"sequence": [text]})) for text in texts]
    pd.testing.assert_frame_equal(together, pd.concat(alone, ignore_index=True))


BAD = {
    "a word that it does not know": (["A a ?", "A x ?"], "row 2: word 2, 'x', is none that the"),
    "an empty text": (["  "], "row 1: '  ' is no text"),
    "a number": ([3], "row 1: 3 is no text"),
    "nothing": ([], "the table has no row"),
}


@pytest.mark.parametrize(("texts", "message"), BAD.values(), ids=BAD.keys())
def test_a_bad_sequence_gets_a_sentence(
    model: Predictor, texts: list[object], message: str
) -> None:
    with pytest.raises(DataError) as error:
        model.predict(pd.DataFrame({"sequence": texts}))
    assert message in str(error.value)


def test_another_column_gets_a_sentence(model: Predictor) -> None:
    with pytest.raises(DataError, match="expected one column, 'sequence', and found story"):
        model.predict(pd.DataFrame({"story": ["A a ?"]}))


def test_numbers_to_add_are_read_with_their_marks(tmp_path: Path) -> None:
    given = problem("adding")
    model = predictor.load(trained(tmp_path, "lstm", given))
    example = model.example(tmp_path / "prepared")
    assert (example["sequence"].str.count(r"\+") == 2).all()
    assert model.predict(example).columns.tolist() == ["answer"]
    for text, message in (
        ("+0.1 0.2 0.3", "row 1: mark two numbers with [+], not 1"),
        ("+0.1 +0.2 x", "row 1: 'x' is no number such as"),
    ):
        with pytest.raises(DataError, match=message):
            model.predict(pd.DataFrame({"sequence": [text]}))


def test_a_damaged_model_is_refused(root: Path, tmp_path: Path) -> None:
    for name in ("config.json", "weights.safetensors"):
        (tmp_path / name).write_bytes((root / "lstm" / name).read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"hidden_size": 3}))
    with pytest.raises(ModelError, match="is damaged or was made by another version"):
        predictor.load(tmp_path)
    (tmp_path / "weights.safetensors").unlink()
    with pytest.raises(ModelError, match="does not exist: train the model"):
        predictor.load(tmp_path)


def test_the_gates_of_a_sequence_have_a_step_for_each_word(root: Path) -> None:
    def inspect(what: str | None, at: str | None = None, cell: str = "lstm") -> Inspection:
        return predictor.inspect(problem(), "prepared", root, root / cell, what, at)

    shown = inspect("B a c a b c ?")
    assert shown.steps == ("B", "a", "c", "a", "b", "c", "?")
    assert shown.gates.forget.shape == (7, 10)
    alone = inspect("B a c")  # what comes later changes nothing of what was read before
    assert torch.allclose(alone.gates.cell, shown.gates.cell[:3], atol=1e-6)
    with pytest.raises(DataError, match="word 2, 'x', is none that the model knows"):
        inspect("A x ?")
    with pytest.raises(ParamsError, match="is of tables"):
        inspect("A a ?", at="2024-01-01")
    with pytest.raises(ModelError, match="has the cell rnn, not an lstm"):
        inspect("A a ?", cell="rnn")


def test_the_report_shows_the_gates_where_the_key_is_read(evaluation: evaluate.Evaluation) -> None:
    shown = evaluation.gates
    assert len(shown.steps) == GAPS[0] + 2
    assert shown.marked == 0
    assert shown.steps[0] in "ABC"
    assert shown.steps[-1] == "?"


@pytest.mark.long
def test_an_lstm_learns_what_a_subject_decides_and_that_a_later_one_counts(tmp_path: Path) -> None:
    given = parse(
        "small",
        {
            "kind": "recall",
            "preset": "fast",
            "data": {
                "source": "agreement",
                "train_gaps": [8],
                "test_gaps": [8],
                "train": 6400,
                "test": 200,
            },
            "model": {"hidden_size": 24, "chrono": 30},
            "training": {"learning_rate": 0.1, "batch_size": 16, "max_epochs": 8, "seeds": 1},
            "evaluation": {"bootstrap": 100},
            "gate": [],
        },
    )
    assert isinstance(given, Problem)
    folders = {"lstm": trained(tmp_path, "lstm", given)}
    evaluation = evaluate.evaluate(given, tmp_path / "prepared", folders)
    assert evaluation.metrics["models"]["lstm"]["accuracy"] > 0.97
    shares = {group: share["8"] for group, share in evaluation.metrics["groups"]["lstm"].items()}
    assert list(shares) == list(evaluation.schema.groups)
    assert min(shares.values()) > 0.8, shares
    model = predictor.load(folders["lstm"])
    text = "Martin is buying apples. Jennifer is baking bread. Rain fell. Then"
    assert model.ask(text)[0][0] == "she"
    assert model.ask(text.replace("Jennifer", "Robert"))[0][0] == "he"


def test_the_report_shows_gates_where_no_sequence_of_the_shortest_gap_has_a_change(
    root: Path, model: Predictor
) -> None:
    source = dataset.load(root / "prepared")
    schema = dataclasses.replace(source.schema, groups=("any", "any, changed"))
    shown = evaluate.inspect_test(model, dataclasses.replace(source, schema=schema))
    assert shown.steps[-1] == "?"

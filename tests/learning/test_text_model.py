"""What trained text models must be able to do, and texts that are continued."""

import random
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor

from retain.config.loader import parse
from retain.errors import DataError, IncomparableError, ModelError, ParamsError, Terminated
from retain.evaluation.lstm_gates import Inspection
from retain.kinds.text import dataset, evaluate, predictor, prepare, setup
from retain.kinds.text.config import Problem
from retain.kinds.text.predictor import Predictor
from tests.learning import small

RHYME = "the cat sat on the mat, the dog ate the log. "


def problem(path: str, **sections: Any) -> Problem:
    entry = {
        "kind": "text",
        "preset": "fast",
        "data": {"path": path},
        "model": {"hidden_size": 32, "embedding_size": 8},
        "training": {
            "learning_rate": 0.02,
            "batch_size": 8,
            "chunk": 16,
            "chunks": 2,
            "max_epochs": 12,
            "ema_decay": 0.9,
        },
        "evaluation": {"block": 20, "bootstrap": 200, "length": 20},
        "gate": [],
    }
    parsed = parse("small", {**entry, **sections})
    assert isinstance(parsed, Problem)
    return parsed


def prepared(root: Path, text: str, given: Problem) -> Path:
    (root / given.data.path).write_text(text, encoding="utf-8")
    folder = root / f"prepared-{given.data.path}"
    folder.mkdir()
    prepare.prepare(given, root, folder)
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of a rhyme that is repeated many times."""
    root = tmp_path_factory.mktemp("rhyme")
    source = prepared(root, RHYME * 70, problem("rhyme.txt"))
    for cell in ("lstm", "rnn"):
        small.trained(setup.build, problem("rhyme.txt"), source, cell, root / cell)
    return root


def test_a_cell_may_get_fewer_epochs_than_the_others(root: Path) -> None:
    given = problem("rhyme.txt", training={"cell_epochs": {"rnn": 3}, "max_epochs": 5})
    source = root / "prepared-rhyme.txt"
    assert [setup.build(given, source, cell).epochs for cell in ("lstm", "rnn")] == [None, 3]


@pytest.fixture(scope="module")
def evaluation(root: Path) -> evaluate.Evaluation:
    folders = {cell: root / cell for cell in ("lstm", "rnn")}
    return evaluate.evaluate(problem("rhyme.txt"), root / "prepared-rhyme.txt", folders)


@pytest.fixture(scope="module")
def model(root: Path) -> Predictor:
    return predictor.load(root / "lstm")


def test_every_cell_learns_a_rhyme_by_heart(evaluation: evaluate.Evaluation) -> None:
    models = evaluation.metrics["models"]
    for cell in ("lstm", "rnn"):
        assert models[cell]["bits"] < 0.2, cell
        assert models[cell]["accuracy"] > 0.95, cell
        assert models[cell]["not_finite"] == 0
    assert models["unigram"]["bits"] > models["bigram"]["bits"] > models["trigram"]["bits"]
    assert models["trigram"]["bits"] > models["lstm"]["bits"]
    assert evaluation.metrics["differences"]["lstm_minus_bigram"]["bits"]["high"] < 0


def test_more_context_takes_fewer_bits(evaluation: evaluate.Evaluation) -> None:
    table = evaluation.plots()["context"].pivot(index="x", columns="model", values="y")
    assert list(table.index) == [1, 2, 4, 8, 16, 32, 64, 128]
    for cell in ("lstm", "rnn"):
        assert table[cell][1] > 5 * table[cell][32]
        whole = evaluation.metrics["models"][cell]["bits"]
        assert table[cell][128] == pytest.approx(whole, abs=0.01), cell


def test_places_that_are_easier_than_the_rest_make_no_context_look_better(
    root: Path, model: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two places, of which one is the hardest letter of all, and still the level of the whole."""
    tokens = dataset.load(root / "prepared-rhyme.txt").part("test")
    whole, _ = evaluate.carried(model.network, tokens)
    cut = tokens[: 2 + int(whole[200:].argmax()) + 200]  # ends with that letter
    bits, _ = evaluate.carried(model.network, cut)
    monkeypatch.setattr(evaluate, "PLACES", 2)
    table = evaluate.by_context(model.network, cut, bits).set_index("context")["bits"]
    assert bits[[-1]].mean() > 2 * bits.mean()
    assert table[64] == pytest.approx(bits.mean(), abs=0.05 * bits[-1])


def test_the_rhyme_is_continued(model: Predictor) -> None:
    tokens = model.read("The cat sat on the m")
    likeliest, share = model.following(tokens)[0]
    assert (likeliest, share > 0.9) == ("a", True)
    assert model.continued(tokens, 11, 0.2, 1) == "at, the dog"
    assert model.continued(tokens, 40, 5.0, 1) == model.continued(tokens, 40, 5.0, 1)
    assert model.continued(tokens, 40, 5.0, 1) != model.continued(tokens, 40, 5.0, 2)
    assert sum(share for _, share in model.following(tokens)) == pytest.approx(1)


def test_a_table_is_answered(model: Predictor) -> None:
    table = pd.DataFrame({"text": ["the cat sat on the m", "the dog ate the l"]})
    answer = model.predict(table)
    names = [f"{kind}_{n}" for n in (1, 2, 3) for kind in ("next", "probability")]
    assert list(answer.columns) == [*names, "continued"]
    assert answer["next_1"].tolist() == ["a", "o"]
    assert (answer["probability_1"] > answer["probability_2"]).all()
    assert answer["continued"].str.len().tolist() == [60, 60]
    alone = model.predict(table[1:]).iloc[0]
    assert alone.equals(answer.iloc[1].rename(alone.name))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"txt": ["a"]}, "expected one column, 'text', and found txt"),
        ({"text": []}, "the table has no row"),
        ({"text": ["the", ""]}, "row 2: '' is no text to continue"),
        ({"text": [None]}, "row 1: None is no text to continue"),
        ({"text": ["the qat"]}, "row 1: letter 5, 'q', is none that the model was trained on"),
    ],
)
def test_what_cannot_be_read_is_named(model: Predictor, table: Any, message: str) -> None:
    with pytest.raises(DataError) as caught:
        model.predict(pd.DataFrame(table))
    assert message in str(caught.value)


def test_a_state_that_is_carried_holds_what_an_earlier_chunk_had(tmp_path: Path) -> None:
    """The answer to each `?` is five letters before it.

    Read from a zero state four letters before the answer, the same network can only guess, and
    takes two bits or more.
    """
    draw = random.Random(1)  # noqa: S311
    keys = [draw.choice("abcd") for _ in range(1000)]
    text = "".join(f"{key}...?{key}" for key in keys)
    given = problem("keys.txt", evaluation={})
    source = prepared(tmp_path, text, given)
    network = predictor.load(
        small.trained(setup.build, given, source, "lstm", tmp_path / "lstm")
    ).network
    tokens = dataset.load(source).part("test")
    asked = [n for n in range(40, len(tokens)) if text[-len(tokens) + n - 1] == "?"]
    whole, _ = evaluate.carried(network, tokens)
    carried = sum(whole[n - 1] for n in asked) / len(asked)
    cut = sum(evaluate.carried(network, tokens[n - 4 : n + 1])[0][-1] for n in asked) / len(asked)
    assert carried + 0.5 < cut
    assert cut > 1.9


def test_a_text_read_in_parts_takes_the_bits_of_the_whole(
    root: Path, model: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = dataset.load(root / "prepared-rhyme.txt").part("test")
    whole, ranks = evaluate.carried(model.network, tokens)
    monkeypatch.setattr(evaluate, "READ_AT_ONCE", 50)
    again, same = evaluate.carried(model.network, tokens)
    assert len(whole) == len(tokens) - 1
    assert again == pytest.approx(whole, abs=1e-4)
    assert same.tolist() == ranks.tolist()


def weights(source: Path, kept: Path | None, stop_after: int = 0) -> list[Tensor]:
    given = problem("rhyme.txt")
    changed = {"max_epochs": 2, "checkpoint_every": 2, "gradient_clip": 0.01}
    given = given.model_copy(update={"training": given.training.model_copy(update=changed)})
    return small.weights(setup.build, given, source, "lstm", kept, stop_after)


@pytest.mark.parametrize("call", [6, 17])
def test_a_training_that_was_stopped_ends_with_the_same_bits(
    root: Path, tmp_path: Path, call: int
) -> None:
    source = root / "prepared-rhyme.txt"
    with pytest.raises(Terminated):
        weights(source, tmp_path, stop_after=call)
    assert list(tmp_path.iterdir())
    resumed, undisturbed = (weights(source, kept) for kept in (tmp_path, None))
    assert all(map(torch.equal, resumed, undisturbed))


def test_a_model_compared_with_itself_is_no_better(root: Path) -> None:
    folder, source = root / "lstm", root / "prepared-rhyme.txt"
    both = evaluate.compare_with_champion(problem("rhyme.txt"), source, folder, folder)
    change = both.differences["bits"]
    assert (change.value, change.low, change.high) == (0, 0, 0)
    assert both.scores[0] == both.scores[1]


def test_a_champion_of_another_text_is_not_compared(root: Path, tmp_path: Path) -> None:
    given = problem("other.txt")
    letters = prepared(tmp_path, "xyz" * 500, given)
    with pytest.raises(IncomparableError, match="the champion was trained with vocabulary"):
        evaluate.compare_with_champion(given, letters, root / "lstm", root / "lstm")
    given = problem("longer.txt")
    longer = prepared(tmp_path, RHYME * 130, given)
    with pytest.raises(IncomparableError, match="trained on other data, and some of today's"):
        evaluate.compare_with_champion(given, longer, root / "lstm", root / "lstm")


def test_a_damaged_model_is_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist: train the model"):
        predictor.load(tmp_path)
    for name in ("config.json", "weights.safetensors"):
        (tmp_path / name).write_bytes((root / "lstm" / name).read_bytes())
    (tmp_path / "weights.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(ModelError, match="is damaged or was made by another version"):
        predictor.load(tmp_path)


def test_words_are_predicted_too(tmp_path: Path) -> None:
    given = problem("words.txt", data={"path": "words.txt", "unit": "word"})
    source = prepared(tmp_path, RHYME * 90, given)
    model = predictor.load(small.trained(setup.build, given, source, "lstm", tmp_path / "lstm"))
    assert model.following(model.read("the cat sat on"))[0][0] == "the"
    assert model.continued(model.read("the cat"), 4, 0.2, 1) == " sat on the mat"
    assert len(model.predict(model.example(source))) == 3


def test_the_gates_of_a_sentence_have_a_step_for_each_letter(root: Path) -> None:
    def inspect(what: str | None, at: str | None = None, cell: str = "lstm") -> Inspection:
        return predictor.inspect(problem("rhyme.txt"), "rhyme", root, root / cell, what, at)

    shown = inspect("the cat sat")
    assert shown.steps == tuple("the cat sat")
    assert shown.gates.forget.shape == (11, 32)
    assert all(bool((part >= 0).all() and (part <= 1).all()) for part in shown.gates[:2])
    alone = inspect("the cat")  # what comes later changes nothing of what was read before
    assert torch.allclose(alone.gates.cell, shown.gates.cell[:7], atol=1e-6)
    with pytest.raises(DataError, match="give a sentence to read"):
        inspect(None)
    with pytest.raises(DataError, match="is none that the model was trained on"):
        inspect("the cat ☃")
    with pytest.raises(ParamsError, match="is of tables"):
        inspect("the cat", at="2024-01-01")
    with pytest.raises(ModelError, match="has the cell rnn, not an lstm"):
        inspect("the cat", cell="rnn")

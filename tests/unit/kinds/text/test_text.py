"""Units, vocabulary, n-grams, intervals; the state that is carried over chunks."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from retain.config.loader import parse
from retain.errors import ParamsError
from retain.kinds.text import dataset, evaluate, ngrams, predictor, setup
from retain.kinds.text.config import Data, Evaluation, Model, Problem
from retain.kinds.text.network import LanguageModel
from retain.networks import recurrent
from retain.networks.recurrent import CELLS

LINE = "In the beginning was the Word; the word isn't a number. "


def data(**changed: Any) -> Data:
    return Data.model_validate({"path": "text.txt", **changed})


def network_of(cell: str = "lstm", **changed: Any) -> LanguageModel:
    torch.manual_seed(1)
    model = Model.model_validate({"hidden_size": 8, "embedding_size": 4, **changed})
    return LanguageModel(cell, 8, 10, model)


def test_letters_are_characters_and_words_punctuation_marks_are_words() -> None:
    assert dataset.split_units("my name", "letter") == ["m", "y", " ", "n", "a", "m", "e"]
    assert dataset.split_units("It isn't so: no!", "word") == ["It", "isn't", "so", ":", "no", "!"]


def test_a_word_keeps_its_combining_marks() -> None:
    hindi = "मेरा नाम हिन्दी है।"
    assert dataset.split_units(hindi, "word") == ["मेरा", "नाम", "हिन्दी", "है", "।"]
    assert dataset.split_units("Cafe\u0301's", "word") == ["Café's"]
    assert dataset.split_units("e\u0301", "letter") == ["e", "\u0301"]


def test_the_vocabulary_is_that_of_the_training_part() -> None:
    corpus = dataset.encode(data(), "abc" * 320 + "xyz" * 80, "")
    assert corpus.schema.vocabulary == ("<unk>", "a", "b", "c")
    assert corpus.part("test").tolist() == [0] * 120
    assert len(corpus.part("train")) == 960


def test_only_the_most_frequent_words_are_known() -> None:
    corpus = dataset.encode(data(unit="word", words=2), "a rose is a rose is a rose . " * 150, "")
    assert corpus.schema.vocabulary == ("<unk>", "a", "rose")
    assert corpus.part("train")[:9].tolist() == [1, 2, 0, 1, 2, 0, 1, 2, 0]


def test_the_parts_are_the_whole_text_in_its_order() -> None:
    corpus = dataset.encode(data(validation_share=0.2, test_share=0.3), LINE * 20, "")
    joined = np.concatenate([corpus.part(part) for part in dataset.PARTS])
    assert corpus.schema.joined(joined) == LINE * 20
    lengths = [len(corpus.part(part)) / len(joined) for part in dataset.PARTS]
    assert lengths == pytest.approx([0.5, 0.2, 0.3], abs=0.001)


def test_words_are_joined_as_they_are_written() -> None:
    corpus = dataset.encode(data(unit="word", lower=False), LINE * 100, "")
    assert corpus.schema.joined(corpus.part("train")[:13]) == LINE.strip()


def test_prepared_text_is_read_as_it_was_written(tmp_path: Path) -> None:
    corpus = dataset.encode(data(), LINE * 20, "abc")
    dataset.save(corpus, tmp_path)
    again = dataset.load(tmp_path)
    assert again.schema == corpus.schema
    assert again.ends == corpus.ends
    assert again.tokens.tolist() == corpus.tokens.tolist()


def test_stretches_follow_one_another_and_the_last_ends_with_the_part() -> None:
    stretches = setup.Stretches(np.arange(24), 10)
    assert len(stretches) == 3
    batch = stretches.batch(np.array([0, 1, 2]))
    assert batch.shape == (11, 3)
    assert batch[0].tolist() == [0, 10, 13]
    assert batch[-1].tolist() == [10, 20, 23]


def test_in_another_epoch_stretches_begin_elsewhere_and_end_with_the_part() -> None:
    train = setup.Shifted(np.arange(100), 10)
    first, second = train.at(0), train.at(1)
    assert first.batch(np.array([3]))[:, 0].tolist() == list(range(30, 41))
    assert second.batch(np.array([3]))[:, 0].tolist() == list(range(36, 47))
    assert second.batch(np.array([len(train) - 1]))[:, 0].tolist() == list(range(89, 100))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("chunk", [1, 7, 20, 50])
def test_the_loss_over_chunks_is_that_of_the_whole(cell: str, chunk: int) -> None:
    network, batch = network_of(cell, layers=2), torch.randint(10, (21, 3))
    whole, count = setup.loss(network, batch, 20)
    carried, _ = setup.loss(network, batch, chunk)
    assert carried.item() == pytest.approx(whole.item(), rel=1e-5)
    assert count.item() == 60


def prepared(folder: Path, text: str) -> Path:
    folder.mkdir()
    dataset.save(dataset.encode(data(validation_share=0.2, test_share=0.2), text, ""), folder)
    return folder


def test_a_unit_that_training_never_has_counts_nothing_in_validation(tmp_path: Path) -> None:
    problem = parse("small", entry())
    assert isinstance(problem, Problem)
    counts = {}
    for name, text in {
        "known": "ab" * 500,
        "validation": "ab" * 300 + "axbx" * 50 + "ab" * 100,
        "all": "ab" * 300 + "xy" * 200,
    }.items():
        made = setup.build(problem, prepared(tmp_path / name, text), "lstm")
        batch = made.validation.batch(np.arange(len(made.validation)))
        counts[name] = int(made.loss(made.network, batch)[1])
    assert counts["validation"] == counts["known"] // 2
    assert counts["all"] == counts["known"]  # nothing else is there


def test_what_is_ignored_changes_no_bit_where_it_does_not_occur() -> None:
    network, batch = network_of(), torch.randint(1, 10, (21, 3))
    for first, second in zip(
        setup.loss(network, batch, 7), setup.loss(network, batch, 7, ignored=0), strict=True
    ):
        assert torch.equal(first, second)


def test_an_example_of_a_request_has_units_that_the_model_knows(tmp_path: Path) -> None:
    folder = prepared(tmp_path / "prepared", "ab" * 400 + "xy" * 100)
    model = predictor.Predictor(network_of(), dataset.load(folder).schema, {})
    assert model.example(folder)["text"][0].startswith("abab")


@pytest.mark.parametrize("cell", CELLS)
def test_the_gradient_ends_with_a_chunk(cell: str) -> None:
    """The embedding of a unit of the first chunk learns nothing from the second."""
    network, batch = network_of(cell), torch.tensor([[1], [2], [3], [4], [5]])
    gradients = []
    for part, chunk in ((batch, 2), (batch[:3], 2), (batch, 4)):
        network.zero_grad()
        setup.loss(network, part, chunk)[0].backward()  # type: ignore[no-untyped-call]
        assert network.embedding.weight.grad is not None
        gradients.append(network.embedding.weight.grad[1].clone())
    assert torch.allclose(gradients[0], gradients[1])
    assert not torch.allclose(gradients[0], gradients[2])


@pytest.mark.parametrize("cell", ["gru", "rnn"])
def test_cells_have_equal_numbers_of_parameters_embedding_included(cell: str) -> None:
    model = Model(hidden_size=64)
    network, sizes = recurrent.build_matched(
        cell, 64, lambda cell, hidden: LanguageModel(cell, hidden, 30, model)
    )
    assert sizes["parameters"] == pytest.approx(sizes["parameter_budget"], rel=0.02)
    assert sizes["parameters"] == sum(p.numel() for p in network.parameters())
    assert sizes["parameters_of_embedding"] == 30 * model.embedding_size


def test_counts_are_mixed_as_witten_and_bell_do() -> None:
    """Of `abab b`: unigrams a 2, b 3 and 2 kinds; behind b: a once, b once."""
    estimates = ngrams.probabilities(np.array([0, 1, 0, 1, 1]), np.array([1, 0, 1]), 3)
    a, b = (2 + 2 / 3) / 7, (3 + 2 / 3) / 7
    assert estimates["unigram"].tolist() == pytest.approx([a, b])
    assert estimates["bigram"].tolist() == pytest.approx([(1 + 2 * a) / 4, (2 + 1 * b) / 3])
    assert estimates["trigram"][0] == estimates["bigram"][0]  # nothing stands before the first two
    assert estimates["trigram"][1] == pytest.approx((1 + estimates["bigram"][1]) / 2)


def test_probabilities_of_counts_add_up_to_one() -> None:
    train = np.random.default_rng(1).integers(0, 4, 300)
    for context in ([0, 1, 2, 3, 0], [3, 3, 3, 3, 3], [4, 4, 1, 4, 1]):
        sums: dict[str, float] = {}
        for unit in range(5):
            estimates = ngrams.probabilities(train, np.array([*context, unit]), 5)
            sums = {name: sums.get(name, 0) + p[-1] for name, p in estimates.items()}
        assert list(sums.values()) == pytest.approx([1, 1, 1, 1])


def test_a_model_is_as_far_from_another_as_its_bits() -> None:
    noise, settings = (
        np.random.default_rng(1).normal(size=5000),
        Evaluation(block=100, bootstrap=200),
    )
    close = evaluate.compare(noise + 2, noise + 2.5, settings)["bits"]
    assert (close.value, close.low, close.high) == pytest.approx((-0.5, -0.5, -0.5))
    apart = evaluate.compare(noise, np.zeros(5000), settings)["bits"]
    assert apart.low < apart.value < apart.high
    assert apart.high - apart.low == pytest.approx(2 * 1.96 / 5000**0.5, rel=0.25)


def test_a_short_test_part_is_undecided() -> None:
    settings = Evaluation(block=51, bootstrap=100)
    change = evaluate.compare(np.zeros(100), np.ones(100), settings)["bits"]
    assert (change.value, change.low, change.high) == (-1, -np.inf, np.inf)
    assert str(change) == "undecided (-1, unknown: 100 units of text, and 102 are needed)"


def test_bits_that_are_not_finite_are_counted() -> None:
    assert evaluate.scores(np.array([1.0, 3.0])) == {"bits": 2, "perplexity": 4, "not_finite": 0}
    assert evaluate.scores(np.array([1.0, np.nan]))["not_finite"] == 1


def entry(**sections: Any) -> dict[str, Any]:
    return {"kind": "text", "preset": "fast", "data": {"path": "a.txt"}, "gate": [], **sections}


def test_a_preset_fills_what_is_not_given() -> None:
    parsed = parse("small", entry(model={"embedding_size": 7}, training={"max_epochs": 2}))
    assert isinstance(parsed, Problem)
    assert (parsed.model.hidden_size, parsed.model.embedding_size) == (128, 7)
    assert parsed.training.max_epochs == 2
    assert parsed.training.cells == ("lstm", "gru", "rnn")


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"data": {"path": "a", "units": "word"}}, "small.data.units`; did you mean `unit`"),
        ({"data": {"path": "a", "unit": "syllable"}}, "data.unit` is 'syllable'"),
        (
            {"data": {"path": "a", "test_share": 0.9, "validation_share": 0.2}},
            "leave nothing to train on",
        ),
        ({"training": {"chunk": 0}}, "training.chunk` is 0"),
        ({"gate": [{"check": "beats", "baseline": "naive"}]}, "gate.0.baseline is 'naive'"),
    ],
)
def test_wrong_params_are_named(sections: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError) as caught:
        parse("small", entry(**sections))
    assert message in str(caught.value)

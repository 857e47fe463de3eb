"""Networks, loss, search, scores and floors, without training."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from sacrebleu import corpus_bleu, corpus_chrf

from retain.kinds.translate import floors, metrics, setup
from retain.kinds.translate.beam_search import most_steps, search
from retain.kinds.translate.config import Evaluation, Model
from retain.kinds.translate.dataset import Batch, Pair
from retain.kinds.translate.metrics import Translations
from retain.kinds.translate.network import Translator
from retain.kinds.translate.pieces import BEGIN, END, PAD
from retain.networks import recurrent
from retain.networks.recurrent import CELLS
from retain.registry import logged_model
from tests.unit.kinds.translate.made import made_pairs

PIECES = 7
SOURCE = torch.tensor([[4, 5], [6, 4], [5, 5]])  # (steps, batch)


def network_of(cell: str = "lstm", **changed: Any) -> Translator:
    torch.manual_seed(3)
    model = Model.model_validate({"hidden_size": 8, "embedding_size": 6, "dropout": 0, **changed})
    return Translator(cell, 8, (PIECES, PIECES), model).eval()


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("attention", ["dot", "none"])
@pytest.mark.parametrize("cell", CELLS)
def test_whole_sequences_and_single_steps_give_the_same(
    cell: str, attention: str, bidirectional: bool
) -> None:
    """What training computes at once is what the search computes piece by piece."""
    network = network_of(cell, attention=attention, layers=2, bidirectional=bidirectional)
    inputs = torch.tensor([[BEGIN, BEGIN], [4, 6], [5, 4]])
    at_once = network(SOURCE, inputs)
    states, state = network.encode(SOURCE)
    for step in range(len(inputs)):
        scores, state, weights = network.decode(inputs[step : step + 1], state, states)
        torch.testing.assert_close(scores[0], at_once[step])
        assert (weights is None) == (attention == "none")
        if weights is not None:
            torch.testing.assert_close(weights.sum(-1), torch.ones(1, 2))


@pytest.mark.parametrize("reverse", [True, False])
def test_a_state_knows_what_was_read_before_it(reverse: bool) -> None:
    """Read from the end, the state at a piece depends on what stands behind it alone."""
    network = network_of(reverse=reverse)
    states, last = network.encode(SOURCE)
    first_read, last_read = (-1, 0) if reverse else (0, -1)
    torch.testing.assert_close(states[last_read], last[0][0])
    other = SOURCE.clone()
    other[last_read] = 6
    changed, _ = network.encode(other)
    kept = slice(1, None) if reverse else slice(None, -1)
    torch.testing.assert_close(changed[kept], states[kept])
    assert not torch.equal(changed[last_read], states[last_read])
    both = network_of(reverse=reverse, bidirectional=True)
    assert not torch.equal(both.encode(other)[0][first_read], both.encode(SOURCE)[0][first_read])


@pytest.mark.parametrize("attention", ["dot", "none"])
@pytest.mark.parametrize("cell", ["gru", "rnn"])
def test_cells_have_as_many_parameters(cell: str, attention: str) -> None:
    model = Model.model_validate({"hidden_size": 40, "attention": attention})
    _, sizes = recurrent.build_matched(
        cell, 40, lambda cell, hidden: Translator(cell, hidden, (300, 200), model)
    )
    assert abs(sizes["parameters"] / sizes["parameter_budget"] - 1) < 0.01
    assert sizes["parameters_of_embedding"] == 500 * model.embedding_size


def test_padding_has_no_loss_and_labels_are_smoothed_in_training_alone() -> None:
    network = network_of()
    whole = Batch(SOURCE, torch.tensor([[2, 2], [4, 5]]), torch.tensor([[4, 5], [END, END]]))
    padded = Batch(
        SOURCE,
        torch.tensor([[2, 2], [4, 5], [PAD, PAD]]),
        torch.tensor([[4, 5], [END, END], [PAD, PAD]]),
    )
    loss, count = setup.loss(network, [whole], 0.1)
    again, as_many = setup.loss(network, [padded], 0.1)
    torch.testing.assert_close(loss, again)
    assert count == as_many == 4
    assert setup.loss(network, [whole], 0.0)[0] == loss
    assert setup.loss(network.train(), [whole], 0.1)[0] != loss


@pytest.mark.parametrize("attention", ["dot", "none"])
def test_a_wide_beam_finds_the_best_of_all_translations(attention: str) -> None:
    """Against every text of up to 3 pieces, scored by the loss."""
    network = network_of(attention=attention)
    network.requires_grad_(False)
    network.bias[END] += 2.0  # short translations are the likely ones
    found = search(network, SOURCE[:, :1], beam=60)[0]
    best = max(found, key=lambda each: each.log_probability)
    scores = {}
    for length in range(4):
        for text in itertools.product(range(4, PIECES), repeat=length):
            given = network(SOURCE[:, :1], torch.tensor([BEGIN, *text]).unsqueeze(1))[:, 0]
            given[:, :END] = -torch.inf
            shares = given.double().log_softmax(-1)
            scores[text] = float(shares[range(length + 1), [*text, END]].sum())
    expected = max(scores, key=lambda text: scores[text])
    assert tuple(best.pieces) == expected
    assert best.log_probability == pytest.approx(scores[expected], abs=1e-5)
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)


def test_a_beam_is_the_same_whatever_else_is_translated() -> None:
    network = network_of()
    both = search(network, SOURCE, beam=3)
    for column in range(2):
        alone = search(network, SOURCE[:, column : column + 1], beam=3)[0]
        assert [each.pieces for each in alone] == [each.pieces for each in both[column]]
        for each in alone:
            read = torch.tensor([BEGIN, *each.pieces]).unsqueeze(1)
            states, state = network.encode(SOURCE[:, column : column + 1])
            _, _, weights = network.decode(read, state, states)
            assert weights is not None
            assert each.attention is not None
            written = weights[: len(each.attention), 0].detach().double().numpy()
            np.testing.assert_allclose(each.attention, written, atol=1e-6)


def test_a_translation_without_end_stops() -> None:
    network = network_of()
    network.bias.data[END] = -1e9
    assert len(search(network, SOURCE[:, :1], beam=2)[0][0].pieces) == most_steps(3)


REFERENCES = ["Is that a dog?", "I have no time.", "He went home yesterday.", "What is it?"]
WRITTEN = ["Is that a cat?", "I have no time.", "Home he went.", "That."]


def test_scores_are_those_of_sacrebleu() -> None:
    scores = Translations.measure(WRITTEN, REFERENCES).scores()
    assert scores["chrf"] == pytest.approx(corpus_chrf(WRITTEN, [REFERENCES]).score)
    assert scores["bleu"] == pytest.approx(corpus_bleu(WRITTEN, [REFERENCES]).score)
    assert scores["exact"] == 25
    assert scores["chrf_error"] == 100 - scores["chrf"]
    assert metrics.versions()["bleu"].startswith("nrefs:1|case:mixed")


def test_the_bootstrap_draws_groups() -> None:
    ours = Translations.measure(REFERENCES * 20, REFERENCES * 20)
    theirs = Translations.measure(WRITTEN * 20, REFERENCES * 20)
    settings = Evaluation(bootstrap=200)
    single, grouped = (
        metrics.compare(ours, theirs, groups, settings)["chrf_error"]
        for groups in (np.arange(80), np.arange(80) // 4)
    )
    assert single.value == pytest.approx(-theirs.scores()["chrf_error"])
    assert single.low < single.value < single.high < 0
    assert single.count == 80
    # each group has the same four sentences, so nothing changes with the draw
    assert grouped.high - grouped.low < 1e-9
    few = metrics.compare(ours, theirs, np.arange(80) // 8, settings)["bleu_error"]
    assert few.judgement == "undecided"


def test_a_dictionary_learns_words_from_sentences() -> None:
    written = floors.word_by_word(made_pairs(), ["Die alte Rose kommt heute.", "Katze xyz!"])
    assert written == ["La vieja rosa viene hoy.", "Gata xyz!"]
    assert floors.word_by_word([Pair("Tom", "Tom")], [""]) == [""]
    assert floors.word_by_word([Pair("red cat", "🔴🐱")], ["red cat"]) == ["Red cat"]
    assert floors.TOKEN.findall("हिन्दी है।") == ["हिन्दी", "है", "।"]


def test_a_served_model_has_the_library_that_reads_its_pieces() -> None:
    assert "tokenizers" in logged_model.RUNTIME

"""The likeliest translations of sentences: beam search, and greedy with a beam of 1."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from retain.evaluation.arrays import Floats
from retain.kinds.translate.dataset import Corpus, Ints, by_length
from retain.kinds.translate.network import Translator
from retain.kinds.translate.pieces import BEGIN, END, PAD, UNKNOWN
from retain.networks.recurrent import State

LENGTH_POWER = 0.7  # of the penalty for long translations (Wu et al. 2016)
AT_ONCE = 64  # sentences
NEVER = [PAD, UNKNOWN, BEGIN]  # pieces that are never written


@dataclass(frozen=True)
class Hypothesis:
    """A translation.

    Attributes:
        pieces: without BEGIN and END.
        log_probability: −ln of it is the loss of the pieces and END.
        attention: of each piece, and of END, to each of the source: (pieces + 1, source steps);
            None for a network without attention.
    """

    pieces: list[int]
    log_probability: float
    attention: Floats | None

    @property
    def score(self) -> float:
        """The value by which hypotheses of different lengths are compared."""
        penalty: float = ((6 + len(self.pieces)) / 6) ** LENGTH_POWER
        return self.log_probability / penalty


def most_steps(pieces: int) -> int:
    """Return how many pieces a translation of a sentence of so many has at most."""
    return 2 * pieces + 10


def translate_all(
    network: Translator, corpus: Corpus, pairs: Ints, beam: int
) -> dict[int, Hypothesis]:
    """Return the best translation of the source of each pair, by its number."""
    best = {}
    for group in by_length(corpus, pairs, AT_ONCE):
        for pair, hypotheses in zip(
            group.tolist(), search(network, corpus.batch(group).source, beam), strict=True
        ):
            best[pair] = hypotheses[0]
    return best


@torch.inference_mode()
def search(network: Translator, source: Tensor, beam: int) -> list[list[Hypothesis]]:
    """Return `beam` translations of each sentence, the best first.

    A hypothesis that has ended stays among the others, and all are compared once every one has
    ended; so a beam holds as many at each step.

    Args:
        source: sentences of one length, (source steps, batch).
    """
    steps, batch = source.shape
    states, state = network.encode(source)
    states, state = (
        states.repeat_interleave(beam, 1),
        _select_state(state, torch.arange(batch).repeat_interleave(beam)),
    )
    rows = torch.arange(batch).unsqueeze(1)  # (batch, 1)
    scores = torch.full((batch, beam), -torch.inf, dtype=torch.float64)
    scores[:, 0] = 0.0  # at the first step all hypotheses of a sentence are the same
    ended = torch.zeros(batch, beam, dtype=torch.bool)
    pieces = torch.full((1, batch * beam), BEGIN)
    attention = states.new_zeros(0, batch * beam, steps)
    for _ in range(most_steps(steps)):
        found, state, weights = network.decode(pieces[-1:], state, states)
        found[..., NEVER] = -torch.inf
        steps_scores = found[0].double().log_softmax(-1).view(batch, beam, -1)
        stay = torch.full_like(steps_scores[:1, 0], -torch.inf)
        stay[..., END] = 0.0  # what has ended goes on with END for nothing
        steps_scores = torch.where(ended.unsqueeze(-1), stay, steps_scores)
        candidates = (scores.unsqueeze(-1) + steps_scores).flatten(1)  # (batch, beam · pieces)
        scores, places = candidates.topk(beam, dim=1)
        parents, chosen = places // found.shape[-1], places % found.shape[-1]
        order = (rows * beam + parents).flatten()
        state = _select_state(state, order)
        pieces = torch.cat([pieces[:, order], chosen.view(1, -1)])
        if weights is not None:
            attention = torch.cat([attention, weights])[:, order]
        ended = ended.gather(1, parents) | (chosen == END)
        if ended.all():
            break
    return [
        _hypotheses(pieces[1:, part], scores[number], attention[:, part], network.attention)
        for number, part in enumerate(torch.arange(batch * beam).split(beam))
    ]


def _hypotheses(
    pieces: Tensor, scores: Tensor, attention: Tensor, attends: bool
) -> list[Hypothesis]:
    """Return the hypotheses of a sentence: (steps, beam), (beam,), (steps, beam, source steps)."""
    made = []
    for number, score in enumerate(scores.tolist()):
        written = pieces[:, number].tolist()
        length = written.index(END) if END in written else len(written)
        weights = attention[: length + 1, number].double().numpy() if attends else None
        if np.isfinite(score) or number == 0:
            made.append(Hypothesis(written[:length], score, weights))
    return sorted(made, key=lambda each: -each.score)


def _select_state(state: State, order: Tensor) -> State:
    if isinstance(state, tuple):
        return state[0][:, order], state[1][:, order]
    return state[:, order]

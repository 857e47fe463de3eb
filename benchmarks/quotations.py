"""Does a network know that a quotation is open, long after the mark that opened it?

In a text whose quotations begin and end with the same mark, a mark right behind a comma or a full
stop ends a quotation, and a blank goes on. At such places about so many letters behind the last
mark, the area under the ROC curve says how well the probability of a mark tells places inside
quotations from those outside: 0.5 is chance. Read once from that mark on, and once from the letter
behind it: what style alone gives away is the second figure, what is remembered the difference.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata

from retain.evaluation.arrays import Floats
from retain.kinds.text.dataset import Corpus, Tokens
from retain.kinds.text.network import LanguageModel

MARK = '"'
ENDS = frozenset(".,!?;")  # letters behind which a quotation may end
DISTANCES = {30: (20, 45), 100: (70, 150), 300: (200, 450)}  # letters behind the last mark
MOST = 250  # places inside, and as many outside, for each distance


@dataclass(frozen=True)
class Places:
    """Places of a text at one distance.

    Attributes:
        marks: index of the last quotation mark before each place.
        ends: index of the letter whose successor is predicted.
        inside: whether that mark opened a quotation.
    """

    marks: NDArray[np.int64]
    ends: NDArray[np.int64]
    inside: NDArray[np.bool_]


def find(text: str, least: int, most: int) -> Places:
    """Find the places of a text that are between `least` and `most` letters behind a mark.

    A mark opens a quotation if a blank, a dash or nothing is before it and a letter behind it.
    A place is taken where `text` has one of ENDS.
    """
    marks = [place for place, letter in enumerate(text) if letter == MARK]
    found = [
        (mark, end, (mark == 0 or text[mark - 1] in " -(") and text[mark + 1].isalnum())
        for mark, following in zip(marks, [*marks[1:], len(text) - 1], strict=True)
        for end in range(mark + least, min(mark + most, following - 1) + 1)
        if text[end] in ENDS
    ]
    places = np.array(found, np.int64).reshape(-1, 3)
    return Places(places[:, 0], places[:, 1], places[:, 2].astype(bool))


def drawn(places: Places, most: int = MOST) -> Places:
    """Draw at most so many places inside and outside, the same at each call."""
    generator = np.random.default_rng(1)
    kept = [
        np.sort(generator.permutation(np.flatnonzero(places.inside == side))[:most])
        for side in (True, False)
    ]
    rows = np.concatenate(kept)
    return Places(places.marks[rows], places.ends[rows], places.inside[rows])


def area(scores: Floats, positive: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve of scores; equal scores count half.

    >>> area(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
    0.75
    """
    ranks, count = rankdata(scores), int(positive.sum())
    above = ranks[positive].sum() - count * (count + 1) / 2
    return float(above / (count * (len(scores) - count)))


def mark_probability(
    network: LanguageModel, tokens: Tokens, starts: Tokens, ends: Tokens, mark: int
) -> Floats:
    """Return the probability of a mark behind `ends`, read from a zero state at `starts` on."""
    steps = ends - starts
    window = starts + np.arange(steps.max() + 1)[:, None]  # (steps, places)
    with torch.inference_mode():
        scores, _ = network(torch.from_numpy(tokens[np.minimum(window, len(tokens) - 1)]))
    chosen = scores[torch.from_numpy(steps), torch.arange(len(steps))]  # (places, units)
    found: Floats = chosen.double().softmax(1)[:, mark].numpy()
    return found


def measure(network: LanguageModel, source: Corpus, part: str = "test") -> dict[str, float]:
    """Return the areas of a network at each distance: `auc_30`, and without the mark `style_30`."""
    tokens = source.part(part)
    text = source.schema.joined(tokens.tolist())
    mark = source.schema.vocabulary.index(MARK)
    figures = {}
    for name, (least, most) in DISTANCES.items():
        places = drawn(find(text, least, most))
        for figure, skipped in (("auc", 0), ("style", 1)):
            chances = mark_probability(network, tokens, places.marks + skipped, places.ends, mark)
            figures[f"{figure}_{name}"] = area(chances, places.inside)
    return figures

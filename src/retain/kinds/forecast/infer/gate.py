"""The gate that `retain add` writes: a model must beat the floors, and not lose to the RNN."""

from typing import Any

from retain.evaluation.bootstrap import describe_power, smallest_difference

LEAST_MARGIN = 0.02
# Two models that are as good differ by chance. A margin of half of what the test part can tell lets
# through about nine in ten of those that are, however small the table.
SHARE = 0.5


def choose(origins: int, series: int, horizon: int, sentences: list[str]) -> list[dict[str, Any]]:
    """Return the checks of the section `gate`, with a sentence about the verdict to expect.

    Args:
        origins: forecast origins in the test part.
        series: how many series have values there.
    """
    told = smallest_difference(origins, series, horizon)
    margin = LEAST_MARGIN if told is None else max(LEAST_MARGIN, round(SHARE * told, 2))
    sentences.append(f"test: {describe_power(origins, series, horizon)}")
    if margin > LEAST_MARGIN:
        sentences.append(
            f"gate: the LSTM may be {100 * margin:.0f} % behind the RNN where that may be chance, "
            f"half of what the verdict can tell"
        )
    return [
        {"check": "finite"},
        {"check": "beats", "baseline": "seasonal_naive", "metric": "mae"},
        {"check": "beats_or_ties", "baseline": "rnn", "metric": "mae", "margin": margin},
        {"check": "coverage", "tolerance": 0.1},
        {"check": "champion", "metric": "mae", "margin": 0.0},
    ]

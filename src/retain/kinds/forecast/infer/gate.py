"""The gate that `retain add` writes: a model must beat the floors, and not lose to the RNN."""

from typing import Any

from retain.evaluation.bootstrap import describe_power, smallest_difference
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.data.powers import MOSTLY_ZERO, share_of_zeros

LEAST_MARGIN = 0.02
# Two models that are as good differ by chance. A margin of half of what the test part can tell lets
# through about nine in ten of those that are, however small the table.
SHARE = 0.5
APART = 10.0  # the largest scale of a series ÷ the least, from which a large one decides alone


def metric(source: Panel, sentences: list[str]) -> str:
    """Return the metric to judge by, with a sentence where it is not the MAE.

    RMSSE, of the mean forecast, where many training values are zero: the MAE is least for a median,
    which is zero there. MASE where the series' scales are far apart: of the MAE the large ones are
    nearly all.
    """
    zeros = share_of_zeros(source.values, source.index, source.schema.validation_step)
    if zeros > MOSTLY_ZERO:
        sentences.append(
            f"gate: judged by RMSSE of the mean forecast; {100 * zeros:.0f} % of the training "
            "values are zero, and by MAE a forecast that is always zero would be best"
        )
        return "rmsse"
    scales = source.index["mase_scale"].dropna()
    ratio = scales.max() / scales.min() if len(scales) else 1.0
    if ratio > APART:
        sentences.append(
            f"gate: judged by MASE; the changes of the series differ in size by a factor of "
            f"{ratio:,.0f}, and the large ones would decide the MAE"
        )
        return "mase"
    return "mae"


def choose(
    origins: int,
    series: int,
    horizon: int,
    sentences: list[str],
    metric: str = "mae",
    spread: float | None = None,
    lacking: str | None = None,
) -> list[dict[str, Any]]:
    """Return the checks of the section `gate`, with a sentence about the verdict to expect.

    Args:
        origins: forecast origins in the test part.
        series: how many series have values there.
        metric: to judge by.
        spread: of the errors before the test part, as `power.spread` measures it.
        lacking: what a longer table must bring for a verdict, where that is known.
    """
    detectable = smallest_difference(origins, series, horizon)
    margin = LEAST_MARGIN if detectable is None else max(LEAST_MARGIN, round(SHARE * detectable, 2))
    more = f"; {lacking} more of the table are enough" if detectable is None and lacking else ""
    sentences.append(f"test: {describe_power(origins, series, horizon, spread)}{more}")
    tied = ("rnn", "theta", "pool")  # the network corrects the last, which must not be better alone
    if margin > LEAST_MARGIN:
        names = {"rnn": "the RNN", "theta": "Theta", "pool": "its classical base"}
        sentences.append(
            f"gate: the LSTM may be up to {100 * margin:.0f} % worse than "
            f"{' or '.join(names[name] for name in tied)}, where that may be chance"
        )
    return [
        {"check": "finite"},
        {"check": "beats", "baseline": "seasonal_naive", "metric": metric},
        *(
            {"check": "beats_or_ties", "baseline": name, "metric": metric, "margin": margin}
            for name in tied
        ),
        {"check": "coverage", "tolerance": 0.1},
        {"check": "champion", "metric": metric, "margin": 0.0},
    ]

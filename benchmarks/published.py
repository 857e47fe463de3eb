"""Figures that others published, and where."""

# Context length, then (MSE, MAE) at the horizons 96, 192, 336 and 720.
ETTH1: dict[str, tuple[int, list[tuple[float, float]]]] = {
    "SegRNN (its authors' code, `drop_last` off)": (
        96,
        [(0.368, 0.395), (0.408, 0.419), (0.444, 0.440), (0.446, 0.457)],
    ),
    "iTransformer (Liu et al. 2024, table 10)": (
        96,
        [(0.386, 0.405), (0.441, 0.436), (0.487, 0.458), (0.503, 0.491)],
    ),
    "TimesNet (the same table)": (
        96,
        [(0.384, 0.402), (0.436, 0.429), (0.491, 0.469), (0.521, 0.500)],
    ),
    "PatchTST (the same table)": (
        96,
        [(0.414, 0.419), (0.460, 0.445), (0.501, 0.466), (0.500, 0.488)],
    ),
    "DLinear (the same table)": (
        96,
        [(0.386, 0.400), (0.437, 0.432), (0.481, 0.459), (0.519, 0.516)],
    ),
}

# sMAPE in percent and MASE (Makridakis et al. 2020; the ES-RNN is Smyl 2020).
NAIVE2 = (18.383, 2.395)
M4_HOURLY: dict[str, tuple[float, float]] = {
    "ES-RNN (the competition's winner)": (9.328, 0.893),
    "Naive2": NAIVE2,
}

# Right answers in percent of the LSTM and of the n-grams, 1,000 questions of training, by task
# (Weston et al. 2015, arXiv:1502.05698, table 3, weakly supervised).
BABI: dict[int, tuple[int, int]] = {1: (50, 36), 2: (20, 2), 3: (20, 7), 6: (48, 49), 11: (72, 29)}


def owa(smape: float, mase: float) -> float:
    """The competition's overall weighted average: relative to Naive2."""
    return (smape / NAIVE2[0] + mase / NAIVE2[1]) / 2

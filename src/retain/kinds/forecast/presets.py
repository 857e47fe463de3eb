"""What the sections `model` and `training` say where params.yaml says nothing."""

from typing import Any

# Chosen on validation windows alone; benchmarks/README.md has what they reach.
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "fast": {
        "model": {"hidden_size": 64},
        "training": {"batch_size": 256, "learning_rate": 0.003, "warmup_fraction": 0.003},
    },
    "accurate": {
        "model": {"hidden_size": 256},
        "training": {"batch_size": 128, "learning_rate": 0.002, "warmup_fraction": 0.003},
    },
}
# On the classical base the network corrects a forecast: a small one, of many small batches.
OFTEN: dict[str, Any] = {
    "batch_size": 64,
    "learning_rate": 0.002,
    "ema_decay": 0.98,
    "epoch_steps": 100,
    "patience": 3,
}
ON_BASE: dict[str, dict[str, dict[str, Any]]] = {
    "fast": {"model": {"hidden_size": 32, "dropout": 0.0}, "training": OFTEN},
    "accurate": {"model": {"hidden_size": 32, "dropout": 0.0, "ensemble": 2}, "training": OFTEN},
}
UPDATES = (600, 2000)  # of the weights, at least and at most
COMPARED = 1000  # most of a network that is only compared with that on the base
UPDATE_SECONDS = 0.0065  # of a processor for one, about, of one network on the base
REHEARSALS = 2  # by default, where there are any
# Where nothing is known of the future, a forecast is mostly noise to be averaged (SegRNN has 0.5
# there); what calendar and known covariates tell is exact, and dropout would only blur it.
DROPOUT = {"fast": {True: 0.0, False: 0.2}, "accurate": {True: 0.2, False: 0.5}}

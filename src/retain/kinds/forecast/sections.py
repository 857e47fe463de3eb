"""The sections `training` and `evaluation` of a forecasting problem."""

from typing import ClassVar, Literal, get_args

from pydantic import Field

from retain.config.schema import Bootstrap
from retain.config.schema import Training as CommonTraining
from retain.kinds.forecast.presets import COMPARED, UPDATES


class Training(CommonTraining):
    """How a network is trained, and what decides how long.

    Without rehearsals it learns from the training part, and the validation part stops it. With them
    networks rehearse, each on what precedes a part as long as the validation part: that part, and
    those before it. What they reach there says how long to train, and on a base whether to keep the
    network at all; the network that is scored has learned from everything before the test part.

    Attributes:
        mask_contexts: share of the training windows that are shown without any history, so that a
            series without one can be forecast from its static, calendar and known covariates.
    """

    SPARED: ClassVar[tuple[str, ...]] = (*CommonTraining.SPARED, "mask_contexts")

    rehearsals: int = Field(0, ge=0, le=4)  # parts of the past that decide how long to train
    alone: bool = True  # train each cell without the base, too, to compare
    mask_contexts: float = Field(0.0, ge=0, lt=1)

    def epochs(self, examples: int) -> int:
        """With rehearsals, 6 passes over the examples, within UPDATES."""
        if not self.rehearsals or self.max_epochs is not None:
            return super().epochs(examples)
        one = min(-(-examples // self.batch_size), self.epoch_steps)
        low, high = UPDATES
        return -(-(self.max_steps or min(max(6 * examples // self.batch_size, low), high)) // one)


class Compared(Training):
    """The training of a network that is only compared with another, and forecasts for no user.

    If it would have more than COMPARED updates, it has half of them, but no fewer than COMPARED, at
    a higher learning rate: in validation it then forecasts about as well.
    """

    def epochs(self, examples: int) -> int:
        """Half of those of a network that forecasts, within the bounds.

        >>> training = Compared(batch_size=64, epoch_steps=100, rehearsals=1)
        >>> training.epochs(100_000), training.rate_factor(100_000)
        (10, 2.5)
        """
        whole, one = (
            super().epochs(examples),
            min(-(-examples // self.batch_size), self.epoch_steps),
        )
        return min(whole, max(-(-COMPARED // one), -(-whole // 2)))

    def rate_factor(self, examples: int) -> float:
        """Return by how much the learning rate is higher; 2.5 with half of the updates."""
        share: float = self.epochs(examples) / super().epochs(examples)
        return float(round(share**-1.32, 2))


Floor = Literal["seasonal_naive", "naive", "drift", "zero", "seasonal_mean", "theta", "ets"]


class Evaluation(Bootstrap):
    """How the test windows are scored: in `folds` pieces, each by a model trained up to it.

    `floors` are the forecasts without a network that it is compared with.

    Attributes:
        cold_start: share of the series, drawn by their names, that is left out of training and
            validation, and scored as if it had no history; the refit learns from all series.
    """

    SPARED: ClassVar[tuple[str, ...]] = ("cold_start",)

    folds: int = Field(1, ge=1, le=1000)  # parts of the test data, each with its own training
    floors: tuple[Floor, ...] = get_args(Floor)  # simple forecasts to compare with
    block_length: int | None = Field(None, ge=1, le=1_000_000)  # origins drawn together
    cold_start: float = Field(0.0, ge=0, le=0.5)

"""A training setup under Lightning: optimiser, learning rate, seeds and sums of the loss."""

import math
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from retain.config.schema import Training
from retain.training.sampler import ResumableSampler
from retain.training.setup import Group, TrainingSetup


def learning_rate(step: int, total: int, peak: float, warmup_fraction: float) -> float:
    """Linear warm-up, then a cosine to 1 % of the peak (Loshchilov & Hutter 2017)."""
    warmup = max(1, round(total * warmup_fraction))
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / max(1, total - warmup)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


class Average:
    """A moving average of a network's weights over the steps (Polyak & Juditsky 1992).

    It forecasts as weights at a far smaller learning rate would, at any time of the training: which
    epoch is the best then hangs less on where in its schedule the learning rate is.
    """

    def __init__(self, network: nn.Module, decay: float):
        self.decay = decay
        self.kept = [parameter.detach().clone() for parameter in network.parameters()]
        self.follow(network)

    def follow(self, network: nn.Module) -> None:
        """Keep the average where the network is, which a trainer may have moved."""
        self.weights = [parameter.data for parameter in network.parameters()]
        self.kept = [
            kept.to(weight.device) for kept, weight in zip(self.kept, self.weights, strict=True)
        ]

    def update(self, step: int) -> None:
        """Take in the weights after so many steps; the first ones count less."""
        decay = min(self.decay, step / (step + 9))
        torch._foreach_lerp_(self.kept, self.weights, 1 - decay)

    def swap(self) -> None:
        """Change the network's weights for their average, or back."""
        for weight, kept in zip(self.weights, self.kept, strict=True):
            other = weight.clone()
            weight.copy_(kept)
            kept.copy_(other)


class Module(pl.LightningModule):
    """A task under Lightning."""

    def __init__(
        self,
        task: TrainingSetup,
        training: Training,
        rate: float,
        batches: tuple[ResumableSampler, ...],
    ):
        super().__init__()
        self.network, self.loss = task.network, task.loss
        self.training_params, self.batches = training, batches
        self.groups = task.groups or (Group(tuple(self.network.parameters()), rate),)
        self.steps = len(batches[0]) * training.epochs(len(task.train))
        self.average = Average(self.network, training.ema_decay)
        self._sums: dict[str, list[Tensor]] = {"train": [], "val": []}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        decay = self.training_params.weight_decay
        # Lightning clips no gradients of a fused optimiser in half precision.
        fused = self.training_params.precision == "32-true"
        groups = [{"params": group.parameters, "lr": group.rate} for group in self.groups]
        return torch.optim.AdamW(groups, weight_decay=decay, fused=fused)

    def on_fit_start(self) -> None:
        for batches in self.batches:
            batches.rank, batches.world = self.trainer.global_rank, self.trainer.world_size
        self.average.follow(self.network)

    def on_train_epoch_start(self) -> None:
        self.batches[0].epoch = self.current_epoch

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        self.average.update(self.global_step)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        if len(self.groups) == 1:
            super().configure_gradient_clipping(
                optimizer, gradient_clip_val, gradient_clip_algorithm
            )
            return
        for group in self.groups:
            nn.utils.clip_grad_norm_(group.parameters, self.training_params.gradient_clip)

    def on_validation_start(self) -> None:
        self.average.swap()

    def on_validation_end(self) -> None:
        self.average.swap()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        step = self.global_step
        # Two numbers in one seed: no run has a million steps more than its seed has room for.
        seed = (self.training_params.seed << 32) + step * 64 + self.global_rank
        # torch.manual_seed would queue a seed at every step for each device that is not there.
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)
        warmup = self.training_params.warmup_fraction
        optimised = self.optimizers(use_pl_optimizer=False).param_groups  # type: ignore[union-attr]
        for group, own in zip(optimised, self.groups, strict=True):
            group["lr"] = learning_rate(step, self.steps, own.rate, warmup)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self._step("train", batch)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self._step("val", batch)

    def _step(self, part: str, batch: Any) -> Tensor:
        total, weight = self.loss(self.network, batch)
        self._sums[part].append(torch.stack([total.detach(), weight.detach()]))
        return total / weight.clamp(min=1)

    def epoch_loss(self, part: str) -> float:
        """The mean loss since the last call, over all devices."""
        sums = torch.stack(self._sums[part]).double().sum(0)
        self._sums[part].clear()
        total, weight = self.trainer.strategy.reduce(sums, reduce_op="sum").tolist()
        return float(total / weight)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["sums"] = torch.stack(self._sums["train"])
        checkpoint["average"] = self.average.kept

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._sums["train"] = list(checkpoint["sums"])
        self.average.kept = list(checkpoint["average"])

    def on_validation_epoch_end(self) -> None:
        self.log("val/loss", self.epoch_loss("val"), rank_zero_only=True)

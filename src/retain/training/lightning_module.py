"""A TrainingSetup as a Lightning module: optimiser, learning rate, seeds and loss sums."""

import math
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from retain.config.schema import Training
from retain.training.setup import Group, TrainingSetup


def learning_rate(step: int, total: int, peak: float, warmup_fraction: float) -> float:
    """Linear warm-up, then a cosine to 1 % of the peak (Loshchilov & Hutter 2017)."""
    warmup = max(1, round(total * warmup_fraction))
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / max(1, total - warmup)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


class Module(pl.LightningModule):
    """The network of a setup and its loss.

    It holds no examples, since `WeightAverage` copies it.

    Args:
        rate: peak of the learning rate if the setup has no groups.
        steps: number of steps of the whole training.
    """

    def __init__(self, setup: TrainingSetup, training: Training, rate: float, steps: int):
        super().__init__()
        self.network, self.loss = setup.network, setup.loss
        self.training_params, self.steps = training, steps
        self.groups = setup.groups or (Group(tuple(self.network.parameters()), rate),)
        self._sums: dict[str, list[Tensor]] = {"train": [], "val": []}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        decay = self.training_params.weight_decay
        # Lightning clips no gradients of a fused optimiser in half precision.
        fused = self.training_params.precision == "32-true"
        groups = [{"params": group.parameters, "lr": group.rate} for group in self.groups]
        return torch.optim.AdamW(groups, weight_decay=decay, fused=fused)

    def on_train_start(self) -> None:
        # In an epoch that is resumed in its middle, `on_train_epoch_start` is not called.
        self._take_share(self.trainer.train_dataloader)

    def on_train_epoch_start(self) -> None:
        self._take_share(self.trainer.train_dataloader).epoch = self.current_epoch

    def on_validation_epoch_start(self) -> None:
        self._take_share(self.trainer.val_dataloaders).epoch = self.current_epoch

    def _take_share(self, batches: Any) -> Any:
        batches.rank, batches.world = self.trainer.global_rank, self.trainer.world_size
        return batches

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

    def transfer_batch_to_device(self, batch: Any, device: torch.device, number: int) -> Any:
        if device.type == "cpu":  # all of it is there
            return batch
        return super().transfer_batch_to_device(batch, device, number)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        step = self.global_step
        # Epoch seed and step in one seed; no run has more than a million steps.
        seed = (self.training_params.seed << 32) + step * 64 + self.global_rank
        # torch.manual_seed would queue a seed at every step for each missing device.
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)
        warmup = self.training_params.warmup_fraction
        optimised = self.optimizers(use_pl_optimizer=False).param_groups  # type: ignore[union-attr]
        for optimised_group, group in zip(optimised, self.groups, strict=True):
            optimised_group["lr"] = learning_rate(step, self.steps, group.rate, warmup)

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
        # With several processes the first one writes the file, with the sums of all of them.
        sums = torch.stack(self._sums["train"])
        if self.trainer.world_size > 1:
            each = [torch.empty_like(sums) for _ in range(self.trainer.world_size)]
            torch.distributed.all_gather(each, sums)
            sums = torch.stack(each)
        checkpoint["sums"] = sums

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        sums = checkpoint["sums"]
        self._sums["train"] = list(sums if sums.ndim == 2 else sums[self.global_rank])

    def on_validation_epoch_end(self) -> None:
        self.log("val/loss", self.epoch_loss("val"), rank_zero_only=True)

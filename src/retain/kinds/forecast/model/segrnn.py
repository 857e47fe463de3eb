"""SegRNN: a normalised window in, normalised outputs out, all horizons at once.

The window is cut into segments of `segment_length` steps, read by the cell, and every output
segment is decoded in parallel from the cell's last state and its position (SegRNN, Lin et al.
2023). With `segment_length: 1` this is the classic step-by-step recurrent network.

A linear head reads two hidden states for every output segment: the decoded state, and the state of
the cell one cycle before, for example at the same hour of the previous day. The newest input of
this second state is the segment that resembles the output most, so the head learns a season within
a few batches; through the decoder alone, the cell would need thousands of batches.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from retain.kinds.forecast.config import Model
from retain.kinds.forecast.data.cycles import natural, segment_length
from retain.kinds.forecast.data.panel import Schema
from retain.kinds.forecast.model.base import CHANNELS, OnBase
from retain.networks import recurrent


class Normalised(NamedTuple):
    """A window for the cell, and the scaling back to the units of the data."""

    context: Tensor  # (batch, context, features)
    future: Tensor  # (batch, horizon, known features)
    series: Tensor  # (batch,) number of the series, 0 for a new one
    static: Tensor  # (batch, static features)
    base: Tensor  # (batch, horizon), transformed
    scale: Tensor  # (batch, 1), or (batch, horizon) on a classical base
    on_base: OnBase | None  # the forecast of the base, if there is one


class SegRNN(nn.Module):
    """Segments, cell, decoder and head; the other arguments are those of `Forecaster`.

    Args:
        experts: of the classical base; the decoder reads their forecasts and returns their weights.
        earlier: for model folders up to format 3: the embedding of a segment passes through a ReLU,
            and the head reads only the decoded state.
    """

    def __init__(
        self,
        cell: str,
        hidden_size: int,
        model: Model,
        schema: Schema,
        series_count: int,
        experts: int = 0,
        earlier: bool = False,
    ):
        super().__init__()
        self.earlier = earlier
        self.horizon: int = schema.data["horizon"]
        self.segment = model.segment_length or segment_length(
            schema.frequency, self.horizon, schema.data["context_length"]
        )
        self.decoded = -(-self.horizon // self.segment)  # output segments, the last one cut
        self.segments = -(-schema.data["context_length"] // self.segment)
        # A cycle in segments, the shortest that fits into the context; without one, the newest.
        cycles = natural(schema.frequency) or (schema.data["season_length"],)
        whole = [cycle // self.segment for cycle in cycles if cycle % self.segment == 0]
        self.cycle = next((cycle for cycle in whole if cycle <= self.segments), 1)
        outputs = len(model.quantiles) if model.loss == "pinball" else 1
        outputs += model.mean == "tweedie"
        channels = 4 if model.residual == "seasonal" else 2  # values and their mask
        if experts:
            channels = CHANNELS
        known = schema.known + experts
        features = channels + schema.past + schema.known
        # Step by step, the cell reads the features themselves, as the classic networks do.
        self.embed = nn.Linear(self.segment * features, hidden_size) if self.segment > 1 else None
        inputs = hidden_size if self.segment > 1 else features
        self.recurrent = recurrent.build(cell, inputs, hidden_size, model.layers, model.dropout)
        # Few features must change the gates as much as many: inputs of variance 1 give sums of
        # variance 1 (LeCun et al. 1998).
        bound = math.sqrt(3 / inputs)
        nn.init.uniform_(self.recurrent.all_weights[0][0], -bound, bound)
        # The decoder's inputs of an output segment are added to the cell's gates.
        gates = recurrent.GATE_COUNT[cell] * hidden_size
        self.position = nn.Parameter(torch.randn(self.decoded, gates) * 0.02)
        self.future = nn.Linear(self.segment * known, gates) if known else None
        described = len(schema.static) + model.series_embedding
        self.series = (
            nn.Embedding(series_count + 1, model.series_embedding)
            if model.series_embedding
            else None
        )
        self.describe = nn.Linear(described, gates, bias=False) if described else None
        self.dropout = nn.Dropout(model.dropout)
        self.head = nn.Linear(
            hidden_size * (1 if earlier else 2), self.segment * (experts + outputs)
        )

    def forward(self, window: Normalised) -> Tensor:
        """(batch, horizon, outputs), in normalised units."""
        context, width = window.context, self.segment
        hidden, state = self.recurrent(self.inputs(context))  # hidden: (segments, batch, hidden)

        driven = self.position.unsqueeze(0)  # (1, decoded, gates)
        if self.future is not None:
            future = nn.functional.pad(window.future, (0, 0, 0, -window.future.shape[1] % width))
            driven = driven + self.future(future.unflatten(1, (-1, width)).flatten(2))
        if self.describe is not None:
            driven = driven + self.describe(self._description(window)).unsqueeze(1)
        # One step of the cell for every output segment, all of them from the same last state.
        decoded = recurrent.step(self.recurrent, driven, state)  # (batch, decoded, hidden)
        if not self.earlier:
            before = hidden[-self.cycle :].transpose(0, 1)  # (batch, cycle, hidden)
            before = before.repeat(1, -(-self.decoded // self.cycle), 1)[:, : self.decoded]
            decoded = torch.cat([decoded, before], dim=-1)
        values = self.head(self.dropout(decoded))  # (batch, decoded, width·outputs)
        values = values.view(context.shape[0], self.decoded * width, -1)
        return values[:, : self.horizon]  # type: ignore[no-any-return]

    def start_at(self, outputs: Tensor) -> None:
        """Set every forecast to `outputs`, followed by zeros, until training changes the head.

        Args:
            outputs: (outputs,), or fewer.
        """
        with torch.no_grad():
            self.head.weight.zero_()
            self.head.bias.zero_()
            self.head.bias.view(self.segment, -1)[:, : len(outputs)] = outputs

    def inputs(self, context: Tensor) -> Tensor:
        """Cut a context into the inputs of the cell: (segments, batch, …)."""
        lead = -context.shape[1] % self.segment  # the oldest segment is padded in front
        context = nn.functional.pad(context, (0, 0, lead, 0))
        # (batch, segments, segment·features)
        segments = context.unflatten(1, (-1, self.segment)).flatten(2)
        inputs: Tensor = segments.transpose(0, 1)
        if self.embed is not None:
            inputs = self.embed(inputs)
            # Bounded, so that large inputs do not saturate the gates.
            inputs = inputs.relu() if self.earlier else inputs.tanh()
        return inputs

    def _description(self, window: Normalised) -> Tensor:
        if self.series is None:
            return window.static
        series = window.series
        if self.training:  # train the embedding of new series
            series = torch.where(torch.rand(series.shape, device=series.device) < 0.1, 0, series)
        return torch.cat([window.static, self.series(series)], dim=-1)

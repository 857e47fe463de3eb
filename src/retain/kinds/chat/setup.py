"""The training setup of a chat problem: network, conversations, loss.

The loss is that of the bot's words alone; the gradient goes back to the first word of a
conversation.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional

from retain.config.schema import Cell
from retain.kinds.chat import dataset, introductions
from retain.kinds.chat.config import Problem
from retain.kinds.chat.dataset import Batch, Encoder, Ints
from retain.kinds.chat.introductions import Noise
from retain.kinds.chat.network import ChatModel
from retain.kinds.chat.turns import Conversation
from retain.networks import recurrent
from retain.training.sampler import Examples
from retain.training.setup import TrainingSetup

WORDS, LENGTH = 0, 3  # streams of random numbers; prepare.py has others
DRAWN = 1 << 40  # conversations that may be drawn


class Fixed:
    """The conversations of a part, by number."""

    def __init__(self, conversations: Sequence[Conversation], encoder: Encoder):
        self.conversations, self.encoder = conversations, encoder

    def __len__(self) -> int:
        return len(self.conversations)

    def batch(self, numbers: Ints) -> Batch:
        """Return the conversations of these numbers."""
        return self.encoder.batch(self.conversations[number] for number in numbers)


@dataclass(frozen=True)
class Drawn:
    """Generated conversations, each a function of `seed` and its number.

    All of a batch have the same number of turns, which depends on the first of them. The first
    `drills` epochs have short ones.
    """

    encoder: Encoder
    seed: int
    turns: tuple[int, int]
    drill_turns: tuple[int, int]
    drills: int

    def __len__(self) -> int:
        return DRAWN

    def at(self, epoch: int) -> "Drawn":
        """Return the conversations of an epoch."""
        return replace(self, turns=self.drill_turns) if epoch < self.drills else self

    def batch(self, numbers: Ints) -> Batch:
        """Return the conversations of these numbers."""
        least, most = self.turns
        turns = least + Noise(self.seed, LENGTH, int(numbers[0])).below(most - least + 1)
        return self.encoder.batch(
            introductions.conversation(turns, False, Noise(self.seed, WORDS, int(number)))
            for number in numbers
        )


def build(problem: Problem, prepared: Path, cell: Cell) -> TrainingSetup:
    """Build the training of `cell` on what `prepare` wrote."""
    training, model = problem.training, problem.model
    schema = dataset.load_schema(prepared)
    words = len(schema.vocabulary)
    network, sizes = recurrent.build_matched(
        cell, model.hidden_size, lambda cell, hidden: ChatModel(cell, hidden, words, model)
    )
    encoder = Encoder(schema.vocabulary, training.fact_weight)
    config = {
        "kind": problem.kind,
        "cell": cell,
        **sizes,
        "learning_rate": training.rate(cell),
        "model": model.model_dump(mode="json"),
        "schema": asdict(schema),
    }
    epochs = training.cell_epochs.get(cell)
    train: Examples
    if (draws := dataset.load_draws(prepared)) is not None:
        drills = round((epochs or training.epochs(DRAWN)) * training.drills)
        train = Drawn(encoder, draws.seed, draws.turns, training.drill_turns, drills)
    else:
        train = Fixed(dataset.load(prepared, "train"), encoder)
    validation = Fixed(dataset.load(prepared, "validation"), encoder)
    return TrainingSetup(network, train, validation, loss, config, epochs=epochs)


def loss(network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the weighted sum of −ln p of the bot's words of a batch, and the sum of weights."""
    assert isinstance(network, ChatModel)
    states, _ = network(batch.tokens[:-1])
    chosen = batch.weights > 0
    weights = batch.weights[chosen]
    losses = functional.cross_entropy(
        network.scores(states[chosen]), batch.tokens[1:][chosen], reduction="none"
    )
    return (losses * weights).sum(), weights.sum()

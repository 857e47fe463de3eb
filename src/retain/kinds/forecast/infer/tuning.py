"""Settings that `retain add` chooses by trying them, on what precedes the test part alone.

The season is a natural cycle, unless exponential smoothing does better without one. Transform,
context and width are those with which a network on the classical base errs least after a short
training; normalisation and residual those of a network alone. Ties go to the safer setting, which
is the one that a rule names where nothing may be tried.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from retain.config import loader
from retain.kinds.forecast.config import Data, Problem
from retain.kinds.forecast.data import sample
from retain.kinds.forecast.data.cycles import natural, segment_length
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.data.powers import MOSTLY_ZERO, share_of_zeros, takes_logarithms
from retain.kinds.forecast.infer import cost
from retain.kinds.forecast.presets import ON_BASE, UPDATE_SECONDS
from retain.kinds.forecast.sections import Evaluation

if TYPE_CHECKING:
    from retain.kinds.forecast.infer.trials import Trials

Counts = NDArray[np.int64]
SERIES = 32  # the longest, by which contexts are chosen
ENOUGH = 2_000  # training windows for a large network,
DIFFERENT = 200  # and origins of one series: what all series share is seen once at each
EMBEDDED = 2_000  # training windows a series for an embedding of each: with fewer it overfits
FEW = 500  # windows, from which a network learns no season
PLENTY, WIDE = 100_000, 128  # training windows for a wide network on the base, and its width
MINUTE = 60  # seconds that the LSTMs of all folds may train for, with the larger preset
# Of the processor, for trying settings: a few, and more for a table of many rows.
SECONDS = {"least": 7.0, "each": 0.0035, "most": 45.0}


@dataclass(frozen=True)
class Rules:
    """What follows from the size of a table, before anything is tried.

    Attributes:
        horizon: steps to forecast.
        limit: steps of context that leave half of the training part to learn from.
        trained: steps of the training part, by series.
        before_test: steps before the test part, by series.
    """

    horizon: int
    limit: int
    trained: Counts
    before_test: Counts

    def windows(self, context: int, steps: Counts | None = None) -> int:
        """Return how many windows of the training part, or of other steps, a context leaves."""
        steps = self.trained if steps is None else steps
        return int(np.maximum(steps - context - self.horizon + 1, 0).sum())

    def origins(self, context: int) -> int:
        """Return how many of them the longest series has."""
        return int(self.trained.max()) - context - self.horizon + 1


def tune(
    name: str,
    built: Panel,
    draft: Data,
    given: dict[str, Any],
    folds: int,
    sentences: list[str],
    seconds: float | None = None,
    preset: str | None = None,
) -> tuple[dict[str, Any], str, dict[str, Any]]:
    """Choose what fits a table, with a sentence for each choice; `given` keys are kept.

    Args:
        folds: of the test part, each with networks of its own.
        seconds: of the processor, that may be spent on trying settings; by default as many as the
            length of the table asks for, and with 0 nothing is tried.
        preset: as given; otherwise by the number of windows.

    Returns:
        Keys of the section `data`, the preset, and keys of the section `model`.
    """
    from retain.kinds.forecast.infer.trials import Trials  # here: it brings torch
    from retain.kinds.forecast.model.search import Budget

    if seconds is None:
        seconds = budget(int(built.index["length"].sum()))
    clock = Budget(seconds)
    rules = _measure(built)
    season = given.get("season_length")
    if season is None:
        season = _season(built, seconds > 0, sentences)
    contexts = _contexts(built, rules, season)
    if "context_length" in given:
        contexts = [given["context_length"]]
    drawn = sample.draw(built, max(contexts) + season + 1)
    start = _start(name, draft, built, rules, season, contexts[0])
    transforms = [start.data.transform]
    if transforms == ["log1p"] and "transform" not in given:
        transforms += ["none", "box_cox"]
    if start.model.mean == "tweedie":
        sentences.append(
            f"mean: tweedie, an output of its own; {100 * _zeros(built):.0f} % of the training "
            "values are zero, and the median of such a series says little"
        )
    sentences.append(
        f"budget: at most {seconds:.0f} seconds of the processor to try settings (--budget); the "
        "first of them stays unless another is 1 % better, and better in every part"
        if seconds > 0
        else "budget: 0 seconds; no setting is tried"
    )
    tried = Trials(drawn, clock, seconds > 0)
    # A network learns no season from a few windows, and its difference to the season is safer where
    # most of them have a season before them.
    few = rules.windows(contexts[0]) < FEW and 1 < season <= rules.trained.max() // 2
    problem = tried.choose(start, transforms, contexts, few)
    if "context_length" not in given:
        reason = tried.reason("context_length")
        sentences.append(f"context_length: {problem.data.context_length}{reason}")
    sentences += _describe(problem, tried)
    if preset is None:
        preset = _preset(problem, rules, folds, sentences)
    sentences.append(_describe_cost(problem, preset, rules, folds, tried))
    model = {
        "base": "pool",
        "segment_length": problem.model.segment_length,
        "normalisation": problem.model.normalisation,
        "residual": problem.model.residual,
        "series_embedding": problem.model.series_embedding,
    }
    if problem.model.mean == "tweedie":
        model["mean"] = "tweedie"
    if problem.model.hidden_size != ON_BASE[preset]["model"]["hidden_size"]:
        model["hidden_size"] = problem.model.hidden_size
    data = {
        "context_length": problem.data.context_length,
        "season_length": season,
        "transform": problem.data.transform,
    }
    return data, preset, model


def _describe(problem: Problem, tried: "Trials") -> Iterator[str]:
    """Yield a sentence for each setting that trials chose, the context aside."""
    data, model = problem.data, problem.model
    yield f"segment_length: {model.segment_length} steps are read at once"
    yield f"transform: {data.transform}{tried.reason('transform')}"
    reason = tried.reason("hidden_size")
    if reason or model.hidden_size == WIDE:
        yield f"hidden_size: {model.hidden_size}{reason or ', for many training windows'}"
    yield (
        f"normalisation: {model.normalisation}, residual: {model.residual}, for a network without "
        f"base{tried.reason('normalisation')}"
    )


def _describe_cost(problem: Problem, preset: str, rules: Rules, folds: int, tried: "Trials") -> str:
    """Say how long the training will take."""
    whole = problem.model_copy(
        update={
            "model": problem.model.model_copy(update=ON_BASE[preset]["model"]),
            "evaluation": Evaluation(folds=folds),
        }
    )
    learned = rules.windows(problem.data.context_length, rules.before_test)
    spent = cost.seconds(whole, learned, tried.enough(whole), tried.update_seconds)
    measured = "by the short ones" if tried.update_seconds else "not measured on this machine"
    return (
        f"training: about {cost.describe(*spent)} of the processor ({measured}), for {folds} "
        f"fold{'s' * (folds > 1)} of {len(whole.training.cells)} cells and the refit"
    )


def _preset(problem: Problem, rules: Rules, folds: int, sentences: list[str]) -> str:
    """Choose two seeds where windows are many, unless their training takes more than a minute."""
    context, training = problem.data.context_length, problem.training
    windows, learned = rules.windows(context), rules.windows(context, rules.before_test)
    steps = min(-(-learned // training.batch_size), training.epoch_steps)
    networks = training.rehearsals + ON_BASE["accurate"]["model"]["ensemble"]
    seconds = training.epochs(learned) * steps * networks * folds * UPDATE_SECONDS
    many = windows >= ENOUGH and rules.origins(context) >= DIFFERENT
    preset = "accurate" if many and seconds <= MINUTE else "fast"
    long = many and preset == "fast"
    why = f"; --preset accurate may train for {seconds:.0f} seconds" if long else ""
    sentences.append(f"preset: {preset}, for {windows:,} training windows{why}")
    return preset


def budget(rows: int) -> float:
    """Return how many seconds of the processor may be spent on a table, if nobody says.

    >>> budget(144), budget(10_000), budget(1_000_000)
    (7.504, 42.0, 45.0)
    """
    return min(SECONDS["most"], SECONDS["least"] + SECONDS["each"] * rows)


def _measure(built: Panel) -> Rules:
    index, horizon = built.index, built.schema.data["horizon"]
    trained, before_test = (
        np.clip(step - index["first_step"].to_numpy(), 0, index["length"].to_numpy())
        for step in (built.schema.validation_step, built.schema.test_step)
    )
    longest = np.sort(trained)[::-1][:SERIES]
    useful = longest[longest >= 3 * horizon]
    room = int(useful.min() if len(useful) else trained.max())
    # Half of what the training part has room for, so that windows are left to learn from.
    return Rules(horizon, max(1, (room - horizon) // 2), trained, before_test)


def _season(built: Panel, measured: bool, sentences: list[str]) -> int:
    """Choose a season among the natural cycles that the longest series has two of, and 1."""
    from retain.kinds.forecast.infer import seasons
    from retain.kinds.forecast.model import rehearsal

    longest = int(built.index["length"].max())
    cycles = tuple(m for m in natural(built.schema.frequency) if 2 * m <= longest)
    if not cycles or not measured:
        season = cycles[0] if cycles else 1
        why = "the first natural cycle" if cycles else "no series has a natural cycle twice"
        sentences.append(f"season_length: {season}, {why}")
        return season
    drawn = sample.draw(built, built.schema.data["context_length"] + 1)
    schema = drawn.schema
    drawn = drawn.cut(schema.validation_step, schema.test_step, schema.steps)
    errors = seasons.measure(rehearsal.cuts(drawn, 2), cycles)
    season = seasons.choose(errors, cycles)
    names = {m: f"{m}" if m > 1 else "none" for m in errors}
    measured_errors = ", ".join(
        f"{names[m]}: {np.nanmean(error):.3f}" for m, error in errors.items()
    )
    sentences.append(
        f"season_length: {season}; errors of exponential smoothing by season, in standard "
        f"deviations: {measured_errors}; a longer one than the first must be "
        f"{100 * seasons.CLEARLY:.0f} % better"
    )
    return season


def _contexts(built: Panel, rules: Rules, season: int) -> list[int]:
    """Return context lengths worth trying, the safest first: whole segments of two horizons."""
    frequency, horizon = built.schema.frequency, rules.horizon
    longest = min(horizon, rules.limit)
    unit = segment_length(frequency, longest, longest)
    wanted = max(2 * horizon, season, *natural(frequency)[:1])
    contexts: list[int] = []
    for steps in (wanted, wanted // 2, 2 * wanted):
        context = max(unit, min(-(-steps // unit), rules.limit // unit) * unit)
        contexts += [context] * (context not in contexts)
    return contexts


def _start(
    name: str, draft: Data, built: Panel, rules: Rules, season: int, context: int
) -> Problem:
    """Return the problem that the rules lead to, with the network on the base."""
    windows, series = rules.windows(context), len(built.index)
    bounded = draft.minimum is not None and draft.minimum >= 0  # later rows, too
    logs = bounded and takes_logarithms(built.values, built.index, built.schema.validation_step)
    data = draft.model_dump(mode="json", exclude_unset=True) | {
        "context_length": context,
        "season_length": season,
        "transform": "log1p" if logs else "none",
    }
    if "transform" in draft.model_fields_set:
        data["transform"] = draft.transform
    model = {
        "base": "pool",
        "segment_length": segment_length(built.schema.frequency, rules.horizon, context),
        "normalisation": "last",
        "series_embedding": 16 if windows >= EMBEDDED * series > EMBEDDED else 0,
    }
    if windows >= PLENTY:
        model["hidden_size"] = WIDE
    if bounded and _zeros(built) > MOSTLY_ZERO:
        model["mean"] = "tweedie"
    entry = {"kind": "forecast", "preset": "fast", "data": data, "model": model, "gate": []}
    return cast("Problem", loader.parse(name, entry))


def _zeros(built: Panel) -> float:
    return share_of_zeros(built.values, built.index, built.schema.validation_step)

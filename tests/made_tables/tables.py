"""Make a table of a recipe: its rows, what is wrong with them, and what they mean."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import pandas as pd

from tests.made_tables import faults, files, rows
from tests.made_tables.grids import GRIDS, Random
from tests.made_tables.names import name_of
from tests.made_tables.numbers import MISSING, NUMBERS, may_mean_two
from tests.made_tables.recipes import NOT_ASCII, TYPED, WIDE, Recipe
from tests.made_tables.rows import Rows
from tests.made_tables.stamps import STAMPS
from tests.made_tables.truth import Made, Series, Truth

FREQUENCIES = {"days": "D", "hours": "h", "quarter hours": "15min", "business days": "B"}
OPTIONS = {
    "past_covariates": "--past-covariate",
    "known_covariates": "--known-covariate",
    "static_covariates": "--static-covariate",
    "": "--drop",
}
WITHIN_MONTHS = ("fifteenths", "last business days")  # a month is told by a day of it
FISCAL = r"4-4-5|fiscal|4 or 5 weeks|weeks"


def make(recipe: Recipe) -> Made:
    """Return the file of a recipe, and what it means."""
    random = np.random.default_rng(recipe.seed)
    ids = rows.ids_of(recipe)
    drawn, fault = faults.in_rows(rows.draw(recipe, random), recipe, random)
    ways, numbers = STAMPS[recipe.stamps], NUMBERS[recipe.numbers]
    names: list[str] = []

    def named(kind: str) -> str:
        style = "German" if recipe.file in NOT_ASCII else recipe.names
        names.append(name_of(kind, style, random, names))
        return names[-1]

    wide = recipe.layout in WIDE
    when = {named(kind): texts for kind, texts in ways.write(drawn.shown).items()}
    kinds = () if wide else ("store", "sku")[: len(ids[0])]
    keys = {named(kind): [ids[s][n] for s in drawn.series] for n, kind in enumerate(kinds)}
    roles: dict[str, str] = {}
    others: dict[str, list[str]] = {}
    for kind, texts, role in covariates(drawn, recipe, random):
        name = kind if kind in ("", "Unnamed: 0") else named(kind)
        others[name], roles[name] = texts, role
    targets = [name for (name,) in ids] if wide else [named("y")]
    values = {name: list(drawn.texts[:, number]) for number, name in enumerate(targets)}
    first = {**keys, **when} if random.integers(3) == 0 else {**when, **keys}
    columns = {**first, **others, **values} if random.integers(2) else {**first, **values, **others}
    if "row numbers" in recipe.covariates:  # pandas writes an index first
        columns = {**others, **columns}
    mark = MISSING.get(recipe.missing, "")
    answers: dict[str, list[str]] = {
        "--ds": list(when),
        "--unique-id": list(keys),
        "--value-column" if wide else "--y": targets,
        "--time-format": [ways.form],
        "--timezone": [ways.zone],
        "--decimal": [numbers.decimal],
        "--thousands": [numbers.thousands],
        "--na-value": [mark],
        "--frequency": [FREQUENCIES.get(recipe.grid, "")],
        "--encoding": [files.ENCODINGS.get(recipe.file, "")],
        **{
            option: [n for n, own in roles.items() if own == role]
            for role, option in OPTIONS.items()
        },
        **fault.answers,
    }
    series = _series(drawn, ids, wide)
    certain = recipe.file in TYPED or recipe.covariates in ("past", "known", "several")
    doubtful = not certain and may_mean_two([str(text) for text in drawn.texts.flat])
    truth = Truth(
        series=series,
        holds=_holds(recipe),
        zoned=bool(ways.zone) or recipe.fault == "the autumn hour twice",
        days=GRIDS[recipe.grid].days,
        roles=roles,
        answers={option: texts for option, texts in answers.items() if texts and texts != [""]},
        doubtful="points or commas may be of thousands or of decimals" if doubtful else "",
        cure="|".join(filter(None, (fault.cure, numbers.cure))),
    )
    if recipe.layout == "a row a series":
        columns, truth = _across(columns, truth, named("store"))
    truth = _of_grid(truth, recipe)
    name, content, fault = files.write(columns, recipe, random)
    answers = truth.answers | fault.answers
    if recipe.fault == "blanks around fields":
        first = next(iter(columns))
        answers = {
            option: [f" {text}" if text in columns and text != first else text for text in texts]
            for option, texts in answers.items()
        }
    cure = "|".join(filter(None, (fault.cure, truth.cure)))
    return Made(name, content, dataclasses.replace(truth, answers=answers, cure=cure))


def _holds(recipe: Recipe) -> str:
    if recipe.layout == "series each at its own phase":  # a series has its own, beside the step
        return FREQUENCIES[recipe.grid]
    return "M" if recipe.grid in WITHIN_MONTHS else STAMPS[recipe.stamps].holds


def covariates(drawn: Rows, recipe: Recipe, random: Random) -> Iterator[tuple[str, list[str], str]]:
    """Yield what other columns hold, their texts, and the key that should name them."""
    chosen, count, decimal = recipe.covariates, len(drawn.ds), NUMBERS[recipe.numbers].decimal
    if chosen in ("past", "several"):
        degrees = np.cumsum(random.normal(0, 1, count)) + 12
        yield "temperature", [f"{d:.1f}".replace(".", decimal) for d in degrees], "past_covariates"
    if chosen == "past, with gaps":
        humidity = random.integers(20, 90, count).astype(str)
        humidity[random.choice(count, count // 12)] = ""
        yield "humidity", list(humidity), "past_covariates"
    if chosen == "yes and no":
        yield "promo", list(random.choice(["yes", "no"], count, p=[0.2, 0.8])), "past_covariates"
    if chosen == "past, of text":
        yield "weather", list(random.choice(["sun", "rain", "snow"], count)), "past_covariates"
    if chosen == "known":
        prices = random.choice([1.99, 2.49, 2.99], count)
        # A price may be a target, where no other column is named like one.
        kind = "discount" if recipe.names == "of no meaning" else "price"
        yield kind, [f"{p:.2f}".replace(".", decimal) for p in prices], "known_covariates"
    if chosen in ("static", "several"):
        regions = [("coast", "hills", "coast", "plain")[series] for series in drawn.series]
        yield "region", regions, "static_covariates"
    if chosen == "constant":
        yield "currency", ["EUR"] * count, ""
    if chosen == "notes":
        yield "notes", [f"{random.integers(1e9):x} seen by {n}" for n in range(count)], ""
    if "row numbers" in chosen or chosen == "several":
        name = "" if "without" in chosen else "Unnamed: 0"
        yield name, [str(number) for number in range(count)], ""


def _series(drawn: Rows, ids: list[tuple[str, ...]], wide: bool) -> Series:
    series: Series = {"/".join(key): {} for key in ids}
    for place, target in zip(*np.nonzero(~np.isnan(drawn.y)), strict=True):
        if drawn.meant[place]:
            key = ids[target if wide else drawn.series[place]]
            series["/".join(key)][drawn.ds[place]] = float(drawn.y[place, target])
    return series


def _across(
    columns: dict[str, list[str]], truth: Truth, name: str
) -> tuple[dict[str, list[str]], Truth]:
    """Turn a wide table: a row for each series, a column for each time."""
    (_, stamps), *values = columns.items()
    table = {name: [key for key, _ in values]}
    table |= {stamp: [texts[n] for _, texts in values] for n, stamp in enumerate(stamps)}
    kept = ("--time-format", "--timezone", "--decimal", "--thousands", "--na-value", "--encoding")
    answers = {option: truth.answers[option] for option in kept if option in truth.answers}
    answers |= {"--unique-id": [name], "--dates-across": []}
    return table, dataclasses.replace(truth, answers=answers)


def _of_grid(truth: Truth, recipe: Recipe) -> Truth:
    if recipe.grid == "4-4-5 weeks":
        cure = "|".join(filter(None, (FISCAL, truth.cure)))
        return dataclasses.replace(truth, holds="order", cure=cure)
    if recipe.grid == "steps":
        return dataclasses.replace(
            truth, holds="order", answers=truth.answers | {"--ds-is-step": []}
        )
    if recipe.grid != "events":
        return truth
    sums: Series = {}
    for key, values in truth.series.items():
        by_day = pd.Series(values).resample("D").sum()
        sums[key] = {pd.Timestamp(str(day)): float(value) for day, value in by_day.items()}
    days = sums[""]
    answers = truth.answers | {"--aggregate": ["sum"], "--frequency": ["D"]}
    unsure = frozenset([min(days), max(days)])
    return dataclasses.replace(truth, series=sums, days=1, answers=answers, unsure=unsure)

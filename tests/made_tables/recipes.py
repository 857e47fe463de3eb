"""What a made table is like: one choice in each of nine dimensions, most of them plain."""

import dataclasses
from dataclasses import dataclass

from hypothesis import strategies as st

from tests.made_tables.grids import GRIDS
from tests.made_tables.numbers import MISSING, NUMBERS, SENTINELS
from tests.made_tables.stamps import STAMPS

LAYOUTS = (
    "one series",
    "one series, its name in a column",
    "series one after another",
    "series side by side in rows",
    "whole numbers as ids",
    "ids with zeros before",
    "two columns as the key",
    "two columns of numbers as the key",
    "no stamp in two series",
    "series each at its own phase",
    "a column a series",
    "columns of other names",
    "a row a series",
)
MOVING = ("past", "past, of text", "past, with gaps", "yes and no", "known")
LONG = LAYOUTS[2:10]
WIDE = LAYOUTS[10:]
FAULTS = (
    "none",
    "rows twice",
    "rows twice, values differ",
    "a year mistyped",
    "seconds off the grid",
    "the autumn hour twice",
    "a text among numbers",
    "a row too short",
    "blank rows",
    "a title above",
    "a comment above",
    "a sum below",
    "separators at line ends",
    "blanks around fields",
    "a column twice",
)
IN_LINES = FAULTS[7:]
COVARIATES = (
    "none",
    "past",
    "past, of text",
    "past, with gaps",
    "yes and no",
    "known",
    "static",
    "constant",
    "notes",
    "row numbers",
    "row numbers without a name",
    "several",
)
FILES = (
    "commas",
    "semicolons",
    "tabs",
    "pipes",
    "all in quotes",
    "a mark of byte order",
    "line ends of Windows",
    "latin-1",
    "UTF-16",
    "gzip",
    "Parquet",
    "a workbook",
)
TYPED = FILES[-2:]  # they hold numbers and dates, not text alone
NOT_ASCII = ("latin-1", "UTF-16")  # of these files, names and ids are not
NAMES = ("plain", "German", "of no meaning", "capitals and blanks")


@dataclass(frozen=True)
class Recipe:
    """What a table is like; `seed` draws its values."""

    grid: str = "days"
    stamps: str = "ISO date"
    order: str = "by time"
    gaps: str = "none"
    layout: str = "one series"
    numbers: str = "two decimals"
    missing: str = "none"
    fault: str = "none"
    covariates: str = "none"
    file: str = "commas"
    names: str = "plain"
    seed: int = 0


PLAIN = Recipe()
TWO_COLUMNS = (
    *("date and time", "dd.mm.yyyy and time", "date and hour from 0", "date and hour to 24"),
    *("year and month", "year, month, day"),
)
DATED = ("ISO", "dd", "mm/dd", "yyyy/mm/dd", "yyyymmdd", "15", "January 15", "date and time")
CHOICES: dict[str, tuple[str, ...]] = {
    "grid": tuple(GRIDS),
    "stamps": tuple(STAMPS),
    "order": ("by time", "newest first", "at random"),
    "gaps": ("none", "rows", "spans of their own"),
    "layout": LAYOUTS,
    "numbers": tuple(NUMBERS),
    "missing": ("none", *MISSING),
    "fault": FAULTS,
    "covariates": COVARIATES,
    "file": FILES,
    "names": NAMES,
}

# What a choice may bring with it where it has no meaning in a plain table.
MIXED = 4  # choices that are not plain, at most, in a recipe of `covering`
COMPANIONS: tuple[dict[str, str], ...] = (
    {},
    {"file": "semicolons"},
    {"layout": "series one after another"},
    {"grid": "hours", "stamps": "ISO with a blank"},
)


def fits(recipe: Recipe) -> bool:
    """Return whether there are such tables."""
    return all(rule(recipe) for rule in (_stamps, _layout, _numbers, _fault, _covariates, _file))


def _stamps(recipe: Recipe) -> bool:
    ways = STAMPS[recipe.stamps]
    if ways.holds == "hour" and recipe.grid == "quarter hours":
        return False  # it would be told by the hour alone
    if ways.zone and ways.zone != "UTC" and recipe.grid == "opening hours":
        return False  # they follow the clock on the wall
    if recipe.grid == "events":  # the answer is sums of days, of what is written in one way
        plain = recipe.layout == "one series" and recipe.covariates == recipe.gaps == "none"
        fine = "time" in ways.units and not (ways.zone or ways.holds)
        return plain and fine and recipe.missing == "none"
    return GRIDS[recipe.grid].unit in ways.units


def _layout(recipe: Recipe) -> bool:
    unit = GRIDS[recipe.grid].unit
    own = recipe.gaps != "spans of their own" or (
        recipe.layout in LONG and recipe.covariates != "known"
    )
    if recipe.layout == "series each at its own phase":
        return own and recipe.grid in ("hours", "quarter hours") and "hour" not in recipe.stamps
    if recipe.layout == "no stamp in two series":
        return own and unit != "step"
    if recipe.layout == "a row a series":
        one = recipe.stamps not in TWO_COLUMNS and unit != "step"
        plain = recipe.gaps == recipe.fault == recipe.covariates == "none"
        return one and plain and recipe.order == "by time"
    return own


def _numbers(recipe: Recipe) -> bool:
    numbers = NUMBERS[recipe.numbers]
    if numbers.decimal == "," and recipe.file not in ("semicolons", "tabs", "pipes"):
        return False
    common = numbers.level == 100 and numbers.digits in (0, 2)
    return common or recipe.missing not in SENTINELS


def _fault(recipe: Recipe) -> bool:
    fault, unit = recipe.fault, GRIDS[recipe.grid].unit
    if recipe.grid == "events" and fault not in ("none", *IN_LINES):
        return False  # stamps that are not alike are no fault of theirs
    hours = recipe.grid in ("hours", "quarter hours") and recipe.layout == "one series"
    whole = recipe.gaps == recipe.missing == "none" and recipe.order == "by time"
    told = recipe.missing == "none"  # a value or a mark, not both
    rules = {
        "a row too short": not _quoted(recipe),  # the lines are changed as text
        "blanks around fields": not _quoted(recipe),
        "a column twice": not _quoted(recipe),
        "a year mistyped": unit in ("time", "date", "week", "month")
        and recipe.stamps.startswith(DATED),
        "seconds off the grid": unit == "time" and recipe.stamps.startswith(("ISO with", "epoch")),
        "the autumn hour twice": hours and whole and not STAMPS[recipe.stamps].zone,
        "a text among numbers": told,
        "rows twice": told,
        "rows twice, values differ": told,
    }
    return rules.get(fault, True)


def _quoted(recipe: Recipe) -> bool:
    """Return whether fields hold the sign between them, or are in quotes at all."""
    if recipe.file in ("semicolons", "tabs", "pipes"):
        return False
    numbers = NUMBERS[recipe.numbers]
    commas = "," in (numbers.decimal, numbers.thousands) or "," in recipe.stamps
    return recipe.file == "all in quotes" or commas


def _covariates(recipe: Recipe) -> bool:
    if recipe.covariates in ("static", "several"):
        return recipe.layout in LONG
    return recipe.layout not in WIDE or recipe.covariates not in MOVING


def _file(recipe: Recipe) -> bool:
    if recipe.file in TYPED:  # it has neither titles nor rows of another length
        return recipe.fault not in IN_LINES
    return recipe.file != "latin-1" or "€" not in NUMBERS[recipe.numbers].around


def kinds() -> list[Recipe]:
    """Return a recipe for each choice of a dimension, all else being plain."""
    every = [_chosen(PLAIN, key, choice) for key, choices in CHOICES.items() for choice in choices]
    return [recipe for recipe in every if recipe is not None and recipe != PLAIN]


def covering() -> list[Recipe]:
    """Return few recipes with each choice of a dimension in one at least, up to MIXED in each.

    A fault stands alone: what it is refused for would hide the others.
    """
    left = [
        (key, choice)
        for key, choices in CHOICES.items()
        for choice in choices
        if choice != getattr(PLAIN, key)
    ]
    found = []
    while left:
        recipe = _chosen(PLAIN, *left[0])
        assert recipe is not None
        count = 1 if left[0][0] != "fault" else MIXED
        for key, choice in left[1:]:
            if count < MIXED and key != "fault" and getattr(recipe, key) == getattr(PLAIN, key):
                more = _chosen(recipe, key, choice)
                recipe, count = (recipe, count) if more is None else (more, count + 1)
        found.append(recipe)
        left = [(key, choice) for key, choice in left if getattr(recipe, key) != choice]
    return found


@st.composite
def like(draw: st.DrawFn, recipe: Recipe) -> Recipe:
    """Draw a recipe that has what is not plain in another, and up to three choices besides."""
    recipe = dataclasses.replace(recipe, seed=draw(st.integers(0, 9_999)))
    names = [name for name in CHOICES if getattr(recipe, name) == getattr(PLAIN, name)]
    count = draw(st.sampled_from([0, 1, 2, 3]))
    for name in draw(st.permutations(names))[:count]:
        options = [_chosen(recipe, name, choice) for choice in CHOICES[name]]
        recipe = draw(st.sampled_from([option for option in options if option is not None]))
    return recipe


def _chosen(recipe: Recipe, name: str, choice: str) -> Recipe | None:
    """Return the recipe with a choice, and what it brings with it; None where that cannot be."""
    own = {"grid": {"stamps": plain_stamps}, "stamps": {"grid": plain_grid}}.get(name, {})
    for companions in (*COMPANIONS, {key: other(choice) for key, other in own.items()}):
        plain = all(getattr(recipe, key) == getattr(PLAIN, key) for key in companions)
        changed = dataclasses.replace(recipe, **{**companions, name: choice})
        if plain and name not in companions and fits(changed):
            return changed
    return None


def plain_stamps(grid: str) -> str:
    """Return the first way to write the stamps of a grid."""
    return next(name for name, ways in STAMPS.items() if GRIDS[grid].unit in ways.units)


def plain_grid(stamps: str) -> str:
    """Return the first grid whose stamps are written so."""
    return next(name for name, grid in GRIDS.items() if grid.unit in STAMPS[stamps].units)

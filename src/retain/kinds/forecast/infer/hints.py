"""What the name of a column says about its meaning, and columns in a sentence."""

import re
from collections.abc import Iterable, Sequence

NO_HINT = 1_000  # the rank of a name that says nothing


def rank(name: str, hints: Sequence[str]) -> int:
    """Return how soon a name is found among the hints: whole first, then as a word of the name."""
    lower = name.strip().lower()
    if lower in hints:
        return hints.index(lower)
    words = set(re.split(r"[\W_]+", lower))
    return next((len(hints) + n for n, hint in enumerate(hints) if hint in words), NO_HINT)


def by_hint(names: list[str], hints: Sequence[str]) -> list[str]:
    """Return names, those that the hints name first."""
    return sorted(names, key=lambda name: rank(str(name), hints))


def names(columns: Iterable[str]) -> str:
    """Return columns as a list in a sentence."""
    return ", ".join(f"`{name}`" for name in columns)


def as_list(columns: str | Iterable[str] | None) -> list[str]:
    """Return the names of columns that are given as one, as several, or not at all."""
    return [] if columns is None else [columns] if isinstance(columns, str) else list(columns)

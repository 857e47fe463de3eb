"""How lists, long names and near names are written in a sentence."""

import difflib
import itertools
import re
from collections.abc import Iterable, Sequence

MANY, LONG = 1000, 200  # words, and characters of one, that are compared with another

_LONG_WORD = re.compile(r"(?<!\S)(\S{200})\S{300,}(\S{100})")


def listed(items: list[str], limit: int = 10, count: int | None = None) -> str:
    """The first `limit` of `items`, one a line, and how many more there are.

    `count` is how many there are where `items` are not all of them.

    >>> print(listed(["row 2", "row 5", "row 9"], limit=2))
      row 2
      row 5
      ... and 1 more
    """
    lines = [f"  {item}" for item in items[:limit]]
    more = (len(items) if count is None else count) - len(lines)
    if more > 0:
        lines.append(f"  ... and {more:,} more")
    return "\n".join(lines)


def several(
    items: Sequence[object], limit: int = 3, separator: str = ", ", count: int | None = None
) -> str:
    """The first `limit` of `items` as part of a sentence, and how many more there are.

    `count` is how many there are where `items` are not all of them.

    >>> several(["a", "b", "c", "d"]), several(["a", "b"], 1, count=2000)
    ('a, b, c and 1 more', 'a and 1,999 more')
    """
    shown = separator.join(map(str, items[:limit]))
    more = (len(items) if count is None else count) - len(items[:limit])
    return f"{shown}{separator.rstrip(', ')} and {more:,} more" if more > 0 else shown


def shortened(text: str) -> str:
    """Return a message with names of thousands of letters, as a damaged table has them, cut."""
    return _LONG_WORD.sub(r"\1…\2", text)


def clipped(words: object, limit: int = 100) -> str:
    """Words with commas between, or any other value as text, cut behind `limit` characters.

    The lines of an error become one.
    """
    text = ", ".join(map(str, words)) if isinstance(words, tuple) else str(words)
    text = " ".join(text.split()) if isinstance(words, Exception) else text
    return text if len(text) <= limit else f"{text[:limit]}…"


def did_you_mean(key: str, valid: list[str]) -> str:
    """Name the nearest of the valid keys, or all of them, as the end of a sentence."""
    near = nearest(key, valid)
    if near:
        return f"; did you mean `{near}`?"
    return f"; valid here: {', '.join(valid)}" if valid else ""


def nearest(word: str, words: Iterable[str]) -> str:
    """Return the most similar of the first MANY words, but long ones, in any case; or empty."""
    some = itertools.islice((other for other in words if len(other) <= LONG), MANY)
    by_lower = {other.lower(): other for other in some}
    near = difflib.get_close_matches(word.lower()[:LONG], by_lower, n=1, cutoff=0.5)
    return by_lower[near[0]] if near else ""

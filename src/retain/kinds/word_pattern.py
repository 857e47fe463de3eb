"""What a word is, as a pattern: letters with their combining marks.

Python's `\\w` has no combining marks, such as the vowel signs of Hindi or of vocalised Arabic.
"""

import unicodedata
from itertools import groupby

_CODES = [code for code in range(0x300, 0x1F000) if unicodedata.category(chr(code))[0] == "M"]
# As ranges: single characters would make the pattern several times as slow.
_RANGES = [[*run] for _, run in groupby(enumerate(_CODES), lambda pair: pair[1] - pair[0])]
_MARKS = "".join(f"{chr(run[0][1])}-{chr(run[-1][1])}" for run in _RANGES)


def joined_words(letter: str, joints: str) -> str:
    r"""Return the pattern of words with joints between them, such as `isn't`.

    Args:
        letter: the pattern of one letter, which matches no mark, such as `\w`.
        joints: the characters of a joint.
    """
    word = f"{letter}+(?:[{_MARKS}]{letter}*)*"
    return f"{word}(?:[{joints}]{word})*"


def compose(text: str) -> str:
    """Return a text in which a letter and its marks are one character where there is one (NFC)."""
    return unicodedata.normalize("NFC", text)

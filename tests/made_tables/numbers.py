"""How numbers are written, by name, and what is written where one is missing."""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Random = np.random.Generator
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Numbers:
    """A way to write numbers.

    Attributes:
        level: around which the values lie.
        spread: of the values, as a share of the level.
        digits: behind the decimal sign; negative for an exponent.
        decimal: sign.
        thousands: sign.
        around: text with {} in the place of the number.
        cure: what an error says where they need not be read.
    """

    level: float = 100.0
    spread: float = 0.2
    digits: int = 2
    decimal: str = "."
    thousands: str = ""
    around: str = "{}"
    cure: str = ""

    def values(self, random: Random, count: int) -> Floats:
        """Return values, each as its text says it."""
        season = np.sin(2 * np.pi * (np.arange(count) + random.integers(0, 7)) / 7)
        values = self.level * (1 + self.spread * (season + random.normal(0, 0.4, count)))
        return np.array([float(self._plain(value)) for value in values])

    def write(self, value: float) -> str:
        """Return a value as text."""
        if self.around == "()" and value < 0:
            return f"({self._plain(-value)})"
        text = self._plain(value)
        if self.thousands:
            text = f"{value:,.{self.digits}f}"
        signs = {",": self.thousands, ".": self.decimal}
        around = "{}" if self.around == "()" else self.around
        return around.format("".join(signs.get(sign, sign) for sign in text))

    def _plain(self, value: float) -> str:
        return f"{value:.{-self.digits}e}" if self.digits < 0 else f"{value:.{self.digits}f}"


NO_NUMBER = "not a number|no column of numbers"
NUMBERS = {
    "two decimals": Numbers(),
    "whole numbers": Numbers(digits=0),
    "counts, mostly zero": Numbers(level=0.4, spread=1.0, digits=0),
    "large whole numbers": Numbers(level=2e6, digits=0),
    "whole numbers with .0": Numbers(digits=1, level=1e4, spread=2e-1),
    "three decimals": Numbers(level=150, digits=3),
    "three decimals about 1": Numbers(level=1, spread=0.5, digits=3),
    "many digits": Numbers(digits=9),
    "negative too": Numbers(level=5, spread=2),
    "tiny": Numbers(level=1e-7, digits=-4),
    "huge": Numbers(level=1e13),
    "decimal comma": Numbers(level=900, decimal=","),
    "1.490,92": Numbers(level=1400, spread=0.5, decimal=",", thousands="."),
    "1.490": Numbers(level=1200, spread=0.4, digits=0, decimal=",", thousands="."),
    "1,490": Numbers(level=1200, spread=0.4, digits=0, thousands=","),
    "1,490.92": Numbers(level=1400, spread=0.5, thousands=","),
    "1.204.512": Numbers(level=2e6, digits=0, decimal=",", thousands="."),
    "1'490.92": Numbers(level=1400, spread=0.5, thousands="'"),
    "1 490,92": Numbers(level=1400, spread=0.5, decimal=",", thousands=" "),
    "$12.50": Numbers(level=12, around="${}"),
    "$1,490.92": Numbers(level=1400, spread=0.5, thousands=",", around="${}"),
    "12,50 €": Numbers(level=12, decimal=",", around="{} €"),
    "12.5%": Numbers(level=12, digits=1, around="{}%"),
    "12.5 kWh": Numbers(level=12, digits=1, around="{} kWh", cure=NO_NUMBER),
    "(12.50) below zero": Numbers(level=5, spread=2, around="()", cure=NO_NUMBER),
    "12,5 %": Numbers(level=12, digits=1, decimal=",", around="{} %"),
}
MISSING = {
    "blank": "",
    "NA": "NA",
    "NaN": "NaN",
    "null": "null",
    "None": "None",
    "#N/A": "#N/A",
    "n/a": "n/a",
    "-": "-",
    "--": "--",
    "?": "?",
    "-999": "-999",
    "-1": "-1",
    "9999": "9999",
    "no data": "no data",
}
SENTINELS = ("-999", "-1", "9999")


def may_mean_two(texts: list[str]) -> bool:
    """Return whether points (or commas) may be of thousands or of decimals in all of the texts."""
    groups = [re.fullmatch(r"\D*([1-9]\d{0,2}(?:([.,])\d{3})?)\D*", text) for text in texts if text]
    return all(groups) and any(group and group[2] for group in groups)

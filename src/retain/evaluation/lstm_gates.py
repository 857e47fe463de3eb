"""The gates of an LSTM as a self-contained page, and as a figure.

Both are functions of an `Inspection`, whatever a step is, a word or a week. The page is one file
with its script and needs no network connection; `gates.html` is its template.
"""

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator

from retain.errors import ModelError
from retain.evaluation.arrays import Floats
from retain.evaluation.plotting import INK, MARKS, MUTED, WIDTH, drawn, percent, plain, short
from retain.networks.recurrent import Gates, half_life, saturation

UNITS = 24  # of the figure: more rows would be too thin to read
LEVELS = 16  # of a colour in the figure
MOST_LABELS = 60  # letters of horizontal labels under the figure; longer ones are vertical
TITLES = {
    "forget": "forget gate",
    "input": "input gate",
    "modulation": "modulation",
    "output": "output gate",
    "cell": "cell state",
}


@dataclass(frozen=True)
class Values:
    """Numbers to draw above the steps, at equal distances; NaN where one is missing."""

    name: str
    numbers: Floats  # (any,)


@dataclass(frozen=True)
class Inspection:
    """The gates and cell states of an LSTM on one sequence.

    Attributes:
        title: what is shown.
        note: what a step is, and other remarks for the reader.
        steps: the label of each step, any text.
        gates: those of `recurrent.gates` for this sequence: (steps, units) each.
        values: numbers to draw above the gates, if any.
        marked: the step by whose change the units are sorted; None: the step, after the first, at
            which the cell changed most.
        order: another initial order of the units.
    """

    title: str
    note: str
    steps: tuple[str, ...]
    gates: Gates
    values: Values | None = None
    marked: int | None = None
    order: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        shapes = {tuple(part.shape) for part in self.gates}
        if len(shapes) != 1 or len(self.gates.cell.shape) != 2 or not self.gates.cell.numel():
            raise ValueError(f"gates of {shapes}; each must have (steps, units), one at least")
        count, units = self.gates.cell.shape
        if len(self.steps) != count:
            raise ValueError(f"{len(self.steps)} labels for {count} steps")
        if self.marked is not None and not 0 <= self.marked < count:
            raise ValueError(f"step {self.marked} is marked; there are {count}")
        if self.order is not None and sorted(self.order) != list(range(units)):
            raise ValueError(f"the order does not name each of the {units} units once")
        if not all(bool(part.isfinite().all()) for part in self.gates):
            raise ModelError("the model's gates are not all finite numbers: train it again")

    @property
    def changes(self) -> Floats:
        """The change of each unit's cell state at each step, from 0 at first: (steps, units)."""
        cell = self.gates.cell.double().numpy()
        return np.abs(np.diff(cell, axis=0, prepend=0.0))

    @property
    def turn(self) -> int:
        """The step that is marked."""
        if self.marked is not None:
            return self.marked
        later = self.changes[1:].sum(axis=1)
        return 1 + int(later.argmax()) if len(later) else 0

    @property
    def half_lives(self) -> Floats:
        """The half-life of each unit in steps, infinite where nothing is forgotten: (units,)."""
        steps: Floats = half_life(self.gates.forget.double()).numpy()
        return steps


def saturation_text(gates: Gates) -> str:
    """Describe how many of the gates are saturated."""
    share = {name: percent(value) for name, value in saturation(gates).items()}
    return (
        f"{share['forget']} of the forget gates above 0.99, {share['modulation']} of the "
        f"modulations beyond ±0.99, {share['input']} of the input and {share['output']} of the "
        f"output gates below 0.01 or above 0.99"
    )


def page(shown: Inspection) -> str:
    """Render an inspection as one self-contained HTML page.

    Labels and names are only data: they are in a JSON block without markup and are displayed as
    text. The page's Content-Security-Policy allows only the script of the template, and no loading.
    """
    text = files("retain.evaluation").joinpath("gates.html").read_text(encoding="utf-8")
    script = _hash(text, r'<script type="module">(.*?)</script>')
    style = _hash(text, r"<style>(.*?)</style>")
    rule = f"default-src 'none'; script-src {script}; style-src {style}; img-src data:"
    text = text.replace("default-src 'none'", rule, 1)
    data = json.dumps(as_json(shown), allow_nan=False, separators=(",", ":"))
    data = data.replace("<", "\\u003c")  # so that no label can end the block
    return text.replace('id="data">null<', f'id="data">{data}<', 1)


def _hash(text: str, pattern: str) -> str:
    """Return the hash of an element's content for a Content-Security-Policy."""
    match = re.search(pattern, text, re.DOTALL)
    assert match is not None
    digest = hashlib.sha256(match[1].encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def as_json(shown: Inspection) -> dict[str, Any]:
    """Return the data of the page; infinite half-lives are null."""
    values = shown.values
    return {
        "title": shown.title,
        "note": f"{shown.note} Saturated are {saturation_text(shown.gates)}.".strip(),
        "steps": shown.steps,
        "units": shown.gates.cell.shape[1],
        "gates": {
            name: packed(part.double().numpy()) for name, part in shown.gates._asdict().items()
        },
        "half_life": _rounded(shown.half_lives),
        "marked": shown.turn,
        "order": shown.order,
        "values": None
        if values is None or not np.isfinite(values.numbers).any()
        else {"name": values.name, "numbers": _rounded(values.numbers)},
    }


def _rounded(numbers: Floats) -> list[float | None]:
    """Round to six significant digits; None if not finite."""
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in numbers.tolist()]


def packed(numbers: Floats) -> dict[str, Any]:
    """Encode numbers as 16-bit integers between their minimum and maximum, in base64.

    Each has an error of at most 1/130,000 of this range, and takes less than three bytes.
    """
    low, high = float(numbers.min()), float(numbers.max())
    whole = np.round((numbers - low) / ((high - low) or 1.0) * 65535).astype("<u2")
    return {"low": low, "high": high, "numbers": base64.b64encode(whole.tobytes()).decode()}


def heat_maps(shown: Inspection, units: int = UNITS) -> str:
    """Draw the gates and the cell state of the `units` that changed most at the marked step.

    Positive values have the colour of the LSTM, negative ones that of the RNN; larger values are
    darker. The cell state is relative to its largest value. The half-lives are next to the forget
    gate.
    """
    # edges that are smooth would leave a light line between two shades
    crisp = r"\1; shape-rendering: crispEdges"
    return re.sub(r"(fill: var\(--hue-[^\"]*)", crisp, _drawn(shown, units))


@drawn("gates", "Gates and cell state of an LSTM by step and unit")
def _drawn(shown: Inspection, units: int) -> Figure:
    order = np.argsort(-shown.changes[shown.turn], kind="stable")[:units]
    count, above = len(shown.steps), shown.values is not None
    heights = [1.0] * above + [1.15] * len(TITLES)
    figure = Figure(figsize=(WIDTH, 0.9 + 1.25 * sum(heights)))
    panels = figure.subplots(
        len(heights), 2, gridspec_kw={"height_ratios": heights, "width_ratios": [6, 1]}
    )
    for right in panels[:, 1]:
        right.set_axis_off()
    if shown.values is not None:
        _values(panels[0, 0], shown.values, count)
    for (left, right), (name, title) in zip(panels[above:], TITLES.items(), strict=True):
        part = getattr(shown.gates, name).double().numpy()[:, order]
        most = float(np.abs(part).max()) or 1.0 if name == "cell" else 1.0
        _map(left, part / most)
        left.set_title(f"{title} (−{most:.2g} to {most:.2g})" if name == "cell" else title)
        for edge in (shown.turn, shown.turn + 1):
            left.axvline(edge, color=INK, linewidth=0.8)
        if name == "forget":
            _bars(right, shown.half_lives[order])
    for axes in panels[:, 0]:
        axes.set_xlim(0, count)
        axes.set_xticks([])
    labels = [short(label, 24) for label in shown.steps]
    every = -(-count // MOST_LABELS)
    last = panels[-1, 0]
    last.set_xticks(np.arange(0, count, every) + 0.5, labels[::every])
    if sum(map(len, labels)) > MOST_LABELS:
        last.tick_params(axis="x", rotation=90)
    return figure


def _map(axes: Axes, values: Floats) -> None:
    """Draw values from −1 to 1, (steps, units), as rectangles; all of one shade are one shape."""
    axes.grid(visible=False)
    axes.set_ylim(values.shape[1], 0)
    axes.set_yticks([])
    whole = np.round(values * LEVELS).astype(int)
    corners: dict[int, list[tuple[int, int]]] = {}
    for unit, row in enumerate(whole.T):
        begins = np.flatnonzero(np.diff(row, prepend=row[0] + 1))  # neighbours of one shade are one
        for left, right in zip(begins, [*begins[1:], len(row)], strict=True):
            box = [(left, unit), (right, unit), (right, unit + 1), (left, unit + 1), (left, unit)]
            corners.setdefault(int(row[left]), []).extend(box)
    for level, places in sorted(corners.items()):
        if not level:
            continue
        codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY]
        shape = Path(places, codes * (len(places) // len(codes)))
        colour, alpha = MARKS["lstm" if level > 0 else "rnn"].colour, abs(level) / LEVELS
        axes.add_patch(PathPatch(shape, facecolor=colour, alpha=alpha, linewidth=0))


def _values(axes: Axes, values: Values, count: int) -> None:
    places = (np.arange(len(values.numbers)) + 0.5) / len(values.numbers) * count
    axes.plot(places, values.numbers, color=INK, linewidth=1.3)
    axes.set_title(short(values.name, 40))
    plain(axes)
    axes.yaxis.set_major_locator(MaxNLocator(3))


def _bars(axes: Axes, half_lives: Floats) -> None:
    axes.set_axis_on()
    axes.grid(visible=False)
    longest = half_lives[np.isfinite(half_lives)].max(initial=1.0)
    shown = np.log1p(np.where(np.isfinite(half_lives), half_lives, longest))
    axes.barh(np.arange(len(shown)) + 0.5, shown, height=0.8, color=MUTED)
    axes.set_ylim(len(shown), 0)
    axes.set_xlim(0, float(np.log1p(longest)))
    axes.set_yticks([])
    axes.set_xticks([])
    axes.set_title("half-life")
    most = f"to {longest:,.0f}" if longest >= 10 else f"to {longest:.2g}"
    axes.text(1, -0.06, most, color=MUTED, ha="right", va="top", transform=axes.transAxes)

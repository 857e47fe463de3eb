"""How every figure is drawn: one style for each model, SVG out, the same bytes for the same table.

Colours are written as CSS variables with a fallback, and so is the size of text: a page sets them
for dark mode and for a phone, and the SVG works without a page. Nothing here reads or writes a
file.
"""

import functools
import io
import math
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple, ParamSpec
from xml.etree import ElementTree

import pandas as pd
from matplotlib import style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

P = ParamSpec("P")


class Mark(NamedTuple):
    """The style of a model in every figure: colour is never the only difference."""

    label: str
    colour: str
    dash: Literal["-"] | tuple[float, tuple[float, ...]]
    marker: str


INK, MUTED, GRID, PAPER = "#1f2328", "#59636e", "#dfe3e8", "#ffffff"
# hues after Okabe and Ito, darkened to a contrast of 3:1 or more on white
MARKS = {
    "lstm": Mark("LSTM", "#0068a8", "-", "o"),
    "rnn": Mark("RNN", "#cf5a00", (0, (5, 1.5)), "s"),
    "gru": Mark("GRU", "#008a64", (0, (7, 1.5, 1.5, 1.5)), "D"),
    "naive": Mark("naive", "#767d87", (0, (1, 1.2)), "v"),
    "seasonal_naive": Mark("seasonal naive", "#a8468a", (0, (3, 1.2, 1, 1.2)), "^"),
    "drift": Mark("drift", "#8c6a00", (0, (2, 2)), "X"),
    "pool": Mark("classical pool", "#b0124a", (0, (9, 2)), "p"),
    "theta": Mark("Theta", "#5b4bb5", (0, (4, 1, 1, 1)), "h"),
    "ets": Mark("ETS", "#5b4bb5", (0, (1, 1)), "d"),
    "seasonal_mean": Mark("mean of the season", "#a8468a", (0, (1, 1)), "<"),
    "zero": Mark("always zero", "#767d87", (0, (1, 3)), ">"),
    "lstm_alone": Mark("LSTM alone", "#0068a8", (0, (1, 1)), "."),
    "rnn_alone": Mark("RNN alone", "#cf5a00", (0, (1, 1)), "1"),
    "gru_alone": Mark("GRU alone", "#008a64", (0, (1, 1)), "2"),
    "lstm_no_attention": Mark("LSTM, no attention", "#0068a8", (0, (1, 1)), "."),
    "rnn_no_attention": Mark("RNN, no attention", "#cf5a00", (0, (1, 1)), "1"),
    "gru_no_attention": Mark("GRU, no attention", "#008a64", (0, (1, 1)), "2"),
    "nearest": Mark("nearest sentence", "#767d87", (0, (1, 1.2)), "v"),
    "word_by_word": Mark("word by word", "#a8468a", (0, (3, 1.2, 1, 1.2)), "^"),
}
# matplotlib writes the hexadecimal colour; in the SVG the variable takes its place
VARIABLES = {INK: "ink", MUTED: "muted", GRID: "grid", PAPER: "paper"} | {
    colour: f"hue-{number}"
    for number, colour in enumerate(dict.fromkeys(mark.colour for mark in MARKS.values()), start=1)
}
FONT_SIZE = 13  # of 518 units across; a page sets --figure-text to a bit less, and more on a phone
STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "retain",
    "text.parse_math": False,  # a dollar sign in the name of a series is a dollar sign
    "font.family": "DejaVu Sans",  # comes with matplotlib: the layout is that of every machine
    "font.size": FONT_SIZE,
    "axes.titlesize": FONT_SIZE,
    "axes.titlelocation": "left",
    "axes.titlecolor": MUTED,
    "axes.titlepad": 10,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": GRID,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
    "text.color": INK,
    "figure.facecolor": PAPER,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.08,
    "figure.constrained_layout.w_pad": 0.1,
    "legend.frameon": False,
    "legend.handlelength": 1.8,
    "legend.columnspacing": 1.2,
    "lines.linewidth": 2.0,
    "lines.markersize": 6.0,
    "lines.markeredgewidth": 0.8,
    "lines.markeredgecolor": PAPER,
}
WIDTH = 7.2  # inches
SVG = "{http://www.w3.org/2000/svg}"
HREF = "{http://www.w3.org/1999/xlink}href"


def drawn(name: str, meaning: str) -> Callable[[Callable[P, Figure]], Callable[P, str]]:
    """Turn a function that draws a matplotlib figure into one that returns its SVG text."""

    def decorate(draw: Callable[P, Figure]) -> Callable[P, str]:
        @functools.wraps(draw)
        def svg(*args: P.args, **kwargs: P.kwargs) -> str:
            with _style():
                file = io.StringIO()
                draw(*args, **kwargs).savefig(file, format="svg", metadata={"Date": None})
            return _inline(file.getvalue(), name, meaning)

        return svg

    return decorate


class Drawing(Figure):
    """A figure that a notebook shows as SVG; made by `styled`."""

    def _repr_svg_(self) -> str:
        with _style():
            file = io.StringIO()
            self.savefig(file, format="svg", metadata={"Date": None})
        return file.getvalue()


def styled(draw: Callable[[], Drawing]) -> Drawing:
    """Draw a figure in the style of the report's."""
    with _style():
        return draw()


def png(draw: Callable[[], Figure]) -> bytes:
    """Draw a matplotlib figure as a PNG on white paper."""
    with _style():
        file = io.BytesIO()
        draw().savefig(file, format="png", dpi=200, metadata={"Software": None})
    return file.getvalue()


@contextmanager
def _style() -> Iterator[None]:
    """Draw alike whatever matplotlibrc the machine has, and whatever script the names are in.

    Text of an SVG stays text, so a sign that the font of the layout lacks is no loss.
    """
    with style.context(["default", STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        warnings.filterwarnings("ignore", message="AutoDateLocator was unable to pick")  # takes 12
        yield


def _inline(text: str, name: str, meaning: str) -> str:
    """Make an SVG fit for a page: unique ids, scalable, colours and text size as variables."""
    root = ElementTree.fromstring(text)  # noqa: S314 - written by matplotlib a line ago
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in {f"{SVG}metadata", f"{SVG}style"}:  # a style would reach the whole page
                parent.remove(child)
    links = [element.attrib[HREF] for element in root.iter() if HREF in element.attrib]
    used = dict.fromkeys(re.findall(r"url\(#([^)]+)\)", text) + [link[1:] for link in links])
    ids = {old: f"{name}-{number}" for number, old in enumerate(used, start=1)}
    for element in root.iter():
        attributes = element.attrib.items()
        element.attrib = {
            key.replace(HREF, "href"): _attribute(key, value, ids)
            for key, value in attributes
            if key != "id" or value in ids
        }
    for key in ("width", "height", "version"):
        root.attrib.pop(key)
    root.attrib |= {"role": "img", "aria-label": meaning, "font-family": "system-ui, sans-serif"}
    root.attrib |= {"stroke-linejoin": "round"}
    ElementTree.register_namespace("", SVG.strip("{}"))
    return ElementTree.tostring(root, encoding="unicode")


def _attribute(key: str, value: str, ids: dict[str, str]) -> str:
    if key == "id":
        return ids[value]
    if key == HREF:
        return f"#{ids[value[1:]]}"
    value = re.sub(r"url\(#([^)]+)\)", lambda match: f"url(#{ids[match[1]]})", value)
    if key != "style":  # a hundredth of a point is finer than any screen
        return re.sub(r"\d+\.\d{3,}", lambda match: f"{float(match[0]):.2f}", value)
    value = re.sub(
        r"font-size: (\w+); font-family: [^;]*", r"font-size: var(--figure-text, \1)", value
    )
    return re.sub(r"#[0-9a-f]{6}", lambda match: f"var(--{VARIABLES[match[0]]}, {match[0]})", value)


def mark(model: str) -> Mark:
    """Return the style of `model`; one that is not known is drawn in ink."""
    return MARKS.get(model, Mark(model.replace("_", " "), INK, (0, (4, 2)), "P"))


def style_of(model: str, line: bool = True, marker: bool = True) -> dict[str, Any]:
    """Return the style of `model` as matplotlib's keywords of a line."""
    look = mark(model)
    return {
        "color": look.colour,
        "linestyle": look.dash if line else "",
        "marker": look.marker if marker else "",
    }


def models_of(frame: pd.DataFrame) -> list[str]:
    """List the models of a table, known ones in their fixed order, then any others as they come."""
    present = list(dict.fromkeys(frame["model"].astype(str)))
    return [name for name in MARKS if name in present] + [n for n in present if n not in MARKS]


def short(text: str, limit: int) -> str:
    """Put `text` on one line, cut in the middle, without characters that XML forbids."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= limit else f"{text[: limit // 2]}…{text[limit // 2 + 1 - limit :]}"


def line(axes: Axes, model: str, x: Any, y: Any, markers: bool = True) -> None:
    """Draw a model's values with its colour, dash and marker."""
    axes.plot(
        x,
        y,
        linewidth=2.0 if markers else 1.6,
        markevery=math.ceil(len(x) / 8) or 1,  # more would hide the line
        zorder=4 if model == "lstm" else 3,
        **style_of(model, marker=markers),
    )


def lines(axes: Axes, frame: pd.DataFrame, x: str, y: str) -> list[Line2D]:
    """Draw the column `y` over `x`, a line for each model, and return the entries of a legend."""
    models = models_of(frame)
    for model in models:
        rows = frame[frame["model"] == model].sort_values(x)
        line(axes, model, rows[x].to_numpy(), rows[y].to_numpy())
    return [key(model) for model in models]


def key(model: str, line: bool = True, marker: bool = True) -> Line2D:
    """Return the legend's entry for a model."""
    label = short(mark(model).label, 20)
    size = 6 if line else 8
    return Line2D([], [], markersize=size, label=label, **style_of(model, line, marker))


def legend(figure: Figure, handles: Sequence[Artist]) -> None:
    """Put the legend above the panels, in as many columns as there is room for."""
    sizes = [len(str(handle.get_label())) + 6 for handle in handles]  # in letters, with the line

    def width(columns: int) -> int:
        rows = math.ceil(len(sizes) / columns)
        return sum(max(sizes[first : first + rows]) for first in range(0, len(sizes), rows))

    columns = max(n for n in range(1, len(sizes) + 1) if n == 1 or width(n) <= 65)
    # Matplotlib would fill as many columns, the first of them alone with every row.
    columns = math.ceil(len(sizes) / math.ceil(len(sizes) / columns))
    figure.legend(handles=handles, loc="outside upper left", ncols=columns, borderpad=0)


def percent(share: float, _: object = None) -> str:
    """Format a share as a percentage that does not wrap before its sign."""
    return f"{100 * share:.0f}\N{NO-BREAK SPACE}%"


def plain(axes: Axes) -> None:
    """Label the value axis with whole numbers and separators, never a power or an offset."""
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.10g}"))
    axes.yaxis.set_major_locator(MaxNLocator(5))

"""The page of `retain gates` in headless Chromium, from a file and without a network."""

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from retain.evaluation.lstm_gates import Inspection, Values, page
from retain.networks import recurrent
from retain.networks.recurrent import Gates

from .browser import CHROMIUM, Browser

HOSTILE = "<img src=x onerror=alert(1)>"
WORDS = ("martin", "is", "buying", "apples", ".", "jennifer", HOSTILE, "selling")
UNITS = 40
LEFT, UP, RIGHT, DOWN = (
    ("Arrow" + name, code)
    for name, code in zip(("Left", "Up", "Right", "Down"), (37, 38, 39, 40), strict=True)
)

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no Chromium; install it: apt-get install chromium"
)


@pytest.fixture(scope="module")
def shown() -> Inspection:
    """A sentence read by an LSTM of random weights."""
    torch.manual_seed(3)
    network = nn.LSTM(6, UNITS)
    with torch.no_grad():
        found = recurrent.gates(network, 4 * torch.randn(1, len(WORDS), 6))
    values = Values(HOSTILE, np.sin(np.arange(5.0 * len(WORDS))))
    gates = Gates(*(part[0] for part in found))
    return Inspection(f"A sentence {HOSTILE}", HOSTILE, WORDS, gates, values, marked=5)


Open = Callable[[Inspection], Browser]


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Opens a page from a file while the network is off; it must ask for nothing and be quiet."""
    file = tmp_path / "gates.html"

    def show(inspection: Inspection) -> Browser:
        file.write_text(page(inspection), encoding="utf-8")
        off = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        browser.call("Network.emulateNetworkConditions", **off)
        move(browser, 0, 0)  # away from what was there before
        browser.open(file.as_uri())
        browser.wait("document.querySelector('#table tbody tr')")
        return browser

    yield show
    assert browser.complaints() == []
    asked = [url for url in browser.requests() if not url.startswith("data:")]
    assert asked == [file.as_uri()]


def move(browser: Browser, x: float, y: float) -> None:
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)


def hover(browser: Browser, selector: str, across: float, down: float) -> None:
    """Point at a place of an element, as shares of its width and height."""
    script = (
        "(element => { element.scrollIntoView({block: 'center'});"
        "const box = element.getBoundingClientRect();"
        "return [box.x, box.y, box.width, box.height]; })"
        f"(document.querySelector({json.dumps(selector)}))"
    )
    x, y, width, height = browser.js(script)
    move(browser, x + across * width, y + down * height)


def number(text: str) -> float:
    return float(text.replace("−", "-").replace(",", ""))


def table(browser: Browser) -> dict[int, list[float]]:
    """What the table says: by unit f, i, g, o, the cell before, the cell, the hidden state."""
    script = (
        "[...document.querySelectorAll('#table tbody tr')]"
        ".map((row) => [...row.cells].map((cell) => cell.textContent))"
    )
    return {int(unit): [*map(number, rest[:7])] for unit, *rest in browser.js(script)}


def expected(shown: Inspection, step: int, unit: int) -> list[float]:
    forget, entry, modulation, output, cell = (
        part.double().numpy()[:, unit] for part in shown.gates
    )
    before = cell[step - 1] if step else 0.0
    hidden = output[step] * np.tanh(cell[step])
    return [forget[step], entry[step], modulation[step], output[step], before, cell[step], hidden]


def strongest(shown: Inspection, step: int) -> list[int]:
    return np.argsort(-shown.changes[step], kind="stable")[:8].tolist()


def current(browser: Browser) -> list[int]:
    """The steps that are current, of which there must be one."""
    script = (
        "[...document.querySelectorAll('#labels button')]"
        ".map((label, place) => label.getAttribute('aria-current') === 'step' ? place : -1)"
        ".filter((place) => place >= 0)"
    )
    return list(browser.js(script))


def unit_of(browser: Browser) -> int:
    return int(browser.text("#cell-title").split()[1])


def check(browser: Browser, shown: Inspection, step: int) -> None:
    """Everything on the page is about this step."""
    assert current(browser) == [step]
    assert browser.text("#readout").startswith(f"Step {step + 1} of 8: {WORDS[step]} · unit ")
    assert browser.text("#table-title") == f"The 8 units that changed most at {WORDS[step]}"
    found = table(browser)
    assert list(found) == strongest(shown, step)
    for unit, numbers in found.items():
        assert numbers == pytest.approx(expected(shown, step, unit), abs=6e-4)


def test_it_opens_at_the_marked_step_with_the_unit_that_changed_most(
    opened: Open, shown: Inspection
) -> None:
    browser = opened(shown)
    check(browser, shown, 5)
    assert unit_of(browser) == strongest(shown, 5)[0]
    assert browser.js("sort.selectedOptions[0].textContent").endswith("changed at jennifer")
    assert browser.js("[...count.options].map(({ value }) => value)") == ["16", "32", "40"]


@pytest.mark.parametrize("step", [0, 3, 7])
def test_pointing_at_a_word_or_a_map_shows_the_values_of_that_step(
    opened: Open, shown: Inspection, step: int
) -> None:
    browser = opened(shown)
    across = (step + 0.5) / len(WORDS)
    hover(browser, "#labels", across, 0.5)
    check(browser, shown, step)
    ranked = np.argsort(-shown.changes[5], kind="stable")
    for place, name in enumerate(("forget", "input", "modulation", "output", "cell")):
        row = 3 * place + 1
        hover(browser, f"#map-{name}", across, (row + 0.5) / 32)
        check(browser, shown, step)
        assert unit_of(browser) == ranked[row]


def test_the_arrow_keys_step_through_the_cell(opened: Open, shown: Inspection) -> None:
    browser = opened(shown)
    ranked = np.argsort(-shown.changes[5], kind="stable")
    for key, step in ((RIGHT, 6), (RIGHT, 7), (RIGHT, 7), (LEFT, 6)):
        browser.press(*key)
        check(browser, shown, step)
        assert unit_of(browser) == ranked[0]
    browser.js("maps.focus()")
    for key, place in ((UP, 0), (DOWN, 1), (DOWN, 2), (UP, 1)):
        browser.press(*key)
        assert unit_of(browser) == ranked[place]
    browser.press("Home", 36)
    check(browser, shown, 0)
    browser.press("End", 35)
    check(browser, shown, 7)
    browser.press("Enter", 13)
    assert unit_of(browser) == strongest(shown, 7)[0]
    assert browser.js("sort.selectedOptions[0].textContent").endswith("changed at selling")


def test_the_buttons_step_through_the_cell_too(opened: Open, shown: Inspection) -> None:
    browser = opened(shown)
    browser.click("#before")
    check(browser, shown, 4)
    browser.click("#after")
    check(browser, shown, 5)
    ranked = np.argsort(-shown.changes[5], kind="stable")
    browser.click("#lower")
    assert unit_of(browser) == ranked[1]
    browser.click("#upper")
    assert unit_of(browser) == ranked[0]
    fourth = strongest(shown, 5)[3]
    browser.click(f'#table [data-unit="{fourth}"]')
    assert unit_of(browser) == fourth
    assert browser.js("document.activeElement.dataset.unit") == str(fourth)


def test_the_equations_hold_with_the_numbers_of_the_unit(opened: Open, shown: Inspection) -> None:
    browser = opened(shown)
    unit = unit_of(browser)
    for step in (5, 6, 7):
        f, i, g, o, before, cell, hidden = expected(shown, step, unit)
        said = [part.strip("() ") for part in browser.text("#next-cell").split(" = ")]
        assert said[:2] == ["ct", "f · ct−1 + i · g"]
        kept, new = said[2].replace("(", "").replace(")", "").split(" + ")
        numbers = [number(part) for pair in (kept, new) for part in pair.split(" · ")]
        assert numbers == pytest.approx([f, before, i, g], abs=6e-4)
        assert number(said[3]) == pytest.approx(f * before + i * g, abs=6e-4)
        assert number(browser.text("#next-hidden").split(" = ")[-1]) == pytest.approx(
            o * np.tanh(cell), abs=6e-4
        )
        assert hidden == o * np.tanh(cell)
        browser.press(*RIGHT)


def test_a_click_on_a_word_sorts_and_one_on_a_map_holds(opened: Open, shown: Inspection) -> None:
    browser = opened(shown)
    browser.click("#labels button:nth-child(3)")
    check(browser, shown, 2)
    assert unit_of(browser) == strongest(shown, 2)[0]
    browser.click("#map-cell")  # in its middle, between two steps
    middle = current(browser)
    assert middle in ([3], [4])
    hover(browser, "#labels", 0.01, 0.5)
    assert current(browser) == middle
    browser.press("Escape", 27)
    hover(browser, "#labels", 0.02, 0.5)
    assert current(browser) == [0]


def test_units_can_be_sorted_by_half_life_or_as_they_were_given(
    opened: Open, shown: Inspection
) -> None:
    browser = opened(shown)
    change = "dispatchEvent(new Event('change'))"
    browser.js(f"sort.value = 'life'; sort.{change}")
    assert unit_of(browser) == int(shown.half_lives.argmax())
    half = float(shown.half_lives.max())
    assert f"half-life is {half:.2f} steps; 1/e is left after {half / np.log(2):.2f}." in (
        browser.text("#lasts")
    )
    browser.js(f"sort.value = 'number'; sort.{change}")
    assert unit_of(browser) == 0
    browser.js(f"count.value = 40; count.{change}; maps.focus()")
    for _ in range(UNITS):
        browser.press(*DOWN)
    assert unit_of(browser) == UNITS - 1
    given = tuple(reversed(range(UNITS)))
    browser = opened(dataclasses.replace(shown, order=given))
    assert unit_of(browser) == UNITS - 1


def pixel(name: str, across: float, down: float) -> str:
    """An expression for the colour of a place of a map."""
    return (
        "(canvas => { const copy = document.createElement('canvas'); copy.width = copy.height = 1;"
        "const pen = copy.getContext('2d');"
        f"pen.drawImage(canvas, -Math.floor({across} * canvas.width),"
        f" -Math.floor({down} * canvas.height));"
        "return String(pen.getImageData(0, 0, 1, 1).data); })"
        f"(document.querySelector('#map-{name}'))"
    )


@pytest.mark.parametrize("dark", [False, True])
def test_the_maps_are_painted_in_the_colours_of_the_page(
    opened: Open, shown: Inspection, dark: bool
) -> None:
    forget = torch.tensor([[0.0, 1.0]]).repeat(8, 1)
    cell = torch.tensor([[-2.0, 2.0]]).repeat(8, 1)
    two = Gates(forget, forget, cell / 2, forget, cell)
    browser = opened(dataclasses.replace(shown, gates=two, order=(0, 1)))
    wanted: Any = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    browser.call("Emulation.setEmulatedMedia", features=wanted)
    zero, plus, minus = (
        [int(text[place : place + 2], 16) for place in (1, 3, 5)]
        for text in browser.js(
            "['zero', 'plus', 'minus'].map((name) =>"
            " getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim())"
        )
    )
    assert (sum(zero) < sum(plus)) == dark
    for name, above in (("forget", zero), ("modulation", minus), ("cell", minus)):
        for down, colour in ((0.25, above), (0.75, plus)):
            wanted = ",".join(map(str, [*colour, 255]))
            browser.wait(f"{pixel(name, 0.05, down)} === '{wanted}'")
    browser.call("Emulation.setEmulatedMedia", features=[])


def test_nothing_in_the_data_becomes_markup(opened: Open, shown: Inspection) -> None:
    browser = opened(shown)
    assert browser.text("#title") == f"A sentence {HOSTILE}"
    assert browser.text("#note").startswith(f"{HOSTILE} Saturated are ")
    assert browser.text("#labels button:nth-child(7)") == HOSTILE
    assert browser.text("figcaption.values b") == HOSTILE
    hover(browser, "#labels", 6.5 / 8, 0.5)
    assert HOSTILE in browser.text("#readout")
    assert HOSTILE in browser.text("#table-title")
    browser.click("#here")
    assert HOSTILE in browser.text("#sort")
    assert browser.js("document.querySelectorAll('img').length") == 0


def test_a_phone_shows_it_without_scrolling_sideways(opened: Open, shown: Inspection) -> None:
    browser = opened(shown)
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        width=360,
        height=700,
        deviceScaleFactor=2,
        mobile=True,
    )
    browser.wait("labels.className === 'upright'")
    assert browser.js("document.documentElement.scrollWidth") <= 360
    browser.wait("document.querySelector('#map-cell').width > 400")  # sharp on a dense screen
    browser.call("Emulation.clearDeviceMetricsOverride")


def test_one_step_and_one_unit_are_enough(opened: Open) -> None:
    half = torch.full((1, 1), 0.5)
    browser = opened(Inspection("one", "", ("a",), Gates(half, half, half, half, half / 2)))
    browser.press(*RIGHT)
    browser.press(*LEFT)
    assert browser.text("#readout") == "Step 1 of 1: a · unit 0: cell 0.000 → 0.250"
    assert browser.text("#next-cell").endswith("= 0.500 · 0.000 + 0.500 · 0.500 = 0.250")

"""The page of `retain serve` in headless Chromium, with a real server behind it."""

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from .browser import CHROMIUM, SECONDS, Browser
from .serving_process import serving_process

KEY = "a key of the tests: ü"
HOSTILE = "<img src=x onerror=alert(1)>"

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no Chromium; install it: apt-get install chromium"
)


@pytest.fixture(scope="module")
def addresses(finished: Path) -> Iterator[list[str]]:
    """A server that anybody may ask, and one that wants a key."""
    with (
        serving_process(finished) as open_to_all,
        serving_process(finished, RETAIN_API_KEY=KEY) as guarded,
    ):
        yield [f"http://127.0.0.1:{server.port}" for server in (open_to_all, guarded)]


@pytest.fixture
def address(addresses: list[str]) -> str:
    return addresses[0]


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Browser]:
    """The page as it is after it was opened; in the end it must have kept to its own server."""
    browser.open(address)
    browser.wait("!about.hidden")
    yield browser
    local = (f"{address}/", "data:", f"blob:{address}/")
    assert [url for url in browser.requests() if not url.startswith(local)] == []


def post(address: str, csv: str) -> str:
    """The server's answer as CSV to a CSV table."""
    headers = {"Content-Type": "text/csv", "Accept": "text/csv"}
    request = urllib.request.Request(f"{address}/forecast", csv.encode(), headers)
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        return str(answer.read().decode())


def forecast(page: Browser, csv: str) -> None:
    """Give the page a table, ask for a forecast, and wait until it is drawn."""
    page.write("#text", csv)
    page.click("#forecast")
    page.wait("!result.hidden && document.querySelector('#chart path.median')")


def points(page: Browser, name: str) -> int:
    """How many points a line of the chart has."""
    path = page.js(f"document.querySelector('#chart path.{name}').getAttribute('d')")
    return len(re.findall("[ML]", path))


@pytest.fixture
def table(finished: Path) -> pd.DataFrame:
    """The newest rows of both series of the small project."""
    table = pd.read_csv(finished / "data/raw/small.csv")
    return table.groupby("store").tail(60)


def test_the_example_is_drawn_and_can_be_read_off(page: Browser) -> None:
    assert page.text("#name").startswith("small version ")
    assert page.text("#needs").startswith("At least 24 hours up to now for each series")
    page.click("#example")
    page.wait("text.value.startsWith('store,ds,y')")
    page.click("#forecast")
    page.wait("document.querySelector('#chart path.median')")
    assert points(page, "median") == 6
    assert points(page, "outer") == 12  # up and back again
    assert points(page, "history") == 30  # five horizons
    assert page.js("document.querySelectorAll('#table tbody tr').length") == 6

    page.js("chart.focus()")
    page.press("End", 35)
    row = "document.querySelectorAll('#table tbody tr:last-child > *')"
    last = page.js(f"[...{row}].map((cell) => cell.textContent)")
    assert page.text("#readout").startswith(f"{last[0]}: median {last[6]}, 80 % interval {last[2]}")
    assert page.js("chart.getAttribute('aria-valuetext')") == page.text("#readout")
    page.click("#chart")  # in its middle, where the history is
    newest = page.js("text.value.trim().split('\\n').slice(-30).map((row) => row.split(',')[1])")
    assert page.text("#readout").split(": ")[0] in newest
    assert page.complaints() == []


def test_each_series_has_its_own_chart(page: Browser, table: pd.DataFrame) -> None:
    forecast(page, table.to_csv(index=False))
    assert page.js("[...series.options].map((option) => option.value)") == ["north", "south"]
    before = page.text("#table")
    page.js("series.value = 'south'; series.dispatchEvent(new Event('change'))")
    page.wait("table.textContent !== " + json.dumps(before))
    page.js("chart.focus()")
    page.press("Home", 36)
    oldest = table[table["store"] == "south"].iloc[-30]
    page.wait(f"readout.textContent === '{oldest.ds}: {oldest.y:.3f}'")


def test_what_the_server_says_of_a_broken_table_is_shown(
    page: Browser, table: pd.DataFrame
) -> None:
    forecast(page, table.to_csv(index=False))
    page.write("#text", table.assign(y="many").to_csv(index=False))
    page.click("#forecast")
    page.wait("message.className === 'bad'")
    assert "'many'" in page.text("#message")
    assert "row 2" in page.text("#message")
    assert page.js("result.hidden && !forecast.disabled")


def test_nothing_in_a_table_becomes_markup(page: Browser, table: pd.DataFrame) -> None:
    stores = {"north": HOSTILE, "south": 'with "quotes", a comma\nand a line'}
    table = table.replace({"store": stores}).assign(**{HOSTILE: 1})
    forecast(page, table.to_csv(index=False))
    assert HOSTILE in page.text("#message")  # a column that the model does not read
    assert page.js("[...series.options].map((option) => option.value)") == [*stores.values()]
    assert points(page, "history") == 30  # found in the CSV by the same name
    page.write("#text", table.assign(ds=HOSTILE).to_csv(index=False))
    page.click("#forecast")
    page.wait("message.className === 'bad'")
    assert HOSTILE in page.text("#message")
    assert page.js("document.querySelectorAll('img').length") == 0


def test_the_download_is_the_servers_csv(page: Browser, address: str, table: pd.DataFrame) -> None:
    csv = table.to_csv(index=False)
    forecast(page, csv)
    page.click("#download")
    assert page.downloaded() == ("small-forecast.csv", post(address, csv))


def test_a_large_file_stays_out_of_the_textarea(
    page: Browser, table: pd.DataFrame, tmp_path: Path
) -> None:
    blank = pd.DataFrame({"note": ["x" * 10_000] * len(table)}, index=table.index)
    table = table.join(blank)
    file = tmp_path / "large.csv"
    table.to_csv(file, index=False, sep=",", lineterminator="\r\n")
    document = page.call("DOM.getDocument")["root"]["nodeId"]
    found = page.call("DOM.querySelector", nodeId=document, selector="#file")["nodeId"]
    page.call("DOM.setFileInputFiles", nodeId=found, files=[str(file)])
    page.wait("!document.querySelector('#file-said').hidden")
    assert page.text("#file-name") == "large.csv (1.1 MiB)"
    assert page.js("text.hidden && text.value === ''")
    page.click("#forecast")
    page.wait("document.querySelector('#chart path.history')")
    assert points(page, "history") == 30


def test_a_key_is_asked_for_and_kept_in_memory(addresses: list[str], browser: Browser) -> None:
    browser.open(addresses[1])
    browser.wait("!document.querySelector('#key-form').hidden")
    assert browser.js("about.hidden")
    browser.write("#key", "another")
    browser.press("Enter", 13, "\r")
    browser.wait("message.className === 'bad'")
    assert "the key is missing or wrong" in browser.text("#message")
    browser.write("#key", KEY)
    browser.click("#key-form button")
    browser.wait("!about.hidden")
    assert browser.js("document.querySelector('#key-form').hidden")
    browser.click("#example")
    browser.wait("text.value")
    browser.click("#forecast")
    browser.wait("document.querySelector('#chart path.median')")
    kept = "[localStorage.length, sessionStorage.length, document.cookie, location.search]"
    assert browser.js(kept) == [0, 0, "", ""]

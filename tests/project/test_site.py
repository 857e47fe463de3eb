"""The pages of `make docs`: all can be reached, and they load nothing from elsewhere."""

import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.browser import CHROMIUM, Browser
from tools import docs_site, reference

ROOT = Path(__file__).parents[2]
# What a browser loads with a page; a link is followed by a person alone.
LOADED = re.compile(
    r"<(?!a\b)\w+\b[^>]*?\s(?:src|href|srcset|action)=[\"']?(?:https?:)?//[^\s\"'>]+"
)
STYLED = re.compile(r"(?:url\(|@import )[\"']?(?:https?:)?//[^)\"';]+")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built elsewhere; links to nothing, and to no anchor, end the build."""
    folder = tmp_path_factory.mktemp("site")
    docs_site.gather(folder / "build" / "pages")
    shutil.copy(ROOT / "zensical.toml", folder)
    words = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "build" / "site"


def test_every_page_is_in_the_navigation() -> None:
    def paths(entry: Any) -> Iterator[str]:
        if isinstance(entry, str):
            yield entry
        for inner in entry.values() if isinstance(entry, dict) else entry * isinstance(entry, list):
            yield from paths(inner)

    config = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))
    pages = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert {*paths(config["project"]["nav"])} == pages | {"README.md", "benchmarks/README.md"}


def test_a_page_loads_nothing_from_elsewhere(site: Path) -> None:
    assert LOADED.search('<script src="https://unpkg.com/iframe-worker/shim"></script>')
    assert STYLED.search("@import 'https://fonts.googleapis.com/css'")
    pages = [*site.rglob("*.html")]
    assert len(pages) > 20
    assert [found[0] for page in pages for found in LOADED.finditer(page.read_text("utf-8"))] == []
    styled = [*pages, *site.rglob("*.css"), *site.rglob("*.svg")]
    assert [found[0] for page in styled for found in STYLED.finditer(page.read_text("utf-8"))] == []


@pytest.mark.long
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_pages_that_are_opened_as_files_can_be_searched(site: Path, tmp_path: Path) -> None:
    browser = Browser(tmp_path)
    try:
        browser.open((site / "docs" / "own-table.html").as_uri())
        browser.click(".md-search__button")
        # The dialogue has a tree of its own.
        browser.js(
            "window.dialogue = () => [...document.querySelectorAll('*')]"
            ".map((element) => element.shadowRoot).find((root) => root?.querySelector('input'))"
        )
        browser.wait("Boolean(dialogue())")
        browser.js(
            "(() => { const field = dialogue().querySelector('input'); field.value = 'champion';"
            " field.dispatchEvent(new InputEvent('input', {bubbles: true, composed: true})); })()"
        )
        browser.wait("dialogue().querySelectorAll('a[href*=\".html\"]').length > 3")
        time.sleep(0.5)
        assert browser.complaints() == []
        assert [r for r in browser.requests() if not r.startswith(("file:", "data:"))] == []
    finally:
        browser.close()


def test_the_reference_is_as_the_code_makes_it() -> None:
    pages = reference.pages()
    assert {path.name for path in reference.FOLDER.glob("*.md")} == pages.keys()
    for name, made in pages.items():
        stored = (reference.FOLDER / name).read_text(encoding="utf-8")
        assert stored == made, f"{name}: python tools/reference.py"


def test_every_key_of_params_yaml_is_described() -> None:
    text = (reference.FOLDER / "params.md").read_text(encoding="utf-8")
    keys = re.findall(r"^\| `(\w+)` \|[^|]*\|[^|]*\| (.*) \|$", text, re.MULTILINE)
    assert len(keys) > 80
    undescribed = [key for key, meaning in keys if not meaning]
    assert undescribed == [], "say what a key means in the comment behind it"

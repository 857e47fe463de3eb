"""The page at / of a server of texts or sequences, in headless Chromium."""

from pathlib import Path

import pytest

from retain.model_files import load_model

from .browser import CHROMIUM, Browser
from .serving_process import serving_process

KEY = "a key of the tests: ü"
HOSTILE = "<img src=x onerror=alert(1)>"

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no Chromium; install it: apt-get install chromium"
)


def test_a_text_is_continued_and_nothing_in_it_becomes_markup(
    answering: Path, browser: Browser
) -> None:
    with serving_process(answering, name="rhyme", RETAIN_API_KEY=KEY) as server:
        address = f"http://127.0.0.1:{server.port}"
        browser.open(address)
        browser.wait("!document.querySelector('#key-form').hidden")
        browser.write("#key", "another")
        browser.press("Enter", 13, "\r")
        browser.wait("message.textContent.includes('the key is missing or wrong')")
        browser.write("#key", KEY)
        browser.click("#key-form button")
        browser.wait("!form.hidden")
        assert browser.text("#name") == "rhyme version 1"
        browser.write("#line", "the cat s")
        browser.js("document.querySelector('#set-length').value = '12'")
        browser.click("#ask")
        browser.wait("!result.hidden")
        model = load_model(answering / "models" / "rhyme" / "lstm")
        tokens = model.read("the cat s")
        assert browser.text("#continued") == "the cat s" + model.continued(tokens, 12, 0.5, 1)
        unit, share = model.following(tokens)[0]
        assert browser.text("#likeliest tr").startswith(f'"{unit}"{100 * share:.1f} %')
        browser.js("document.querySelector('#set-length').value = 'many'")
        browser.click("#ask")
        browser.wait("message.textContent.includes(\"`length` is 'many'\")")
        browser.write("#line", HOSTILE)
        browser.js("document.querySelector('#set-length').value = '9'")
        browser.click("#ask")
        browser.wait("message.textContent.includes('is none that the model was trained on')")
        assert browser.js("document.querySelectorAll('img').length") == 0
        local = (f"{address}/", "data:")
        assert [url for url in browser.requests() if not url.startswith(local)] == []


def test_an_example_is_answered(answering: Path, browser: Browser) -> None:
    with serving_process(answering, name="key") as server:
        browser.open(f"http://127.0.0.1:{server.port}")
        browser.wait("!form.hidden")
        browser.click("#example")
        browser.click("#ask")
        browser.wait("!result.hidden")
        assert browser.js("document.querySelectorAll('#likeliest tr').length") == 3
        assert browser.js("document.querySelector('#continued').hidden")
        assert browser.complaints() == []

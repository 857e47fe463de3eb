"""`retain serve` of texts and sequences, real processes: what the commands say, or a sentence."""

import inspect
import json
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from retain.cli import sequences
from retain.kinds.text.endpoint import SHOWN, CompleteRequest
from retain.model_files import load_model
from retain.serving.text_endpoint import LETTERS, LINES, UNITS
from retain.tracking import store

from .conftest import run
from .serving_process import CSV, JSON, Server, serving_process, try_schema

TEXT, SEQUENCE = "the cat s", "B a c ?"


def served(answering: Path, name: str) -> Any:
    return load_model(answering / "models" / name / "lstm")


@pytest.fixture(scope="module")
def rhyme(answering: Path) -> Iterator[Server]:
    with serving_process(answering, name="rhyme") as server:
        yield server
        assert server.stop() == 0
        assert "Traceback" not in server.log.read_text()


@pytest.fixture(scope="module")
def key(answering: Path) -> Iterator[Server]:
    with serving_process(answering, name="key") as server:
        yield server
        assert "Traceback" not in server.log.read_text()


# --- good requests ---


def test_a_text_gets_what_the_command_says(rhyme: Server, answering: Path) -> None:
    code, said = rhyme.post("/complete", {"text": TEXT})
    assert code == 200
    assert said["model"]["version"] == "1"
    (answer,) = said["answers"]
    printed = run(answering, "retain", "complete", "rhyme", TEXT).stdout
    shown = [
        f"{100 * each['probability']:5.1f} %  {each['value']!r}" for each in answer["likeliest"]
    ]
    assert "\n".join([*shown, f"{TEXT}{answer['continued']}\n"]) == printed


def test_without_settings_they_are_those_of_the_command() -> None:
    command = inspect.signature(sequences.complete).parameters
    fields = CompleteRequest.model_fields
    for name in ("length", "temperature", "seed"):
        assert fields[name].default == command[name].default
    assert SHOWN == sequences.LIKELIEST


def test_several_texts_get_the_bits_of_each_alone(rhyme: Server, answering: Path) -> None:
    model, texts = served(answering, "rhyme"), [TEXT, "the dog ate", "o"]
    settings = {"length": 9, "temperature": 2, "seed": 5}
    code, said = rhyme.post("/complete", {"text": texts, **settings})
    assert code == 200
    for text, answer in zip(texts, said["answers"], strict=True):
        tokens = model.read(text)
        assert answer["continued"] == model.continued(tokens, 9, 2, 5)
        found = [(each["value"], each["probability"]) for each in answer["likeliest"]]
        assert found == model.following(tokens)[:SHOWN]
    table = pd.DataFrame({"remark": "none", "text": texts}).to_csv(index=False).encode()
    address = "/complete?length=9&temperature=2.0&seed=5"
    code, same = rhyme.post(address, table, CSV)
    assert (code, same) == (200, said | {"ignored": ["remark"]})
    code, text = rhyme.ask("POST", address, table, Content_Type=CSV, Accept=CSV)
    found = pd.read_csv(StringIO(text.decode()))
    assert found["continued"].tolist() == [each["continued"] for each in said["answers"]]
    assert list(found.columns)[:4] == ["next_1", "probability_1", "next_2", "probability_2"]


def test_sequences_get_what_the_command_says(key: Server, answering: Path) -> None:
    code, said = key.post("/ask", {"sequence": [SEQUENCE, "A b ?"]})
    assert code == 200
    model = served(answering, "key")
    for sequence, answer in zip([SEQUENCE, "A b ?"], said["answers"], strict=True):
        found = [(each["value"], each["probability"]) for each in answer["likeliest"]]
        assert found == model.ask(sequence)
    assert key.post("/ask", {"sequence": SEQUENCE})[1]["answers"] == said["answers"][:1]
    printed = run(answering, "retain", "ask", "key", SEQUENCE).stdout
    best = said["answers"][0]["likeliest"][0]
    assert printed.startswith(f"{100 * best['probability']:5.1f} %  {best['value']}\n")
    table = b'sequence\r\n"B a c ?"\r\nA b ?\r\n'
    code, text = key.ask("POST", "/ask", table, Content_Type=CSV, Accept=CSV)
    expected = model.predict(pd.DataFrame({"sequence": [SEQUENCE, "A b ?"]}))
    pd.testing.assert_frame_equal(pd.read_csv(StringIO(text.decode())), expected, rtol=1e-6)


def test_numbers_are_answered_with_a_number(answering: Path) -> None:
    with serving_process(answering, name="sum") as server:
        code, said = server.post("/ask", {"sequence": "+0.25 0.5 +.5"})
        expected = served(answering, "sum").predict(pd.DataFrame({"sequence": ["+0.25 0.5 +.5"]}))
        assert (code, said["answers"]) == (200, [{"likeliest": [{"value": expected["answer"][0]}]}])
        code, text = server.ask("POST", "/ask", b"sequence\n+1 +2\n", Content_Type=CSV, Accept=CSV)
        assert (code, text.splitlines()[0]) == (200, b"answer")
        code, said = server.post("/ask", {"sequence": "9" * 99_999 + "x"})  # not for minutes
        assert (code, "is no number" in said["error"]) == (422, True)
        assert len(said["error"]) < 1000


@pytest.mark.parametrize("name", ["rhyme", "key"])
def test_it_says_what_it_reads(name: str, request: pytest.FixtureRequest) -> None:
    server: Server = request.getfixturevalue(name)
    model = json.loads(server.ask("GET", "/model")[1])
    assert model["name"] == name
    assert model["metrics"] == {"luck": 0.5}
    code, example = server.ask("GET", "/example")
    assert (code, example.splitlines()[0].decode()) == (200, model["column"])
    assert server.post(model["path"], example, CSV)[0] == 200
    described = json.loads(server.ask("GET", "/openapi.json")[1])
    examples = described["paths"][model["path"]]["post"]["requestBody"]["content"][JSON]["examples"]
    found = [server.post(model["path"], each["value"]) for each in examples.values()]
    assert [code for code, _ in found] == [200, 200]
    assert list(described["paths"]) == [model["path"], "/model", "/example", "/metrics", "/health"]
    metrics = server.ask("GET", "/metrics")[1].decode()
    assert f'retain_requests_total{{path="{model["path"]}",status="200"}}' in metrics
    assert server.ask("GET", "/model", Host="elsewhere.example")[0] == 421


# --- bad requests ---

BAD: dict[str, tuple[Any, int, str]] = {
    "no json": (b"{", 400, "the body is not JSON"),
    "no object": ([], 422, 'the body is no object: send {"text": ["…"]}'),
    "no text": ({"length": 3}, 422, "the request: `text` is missing"),
    "another key": ({"text": TEXT, "lenght": 1}, 422, "key `lenght`; did you mean `length`?"),
    "no rows": ({"text": []}, 422, "`text`: list should have at least 1 item"),
    "empty": ({"text": [TEXT, ""]}, 422, "row 2: '' is no text to continue; give some letters"),
    "null": ({"text": [TEXT, None]}, 422, "`text.1` is None: input should be a valid string"),
    "deep": (b'{"text": ' + b"[" * 900 + b"]" * 900 + b"}", 422, "`text.0`: input should be a"),
    "an object": ({"text": {"text": TEXT}}, 422, "`text.0`: input should be a valid string"),
    "a strange letter": ({"text": "the ☃"}, 422, "row 1: letter 5, '☃', is none that the model"),
    "half a letter": (b'{"text": "\\ud800"}', 400, "the body is not JSON"),
    "length 0": ({"text": TEXT, "length": 0}, 422, "`length` is 0: input should be greater than"),
    "a part": ({"text": TEXT, "length": 2.5}, 422, "`length` is 2.5: input should be a valid int"),
    "true": ({"text": TEXT, "length": True}, 422, "`length` is True: input should be a valid int"),
    "cold": ({"text": TEXT, "temperature": 0}, 422, "`temperature` is 0: input should be greater"),
    "a word": ({"text": TEXT, "seed": "x"}, 422, "`seed` is 'x': input should be a valid integer"),
    "far": ({"text": TEXT, "seed": 10**40}, 422, "input should be less than or equal to 92233720"),
    "two": (
        {"text": TEXT, "length": 0, "seed": -1},
        422,
        "the request has 2 errors:\n  `length` is",
    ),
    "many texts": ({"text": ["o"] * (LINES + 1)}, 413, "at most 500 are read: send fewer texts"),
    "letters": ({"text": "o" * (LETTERS + 1)}, 413, "row 1 has 100,001 letters; at most 100,000"),
    "units": ({"text": "o" * (UNITS + 1)}, 422, "row 1: 10,001 letters or words; at most 10,000"),
    "steps": ({"text": ["o"] * 500, "length": 100}, 413, "50,500 steps are too many"),
    "large": (b" " * (2**21 + 1), 413, "the body is larger than 2,097,152 bytes"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_request_gets_a_sentence(rhyme: Server, case: str) -> None:
    content, status, sentence = BAD[case]
    code, said = rhyme.post("/complete", content)
    assert (code, sentence in said["error"]) == (status, True), said


@pytest.mark.parametrize(
    ("body", "query", "sentence"),
    [
        (b"", "", "the file is empty"),
        (b"text\n", "", "`text`: list should have at least 1 item"),
        (b"texts\no\n", "", "the first row must name one column `text`, and is 'texts'"),
        (b"text,text\no,o\n", "", "must name one column `text`"),
        (b"text\nthe cat, the dog\n", "", "row 2 has 2 fields, the first row 1: put a text with"),
        (b"text\no\n\no\n", "", "row 3 has 0 fields"),
        (b'text\n"the "cat"\n', "", "line 2 is no CSV"),
        (b"text\n\xff\n", "", "not UTF-8"),
        (b"text\no\n", "?length=many", "`length` is 'many': input should be a valid integer"),
        (b"text\no\n", "?length=", "`length` is '': input should be a valid integer"),
        (b"text\no\n", "?seed=NaN", "`seed` is 'NaN'"),
        (b"text\no\n", "?seed=1&seed=2", "`seed` is given twice"),
        (
            b"text\no\n",
            "?colour=1",
            "unknown key `colour`; valid here: text, length, temperature, seed",
        ),
    ],
)
def test_a_bad_csv_gets_a_sentence(rhyme: Server, body: bytes, query: str, sentence: str) -> None:
    code, said = rhyme.post(f"/complete{query}", body, CSV)
    assert (code, sentence in said["error"]) == (422, True), said


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"sequence": ["A b ?", "A x"]}, "row 2: word 2, 'x', is none that the model knows"),
        ({"sequence": " "}, "row 1: ' ' is no text"),
        ({"sequence": "A b ?", "length": 3}, "unknown key `length`; valid here: sequence"),
    ],
)
def test_a_bad_sequence_gets_a_sentence(key: Server, content: Any, sentence: str) -> None:
    code, said = key.post("/ask", content)
    assert (code, sentence in said["error"]) == (422, True), said
    code, said = key.post("/ask?length=3", {"sequence": "A b ?"})
    assert (code, said["error"]) == (
        422,
        "the request: unknown key `length`; valid here: sequence",
    )


@pytest.mark.parametrize("name", ["rhyme", pytest.param("key", marks=pytest.mark.long)])
def test_nothing_that_a_schema_allows_makes_it_fail(
    name: str, request: pytest.FixtureRequest
) -> None:
    server: Server = request.getfixturevalue(name)
    done = try_schema(server, examples=10)
    assert done.returncode == 0, done.stdout


# --- many at once, keys, another champion ---


def test_a_long_request_keeps_nobody_waiting(rhyme: Server) -> None:
    long = {"text": ["the cat"] * 30, "length": 200}
    answers, order = rhyme.at_once("/complete", long, {"text": TEXT})
    assert [code for code, _ in answers] == [200, 200]
    assert len(answers[0][1]["answers"]) == 30
    assert order == [1, 0]


def test_a_key_is_asked_for_and_time_is_limited(answering: Path) -> None:
    words = ("--timeout", "0.3")
    with serving_process(answering, *words, name="rhyme", RETAIN_API_KEY="a secret") as server:
        assert server.post("/complete", {"text": TEXT})[0] == 401
        secret = {"X_API_Key": "a secret"}
        long = {"text": ["the cat"] * 40, "length": 1000}
        many, _ = server.at_once("/complete", long, long, long, **secret)
        said = [(code, body["error"]) for code, body in many]
        assert sorted(said) == [
            (503, "no answer within 0.3 s; send fewer rows in a request"),
            *[(503, "too many texts wait; try again in a second")] * 2,
        ]
        deadline = time.monotonic() + 60
        while server.post("/complete", {"text": TEXT, "length": 1}, **secret)[0] != 200:
            assert time.monotonic() < deadline, "what is given up goes on"
        log = server.log.read_text()
        assert "a secret" not in log
        assert TEXT not in log


def test_another_champion_takes_over(answering: Path) -> None:
    client = store.connect(answering)
    first = client.get_model_version("key", "1")
    second = client.create_model_version("key", first.source, first.run_id, dict(first.tags))
    other = client.get_model_version("rhyme", "1")
    strange = client.create_model_version("key", other.source, other.run_id, dict(other.tags))
    try:
        with serving_process(answering, "--follow", "0.1", name="key") as server:
            client.set_registered_model_alias("key", "champion", second.version)
            deadline, versions = time.monotonic() + 30, ["1"]
            while versions[-1] != str(second.version):
                code, said = server.post("/ask", {"sequence": [SEQUENCE] * 3})
                assert code == 200
                versions.append(said["model"]["version"])
                assert time.monotonic() < deadline
            deadline = time.monotonic() + 30
            client.set_registered_model_alias("key", "champion", strange.version)
            sentence = f"key version {strange.version} is of kind text, not recall"
            while sentence not in json.loads(server.ask("GET", "/health")[1])["registry"]:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            assert server.post("/ask", {"sequence": SEQUENCE})[0] == 200
    finally:
        client.set_registered_model_alias("key", "champion", "1")
        for version in (second, strange):
            client.delete_model_version("key", version.version)

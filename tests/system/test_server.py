"""`retain serve`, a real process: what clients may do to it, and what becomes of their requests."""

import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retain.errors import RetainError
from retain.kinds.forecast.predict import predictor
from retain.kinds.forecast.predict.predictor import Predictor
from retain.serving import process
from retain.serving.endpoint import Limits

from .serving_process import CSV, JSON, Server, by_column, serving_process, try_schema


@pytest.fixture(scope="module")
def server(finished: Path) -> Iterator[Server]:
    with serving_process(finished) as server:
        yield server
        assert server.stop() == 0
        assert "Traceback" not in server.log.read_text()


@pytest.fixture(scope="module")
def model(finished: Path) -> Predictor:
    return predictor.load(finished / "models/small/final")


@pytest.fixture(scope="module")
def example(finished: Path, model: Predictor) -> pd.DataFrame:
    return model.example(finished / "data/prepared/small")


# --- good requests ---


@pytest.mark.long
def test_onnxruntime_gives_the_answers_of_torch(
    finished: Path, server: Server, example: pd.DataFrame
) -> None:
    expected = server.forecast(by_column(example))[1]["forecast"]
    with serving_process(finished, "--runtime", "onnx") as quick:
        code, answer = quick.forecast(by_column(example))
        assert code == 200
        assert quick.stop() == 0
    found = answer["forecast"]
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        if isinstance(values[0], float):
            assert found[name] == pytest.approx(values, rel=1e-4), name
        else:
            assert found[name] == values, name


def test_json_and_csv_get_the_answer_of_the_model(
    server: Server, model: Predictor, example: pd.DataFrame
) -> None:
    expected = model.predict(example)
    rows = by_column(example)["history"]
    listed = [dict(zip(rows, row, strict=True)) for row in zip(*rows.values(), strict=True)]
    csv = example.assign(remark="none").to_csv(index=False).encode()
    for content, kind, ignored in (
        (by_column(example), JSON, []),
        ({"history": listed}, JSON, []),
        (csv, CSV, ["remark"]),
    ):
        code, said = server.forecast(content, kind)
        assert code == 200, said
        assert said["ignored"] == ignored
        assert said["model"]["version"] == "1"
        found = pd.DataFrame(said["forecast"])
        assert found["ds"].tolist() == [stamp.isoformat() for stamp in expected["ds"]]
        pd.testing.assert_frame_equal(found.drop(columns="ds"), expected.drop(columns="ds"))
    code, text = server.ask("POST", "/forecast", csv, Content_Type=CSV, Accept=CSV)
    assert code == 200
    found = pd.read_csv(StringIO(text.decode()))
    np.testing.assert_allclose(found["0.5"], expected["0.5"], rtol=1e-6)


def test_it_says_which_model_answers(server: Server, finished: Path) -> None:
    said = json.loads(server.ask("GET", "/model")[1])
    metrics = json.loads((finished / "reports/small/metrics.json").read_text())
    assert said["version"] == "1"
    assert said["md5"] in (finished / "dvc.lock").read_text()
    assert said["metrics"]["mae"] == pytest.approx(metrics["models"]["lstm"]["mae"])
    assert said["columns"] == ["store", "ds", "y"]
    assert said["lineage"]["git.commit"]
    assert json.loads(server.ask("GET", "/health")[1])["status"] == "ok"


def test_its_own_example_can_be_sent_back(server: Server) -> None:
    code, example = server.ask("GET", "/example")
    assert code == 200
    assert server.forecast(example, CSV)[0] == 200
    described = json.loads(server.ask("GET", "/openapi.json")[1])
    examples = described["paths"]["/forecast"]["post"]["requestBody"]["content"][JSON]["examples"]
    assert [server.forecast(each["value"])[0] for each in examples.values()] == [200, 200]


def test_four_thousand_series_are_answered_while_others_are(
    server: Server, example: pd.DataFrame
) -> None:
    short = example.tail(24)
    many = pd.concat([short.assign(store=f"store {number}") for number in range(4_000)])
    answers, order = server.at_once("/forecast", by_column(many), by_column(example))
    assert [code for code, _ in answers] == [200, 200]
    assert order == [1, 0], "the short one waits for nobody"
    said = answers[0][1]
    assert len(said["forecast"]["ds"]) == 24_000
    assert said["forecast"]["0.5"][:6] == said["forecast"]["0.5"][-6:]


def test_two_hundred_clients_at_once(server: Server, example: pd.DataFrame) -> None:
    body = by_column(example)
    with ThreadPoolExecutor(200) as pool:
        answers = list(pool.map(lambda _: server.forecast(body), range(300)))
    assert {code for code, _ in answers} == {200}
    assert all(said["forecast"] == answers[0][1]["forecast"] for _, said in answers)


def test_requests_that_wait_are_run_together(server: Server, example: pd.DataFrame) -> None:
    runs, series = batches(server)
    answers, _ = server.at_once("/forecast", *[by_column(example)] * 20)
    assert {code for code, _ in answers} == {200}
    found = batches(server)
    assert found[1] - series == 20
    assert found[0] - runs < 10


def batches(server: Server) -> tuple[float, float]:
    """Return how often the network was run, and for how many series."""
    text = server.ask("GET", "/metrics")[1].decode()
    count, total = (
        float(text.partition(f"retain_batch_series_{name} ")[2].split()[0])
        for name in ("count", "sum")
    )
    return count, total


# --- bad requests ---


def cell(column: str, row: int, value: Any) -> Callable[[dict[str, Any]], Any]:
    def change(content: dict[str, Any]) -> Any:
        content["history"][column][row] = value
        return content

    return change


BAD: dict[str, tuple[Callable[[dict[str, Any]], Any], int, str]] = {
    "no json": (lambda _: b"{", 400, "the body is not JSON"),
    "NaN": (lambda _: b'{"history": {"y": [NaN]}}', 400, "NaN is written as null"),
    "deep": (lambda _: b"[" * 100_000, 400, "the body is not JSON"),
    "no object": (lambda _: [], 422, "the body has no `history`"),
    "another key": (lambda c: c | {"horizon": 3}, 422, "or more than that"),
    "no table": (lambda _: {"history": "past"}, 422, "`history` is no table"),
    "no list": (lambda _: {"history": {"y": 3}}, 422, "column `y` is no list"),
    "rows that differ": (
        lambda _: {"history": [{"y": 1}, {"z": 1}]},
        422,
        "row 2 and row 1 differ in `y`",
    ),
    "no rows": (lambda _: {"history": []}, 422, "no rows"),
    "columns of other lengths": (
        lambda c: {"history": c["history"] | {"y": [1]}},
        422,
        "the columns differ in length: `store` has",
    ),
    "a column too many": (
        lambda c: {"history": c["history"] | {"colour": c["history"]["y"]}},
        422,
        "the model does not know the column 'colour'",
    ),
    "a column too few": (
        lambda c: {"history": {"y": c["history"]["y"]}},
        422,
        "there is no column",
    ),
    "text": (cell("y", 4, "many"), 422, "row 5: 'many'"),
    "a truth value": (cell("y", 4, True), 422, "row 5: 'True'"),
    "a list": (cell("y", 4, [1]), 422, "row 5: '[1]'"),
    "infinite": (cell("y", 4, "1e999"), 422, "row 5: '1e999'"),
    "too large a number": (cell("y", 4, 10**40), 422, "row 5"),
    "a stamp": (cell("ds", 4, "soon"), 422, "row 5: 'soon'"),
    "no such day": (cell("ds", 4, "2024-02-30 04:00:00"), 422, "row 5"),
    "no id": (cell("store", 4, None), 422, "row 5"),
    "no value": (
        lambda c: {"history": c["history"] | {"y": [None] * len(c["history"]["y"])}},
        422,
        "has no value in any row",
    ),
    "short": (
        lambda c: {"history": {name: values[-9:] for name, values in c["history"].items()}},
        422,
        "the model needs a history of 24 steps of h; too short are 1 series:\n  north: 9 steps",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_request_gets_a_sentence(server: Server, example: pd.DataFrame, case: str) -> None:
    change, status, sentence = BAD[case]
    code, said = server.forecast(change(by_column(example)))
    assert (code, sentence in said["error"]) == (status, True), said


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "empty"),
        (b"store,ds,y\n", "no rows"),
        (b"store,ds,y\nnorth,2024-01-01 00:00:00,many\n", "row 2: 'many'"),
        (b"store;ds;y\nnorth;2024-01-01;1\n", "it looks separated by ';'"),
        (b"store,ds,y\nnorth,2024-01-01,1,2\n", "row 2: 4 fields"),
        (b"\xff\xfe", "not UTF-8"),
        (b"../../etc/passwd\n1\n", "there is no column"),
    ],
)
def test_a_bad_csv_gets_a_sentence(server: Server, body: bytes, sentence: str) -> None:
    code, said = server.forecast(body, CSV)
    assert (code, sentence in said["error"]) == (422, True), said


def test_types_paths_and_names_that_it_does_not_know(server: Server) -> None:
    assert server.forecast({}, "application/x-pickle")[0] == 415
    assert server.forecast({}, Accept="image/png")[0] == 406
    for method, path, status in (
        ("GET", "/forecast", 405),
        ("GET", "/../../params.yaml", 404),
        ("GET", "/%2e%2e/params.yaml", 404),
    ):
        assert server.ask(method, path)[0] == status
    code, said = server.ask("GET", "/model", Host="elsewhere.example")
    assert (code, b"not 'elsewhere.example'" in said) == (421, True)


def test_fifty_megabytes_are_too_much(server: Server) -> None:
    code, said = server.forecast(b"[" + b"1," * (25 * 2**20) + b"1]")
    assert (code, "larger than 33,554,432 bytes" in said["error"]) == (413, True)


def test_too_many_rows(server: Server) -> None:
    code, said = server.forecast({"history": {"y": [0] * 1_000_001}})
    assert (code, "1,000,001 rows" in said["error"]) == (413, True)
    assert server.forecast(b"y\n" + b"0\n" * 1_000_001, CSV)[0] == 413


def test_nothing_that_a_schema_allows_makes_it_fail(server: Server) -> None:
    done = try_schema(server, examples=20)
    assert done.returncode == 0, done.stdout


# --- who may ask, and for how long ---


def test_a_key_is_asked_for(finished: Path, example: pd.DataFrame) -> None:
    with serving_process(finished, "--timeout", "4", RETAIN_API_KEY="a secret") as server:
        body = by_column(example)
        wrong: dict[str, str]
        for wrong in ({}, {"X_API_Key": "a guess"}, {"Authorization": "Bearer "}):
            assert server.forecast(body, **wrong)[0] == 401
            assert server.ask("GET", "/model", **wrong)[0] == 401
        assert server.forecast(body, X_API_Key="a secret")[0] == 200
        assert server.forecast(body, Authorization="Bearer a secret")[0] == 200
        assert server.ask("GET", "/health")[0] == 200
        assert server.ask("GET", "/health", Host="models.example")[0] == 200
        check_slow_clients(server, body)
        assert "a secret" not in server.log.read_text()


def check_slow_clients(server: Server, body: dict[str, Any]) -> None:
    def dawdle(sent: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            connection.sendall(sent)
            return connection.recv(4096)

    head = b"POST /forecast HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\n"
    half_a_body = head + b"X-API-Key: a secret\r\nContent-Length: 9\r\n\r\na"
    with ThreadPoolExecutor(30) as pool:
        closed = [pool.submit(dawdle, sent) for sent in (b"", head) for _ in range(10)]
        told = [pool.submit(dawdle, half_a_body) for _ in range(10)]
        assert server.forecast(body, X_API_Key="a secret")[0] == 200
        assert {each.result() for each in closed} == {b""}
        assert all(b" 408 " in each.result() for each in told)


def test_a_head_without_an_end_is_cut_off(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-A: ")
        sent = 0
        with suppress(ConnectionError):  # it is closed while we send
            while sent < 200 << 20:
                sent += connection.send(b"a" * 65_536)
        with suppress(ConnectionError):
            answer = connection.recv(4096)
            assert answer == b"" or answer.startswith(b"HTTP/1.1 431 ")
    assert sent < 20 << 20  # what the system buffers, no more
    assert server.ask("GET", "/health")[0] == 200


def test_a_head_of_ordinary_length_is_answered_and_a_longer_one_refused(server: Server) -> None:
    assert server.ask("GET", "/health", X_A="a" * 30_000)[0] == 200
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        line = b"X-A: " + b"a" * 40_000
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + line + b"\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    ("name", "host", "sentence"),
    [
        ("small", "203.0.113.1", "set a key in the environment as RETAIN_API_KEY"),
        ("other", "127.0.0.1", "no version of `other` is @champion"),
    ],
)
def test_it_does_not_start(finished: Path, name: str, host: str, sentence: str) -> None:
    with pytest.raises(RetainError, match=sentence):
        process.serve(finished, name, host, 0, Limits())


@pytest.mark.parametrize("key", [" ", "a\nb", " a", "\udcff", "a\x7f"])
def test_a_key_that_no_client_could_send_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv(process.KEY, key)
    with pytest.raises(RetainError, match="RETAIN_API_KEY begins or ends with a space, has a"):
        process.serve(tmp_path, "small", "127.0.0.1", 0, Limits())


@pytest.mark.parametrize("key", ["a", "a key: ü", "\u2603"])
def test_a_key_that_clients_send_as_utf_8_is_none_to_refuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv(process.KEY, key)
    with pytest.raises(RetainError, match=r"--host 203\.0\.113\.1 --port 0 cannot be used"):
        process.serve(tmp_path, "small", "203.0.113.1", 0, Limits())

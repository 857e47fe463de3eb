"""Commands of `retain` with odd options, variables, logs, manifests, signatures, parts and lines.

Each is forked from a process that has imported everything, in a copy of the project where the
command, or what was changed for it, could change the project.
"""

import base64
import itertools
import json
import os
import random
import select
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from retain.project import files
from retain.registry import manifest, signing
from retain.tracking import store
from tests.forkserver import Forked

from ...unit.registry.test_signing import make_key, openssl
from .. import conftest, lines
from ..monitored import came
from .attempts import SECONDS, Outcome, judge, read

Change = Callable[[Path], object]
SERVING = 5.0  # seconds after which a server counts as started
LONG = "x" * 100_000  # nearly the longest word that Linux gives a command
BIG = 10**7  # bytes
FOLDER = "{folder}"  # stands for the project's folder in a variable
MORE_PROBLEMS = """\
  talk:
    kind: chat
    preset: fast
    data: {source: introductions, turns: [4, 8], test_turns: 8, validation: 4, test: 4}
    model: {hidden_size: 16, embedding_size: 8}
    training: {cells: [lstm], batch_size: 4, epoch_steps: 3, max_epochs: 1}
    gate: []

  words:
    kind: translate
    preset: fast
    data: {path: data/raw/made.tsv, pieces: 60, validation: 9, test: 9}
    model: {hidden_size: 16, embedding_size: 8}
    training: {cells: [lstm], max_epochs: 1}
    gate: []
"""
NAMES = ("", "nobody", "../small", "small'--", "a" * 500, "%s", "small\n", "\u202esmall")
WHOLE = ("0", "-1", "99", "9" * 30, "x", "1.0")  # numbers of a version
ADDRESSES = (
    "models:/", "models:/small@", "models:/small/0", f"models:/small/{'9' * 30}", "small@champion",
    "models:/small@champion/x", "models:/../x@champion", "models:/\n@champion", "runs:/x",
    f"x/{LONG}", "models:/small@x y", "models:/%00@champion", "models:/'; drop table x;--@champion",
    "",
)  # fmt: skip
SERIES = ("", "0", "-1", "nan", "inf", "1e400", "1e300", "1.5", "1e7x", "\u0661\u0662.5", LONG)
NODES = ("", ",", "1,,2", "0", "x", "1e400", "-1", LONG, ",".join(["1"] * 1000))
ENGINES = (
    "", "local:0", "local:-1", "local:999999", "local:4097", "local:1;touch x", "LOCAL", "ray:3",
    "command:0", "command:x", "slurm", "local:\u0663", "local:2\n", "x" * 1000,
)  # fmt: skip
TEMPLATES = (
    "x", "{command", "{}", "'{command}", "false {command}", "true {command}", ".",
    "/nowhere {command}", "{command} {command}",
)  # fmt: skip
SETTINGS = ("[", "[]", "engine: 1", "x: y", "engine: {a: b}", "engine: local:x", "a: &a [*a]")
LIMITS = (
    "", "0", "0d", "-1MB", "nanMB", "1e400MB", "99999999999999d", "10", "MB", "1 MB", "0.0001d",
    f"{'9' * 400}GB",
)  # fmt: skip
PLACES = ("params.yaml", "params.yaml/x", "/dev/null", "/proc/x", "log\n", "a" * 300, ".", "/sys")
HOSTS = ("", "x y", "256.0.0.1", "example.invalid", "::zz", "a" * 5000, "\u2603")
API_KEYS = ("", " ", "\n", "a\nb", "a" * 10_000, "\u2603", "a b", "\x7f")
STORES = (  # without a database that does not answer: MLflow tries it again for 100 seconds
    "x", "x://y", "http://127.0.0.1:1", "sqlite:///", "sqlite:////dev/null", "http://[", " ",
    "sqlite:///params.yaml", "file:///nowhere", "databricks",
)  # fmt: skip
TABLES = ("nowhere.csv", ".", "/dev/null", "", "http://127.0.0.1:1/x.csv", "log", "a" * 5000)
LOGGED = ("version", "md5", "made", "unique_id", "step", "ds", "mean", "0.5")  # columns of a log
TIMES = (pd.Timestamp("1700-01-01"), pd.Timestamp("2261-01-01"), pd.NaT)
ODD = (None, "x", -1, 0, 2**31, 2**62, float("inf"), True, b"\xff", [1], *TIMES)
FOLDERS = ("../../../etc", "/etc", "", ".", "..", "artifacts", "nowhere", "a\0b", "a" * 5000, 1)
KEYS = ("format", "name", "folders", "files", "prepared", "params", "code", "retain", "dvc.lock")
BYTES = {
    "nothing": b"", "text": b"x", "zeros": b"\0" * 1000, "a list": b"[]", "null": b"null",
    "deep": b"[" * 100_000, "a long number": b'{"format": ' + b"9" * 10_000 + b"}",
    "ten MB": b'{"a": "' + b"x" * BIG + b'"}', "other letters": b"\xff\xfe{}",
}  # fmt: skip
SHARES = ("", "0/1", "2/1", "1/0", "1", "x/y", "1/1 ", "1/99999999", "1.0/2", "\u0661/2", LONG)
CONTROL = "".join(map(chr, range(1, 32)))
TEXTS = (
    "", " ", "\n", "...", "\u3000", CONTROL, "\x1b[31mred", "\u202eabc", LONG, "\U0001f600" * 50,
    "a\u0301" * 50, "{{x}}", "%s%n", "-", "\ufeffhello", "$(touch x)", "<bot>", "<end>", "\ud7ff",
    "I " * 30_000,
)  # fmt: skip
CONVERSATIONS = {
    "nothing": b"", "zeros": b"\0" * 1000, "not UTF-8": b"\xff\xfe\n" * 10, "an end": b"/end\n",
    "ten MB without an end": b"x" * BIG, "ten MB of words": b"hello " * (BIG // 6),
    "lines without a word": b"\n \n...\n\t\n", "a million empty lines": b"\n" * 10**6,
    "control characters": CONTROL.encode() + b"\n", "unknown commands": b"/x\n/\n//\n/END\n",
    "gates first": b"/gates\n/end\n", "a thousand times forget": b"/forget\n" * 1000,
    "a mark": b"\xef\xbb\xbfhello\n", "no line end": b"hello", "returns": b"hello\rhello\r",
    "other spaces": "\u2028hello\u2029\u0085hello\n".encode(), "unknown lines": b"zzz\n" * 1000,
    "many unknown words": b" ".join(b"w%d" % n for n in range(100_000)) + b"\n",
}  # fmt: skip


@dataclass(frozen=True)
class Attempt:
    """A command, and what is changed before it.

    Attributes:
        project: `small`, a forecaster with a log in `log` and what came in came.csv, or `lines`.
        change: of a copy of the project, in which the command then runs.
        given: its standard input.
    """

    name: str
    words: tuple[str, ...]
    project: str = "small"
    change: Change | None = None
    given: bytes = b""
    extra: dict[str, str] = field(default_factory=dict)


def every_attempt(keys: Path) -> Iterator[Attempt]:
    """Yield all attempts; `keys` is a folder of `make_keys`."""
    yield from _options()
    yield from _engines()
    yield from _servers(keys)
    yield from _logs()
    yield from _manifests()
    yield from _signatures(keys)
    yield from _shares()
    yield from _texts()


def _options() -> Iterator[Attempt]:
    for series in SERIES:
        yield Attempt(f"plan for {series[:9]!r}", ("plan", "small", "--series", series))
    for nodes in NODES:
        words = ("plan", "small", "--series", "10", "--nodes", nodes)
        yield Attempt(f"plan on {nodes[:9]!r}", words)
    for address, form in itertools.product(ADDRESSES, ("text", "intoto")):
        yield Attempt(f"trace {address[:30]!r} as {form}", ("trace", address, "--format", form))
    yield Attempt("trace --format x", ("trace", "small", "--format", "x"))
    needed = {
        "sign": ("--key", "k"),
        "monitor": ("--log", "log"),
        "export": ("-o", "out"),
        "promote": ("--version", "1", "--reason", "x", "--by", "Ada"),
        "rollback": ("--by", "Ada"),
    }
    for command in ("verify", "sbom", "models", *needed):
        for name in NAMES:
            yield Attempt(f"{command} {name[:9]!r}", (command, name, *needed.get(command, ())))
    for command, number in itertools.product(("verify", "sbom", "sign"), WHOLE):
        words = (command, "small", "--version", number, *needed.get(command, ()))
        yield Attempt(f"{command} --version {number[:9]}", words)
    for address in STORES:
        extra = {"MLFLOW_TRACKING_URI": address, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
        words = ("verify", "small")
        yield Attempt(f"verify in {address!r}", words, change=_nothing, extra=extra)


def _engines() -> Iterator[Attempt]:
    words = ("forecast", "small", "--output", "out")
    for engine in ENGINES:
        yield Attempt(f"run --engine {engine[:20]!r}", ("run", "small", "--engine", engine))
        extra = {"RETAIN_ENGINE": engine}
        yield Attempt(f"RETAIN_ENGINE={engine[:20]!r}", words, change=_nothing, extra=extra)
    for template in TEMPLATES:
        extra = {"RETAIN_ENGINE": "command:2", "RETAIN_COMMAND": template}
        yield Attempt(f"RETAIN_COMMAND={template!r}", words, change=_nothing, extra=extra)
    for text in SETTINGS:
        change = _write("config/retain/settings.yaml", text)
        extra = {"XDG_CONFIG_HOME": f"{FOLDER}/config"}
        yield Attempt(f"settings {text!r}", words, change=change, extra=extra)


def _servers(keys: Path) -> Iterator[Attempt]:
    serve = ("serve", "small", "--port", "0")
    for host in HOSTS:
        yield Attempt(f"serve on {host[:20]!r}", (*serve, "--host", host))
    for option in ("--max-body", "--max-rows", "--timeout", "--follow"):
        for value in ("0", "-1", "nan", "1e400", "9" * 30):
            yield Attempt(f"serve {option} {value[:9]}", (*serve, option, value))
    for key in API_KEYS:
        yield Attempt(f"RETAIN_API_KEY={key[:9]!r}", serve, extra={"RETAIN_API_KEY": key})
    for words, place in itertools.product((serve, ("forecast", "small")), _key_files(keys)):
        name = f"{words[0]}, a required signature of {place[-20:]!r}"
        yield Attempt(name, words, extra={signing.REQUIRED: place})
    for words in (serve, ("forecast", "small")):
        for limit in LIMITS:
            name = f"{words[0]} --log-limit {limit[:20]!r}"
            given = (*words, "--log", "log", "--log-limit", limit)
            yield Attempt(name, given, change=_nothing)
        for place in PLACES:
            name = f"{words[0]} --log {place[:20]!r}"
            yield Attempt(name, (*words, "--log", place), change=_nothing)


def _logs() -> Iterator[Attempt]:
    """Yield `retain monitor` of logs that are damaged, and with odd places."""
    words = ("monitor", "small", "--no-drift", "--log")
    for place in PLACES:
        yield Attempt(f"monitor --log {place[:20]!r}", (*words, place))
    for table in TABLES:
        given = (*words, "log", "--actuals", table)
        yield Attempt(f"monitor --actuals {table[:20]!r}", given)
    words = (*words, "log", "--actuals", "came.csv")
    for option, suffix in (("--metrics", ".prom"), ("--page", ".html")):
        for value in ("x", f"nowhere/x{suffix}", f"/dev/null/x{suffix}", suffix, "", "data"):
            yield Attempt(f"monitor {option} {value!r}", (*words, option, value), change=_nothing)
    for name, change in _damages():
        yield Attempt(f"a log with {name}", words, change=change)


def _damages() -> Iterator[tuple[str, Change]]:
    def in_rows(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Change:
        def act(folder: Path) -> None:
            path = _logged(folder)
            frame = change(pd.read_parquet(path))
            path.unlink()
            frame.to_parquet(path, index=False)

        return act

    def in_bytes(change: Callable[[bytes], bytes]) -> Change:
        return lambda folder: _logged(folder).write_bytes(change(_logged(folder).read_bytes()))

    for column, value in itertools.product(LOGGED, ODD):
        yield (
            f"{column} {value!r}",
            in_rows(lambda f, c=column, v=value: f.assign(**{c: [v] * len(f)})),
        )
    for column in LOGGED:
        yield f"no {column}", in_rows(lambda frame, c=column: frame.drop(columns=c))
    yield "no rows", in_rows(lambda frame: frame.iloc[:0])
    yield "all rows ten times", in_rows(lambda frame: pd.concat([frame] * 10))
    between = pd.Timestamp("2024-01-21 00:17:03.5")
    yield "times between steps", in_rows(lambda frame: frame.assign(ds=between))
    yield "a quantile of text", in_rows(lambda frame: frame.assign(**{"0.77": "x"}))
    yield "a file cut in half", in_bytes(lambda content: content[: len(content) // 2])
    yield "a file without its end", in_bytes(lambda content: content[:-3])
    yield "a byte changed", in_bytes(lambda content: content[:300] + b"\xff" + content[301:])
    for name, content in BYTES.items():
        yield f"a file of {name}", in_bytes(lambda _, content=content: content)
    beside: dict[str, Callable[[Path], object]] = {
        "a folder": Path.mkdir,
        "a link to itself": lambda path: path.symlink_to(path.name),
        "a pipe": os.mkfifo,
        "a device": lambda path: path.symlink_to("/dev/zero"),
    }
    for name, make in beside.items():
        yield f"{name} as file", lambda f, make=make: make(_logged(f).parent / "x.parquet")
    for day in ("day=x", "day=2024-13-45", "day=9999-99-99", "x"):
        yield (
            f"a folder {day}",
            lambda f, day=day: shutil.copytree(_logged(f).parent, f / "log/small" / day),
        )
    yield "a day that is a file", _write("log/small/day=2030-01-01", "x")


def _logged(folder: Path) -> Path:
    return next((folder / "log/small").glob("day=*/*.parquet"))


def _manifests() -> Iterator[Attempt]:
    """Yield commands with a manifest that someone wrote, its tag with it."""
    trace = ("trace", "models:/small@champion", "--format", "intoto")
    for name, change in _contents():
        for words in (("forecast", "small"), ("verify", "small"), trace):
            yield Attempt(f"{words[0]}, a manifest with {name}", words, change=_manifest(change))
    for name, content in BYTES.items():
        put = _put_manifest(content)
        for words in (("forecast", "small"), ("verify", "small")):
            yield Attempt(f"{words[0]}, a manifest of {name}", words, change=put)
        bill = _beside(manifest.SBOM, content)
        yield Attempt(f"sbom, a bill of {name}", ("sbom", "small"), change=bill)
        written = _write("models/small/ledger.csv", content)
        yield Attempt(f"verify, a ledger of {name}", ("verify", "small"), change=written)


def _contents() -> Iterator[tuple[str, Callable[[dict[str, Any]], object]]]:
    for path in FOLDERS:
        yield f"model in {str(path)[:20]!r}", lambda c, path=path: c["folders"].update(model=path)
    for path in ("../../../etc/passwd", "/etc/passwd", "", "a\0b", "\u202e"):
        yield f"file {path!r}", lambda c, path=path: c["files"].update({path: "0" * 64})
    for key in KEYS:
        for value in (None, [], {}, 1, "x", {"a": None}, 99):
            yield f"{key} {value!r}", lambda c, key=key, value=value: c.update({key: value})
        yield f"no {key}", lambda c, key=key: c.pop(key)


def _manifest(change: Callable[[dict[str, Any]], object]) -> Change:
    def act(folder: Path) -> None:
        content = json.loads((_stored(folder) / manifest.NAME).read_bytes())
        change(content)
        _put_manifest(manifest.encode(content))(folder)

    return act


def _put_manifest(content: bytes) -> Change:
    def act(folder: Path) -> None:
        (_stored(folder) / manifest.NAME).write_bytes(content)
        client, digest = store.connect(folder), manifest.sha256(content)
        client.set_model_version_tag("small", "1", manifest.TAG, digest)

    return act


def _beside(name: str, content: bytes) -> Change:
    """Write a file of the version, and its sha256 into the manifest."""

    def act(folder: Path) -> None:
        (_stored(folder) / name).write_bytes(content)
        _manifest(lambda c: c["files"].update({name: manifest.sha256(content)}))(folder)

    return act


def _stored(folder: Path) -> Path:
    import mlflow

    source = store.connect(folder).get_model_version("small", "1").source
    return Path(mlflow.artifacts.download_artifacts(source))


def make_keys(folder: Path) -> None:
    """Make a pair of keys, and files that are none."""
    make_key(folder, "k")
    openssl("genrsa", "-out", str(folder / "rsa.pem"), "2048")
    openssl("rsa", "-in", str(folder / "rsa.pem"), "-pubout", "-out", str(folder / "rsa.pub"))
    (folder / "garbage").write_bytes(random.Random(1).randbytes(1000))  # noqa: S311 - no secrets
    (folder / "big").write_bytes(b"a" * BIG)
    (folder / "three.pub").write_bytes((folder / "k.pub").read_bytes() * 3)
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "pipe")


def _key_files(keys: Path) -> Iterator[str]:
    yield from ("", " ", "nowhere", ".", "/dev/null", "/dev/zero", "params.yaml", "a" * 5000)
    own = ("k.pem", "rsa.pub", "garbage", "big", "three.pub", "loop", "pipe")
    yield from (str(keys / name) for name in own)


def _signatures(keys: Path) -> Iterator[Attempt]:
    for place in (*_key_files(keys), str(keys / "k.pub")):
        words = ("sign", "small", "--key", place)
        yield Attempt(f"sign with {place[-20:]!r}", words, change=_nothing)
        yield Attempt(f"verify with {place[-20:]!r}", ("verify", "small", "--key", place))
    for password in ("x", "", "\u2603", "a" * 10_000, "\n"):
        words, extra = ("sign", "small", "--key", str(keys / "k.pem")), {signing.PASSWORD: password}
        name = f"sign with the password {password[:9]!r}"
        yield Attempt(name, words, change=_nothing, extra=extra)
    verify = ("verify", "small", "--key", str(keys / "k.pub"))
    for name, content in (BYTES | _bundles()).items():
        put: Change = lambda f, c=content: (_stored(f) / manifest.SIGNATURE).write_bytes(c)  # noqa: E731
        for words in (verify, ("trace", "models:/small@champion")):
            yield Attempt(f"{words[0]}, a signature of {name}", words, change=put)


def _bundles() -> dict[str, bytes]:
    key: Any = {"verificationMaterial": {"publicKey": {"hint": [1]}}}
    deep = {"payload": base64.b64encode(b"[" * 100_000).decode(), "payloadType": "x"}
    envelopes = {
        "a key alone": {},
        "no payload": {"payload": "", "signatures": []},
        "a deep payload": deep | {"signatures": [{"sig": ""}]},
    }
    return {name: json.dumps(key | {"dsseEnvelope": e}).encode() for name, e in envelopes.items()}


def _shares() -> Iterator[Attempt]:
    for stage, name in (
        ("x", "small"),
        ("prepare", "../x"),
        ("prepare", ""),
        ("prepare", "a" * 999),
    ):
        words = ("stage", stage, name, "--part", "1/1")
        yield Attempt(f"stage {stage} {name[:9]!r}", words)
    for share in SHARES:
        words = ("stage", "prepare", "small", "--part", share)
        yield Attempt(f"stage --part {share[:9]!r}", words)
    right = {"function": "retain.project.files:to_json", "environment": {}, "parts": []}
    part = {"output": "out/x", "arguments": {}}
    of_function = {
        name: right | {"function": name, "parts": [part]}
        for name in ("os:system", "retain.nowhere:x", "retain.errors", "retain.errors:RetainError")
    }
    odd_parts = (part, 1, *(part | {"output": o} for o in ("/proc/x/y", 1, "a\0b", "a" * 5000)))
    of_part = {f"a part {str(p)[:50]}": right | {"parts": [p]} for p in odd_parts}
    variables = ({"A": 1}, {"A=B": "1"}, {"OMP_A": "\0"}, {"": "x"}, {"OMP_A=": "1"})
    of_variable = {f"variables {v}": right | {"environment": v} for v in variables}
    for name, content in (of_function | of_part | of_variable).items():
        change = _write("scratch/parts/prepare-small.json", json.dumps(content))
        words = ("stage", "prepare", "small", "--part", "1/1")
        yield Attempt(f"stage, {name}", words, change=change)


def _texts() -> Iterator[Attempt]:
    """Yield texts, and lines of a conversation."""
    commands = (
        "ask key",
        "ask sum",
        "complete rhyme",
        "translate words",
        "gates rhyme",
        "gates talk",
    )
    for command, text in itertools.product(commands, TEXTS):
        yield Attempt(f"{command} {text[:15]!r}", (*command.split(), "--", text), "lines")
    for option, value in (
        ("--length", "0"), ("--length", "9" * 30), ("--length", "100000000"), ("--seed", "9" * 30),
        *(("--temperature", value) for value in ("0", "nan", "inf", "1e300", "0.01")),
    ):  # fmt: skip
        words = ("complete", "rhyme", "the cat", option, value)
        yield Attempt(f"complete {option} {value[:9]}", words, "lines")
    for more in ("--beam 0", "--beam 101", "--alternatives 6", "--beam 100 --alternatives 100"):
        yield Attempt(f"translate {more}", ("translate", "words", "satz", *more.split()), "lines")
    for name, given in CONVERSATIONS.items():
        yield Attempt(f"chat, {name}", ("chat", "talk"), "lines", given=given)


def _nothing(folder: Path) -> None:
    """Have a copy of the project made, and change nothing."""


def _write(path: str, content: str | bytes) -> Change:
    def act(folder: Path) -> None:
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        files.write_bytes(place, content if isinstance(content, bytes) else content.encode())

    return act


def make_projects(folder: Path, template: Path) -> dict[str, Path]:
    """Make a project of a forecaster with a log, and one of lines of text."""
    small, text = folder / "small", folder / "lines"
    shutil.copytree(template, small, symlinks=True)
    came().to_csv(small / "came.csv", index=False)
    conftest.run(small, "retain", "forecast", "small", "--log", "log")
    pairs = [f"satz {number} von hundert\tsentence {number} of a hundred" for number in range(100)]
    lines.write_project(text, MORE_PROBLEMS, {"made.tsv": "\n".join(pairs) + "\n"})
    return {"small": small, "lines": text}


def run(count: int, folder: Path, template: Path, seed: int = 1) -> Iterator[tuple[str, Outcome]]:
    """Yield what comes of so many commands, drawn of all."""
    keys = folder / "keys"
    keys.mkdir()
    make_keys(keys)
    projects = make_projects(folder, template)
    every = [*every_attempt(keys)]
    draw = random.Random(seed)  # noqa: S311 - no secrets
    for attempt in draw.sample(every, min(count, len(every))):
        yield f"command: {attempt.name}", try_it(attempt, projects[attempt.project])


def try_it(attempt: Attempt, project: Path) -> Outcome:
    """Return what comes of a command; a server that started is as it should be."""
    with tempfile.TemporaryDirectory() as place:
        folder, log, given = project, Path(place) / "log", Path(place) / "given"
        if attempt.change is not None:
            folder = Path(place) / "project"
            ignored = shutil.ignore_patterns(".git", "src", "cache")
            shutil.copytree(project, folder, symlinks=True, ignore=ignored)
            attempt.change(folder)
        given.write_bytes(attempt.given)
        serves, words = attempt.words[0] == "serve", ["retain", *attempt.words]
        bound = ("tests.system.breakin.attempts:bound", [])
        extra = {key: value.replace(FOLDER, str(folder)) for key, value in attempt.extra.items()}
        environ = conftest.environment() | extra
        with log.open("wb") as output, given.open("rb") as source:
            command = Forked(words, folder, environ, output, bound, source)
        seconds = SERVING if serves else SECONDS
        if not select.select([command._server], [], [], seconds)[0]:
            command.kill(signal.SIGKILL)
            command.wait()
            return Outcome("done" if serves else "hang", read(log))
        return _judged(command.wait(), read(log))


def _judged(code: int, printed: str) -> Outcome:
    """Judge as of all attempts; what typer and `retain chat` say of wrong input is a sentence."""
    if code == 2 and "error: " not in printed and ("Usage:" in printed or printed[:1] == "("):
        printed = f"error: {printed}"
    return judge(code, printed)

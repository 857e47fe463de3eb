"""The container image, without Docker: its instructions are read, and run in a plain folder."""

import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from retain.project import managed

from .conftest import REPOSITORY, environment, free_port

FILE = REPOSITORY / "deploy" / "Dockerfile"
IGNORED = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
KEY = "a-key-of-this-test"

Instruction = tuple[str, str, str]  # stage, word, what follows


def instructions(text: str) -> Iterator[Instruction]:
    """Yield the instructions of a Dockerfile; the stage is empty before the first."""
    stage = ""
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in re.sub(r"\\\n\s*", " ", lines).splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            stage = rest.rpartition(" AS ")[2] if word == "FROM" else stage
            yield stage, word, rest


FOUND = [*instructions(FILE.read_text(encoding="utf-8"))]


def of(stage: str, word: str) -> list[str]:
    return [rest for where, what, rest in FOUND if (where, what) == (stage, word)]


def words(stage: str, instruction: str) -> list[str]:
    """The words of an ENTRYPOINT, of a CMD or of a health check."""
    (text,) = of(stage, instruction)
    found: list[str] = json.loads(text[text.index("[") :])
    return found


def is_sent(path: str) -> bool:
    """Whether a file of the checkout goes into the build: the last line that fits decides."""
    sent = True
    for line in IGNORED:
        if line and not line.startswith("#"):
            pattern = line.removeprefix("!").removeprefix("**/")
            parts = [path, *map(str, Path(path).parents)]
            inside = [part for whole in parts for part in (whole, Path(whole).name)]
            names = inside if line.startswith("**/") else parts
            if any(fnmatch.fnmatchcase(name, pattern) for name in names):
                sent = line.startswith("!")
    return sent


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="no hadolint: make setup")
def test_hadolint_has_no_complaint() -> None:
    done = subprocess.run(["hadolint", str(FILE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("stage", ["serve", "ci"])
def test_it_runs_as_nobody_and_holds_no_secret(stage: str) -> None:
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", of(stage, "USER")[-1])
    after = [word for where, word, _ in FOUND if where == stage]
    assert after.index("USER") > max(
        (place for place, word in enumerate(after) if word in ("RUN", "COPY")), default=-1
    )
    for _, word, rest in FOUND:
        assert word not in ("ENV", "ARG") or not re.search(r"KEY|PASS|TOKEN|SECRET", rest)
    assert {rest.split()[0] for _, word, rest in FOUND if word == "FROM"} == {"${BASE}", "base"}


def test_what_is_installed_has_a_hash_or_comes_from_the_checkout() -> None:
    runs = [line for _, word, rest in FOUND if word == "RUN" for line in rest.split("&&")]
    installs = [line for line in runs if "pip install" in line or "pip wheel" in line]
    assert len(installs) == 4
    for line in installs:
        assert "--no-deps" in line
        assert "--require-hashes" in line or "--no-index" in line
    locks = {name for line in installs for name in re.findall(r"-r (\S+)", line)}
    for name in locks:
        text = (REPOSITORY / name).read_text(encoding="utf-8")
        pins = re.findall(r"^([a-z][\w.-]*)==.*?(\\?)$", text, re.MULTILINE)
        assert pins
        assert all(more for _, more in pins), name


def test_neither_secrets_nor_data_are_sent_into_the_build() -> None:
    secrets = (".env", "deploy/.env", ".dvc/config.local", ".git/config", "mlruns/mlflow.db")
    data = ("data/raw/own.csv", "data/prepared/p/values.npy", "models/p/final/weights.safetensors")
    for path in (*secrets, *data, "src/retain/__pycache__/x.pyc", "scratch/x", ".venv/bin/python"):
        assert not is_sent(path), path
    # What setup.py packs into the wheel, and what else it is built of.
    packed = (*managed.marked(REPOSITORY), *managed.INITIAL, *managed.SAMPLE)
    for path in (*packed, "src/retain/cli/__init__.py", "pyproject.toml", "setup.py", "LICENSE"):
        assert is_sent(path), path


def check_health(port: int, python: str) -> None:
    """Run the health check of the image until it succeeds."""
    probe = [word.replace("8000", str(port)) for word in words("serve", "HEALTHCHECK")]
    probe[0] = python
    for _ in range(120):
        if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.5)
    pytest.fail("it does not become healthy")


def serve(project: Path, retain: Path | str, env: dict[str, str]) -> None:
    """Serve a project by the image's own words, ask it, and stop it."""
    port = free_port()
    command = [word.replace("8000", str(port)) for word in words("serve", "ENTRYPOINT")]
    process = subprocess.Popen(
        [str(retain), *command[1:], "small"],
        cwd=project,
        env=env | {"RETAIN_API_KEY": KEY},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("small version 1")
        check_health(port, sys.executable)
        request = urllib.request.Request(f"http://127.0.0.1:{port}/model")
        request.add_header("X-API-Key", KEY)
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert json.load(answer)["name"] == "small"
    finally:
        process.terminate()
        assert process.wait(timeout=40) == 0


def test_the_words_of_the_image_serve_a_project(finished: Path) -> None:
    serve(finished, "retain", environment())


@pytest.mark.long
def test_the_steps_of_the_image_make_what_serves(finished: Path, tmp_path: Path) -> None:
    build, opt = tmp_path / "build", tmp_path / "opt" / "retain"
    build.mkdir()
    opt.parent.mkdir()
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    env = kept | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    # The package index is that of this machine, and not the one that ARG has by default.
    for _, word, rest in (one for one in FOUND if one[0] == "build"):
        if word == "COPY":
            copy(rest.split()[:-1], build)
        elif word == "RUN":
            line = rest.replace("/opt/retain", str(opt)).replace("/build", str(build))
            done = subprocess.run(
                ["sh", "-ec", line], cwd=build, env=env, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    assert next((build / "dist").iterdir()).name.startswith("retain-")
    ask = [opt / "bin" / "python", "-c", "import retain; print(retain.__file__)"]
    said = subprocess.run(
        ask, cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    ).stdout
    assert said.startswith(str(opt))
    serve(finished, opt / "bin" / "retain", environment(forked=False) | {"PYTHONPATH": ""})


def copy(names: list[str], build: Path) -> None:
    """Copy files of the checkout as Docker would, which sends no others."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for path in listed:
        if is_sent(path) and (names == ["."] or path in names):
            (build / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / path, build / path)

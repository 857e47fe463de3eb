"""The examples of docs/scheduling.md: read by the parser of their language, and true."""

import ast
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from retain.retraining import steps

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "scheduling.md").read_text(encoding="utf-8")
COMMAND = "pipelines/retrain.py --publish"
LIMITS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))  # of the fields of a time in cron


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def check_times(fields: list[str]) -> None:
    assert len(fields) == 5
    for field, (low, high) in zip(fields, LIMITS, strict=True):
        assert field == "*" or low <= int(field) <= high, field


def test_the_lines_of_cron_have_times_and_right_shell() -> None:
    (block,) = blocks("cron")
    lines = [line for line in block.splitlines() if re.match(r"[\d*]", line)]
    assert len(lines) == 2
    for line in lines:
        *times, command = line.split(maxsplit=5)
        check_times(times)
        assert "%" not in command  # a new line for cron
        done = subprocess.run(["sh", "-n", "-c", command], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
    assert COMMAND in lines[0]


@pytest.mark.parametrize("place", [0, 1], ids=["airflow", "prefect"])
def test_the_python_is_python_and_handles_the_exit_codes(place: int) -> None:
    source = blocks("python")[place]
    texts = [
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert any(re.fullmatch(r"\d+ \d+ \* \* \*", text) for text in texts)
    assert any("pipelines/retrain.py" in text for text in texts)
    if place == 1:
        assert f"(0, {steps.STOPPED})" in source
        return
    (command,) = [text for text in texts if COMMAND in text]
    pull = "git pull -q --autostash"
    for code, wanted in ((0, 0), (1, 1), (2, 2), (steps.STOPPED, 99)):
        line = command.replace(f"python {COMMAND}", f"sh -c 'exit {code}'").replace(pull, "true")
        assert subprocess.run(["bash", "-c", line], check=False).returncode == wanted


def test_the_job_of_kubernetes_fails_for_good_where_another_try_is_no_use() -> None:
    (block,) = blocks("yaml")
    job: Any = YAML(typ="safe").load(block)
    check_times(job["spec"]["schedule"].split())
    spec = job["spec"]["jobTemplate"]["spec"]
    (rule,) = spec["podFailurePolicy"]["rules"]
    assert rule["onExitCodes"]["values"] == [steps.STOPPED]
    pod = spec["template"]["spec"]
    assert pod["restartPolicy"] == "Never"  # podFailurePolicy asks for it
    (container,) = pod["containers"]
    shell, option, line = container["command"]
    assert (shell, option) == ("sh", "-c")
    assert line.endswith(f"exec python {COMMAND}")
    volumes = {volume["name"] for volume in pod["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes


def test_each_example_fetches_new_commits_first() -> None:
    for block in (*blocks("cron"), *blocks("python"), *blocks("yaml")):
        words = re.sub(r"[^\w./-]+", " ", block)
        assert 0 < words.find("git pull -q --autostash") < words.find("pipelines/retrain.py")


def test_the_exit_codes_are_those_of_the_script() -> None:
    codes = {int(code) for row in re.findall(r"^\| ([\d, ]+) \|", TEXT, re.MULTILINE)
             for code in row.split(",")}  # fmt: skip
    assert codes == {0, 1, 2, steps.STOPPED, 130, 143}
    script = ast.get_docstring(ast.parse((ROOT / "pipelines" / "retrain.py").read_text("utf-8")))
    assert script is not None
    said = {int(code) for code in re.findall(r"\b(\d) (?:done|a stage|the input|the data)", script)}
    assert said == {0, 1, 2, steps.STOPPED}
    assert shlex.split(COMMAND)[1] in (ROOT / "pipelines" / "retrain.py").read_text("utf-8")

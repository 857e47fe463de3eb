"""What a retraining publishes: one commit, once, over nobody's work."""

import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from retain.config import plugins
from retain.errors import RetainError
from retain.project import dvc
from retain.project.git import Git
from retain.registry import ledger
from retain.retraining import publish

from .conftest import PARAMS, commit, run, small_table, write_project

BRANCH = "retrain/small"
GH = """#!/bin/sh
echo "$*" | head -1 >> "$LOG"
case "$2" in
  list) cat "$LOG.open" 2>/dev/null ;;
  create) echo 7 > "$LOG.open"; echo https://forge.example/pull/7 ;;
  edit) echo https://forge.example/pull/7 ;;
esac
test ! -e "$LOG.fails" || { echo "no such host" >&2; exit 1; }
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with an origin, in which a retraining has left its reports."""
    for name in ("GH_TOKEN", "RETRAIN_TOKEN", "GITLAB_CI", "GITHUB_REF_NAME"):
        monkeypatch.delenv(name, raising=False)
    folder = write_project(tmp_path / "project", small_table(72), PARAMS)
    run(folder, "git", "branch", "-q", "-M", "main")
    run(tmp_path, "git", "init", "-q", "--bare", "origin.git")
    run(folder, "git", "remote", "add", "origin", str(tmp_path / "origin.git"))
    run(folder, "git", "push", "-q", "origin", "main")
    (folder / "dvc.lock").write_text("schema: '2.0'\n")
    (folder / "reports" / "small").mkdir(parents=True)
    (folder / "reports/small/retrain.md").write_text("## small: version 2\n\nBetter.\n")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{_without_gh()}")
    return folder


def _without_gh() -> str:
    """Where git is; the fake `gh` of these tests comes before."""
    git = shutil.which("git")
    assert git is not None
    return f"{Path(git).parent}:/bin"


def origin(folder: Path, *words: str) -> str:
    return Git(folder.parent / "origin.git").run(*words)


def gh(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a `gh` that writes down what it is asked."""
    place = folder.parent / "bin" / "gh"
    place.parent.mkdir()
    place.write_text(GH)
    place.chmod(place.stat().st_mode | stat.S_IXUSR)
    log = folder.parent / "gh.log"
    monkeypatch.setenv("LOG", str(log))
    return log


def test_a_result_is_one_commit_on_a_branch_and_the_tree_stays_as_it_is(project: Path) -> None:
    before = run(project, "git", "status", "--porcelain").stdout
    said = publish.publish(project, ["small"])
    tip = origin(project, "rev-parse", BRANCH)
    assert said.startswith(f"published commit {tip[:9]} on branch {BRANCH}")
    assert origin(project, "rev-parse", f"{BRANCH}^") == origin(project, "rev-parse", "main")
    changed = origin(project, "diff", "--name-only", "main", BRANCH).split()
    assert changed == ["dvc.lock", "reports/small/retrain.md"]
    told = origin(project, "log", "-1", "--format=%B", BRANCH)
    assert told.strip() == "Retrain small\n\n## small: version 2\n\nBetter."
    assert run(project, "git", "status", "--porcelain").stdout == before
    assert Git(project).run("branch", "--list", BRANCH) == ""


def test_the_same_result_is_the_same_commit_on_every_machine(project: Path, tmp_path: Path) -> None:
    publish.publish(project, ["small"])
    tip = origin(project, "rev-parse", BRANCH)
    assert "published before" in publish.publish(project, ["small"])
    other = tmp_path / "other"
    run(tmp_path, "git", "clone", "-q", "-b", "main", str(tmp_path / "origin.git"), "other")
    for name in ("dvc.lock", "reports"):
        copy = shutil.copytree if (project / name).is_dir() else shutil.copy
        copy(project / name, other / name)
    assert "published before" in publish.publish(other, ["small"])
    assert origin(project, "rev-parse", BRANCH) == tip


def test_a_result_that_was_registered_at_another_time_is_the_same(project: Path) -> None:
    def register(at: str) -> None:
        entry = ledger.Entry(at, ledger.GATE, "champion", "passed", "1.dir", "2", "")
        ledger.write(project, "small", [entry])

    register("2026-01-01T00:00:00+00:00")
    publish.publish(project, ["small"])
    tip = origin(project, "rev-parse", BRANCH)
    assert "models/small/ledger.csv" in origin(project, "diff", "--name-only", "main", BRANCH)
    register("2026-01-02T00:00:00+00:00")
    assert "published before" in publish.publish(project, ["small"])
    assert origin(project, "rev-parse", BRANCH) == tip
    (project / "reports/small/retrain.md").write_text("## small: version 3\n")
    assert "published commit" in publish.publish(project, ["small"])


def test_a_newer_result_takes_the_place_of_the_one_before(project: Path) -> None:
    publish.publish(project, ["small"])
    (project / "reports/small/retrain.md").write_text("## small: version 3\n")
    assert "published commit" in publish.publish(project, ["small"])
    assert len(origin(project, "rev-list", f"main..{BRANCH}").split()) == 1
    assert "version 3" in origin(project, "log", "-1", "--format=%B", BRANCH)


def test_what_the_last_commit_has_is_not_published(project: Path) -> None:
    commit(project)
    assert (
        publish.publish(project, ["small"]) == "nothing to publish: the last commit has all of it"
    )


def test_a_person_s_commit_on_the_branch_is_not_overwritten(project: Path, tmp_path: Path) -> None:
    publish.publish(project, ["small"])
    other = tmp_path / "other"
    run(tmp_path, "git", "clone", "-q", "-b", BRANCH, str(tmp_path / "origin.git"), "other")
    commit(other)
    run(other, "git", "push", "-q", "origin", BRANCH)
    tip = origin(project, "rev-parse", BRANCH)
    (project / "reports/small/retrain.md").write_text("## small: version 3\n")
    with pytest.raises(RetainError, match=r"has a commit of tester@example\.org"):
        publish.publish(project, ["small"])
    assert origin(project, "rev-parse", BRANCH) == tip


def test_of_two_runners_with_other_results_one_wins_and_the_other_leaves_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (project / "reports/small/retrain.md").read_text()

    def meanwhile(root: Path) -> bool:  # is asked between the look at the branch and the push
        monkeypatch.setattr(dvc, "has_remote", lambda _: False)
        (root / "reports/small/retrain.md").write_text("## of the other runner\n")
        publish.publish(root, ["small"])
        (root / "reports/small/retrain.md").write_text(text)
        return False

    monkeypatch.setattr(dvc, "has_remote", meanwhile)
    said = publish.publish(project, ["small"])
    assert said == f"another runner published to {BRANCH} meanwhile; the next run looks again"
    assert "of the other runner" in origin(project, "log", "-1", "--format=%B", BRANCH)


def test_code_that_no_commit_has_is_not_published(project: Path) -> None:
    (project / "params.yaml").write_text((project / "params.yaml").read_text() + "# more\n")
    with pytest.raises(RetainError, match=r"commit them before publishing:\n M? ?params.yaml"):
        publish.publish(project, ["small"])
    assert origin(project, "branch", "--list", BRANCH) == ""


def test_a_kind_of_the_project_that_no_commit_has_is_not_published(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugins, "_folders", ["kinds"])
    (project / "kinds").mkdir()
    (project / "kinds/mine.py").touch()
    with pytest.raises(RetainError, match=r"commit them before publishing:\n\?\? kinds/"):
        publish.publish(project, ["small"])
    assert origin(project, "branch", "--list", BRANCH) == ""


def test_nothing_is_published_where_dvc_cannot_push(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dvc, "has_remote", lambda _: True)
    monkeypatch.setattr(dvc, "call", lambda *_: 255)
    with pytest.raises(RetainError, match="`dvc push` failed"):
        publish.publish(project, ["small"])
    assert origin(project, "branch", "--list", BRANCH) == ""


def test_without_an_origin_the_error_says_so(project: Path) -> None:
    run(project, "git", "remote", "remove", "origin")
    with pytest.raises(RetainError, match="git has no remote to publish to"):
        publish.publish(project, ["small"])


def test_the_remote_is_that_of_the_branch_or_origin_or_the_only_one(project: Path) -> None:
    git = Git(project)
    git.run("remote", "add", "backup", "nowhere")
    assert publish._remote(git) == "origin"
    git.run("config", "branch.main.remote", "backup")
    assert publish._remote(git) == "backup"
    git.run("config", "branch.main.remote", ".")  # it follows a branch of this clone
    assert publish._remote(git) == "origin"
    git.run("remote", "rename", "origin", "upstream")
    with pytest.raises(RetainError, match=r"remotes backup, upstream: .*branch\.main\.remote"):
        publish._remote(git)
    git.run("remote", "remove", "backup")
    assert publish._remote(git) == "upstream"


def test_gh_opens_one_pull_request_and_brings_it_up_to_date(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = gh(project, monkeypatch)
    said = publish.publish(project, ["small"])
    assert said.endswith("pull request https://forge.example/pull/7")
    asked = log.read_text().splitlines()
    assert asked[0].startswith(f"pr list --head {BRANCH}")
    assert asked[1].startswith(f"pr create --head {BRANCH} --base main --title Retrain small")
    (project / "reports/small/retrain.md").write_text("## small: version 3\n")
    assert publish.publish(project, ["small"]).endswith("https://forge.example/pull/7")
    assert log.read_text().splitlines()[3].startswith("pr edit 7 --title Retrain small")
    assert "pr create" not in log.read_text().split("pr edit")[1]


def test_a_pull_request_that_failed_is_opened_by_the_next_run(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = gh(project, monkeypatch)
    Path(f"{log}.fails").touch()
    with pytest.raises(RetainError, match="cannot open a pull request: no such host"):
        publish.publish(project, ["small"])
    Path(f"{log}.fails").unlink()
    Path(f"{log}.open").unlink(missing_ok=True)
    said = publish.publish(project, ["small"])
    assert said == f"published before: branch {BRANCH} has it, pull request " + (
        "https://forge.example/pull/7"
    )


def test_gitlab_is_asked_for_a_merge_request_with_the_push(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = project.parent / "origin.git"
    run(bare, "git", "config", "receive.advertisePushOptions", "true")
    hook = bare / "hooks" / "post-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nenv | grep ^GIT_PUSH_OPTION_ | sort > asked\n")
    hook.chmod(0o755)
    monkeypatch.setenv("GITLAB_CI", "true")
    monkeypatch.setenv("CI_DEFAULT_BRANCH", "main")
    assert publish.publish(project, ["small"]).endswith(", with a merge request")
    assert (bare / "asked").read_text().splitlines() == [
        "GIT_PUSH_OPTION_0=merge_request.create",
        "GIT_PUSH_OPTION_1=merge_request.title=Retrain small",
        "GIT_PUSH_OPTION_2=merge_request.target=main",
        "GIT_PUSH_OPTION_COUNT=3",
    ]


def test_a_token_answers_git_and_stands_in_no_argument(project: Path) -> None:
    words = ["-c", "credential.helper=", "-c", f"credential.helper={publish.HELPER}"]
    asked = subprocess.run(
        ["git", *words, "credential", "fill"],
        cwd=project,
        env={"PATH": _without_gh(), "RETAIN_GIT_TOKEN": "s3cret"},
        input="protocol=https\nhost=forge.example\n\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert "username=x-access-token\npassword=s3cret\n" in asked.stdout
    assert "s3cret" not in " ".join(words)

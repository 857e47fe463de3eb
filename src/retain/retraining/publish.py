"""What a retraining made, on a branch, with a pull request for a person to read.

The commit is made beside the working tree and is a function of what it holds: whoever publishes the
same result, however often, publishes the same commit, and nothing happens twice.
"""

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from retain.errors import RetainError
from retain.project import fingerprint
from retain.retraining import fetch, summary

KEPT = ("dvc.lock", "data", "models", "reports")  # of what git does not ignore
# Answers git with the token out of the environment: it is in no argument and in no file.
HELPER = (
    '!f() { test "$1" = get && '
    'printf "username=x-access-token\\npassword=%s\\n" "$RETAIN_GIT_TOKEN"; }; f'
)
BY = "retain", "retain@localhost"  # the same on every machine


def publish(root: Path, names: Iterable[str]) -> str:
    """Push data and models to DVC's remote and a commit to git's; answers what was done.

    Raises:
        RetainError: code or params are not committed, or a remote refuses.
    """
    names = sorted(names)
    code = fingerprint.git(root, "status", "--porcelain", "--", *fingerprint.CODE)
    if code:
        raise RetainError(
            f"the models were trained with code or params that no commit has; commit them before "
            f"publishing:\n{code}"
        )
    remote = fingerprint.git(root, "remote").partition("\n")[0]
    if not remote:
        raise RetainError("git has no remote to publish to: git remote add origin ADDRESS")
    commit = _commit(root, names)
    if commit is None:
        return "nothing to publish: the last commit has all of it"
    branch = f"retrain/{'-'.join(names)}"
    before = _tip(root, remote, branch)
    if before == commit:
        return f"published before: branch {branch} has it{_pull_request(root, names, branch)}"
    _check_ours(root, remote, branch, before)
    if fetch.has_remote(root):
        if fetch.dvc(root, "push", "--quiet", "--run-cache") != 0:
            raise RetainError("`dvc push` failed, see above: nothing was published")
    else:
        print("DVC has no remote: data and models stay in this clone", flush=True)
    # A lease: of two runners with different results one wins, and the other leaves it at that.
    ref = f"refs/heads/{branch}"
    lease = f"--force-with-lease={ref}:{before}"
    pushed = _git(root, "push", "-q", lease, *_request(names), remote, f"{commit}:{ref}")
    if pushed.returncode == 0:
        return (
            f"published commit {commit[:9]} on branch {branch}{_pull_request(root, names, branch)}"
        )
    if _tip(root, remote, branch) == commit:
        return f"published by another runner meanwhile: branch {branch} has it"
    if "stale info" in pushed.stderr or "lock" in pushed.stderr:
        return f"another runner published to {branch} meanwhile; the next run looks again"
    raise RetainError(f"git cannot push to {remote}: {pushed.stderr.strip()}")


def _commit(root: Path, names: list[str]) -> str | None:
    """A commit upon HEAD of all that a retraining leaves; None where HEAD has it."""
    index = root / "scratch" / f"publish-{os.getpid()}.index"
    index.parent.mkdir(exist_ok=True)
    aside = {"GIT_INDEX_FILE": str(index.resolve())}
    date = _read(root, "show", "-s", "--format=%ct +0000", "HEAD")
    signed = {f"GIT_{who}_{key}": value for who in ("AUTHOR", "COMMITTER")
              for key, value in (("NAME", BY[0]), ("EMAIL", BY[1]), ("DATE", date))}  # fmt: skip
    try:
        _read(root, "read-tree", "HEAD", **aside)
        _read(root, "add", "--", *(each for each in KEPT if (root / each).exists()), **aside)
        tree = _read(root, "write-tree", **aside)
    finally:
        index.unlink(missing_ok=True)
    if tree == _read(root, "rev-parse", "HEAD^{tree}"):
        return None
    words = ("commit-tree", "-p", "HEAD", "-m", _title(names), "-m", _text(root, names), tree)
    return _read(root, *words, **signed)


def _title(names: list[str]) -> str:
    return f"Retrain {', '.join(names)}"


def _text(root: Path, names: list[str]) -> str:
    """The summaries, one after another."""
    places = [summary.path(root, name) for name in names]
    return "\n\n".join(place.read_text(encoding="utf-8") for place in places if place.is_file())


def _tip(root: Path, remote: str, branch: str) -> str:
    """The commit that a branch of the remote stands at; empty where there is none."""
    return _read(root, "ls-remote", remote, f"refs/heads/{branch}").partition("\t")[0]


def _check_ours(root: Path, remote: str, branch: str, tip: str) -> None:
    """Raise RetainError where a person has put a commit of her own on the branch."""
    if not tip:
        return
    _read(root, "fetch", "-q", remote, tip)
    who = _read(root, "show", "-s", "--format=%ce", tip)
    if who != BY[1]:
        raise RetainError(
            f"branch {branch} of {remote} has a commit of {who}, which is not overwritten: merge "
            f"that branch, or delete it"
        )


def _request(names: list[str]) -> list[str]:
    """GitLab opens a merge request by itself where it is asked to with the push."""
    if not os.environ.get("GITLAB_CI"):
        return []
    wanted = ("create", f"title={_title(names)}", f"target={os.environ['CI_DEFAULT_BRANCH']}")
    return [word for each in wanted for word in ("-o", f"merge_request.{each}")]


def _branch(root: Path) -> str:
    """The branch to merge into; CI may have checked out a commit without one."""
    return os.environ.get("GITHUB_REF_NAME") or _read(root, "rev-parse", "--abbrev-ref", "HEAD")


def _pull_request(root: Path, names: list[str], branch: str) -> str:
    """Open a pull request with GitHub's own command, or bring its text up to date."""
    if os.environ.get("GITLAB_CI"):
        return ", with a merge request"
    if shutil.which("gh") is None:
        return "; open a pull request from it: `gh`, which would, is not installed"
    base = _branch(root)
    text = ("--title", _title(names), "--body", _text(root, names))
    found = _run(
        root, "gh", "pr", "list", "--head", branch, "--json", "number", "--jq", ".[].number"
    )
    number = found.stdout.split()
    if number:
        done = _run(root, "gh", "pr", "edit", number[0], *text)
    else:
        done = _run(root, "gh", "pr", "create", "--head", branch, "--base", base, *text)
    if done.returncode != 0:
        raise RetainError(
            f"branch {branch} is published, but `gh` cannot open a pull request: "
            f"{done.stderr.strip()}"
        )
    return f", pull request {(done.stdout.strip() or number[0]).splitlines()[-1]}"


def _read(root: Path, *words: str, **variables: str) -> str:
    done = _git(root, *words, **variables)
    if done.returncode != 0:
        raise RetainError(f"`git {' '.join(words[:2])} …` failed: {done.stderr.strip()}")
    return done.stdout.strip()


def _git(root: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    token = os.environ.get("GH_TOKEN") or os.environ.get("RETRAIN_TOKEN")
    helper = ("-c", "credential.helper=", "-c", f"credential.helper={HELPER}") if token else ()
    given = {"RETAIN_GIT_TOKEN": token} if token else {}
    return _run(root, "git", *helper, *words, GIT_TERMINAL_PROMPT="0", **given, **variables)


def _run(root: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables}
    return subprocess.run(
        words, cwd=root, env=environment, capture_output=True, text=True, check=False
    )

"""Publish what a retraining made: a commit on a branch, and a pull request for a person to read.

The commit is made without touching the working tree, and its id depends only on what it holds. So
the same result is published once, by however many runners; the time of the registration in the
ledger does not count.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from retain.config import plugins
from retain.errors import GitError, RetainError
from retain.project import dvc, fingerprint
from retain.project.git import Git
from retain.project.layout import Layout

KEPT = ("dvc.lock", "params.yaml", "data", "models", "reports")  # of what git does not ignore
PARENT = re.compile(r"^ +parent: \{.*\}\n", re.MULTILINE)  # what a warm start writes
# Answers git with the token out of the environment: it is in no argument and in no file.
HELPER = (
    '!f() { test "$1" = get && '
    'printf "username=x-access-token\\npassword=%s\\n" "$RETAIN_GIT_TOKEN"; }; f'
)
BY = "retain", "retain@localhost"  # the same on every machine
OVERTAKEN = ("stale info", "cannot lock ref", "failed to lock")  # what git says to the later push


def publish(root: Path, names: Iterable[str]) -> str:
    """Push data and models to DVC's remote and a commit to git's; return what was done.

    Raises:
        RetainError: code or params are not committed, or a remote refuses.
    """
    names = sorted(names)
    git = _git(root)
    paths = (*fingerprint.CODE, *plugins.folders())
    changed = [path for path in paths if not _is_parent_alone(git, path)]
    code = git.run("status", "--porcelain", "--", *changed)
    if code:
        raise RetainError(
            f"the models were trained with code or params that no commit has; commit them before "
            f"publishing:\n{code}"
        )
    remote = _remote(git)
    commit = _commit(git, names)
    if commit is None:
        return "nothing to publish: the last commit has all of it"
    branch = f"retrain/{'-'.join(names)}"
    tip = _tip(git, remote, branch)
    if _same_result(git, tip, commit):
        return f"published before: branch {branch} has it{_pull_request(git, names, branch)}"
    _check_ours(git, remote, branch, tip)
    if dvc.has_remote(root):
        if dvc.call(root, "push", "--quiet", "--run-cache") != 0:
            raise RetainError("`dvc push` failed, see above: nothing was published")
    else:
        print("DVC has no remote: data and models stay in this clone", flush=True)
    # A lease: of two runners with different results one wins, and the other leaves it at that.
    ref = f"refs/heads/{branch}"
    lease = f"--force-with-lease={ref}:{tip}"
    try:
        git.run("push", "-q", lease, *_merge_request(names), remote, f"{commit}:{ref}")
    except GitError as error:
        if _same_result(git, _tip(git, remote, branch), commit):
            return f"published by another runner meanwhile: branch {branch} has it"
        if any(reason in str(error) for reason in OVERTAKEN):
            return f"another runner published to {branch} meanwhile; the next run looks again"
        raise RetainError(f"git cannot push to {remote}: {error}") from None
    return f"published commit {commit[:9]} on branch {branch}{_pull_request(git, names, branch)}"


def _remote(git: Git) -> str:
    """Return the remote that the branch follows, else `origin`, else the only one there is.

    Raises:
        RetainError: there is none, or it is one of several.
    """
    remotes = git.run("remote").splitlines()
    if not remotes:
        raise RetainError("git has no remote to publish to: git remote add origin ADDRESS")
    key = f"branch.{git.run('rev-parse', '--abbrev-ref', 'HEAD')}.remote"
    only = remotes if len(remotes) == 1 else []
    for remote in [git.config(key), "origin", *only]:
        if remote in remotes:
            return remote
    raise RetainError(
        f"git has the remotes {', '.join(remotes)}: say which to publish to, as by "
        f"git config {key} {remotes[0]}"
    )


def _is_parent_alone(git: Git, path: str) -> bool:
    """Whether a file is params.yaml, and differs from HEAD in `training.parent` at most.

    The retraining wrote those keys; they are part of what is published.
    """
    if path != "params.yaml":
        return False
    now, before = (git.root / path).read_text(encoding="utf-8"), git.show("HEAD", path) or ""
    return PARENT.sub("", now).rstrip() == PARENT.sub("", before).rstrip()


def _git(root: Path) -> Git:
    """Git that asks nobody for a password, and takes a token where the environment has one."""
    token = os.environ.get("GH_TOKEN") or os.environ.get("RETRAIN_TOKEN")
    if not token:
        return Git(root, GIT_TERMINAL_PROMPT="0")
    helper = ("-c", "credential.helper=", "-c", f"credential.helper={HELPER}")
    return Git(root, *helper, GIT_TERMINAL_PROMPT="0", RETAIN_GIT_TOKEN=token)


def _commit(git: Git, names: list[str]) -> str | None:
    """Make a commit upon HEAD of all that a retraining leaves; None where HEAD has it."""
    place = git.root / "scratch" / f"publish-{os.getpid()}.index"
    place.parent.mkdir(exist_ok=True)
    index = Git(git.root, GIT_INDEX_FILE=str(place.resolve()))
    try:
        index.run("read-tree", "HEAD")
        index.run("add", "--", *(path for path in KEPT if (git.root / path).exists()))
        if index.run("write-tree") == git.run("rev-parse", "HEAD^{tree}"):
            return None
        summaries = [Layout(Path(), name).summary for name in names]  # which git ignores
        there = [path.as_posix() for path in summaries if (git.root / path).is_file()]
        if there:
            index.run("add", "--force", "--", *there)
        tree = index.run("write-tree")
    finally:
        place.unlink(missing_ok=True)
    date = git.run("show", "-s", "--format=%ct +0000", "HEAD")
    who = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER")
           for key, value in (("NAME", BY[0]), ("EMAIL", BY[1]), ("DATE", date))}  # fmt: skip
    message = ("-m", _title(names), "-m", _text(git.root, names))
    return Git(git.root, **who).run("commit-tree", "-p", "HEAD", *message, tree)


def _title(names: list[str]) -> str:
    return f"Retrain {', '.join(names)}"


def _text(root: Path, names: list[str]) -> str:
    """The summaries, one after another."""
    paths = [Layout(root, name).summary for name in names]
    return "\n\n".join(path.read_text(encoding="utf-8") for path in paths if path.is_file())


def _tip(git: Git, remote: str, branch: str) -> str:
    """Fetch the newest commit of a branch, and return it; empty where there is no such branch."""
    tip = git.run("ls-remote", remote, f"refs/heads/{branch}").partition("\t")[0]
    if tip:
        git.run("fetch", "-q", remote, tip)
    return tip


def _same_result(git: Git, tip: str, commit: str) -> bool:
    """Whether two commits hold the same, upon the same one, but for when it was registered."""
    if not tip or git.find(f"{tip}^") != git.find(f"{commit}^"):
        return False
    return not git.run("diff", "--name-only", tip, commit, "--", ".", ":!models/*/ledger.csv")


def _check_ours(git: Git, remote: str, branch: str, tip: str) -> None:
    """Raise RetainError where the newest commit on the branch is a person's."""
    if not tip:
        return
    who = git.run("show", "-s", "--format=%ce", tip)
    if who != BY[1]:
        raise RetainError(
            f"branch {branch} of {remote} has a commit of {who}, which is not overwritten: merge "
            f"that branch, or delete it"
        )


def _merge_request(names: list[str]) -> list[str]:
    """Return the options of a push by which GitLab opens a merge request."""
    if not os.environ.get("GITLAB_CI"):
        return []
    target = os.environ["CI_DEFAULT_BRANCH"]
    options = ("create", f"title={_title(names)}", f"target={target}")
    return [word for option in options for word in ("-o", f"merge_request.{option}")]


def _pull_request(git: Git, names: list[str], branch: str) -> str:
    """Open a pull request with GitHub's own command, or bring its text up to date."""
    if os.environ.get("GITLAB_CI"):
        return ", with a merge request"
    if shutil.which("gh") is None:
        return "; open a pull request from it: `gh`, which would, is not installed"

    def gh(*words: str) -> str:
        command = ["gh", "pr", *words]
        done = subprocess.run(command, cwd=git.root, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RetainError(
                f"branch {branch} is published, but `gh` cannot open a pull request: "
                f"{done.stderr.strip()}"
            )
        return done.stdout.strip()

    # The branch to merge into; CI may have checked out a commit without one.
    base = os.environ.get("GITHUB_REF_NAME") or git.run("rev-parse", "--abbrev-ref", "HEAD")
    number = gh("list", "--head", branch, "--json", "number", "--jq", ".[].number").split()
    words = ("edit", number[0]) if number else ("create", "--head", branch, "--base", base)
    answer = gh(*words, "--title", _title(names), "--body", _text(git.root, names))
    return f", pull request {(answer or number[0]).splitlines()[-1]}"

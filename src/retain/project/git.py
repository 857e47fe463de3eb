"""All calls of git; its errors are raised with its message.

A folder outside a repository, or a machine without git, has no commit; this is not an error. Every
other failure is, above all a repository that git does not read because another user owns it, as in
a container: otherwise a model would be recorded without its commit.
"""

import os
import subprocess
from pathlib import Path

from retain.errors import GitError, NoRepositoryError

# Git's messages for a folder or file outside a repository; for a damaged one it has others.
OUTSIDE = ("not a git repository (or any", "is outside repository")


class Git:
    """Git in one folder.

    Args:
        root: the folder.
        options: options of git itself, which precede each command.
        variables: additional environment variables.
    """

    def __init__(self, root: Path, *options: str, **variables: str):
        self.root, self.options, self.variables = root, options, variables

    def run(self, *words: str, given: str | None = None, codes: tuple[int, ...] = (0,)) -> str:
        """Run a command and return what it prints, without the last line break.

        Args:
            words: the command and its arguments.
            given: standard input of git.
            codes: the exit codes that are not an error.

        Raises:
            NoRepositoryError: git is not installed, or the folder is in no repository.
            GitError: git fails.
        """
        environment = os.environ | self.variables | {"LC_ALL": "C"}  # English, as OUTSIDE
        command = ["git", "-C", str(self.root), *self.options, *words]
        try:
            done = subprocess.run(
                command,
                input=given,
                env=environment,
                capture_output=True,
                encoding="utf-8",
                check=False,
            )
        except FileNotFoundError:
            raise NoRepositoryError("git is not installed, or is not on the PATH") from None
        if done.returncode not in codes:
            reason = " ".join(done.stderr.split())
            outside = any(text in reason for text in OUTSIDE)
            error = NoRepositoryError if outside else GitError
            raise error(f"`git {' '.join(words[:2])} …` failed: {reason}")
        return done.stdout.removesuffix("\n")

    def find(self, revision: str) -> str | None:
        """Return the id of `HEAD`, `abc1^{commit}`, `HEAD:./a/file` and the like.

        None if the repository has no such object, or there is no repository.

        Raises:
            GitError: git fails.
        """
        try:
            return self.run("rev-parse", "--verify", "-q", revision, codes=(0, 1)) or None
        except NoRepositoryError:
            return None

    def show(self, revision: str, path: str) -> str | None:
        """Return a file's text in a commit; `path` is relative to the folder. None as in `find`."""
        blob = self.find(f"{revision}:./{path}")
        return None if blob is None else self.run("cat-file", "blob", blob)

    def config(self, key: str) -> str:
        """Return a setting of git; empty if it is not set."""
        try:
            return self.run("config", key, codes=(0, 1))
        except NoRepositoryError:
            return ""

    def knows(self, path: str) -> bool:
        """Whether git tracks a file, or files in a folder."""
        try:
            return bool(self.run("ls-files", "--", path))
        except NoRepositoryError:
            return False

    def clone(self, target: Path) -> "Git":
        """Make a clone without files that shares this repository's objects, which is cheap."""
        top = self.run("rev-parse", "--show-toplevel")
        self.run("clone", "-q", "--shared", "--no-checkout", top, str(target.resolve()))
        return Git(target)

    def check_out(self, commit: str, patch: str = "") -> None:
        """Check out a commit, apply a patch, and remove all other files."""
        self.run("clean", "-qffdx")
        self.run("checkout", "-q", "--force", "--detach", commit)
        if patch:
            self.run("apply", "--whitespace=nowarn", "-", given=patch)

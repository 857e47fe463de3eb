"""Git, started in one place: what it refuses is raised, with its words.

A folder outside a repository, or a machine without git, has no commit; that alone is no error. All
else is, above all a repository that git does not read since another user owns it, as in a
container: a model must not be recorded without its commit in silence.
"""

import os
import subprocess
from pathlib import Path

from retain.errors import GitError, NoRepositoryError

# What git says of a folder or file that is in no repository; of a damaged one it says otherwise.
OUTSIDE = ("not a git repository (or any", "is outside repository")


class Git:
    """Git in one folder.

    Args:
        root: the folder.
        options: options of git itself, which precede each command.
        variables: of the environment, beside those of this process.
    """

    def __init__(self, root: Path, *options: str, **variables: str):
        self.root, self.options, self.variables = root, options, variables

    def run(self, *words: str, given: str | None = None, codes: tuple[int, ...] = (0,)) -> str:
        """Run a command and return what it prints, without the last line break.

        Args:
            words: the command and its arguments.
            given: what git reads from its standard input.
            codes: the exit codes that are no error.

        Raises:
            NoRepositoryError: git is not installed, or the folder is in no repository.
            GitError: git refuses.
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

        None where the repository has no such thing, and where there is no repository.

        Raises:
            GitError: git refuses to look.
        """
        try:
            return self.run("rev-parse", "--verify", "-q", revision, codes=(0, 1)) or None
        except NoRepositoryError:
            return None

    def show(self, revision: str, path: str) -> str | None:
        """Return a file's text in a commit; `path` is relative to the folder. None as `find`."""
        blob = self.find(f"{revision}:./{path}")
        return None if blob is None else self.run("cat-file", "blob", blob)

    def config(self, key: str) -> str:
        """Return a setting, empty where it is not set."""
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
        """Make a clone without files that borrows this one's objects: it costs next to nothing."""
        top = self.run("rev-parse", "--show-toplevel")
        self.run("clone", "-q", "--shared", "--no-checkout", top, str(target.resolve()))
        return Git(target)

    def check_out(self, commit: str, patch: str = "") -> None:
        """Make the tree that of a commit with a patch upon it; what else lies there is removed."""
        self.run("clean", "-qffdx")
        self.run("checkout", "-q", "--force", "--detach", commit)
        if patch:
            self.run("apply", "--whitespace=nowarn", "-", given=patch)

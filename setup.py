"""The build of the wheel: with the files that `retain init` writes, which are those of this folder.

Everything else of it is in pyproject.toml.
"""

import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

CHECKOUT = Path(__file__).resolve().parent
sys.path.insert(0, str(CHECKOUT / "src"))

from retain.project import managed  # noqa: E402 - it imports nothing that must be installed


class BuildPy(build_py):
    """Packs what projects are made of behind the modules."""

    def run(self) -> None:
        """Build the modules; where they are only linked, as for editing, pack nothing."""
        super().run()
        if not self.editable_mode:
            managed.pack(CHECKOUT, Path(self.build_lib) / "retain")


setup(cmdclass={"build_py": BuildPy})

"""Make the environments of the peers: `python -m benchmarks.peers.setup [--missing] [NAME …]`.

Each goes into scratch/peers/NAME. Where its file of requirements names torch, it is the same
version for all, and the check at the end is that nothing replaced it. `tables` is no peer: its
packages hold tables that the benchmark `ordinary` forecasts.
"""

import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).parent
FOLDER = HERE.parents[1] / "scratch" / "peers"
NAMES = sorted(path.stem for path in (HERE / "requirements").glob("*.txt"))


def python(name: str) -> Path:
    """The interpreter of a peer's environment."""
    return FOLDER / name / "bin" / "python"


def missing_of(names: list[str]) -> list[str]:
    """Those whose environment is not there, or not whole."""
    return [name for name in names if not (FOLDER / name / ".complete").is_file()]


def require(names: list[str]) -> None:
    """Stop with the command that makes what is missing, unless every environment is there."""
    missing = missing_of(names)
    if missing:
        raise SystemExit(
            f"no environment for {', '.join(missing)}: make it with "
            f"`python -m benchmarks.peers.setup {' '.join(missing)}`"
        )


def make(name: str) -> None:
    """Make one environment anew, or stop where its torch is not the one that was asked for.

    A line `PACKAGE==VERSION --no-deps` installs that package without what it requires.
    """
    print(f"{name}: installing into {FOLDER.name}/{name}", flush=True)
    stamp = FOLDER / name / ".complete"
    stamp.unlink(missing_ok=True)
    venv.create(FOLDER / name, with_pip=True, clear=True)
    path = HERE / "requirements" / f"{name}.txt"
    lines = path.read_text(encoding="utf-8").splitlines()
    torch = next((line for line in lines if line.startswith("torch==")), "")
    alone = [line.removesuffix(" --no-deps") for line in lines if line.endswith(" --no-deps")]
    install = [str(python(name)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if torch:
        subprocess.run([*install, torch], check=True)  # first, so that the resolver finds it there
    rest = [line for line in lines if not line.startswith("#") and not line.endswith(" --no-deps")]
    subprocess.run([*install, *rest], check=True)
    if alone:
        subprocess.run([*install, "--no-deps", *alone], check=True)
    if torch:
        check(name, torch)
    stamp.touch()


def check(name: str, torch: str) -> None:
    """Stop where an environment has another torch than the requirement says."""
    said = "import torch; print(torch.__version__.split('+')[0])"
    found = subprocess.run(
        [str(python(name)), "-c", said], check=True, capture_output=True, text=True
    ).stdout.strip()
    if f"torch=={found}" != torch:
        raise SystemExit(f"{name}: {torch} was asked for, {found} is installed")


def main() -> None:
    """Make the environments that are named, all where none is; or only those that are missing."""
    names = [name for name in sys.argv[1:] if name != "--missing"] or NAMES
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        raise SystemExit(f"unknown: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    for name in missing_of(names) if "--missing" in sys.argv else names:
        make(name)


if __name__ == "__main__":
    main()

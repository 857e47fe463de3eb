"""Pin every dependency of pyproject.toml, with the hashes of its files, in requirements*.lock.

python tools/lock.py [--upgrade]

torch has two builds of a version: the package index has that for CUDA, which needs more packages,
and another index or a folder has that for the CPU, with the mark +cpu. One lock cannot hold both:
of two files with a locked hash pip takes the one whose hash its page shows, and a folder shows
none. So requirements.lock has the build for the CPU, and requirements-cuda.lock the other one with
what it needs besides. A hash that is locked stays as long as the version does; so a lock may hold
builds that today's package index does not show.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
COMPILE = [sys.executable, "-m", "piptools", "compile", "--quiet", "--strip-extras"]
COMPILE += ["--allow-unsafe", "--no-header", "--generate-hashes", "--no-emit-index-url"]
COMPILE += ["--annotation-style", "line", "--no-emit-find-links", "--no-emit-trusted-host"]
MARK = "# Managed by retain: in a project `retain upgrade` rewrites this file unless it was "
MARK += "changed"
YOURS = "# Below this line is yours: what your own code needs besides, with hashes."
LOCKS = {
    "requirements.lock": (f"{MARK}\n# What retain needs, also for workbooks", ["excel"]),
    "requirements-dev.lock": ("# What tests, linters and builds need besides", ["dev"]),
    "requirements-team.lock": (
        f"{MARK}\n# What docs/team.md needs besides requirements.lock",
        ["team", "team-test"],
    ),
    "requirements-ray.lock": (
        f"{MARK}\n# What docs/scale.md needs besides requirements.lock",
        ["ray"],
    ),
}
CUDA = "requirements-cuda.lock"
OF_CUDA = ("nvidia-", "cuda-", "triton")  # what torch's build for CUDA requires
BLOCK = re.compile(r"^([A-Za-z0-9][\w.-]*)==(\S+).*\n((?:[ \t]+\S.*\n)*)", re.MULTILINE)
HASH = re.compile(r"--hash=(sha256:[0-9a-f]{64})")
Pins = dict[str, tuple[str, str, list[str], str]]  # name: version, marker, hashes, who wants it


def parse(text: str) -> Pins:
    """Return the pins of a lock by name."""
    found: Pins = {}
    for block in BLOCK.finditer(text):
        first, rest = block[0].split("\n", 1)
        marker = re.search(r" ; .*?(?= \\|$)", first)
        via = re.search(
            r"# via.*", re.sub(r"-r \S+\.in(, )?", "torch\\1", rest)
        )  # of a scratch folder
        hashes = sorted(set(HASH.findall(block[0])))
        found[block[1]] = (block[2], marker[0] if marker else "", hashes, via[0] if via else "")
    return found


def read(name: str) -> Pins:
    """Return the pins of a lock that is there, or none."""
    path = ROOT / name
    return parse(path.read_text(encoding="utf-8")) if path.is_file() else {}


def show(pins: Pins) -> str:
    """Return pins as a lock, in which pip wants the hash of every file."""
    lines = []
    for name, (version, marker, hashes, via) in sorted(pins.items()):
        lines.append(
            " \\\n".join([f"{name}=={version}{marker}", *(f"    --hash={h}" for h in hashes)])
        )
        lines += [f"    {via}"] if via else []
    return "\n".join(lines) + "\n"


def resolve(source: Path, before: Pins, upgrade: bool, *options: str, **variables: str) -> Pins:
    """Return what a file of requirements comes to; what was pinned stays, unless told otherwise."""
    # Without the mark of a build, which not every index has.
    before = {name: (pin[0].partition("+")[0], *pin[1:]) for name, pin in before.items()}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "lock"
        out.write_text("" if upgrade else show(before), encoding="utf-8")
        command = [*COMPILE, *options, "--output-file", str(out), str(source)]
        env = os.environ | variables
        subprocess.run(command, cwd=ROOT, env=env, check=True)
        return parse(out.read_text(encoding="utf-8"))


def with_old_hashes(pins: Pins, before: Pins) -> Pins:
    """Return pins with the hashes that were locked for the same version, too."""
    return {
        name: (version, marker, sorted({*hashes, *old[2]}) if old[0] == version else hashes, via)
        for name, (version, marker, hashes, via) in pins.items()
        for old in [before.get(name, ("", "", [], ""))]
    }


def of_cuda(version: str, known: Pins, upgrade: bool) -> Pins:
    """Return torch's build for CUDA and what it needs besides; nothing if the index has it not.

    An index or a folder of builds for the CPU is left out.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, pinned = Path(folder) / "torch.in", Path(folder) / "pinned"
        source.write_text(f"torch=={version}\n", encoding="utf-8")
        names = "".join(f"{name}=={pin[0]}\n" for name, pin in known.items() if name != "torch")
        pinned.write_text(names, encoding="utf-8")
        found = resolve(
            source,
            read(CUDA),
            upgrade,
            "--constraint",
            str(pinned),
            PIP_CONFIG_FILE=os.devnull,
            PIP_FIND_LINKS="",
            PIP_EXTRA_INDEX_URL="",
        )
    linux = ' ; sys_platform == "linux"'
    more = {
        name: (pin[0], linux, *pin[2:]) for name, pin in found.items() if name.startswith(OF_CUDA)
    }
    torch = found["torch"]
    return {"torch": (*torch[:3], "# via retain (pyproject.toml)"), **more} if more else {}


def main() -> None:
    """Write the locks."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--upgrade", action="store_true", help="take newer versions")
    upgrade = parser.parse_args().upgrade
    before = {name: read(name) for name in (*LOCKS, CUDA)}
    known: Pins = {}
    written: dict[str, str] = {}
    for name, (title, extras) in LOCKS.items():
        options = [word for extra in extras for word in ("--extra", extra)]
        pins = resolve(
            ROOT / "pyproject.toml", known | before[name], upgrade and not known, *options
        )
        pins = {k: v for k, v in pins.items() if k not in known and not k.startswith(OF_CUDA)}
        pins = with_old_hashes(pins, before[name])
        if not known:
            version, _, build = pins["torch"][0].partition("+")
            if not build:  # this index has the build for CUDA alone
                pins["torch"] = before[name]["torch"]
            cuda = of_cuda(version, pins, upgrade)
            if cuda:
                more = show(with_old_hashes(cuda, before[CUDA]))
                what = "# torch's build for CUDA, and what it needs besides requirements.lock"
                written[CUDA] = f"{MARK}\n{what}, from pyproject.toml by: make lock\n{more}"
            else:
                print(f"{CUDA} stays: this package index has no build of torch for CUDA")
        text = f"{title}, from pyproject.toml by: make lock\n{show(pins)}"
        written[name] = text + (f"\n{YOURS}\n" if name == "requirements.lock" else "")
        known |= pins
    for name, text in written.items():
        (ROOT / name).write_text(text.replace(f"{ROOT}/", ""), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Build the pages of the documentation into build/site, as `make docs` does.

python tools/docs_site.py

Zensical reads one folder, and the pages lie in several. They are copied into build/pages with the
folders that they have here, so that a link between two of them works on a code host, too. Links and
anchors are checked; what is wrong ends the build.
"""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "SECURITY.md", "docs", "benchmarks/README.md", "benchmarks/results")
PAGES += ("data/raw/*.md",)


def gather(target: Path) -> None:
    """Copy all pages, and what they show, into an empty folder."""
    shutil.rmtree(target, ignore_errors=True)
    for pattern in PAGES:
        for source in sorted(ROOT.glob(pattern)):
            place = target / source.relative_to(ROOT)
            place.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, place)
            else:
                shutil.copy(source, place)


def main() -> int:
    """Gather the pages, and build them."""
    gather(ROOT / "build" / "pages")
    words = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    code = subprocess.run(words, cwd=ROOT, check=False).returncode
    if code == 0:
        print("open build/site/index.html in a browser")
    return code


if __name__ == "__main__":
    sys.exit(main())

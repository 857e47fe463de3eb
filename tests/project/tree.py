"""The tree of src/retain in docs/architecture.md, from the first sentence of each module.

python -m tests.project.tree writes it into the page.
"""

import ast
import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architecture.md"
BLOCK = re.compile(r"(<!-- tree -->\n).*(<!-- end of tree -->)", re.DOTALL)
WIDTH, COLUMN = 110, 30


def lines(folder: Path, depth: int = 0) -> list[str]:
    """A line for each module and package below a folder: its name, and its first sentence."""
    found = []
    for path in sorted(folder.iterdir(), key=lambda path: (path.is_dir(), path.name)):
        module = path / "__init__.py" if path.is_dir() else path
        if module.suffix != ".py" or not module.is_file() or path.name == "__init__.py":
            continue
        name = f"{'    ' * depth}{path.name}{'/' * path.is_dir()}"
        text = textwrap.shorten(sentence(module), WIDTH - COLUMN, placeholder=" …")
        found.append(f"{name:<{COLUMN}}{text}")
        if path.is_dir():
            found += lines(path, depth + 1)
    return found


def sentence(module: Path) -> str:
    """The first sentence of a module's docstring, without its end."""
    text = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    return " ".join(re.split(r"\.(?:\s|$)", text, maxsplit=1)[0].split())


def page() -> str:
    """The page with the tree of today."""
    tree = "\n".join(["```text", *lines(ROOT / "src" / "retain"), "```", ""])
    return BLOCK.sub(lambda found: found[1] + tree + found[2], PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

"""Execute docs/quickstart.ipynb: `python -m tests.project.notebook` writes its outputs anew."""

import json
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "quickstart.ipynb"


def read() -> Any:
    """Return the notebook as it is stored."""
    import nbformat

    return nbformat.read(PAGE, as_version=4)


def execute() -> Any:
    """Return the notebook with outputs of now, and nothing that depends on time or place."""
    from nbclient import NotebookClient

    page = read()
    NotebookClient(page, timeout=900, kernel_name="python3", record_timing=False).execute()
    for number, cell in enumerate(page.cells, 1):
        cell.id = f"cell-{number}"
        if cell.cell_type == "code":  # warnings name paths of this machine
            cell.outputs = [out for out in cell.outputs if out.get("name") != "stderr"]
    page.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return page


def outputs(page: Any) -> list[Any]:
    """Return the outputs of each cell of code."""
    return [json.loads(json.dumps(cell.outputs)) for cell in page.cells if cell.cell_type == "code"]


def main() -> None:
    """Write the outputs into the notebook."""
    import nbformat

    from retain.training import portable_cpu

    portable_cpu.pin_cpu_kernels("portable")  # the kernel inherits it
    page = execute()
    PAGE.write_text(nbformat.writes(page, version=4) + "\n", encoding="utf-8")
    print(f"{PAGE.name}: {PAGE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()

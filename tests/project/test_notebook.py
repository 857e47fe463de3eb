"""docs/quickstart.ipynb runs, and shows what it stores."""

import os

import pytest

from tests.project import notebook

PORTABLE = os.environ.get("RETAIN_TEST_CPU") != "machine"


def test_the_notebook_is_small_and_every_cell_of_it_ran_in_order() -> None:
    assert notebook.PAGE.stat().st_size < 300_000
    cells = [cell for cell in notebook.read().cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == [*range(1, len(cells) + 1)]
    assert not [out for cell in cells for out in cell.outputs if out.output_type == "error"]


@pytest.mark.long
def test_the_notebook_runs_and_its_outputs_are_those_that_it_stores() -> None:
    before, now = notebook.outputs(notebook.read()), notebook.outputs(notebook.execute())
    if PORTABLE:
        assert now == before

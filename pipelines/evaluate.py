# Managed by retain: in a project `retain upgrade` rewrites this file unless it was changed
"""Stage `evaluate@P`: every model of a problem on every test window, and the report.

python pipelines/evaluate.py PROBLEM
"""

import sys
from dataclasses import replace
from pathlib import Path

from retain import errors
from retain.config import loader
from retain.config.kind import kind_of
from retain.evaluation import quality_gate, report, results
from retain.project import dvc, files, lock_file
from retain.project.layout import Layout
from retain.tracking import runs
from retain.training import portable_cpu


def main() -> None:
    """Score the models of one problem, and judge one of them."""
    root, (name,) = Path(), dvc.stage_words(sys.argv[1:])
    lock_file.keep(root)
    problem, layout = loader.load_problem(root, name), Layout(root, name)
    cells: list[str] = [*problem.training.cells]
    portable_cpu.pin_cpu_kernels(problem.training.reproducible)
    folders = {cell: layout.model(cell) for cell in cells}
    kind = kind_of(problem)
    found = kind.evaluate.load(problem, layout.prepared, folders)
    checks = quality_gate.run_checks(found.metrics, problem.gate)
    page = kind.report.load(name, problem, found, checks)
    judged = found.metrics.get("model", quality_gate.MODEL)
    if kind.outlook is not None:
        outlook = kind.outlook.load(
            name, problem, layout.prepared, folders[judged], layout.refitted
        )
        page = replace(page, outlook=outlook)
    compared = [*cells, *(getattr(check, "baseline", "") for check in problem.gate)]
    error = next(iter(problem.ERRORS), "")
    scores = results.headlines(name, found.metrics, judged, error, compared)
    with files.folder(root, f"evaluate-{name}") as scratch:
        (scratch / layout.scores.name).write_text(files.to_json(scores), "utf-8")
        (scratch / "metrics.json").write_text(files.to_json(found.metrics), "utf-8")
        (scratch / "report.html").write_text(report.to_html(page), "utf-8")
        (scratch / "report.md").write_text(report.to_markdown(page), "utf-8")
        for part in ("plots", "figures"):
            (scratch / part).mkdir()
        for table, frame in found.plots().items():
            path = scratch / "plots" / f"{table}.csv"
            frame.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
        for figure in page.all_figures:
            (scratch / "figures" / f"{figure.name}.svg").write_text(figure.svg, "utf-8")
        files.publish_each(scratch, layout.reports)
    runs.log_evaluation(root, name, problem, cells)


if __name__ == "__main__":
    errors.run(main)

"""The entry that `retain add` writes into params.yaml: every key that one tunes, with its value.

A preset is expanded: `dvc exp run -S problems.NAME.model.hidden_size=64` finds its key, nothing is
hidden, and a later version of retain with other defaults changes no model.
"""

from typing import Any, cast

from retain.config import loader
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.infer.entry import Inferred

# Of `training`, what is a matter of the machine: it is left to the defaults.
MACHINE = {
    *("checkpoint_every", "threads", "precision", "accelerator", "devices", "num_nodes"),
    *("strategy", "system_metrics"),
}
# Keys of `data` that are written with their defaults, too.
TUNED = {"calendar": True, "holidays": None, "unseen": "refuse"}


def entry(name: str, found: Inferred, path: str) -> dict[str, Any]:
    """Return the entry of a problem, complete.

    Args:
        path: of the table, from the project's folder.
    """
    draft = {
        "kind": "forecast",
        "preset": found.preset,
        "data": {**found.data, "path": path},
        "model": found.model,
        "training": {"seed": 1},
        "evaluation": {"folds": found.folds, "bootstrap": 2000},
        "gate": found.gate,
    }
    return expanded(name, draft)


def expanded(name: str, draft: dict[str, Any]) -> dict[str, Any]:
    """Return an entry without `preset`, with the value of every key that one tunes.

    Raises:
        ParamsError: the entry is wrong.
    """
    problem = cast("Problem", loader.parse(name, draft))
    settings = problem.model_dump(mode="json", by_alias=True)
    training = {key: value for key, value in settings["training"].items() if key not in MACHINE}
    given = draft.get("training") or {}
    return {
        "kind": draft["kind"],
        "data": _data(draft["data"]),
        "model": settings["model"],
        "training": training | {key: given[key] for key in MACHINE & given.keys()},
        "evaluation": settings["evaluation"],
        **{key: draft[key] for key in ("retrain", "prove") if key in draft},
        "refit": problem.refit,
        "register": problem.register_cell,
        "gate": draft["gate"],
    }


def _data(data: dict[str, Any]) -> dict[str, Any]:
    """Return the section `data`, keys of TUNED behind those of time."""
    written: dict[str, Any] = {}
    for key, value in data.items():
        if key == "horizon":
            written |= {tuned: data.get(tuned, default) for tuned, default in TUNED.items()}
        if key not in TUNED:
            written[key] = value
    return written

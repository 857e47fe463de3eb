"""The trials in MLflow: each is a child of the run of its study."""

from retain.config import loader
from retain.config.schema import Cell
from retain.errors import ParamsError
from retain.project import fingerprint
from retain.tracking import offline_run
from retain.tracking.offline_run import FIRST_STAMP, Message, OfflineRun
from retain.tuning.plan import Plan
from retain.tuning.study import Ended, Study


def log(
    plan: Plan, cell: Cell, study: Study, ended: Ended, losses: list[float], began: float
) -> None:
    """Write a trial that has ended; nothing is lost where the store does not answer.

    Args:
        losses: of the validation part, after each epoch.
        began: seconds since 1970.
    """
    try:
        problem = loader.parse(plan.name, plan.of(ended.settings))
    except ParamsError:  # for which the trial failed
        problem = plan.problem
    whole = _key(plan, study)
    message = Message(
        f"{whole}-{ended.number}",
        plan.name,
        f"{plan.name} {cell}, trial {ended.number + 1}",
        int(began * 1000),
        {"tune.cell": cell, "tune.trial": str(ended.number + 1), "tune.outcome": ended.outcome},
        fingerprint.flat(problem, cell),
        pipeline=whole,
        pipeline_name=f"{plan.name} {cell}, retain tune",
    )
    for epoch, (loss, score) in enumerate(zip(losses, ended.scores, strict=False)):
        message.log({"validation/loss": loss, "tune/score": score}, epoch, FIRST_STAMP + epoch)
    if ended.value is not None:
        message.log({"tune/value": ended.value}, 0, FIRST_STAMP)
    message.status, message.ended = "FAILED" if ended.why else "FINISHED", offline_run.now()
    OfflineRun(plan.root, message).send()


def log_result(plan: Plan, cell: Cell, study: Study) -> None:
    """Write the score of the settings as they are, and the best, into the run of a study."""
    message = Message(_key(plan, study), plan.name, f"{plan.name} {cell}, retain tune", 0)
    found = {"tune/before": study.before, "tune/best": study.best}
    values = {key: one.value for key, one in found.items() if one and one.value is not None}
    message.started = offline_run.now()
    message.log(values, len(study.ended), FIRST_STAMP + len(study.ended))
    message.status, message.ended = "FINISHED", offline_run.now()
    OfflineRun(plan.root, message).send()


def _key(plan: Plan, study: Study) -> str:
    return f"tune-{plan.name}-{study.path.stem}"

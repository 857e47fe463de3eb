"""The model registry: a model is registered once per content, and aliases say which one is used.

`@champion` is the model to forecast with, `@challenger` the newest that did not become champion,
`@previous` the champion before. The gate in params.yaml moves the aliases, or a person does
(`promotion.py`).
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retain.config.schema import Problem
from retain.errors import RegistryError
from retain.evaluation.quality_gate import MODEL, CheckResult, run_checks
from retain.evaluation.results import Metrics
from retain.model_files import load_model
from retain.project import fingerprint
from retain.project.layout import Layout
from retain.registry import claim, comparison, ledger, manifest, model_card, version_tags
from retain.registry.logged_model import log_model
from retain.tracking import runs, store
from retain.tracking.store import StoreError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

MOVED = "moved"  # a registered model's tag: what a person decided last of its aliases
TRIES = 3
LOCK = "registry"  # of versions, aliases and the ledger


@dataclass(frozen=True)
class Decision:
    """Which alias a model got, and why; not for DVC, since it depends on the registry's state."""

    model_md5: str
    version: str
    alias: str
    sentence: str
    checks: list[dict[str, Any]] = field(default_factory=list)
    kept: bool = False  # the alias stays what it was
    final_md5: str = ""  # of the refitted model, where there is one

    @property
    def why(self) -> str:
        """The gate's reasons, as the ledger has them."""
        return ledger.reasons(CheckResult(**check) for check in self.checks)


def register(
    root: Path, name: str, problem: Problem, metrics: Metrics, checks: list[CheckResult]
) -> Decision:
    """Register a problem's trained model, unless it is, and give it the alias that it earned.

    The decision is recorded in the ledger, unless the model is of an experiment.

    Args:
        name: the problem, which is also the name of the registered model.
        checks: the gate's results on the model's own figures.
    """
    version, is_new = add(root, name, problem, metrics)
    content = (version.tags["model.md5"], version.tags.get("final.md5", ""))
    sha256 = ""
    # Of another version with these models, files of this tree may differ, as its prepared data.
    if is_new or all(entry.content != content for entry in ledger.read(root, name)):
        sha256 = manifest.content_of_tree(root, name, metrics.get("model", MODEL))

    def record(decision: Decision) -> None:
        metrics_md5 = fingerprint.file_md5(Layout(root, name).metrics)
        decided = (ledger.GATE, decision.alias, decision.why, decision.model_md5, metrics_md5)
        parent = version.tags.get("parent.md5", "")
        entry = ledger.new_entry(root, *decided, decision.final_md5, parent, sha256)
        if not os.environ.get("DVC_EXP_NAME"):
            ledger.record(root, name, entry)

    return judge(root, name, problem, version, checks, record)


def add(
    root: Path, name: str, problem: Problem, metrics: Metrics, since: str = ""
) -> "tuple[ModelVersion, bool]":
    """Register a problem's judged model, with the refitted one, unless it is; judge nothing.

    A new version has `since` as a tag, if given: when it was registered in a store before.

    Returns:
        The version, and whether it is new.
    """
    layout, model = Layout(root, name), metrics.get("model", MODEL)
    folder, final = layout.model(model), layout.refitted
    run = runs.find_run(root, name, problem, model, folder)
    client, model_md5 = run.client, fingerprint.folder_md5(folder)
    final_md5 = fingerprint.folder_md5(final) if final else ""
    with store.locked(root, LOCK):
        existing = find_by_md5(client, name, model_md5, final_md5)
        if existing is not None:
            return existing, False
        predictor = load_model(folder)
        run_tags = client.get_run(run.run_id).data.tags
        tags = version_tags.of_model(root, name, metrics, model, predictor, final, run_tags)
        tags |= {"model.md5": model_md5} | ({version_tags.SINCE: since} if since else {})
        checks = run_checks(metrics, problem.gate)
        card = model_card.write(root, name, problem, metrics, checks, run_tags | tags)
        logged = log_model(run, root, name, problem, folder, predictor, final, card)
        source, model_id, tags[manifest.TAG] = logged
        _describe(client, name, problem)
        about = {"description": model_card.description(card), "model_id": model_id}
        created = client.create_model_version(name, source, run.run_id, tags, **about)
        # The lock holds on this machine only; of two that found no version, the lower number stays.
        first = find_by_md5(client, name, model_md5, final_md5) or created
        if first.version != created.version:
            client.delete_model_version(name, created.version)
        return first, first.version == created.version


def _describe(client: "MlflowClient", name: str, problem: Problem) -> None:
    """Create the registered model, unless it is there, and say in it what it is for."""
    description = model_card.of_all_versions(problem)
    try:
        client.create_registered_model(name, description=description)
    except StoreError as error:
        if error.code != "RESOURCE_ALREADY_EXISTS":
            raise
        client.update_registered_model(name, description)


def judge(
    root: Path,
    name: str,
    problem: Problem,
    version: "ModelVersion",
    checks: list[CheckResult],
    record: Callable[[Decision], None] = lambda decision: None,
) -> Decision:
    """Compare a version, whose files are here, with the champion, and move the aliases.

    They are moved only if the champion is still the one that was compared. If another machine made
    another one champion meanwhile, the version is compared with that one. It is also judged anew
    where the claim was lost, TRIES times at most. `record` gets a new decision before another
    process of this project can decide.

    Raises:
        RegistryError: the champion cannot be read, or the claim was lost each time.
    """
    client, lost = store.connect(root), 0
    while True:
        state = _champion_state(client, name)
        champion = alias_version(client, name, "champion")
        if kept := _kept(client, name, version, champion):
            return kept
        results = _all_checks(root, problem, version, champion, checks)
        is_champion = champion is not None and champion.version == version.version
        alias = "champion" if is_champion or all(c.passed for c in results) else "challenger"
        try:
            with store.locked(root, LOCK):
                with claim.held(client, name) as holder:
                    if _champion_state(client, name) != state:
                        continue
                    decision = decide(holder, version, alias, results)
                record(decision)
                return decision
        except claim.ClaimLostError:
            lost += 1
            if lost == TRIES:
                raise


def _champion_state(client: "MlflowClient", name: str) -> tuple[str, ...]:
    """Return what a comparison with the champion depends on: its content, and who chose it."""
    champion = alias_version(client, name, "champion")
    chosen = client.get_registered_model(name).tags.get(MOVED, "")
    if champion is None:
        return ("", chosen)
    tags = (champion.tags.get(tag, "") for tag in ("model.md5", "final.md5"))
    return (str(champion.version), chosen, *tags)


def _all_checks(
    root: Path,
    problem: Problem,
    version: "ModelVersion",
    champion: "ModelVersion | None",
    checks: list[CheckResult],
) -> list[CheckResult]:
    """Return the checks of a version's own figures with those against another champion."""
    if champion is not None:
        if champion.version == version.version:
            return checks
        checks = [*checks, *comparison.against_champion(root, problem, version, champion)]
    if os.environ.get("DVC_EXP_NAME"):
        sentence = (
            f"an experiment cannot become champion; apply it with `dvc exp apply NAME`, then "
            f"run `dvc repro -f -s register@{version.name}`"
        )
        checks = [*checks, CheckResult("committed", False, sentence, {})]
    return checks


def decide(
    client: "MlflowClient", version: "ModelVersion", alias: str, checks: list[CheckResult]
) -> Decision:
    """Give a version an alias, and keep what the gate found as its tags.

    The client is that of a claim.
    """
    before = set_alias(client, version, alias)
    failed = [check for check in checks if not check.passed]
    reasons = "; ".join(f"{check.check}: {check.sentence}" for check in failed)
    result = f"is @challenger, not @champion: {reasons}"
    if before is not None and before.version == version.version:
        result = "is @champion already" + (f", but fails the gate: {reasons}" if failed else "")
    elif not failed:
        result = "passed the gate and is @champion"
    sentence = f"{version.name} version {version.version} {result}"
    for key, value in version_tags.of_decision(sentence, checks).items():
        client.set_model_version_tag(version.name, version.version, key, value)
    results = [vars(check) for check in checks]
    final = version.tags.get("final.md5", "")
    return Decision(
        version.tags["model.md5"], str(version.version), alias, sentence, results, final_md5=final
    )


def _kept(
    client: "MlflowClient", name: str, version: "ModelVersion", champion: "ModelVersion | None"
) -> Decision | None:
    """Return the decision to keep a version where it is, because a person chose another champion.

    The stage `register` runs again for many reasons. The person who chose the champion knew all
    versions of that time, so none of them becomes champion again by itself.
    """
    moved = json.loads(client.get_registered_model(name).tags.get(MOVED, "{}"))
    if champion is None or moved.get("champion") != str(champion.version):
        return None
    number = int(version.version)
    if number == int(champion.version) or number > int(moved["newest"]):
        return None
    aliases = client.get_model_version(name, version.version).aliases
    alias = next((a for a in ("challenger", "previous") if a in aliases), "")
    sentence = (
        f"{name} version {number} stays {f'@{alias}' if alias else 'without an alias'}: "
        f"{moved['by']} made version {moved['champion']} @champion on {moved['at'][:10]} "
        f"({moved['why']}); a model of other content is judged, and this one is promoted by "
        f'`retain promote {name} --version {number} --reason "…"`'
    )
    final = version.tags.get("final.md5", "")
    return Decision(
        version.tags["model.md5"], str(number), alias, sentence, kept=True, final_md5=final
    )


def find_by_md5(
    client: "MlflowClient", name: str, model_md5: str, final_md5: str | None = ""
) -> "ModelVersion | None":
    """Return the version that holds the models of these md5, if there is one.

    Args:
        final_md5: of the refitted model; empty for a version that has none, None for any.
    """
    versions = client.search_model_versions(f"name = '{name}' and tags.`model.md5` = '{model_md5}'")
    same = [v for v in versions if final_md5 in (None, v.tags.get("final.md5", ""))]
    return min(same, key=lambda version: int(version.version), default=None)


def set_alias(client: "MlflowClient", version: "ModelVersion", alias: str) -> "ModelVersion | None":
    """Set an alias, and return the champion before, which a new one makes `@previous`."""
    name, champion = version.name, alias_version(client, version.name, "champion")
    if alias == "champion" and champion is not None and champion.version != version.version:
        client.set_registered_model_alias(name, "previous", champion.version)
    client.set_registered_model_alias(name, alias, version.version)
    for other in ("challenger", "previous") if alias == "champion" else ():
        holder = alias_version(client, name, other)
        if holder is not None and holder.version == version.version:
            client.delete_registered_model_alias(name, other)
    return champion


def alias_version(client: "MlflowClient", name: str, alias: str) -> "ModelVersion | None":
    """Return the version that has an alias, if one has."""
    try:
        return client.get_model_version_by_alias(name, alias)
    except StoreError as error:
        if error.code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None  # no such model, no such alias
        raise


def champion(client: "MlflowClient", name: str) -> "ModelVersion":
    """Return the champion; RegistryError where there is none."""
    version = alias_version(client, name, "champion")
    if version is None:
        raise RegistryError(
            f"no version of `{name}` is @champion: train and register one with "
            f"`retain run {name}`, and look at reports/{name}/verdict.json if one failed"
        )
    return version

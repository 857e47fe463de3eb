"""A person moves the aliases: `retain promote` and `retain rollback`.

Who, when and why is written into the tags of both versions and into the ledger, from which a
registry that was lost is rebuilt.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from retain.errors import RegistryError
from retain.project import files
from retain.project.git import Git
from retain.project.layout import Layout
from retain.registry import artifacts, claim, ledger, lookup, registry
from retain.registry.ledger import Entry
from retain.tracking import store
from retain.words import clipped

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


def promote(root: Path, name: str, number: int, reason: str, by: str = "") -> str:
    """Make a version the champion, and the champion before it `@previous`; return what was done.

    Args:
        by: name of the person who decides; if empty, the name that git has.

    Raises:
        RegistryError: there is no such version, it is the champion already, its files are not those
            that were registered, or git does not know who asks for it.
    """
    by = _asked_by(root, by)
    client = store.connect(root)
    with store.locked(root, registry.LOCK):
        version = lookup.find_version(lookup.versions(client, name), name, number)
        champion = registry.alias_version(client, name, "champion")
        if champion is not None and int(champion.version) == number:
            raise RegistryError(f"{name} version {number} is @champion already")
        return _decide(root, client, version, by, reason)


def rollback(root: Path, name: str, reason: str, by: str = "") -> str:
    """Make `@previous` the champion again, and the champion `@previous`: a second one undoes it.

    Raises:
        RegistryError: as `promote`, or there is no champion or none before it.
    """
    by = _asked_by(root, by)
    client = store.connect(root)
    with store.locked(root, registry.LOCK):
        champion = registry.alias_version(client, name, "champion")
        previous = registry.alias_version(client, name, "previous")
        if champion is None or previous is None or champion.version == previous.version:
            missing = "@champion" if champion is None else "@previous"
            raise RegistryError(
                f"there is nothing to roll back to: no version of {name} is {missing}; "
                f"`retain models {name}` lists them, and "
                f'`retain promote {name} --version N --reason "…"` takes any'
            )
        return _decide(root, client, previous, by, reason, champion)


def _decide(
    root: Path,
    client: "MlflowClient",
    version: "ModelVersion",
    by: str,
    reason: str,
    champion: "ModelVersion | None" = None,
) -> str:
    """Make a version the champion, in the store, the ledger and decision.json.

    Args:
        champion: the one that it replaces; None for any.
    """
    name, why = version.name, " ".join(reason.split())
    if not why:
        raise RegistryError("a reason is needed: give one with --reason")
    with artifacts.trusted(version):
        pass  # what cannot be used must not be champion
    _, metrics = ledger.registered(json.loads(version.tags.get("outs", "{}")), name)
    models = (version.tags["model.md5"], metrics, version.tags.get("final.md5", ""))
    entry = ledger.new_entry(root, by, "champion", why, *models)
    with claim.held(client, name) as holder, ledger.recorded(root, name, entry):
        now = registry.alias_version(client, name, "champion")
        if champion is not None and (now is None or now.version != champion.version):
            raise RegistryError(
                f"@champion of {name} was moved meanwhile: look at `retain models {name}` again"
            )
        sentence = move(holder, version, entry)
    path = Layout(root, name).decision
    decision = lookup.recorded_decision(root, name)
    for alias in ("champion", "previous"):
        moved = registry.alias_version(client, name, alias)
        if moved is not None and str(moved.version) == decision.get("version"):
            files.write_text(path, files.to_json(decision | {"alias": alias, "sentence": sentence}))
    return sentence


def move(client: "MlflowClient", version: "ModelVersion", entry: Entry) -> str:
    """Make a version the champion in the store, with who, when and why as tags; say so.

    The client is that of a claim.
    """
    name = version.name
    aliases = client.get_model_version(name, version.version).aliases  # others lack them
    before = registry.set_alias(client, version, "champion")
    decided = {"by": entry.by, "at": entry.at, "why": entry.why}
    moves = [(version, ", ".join(sorted(aliases)) or "none", "champion")]
    sentence = f"{name} version {version.version} is @champion"
    if before is not None and before.version != version.version:
        moves.append((before, "champion", "previous"))
        sentence += f", version {before.version} is @previous"
    for moved, source, target in moves:
        for key, value in (decided | {"from": source, "to": target}).items():
            client.set_model_version_tag(name, moved.version, f"moved.{key}", value)
    newest = max(lookup.versions(client, name))
    # A tag of a version has room for a long reason, that of a model for 5,000 characters.
    state = {key: clipped(value, 1000) for key, value in decided.items()}
    state |= {"champion": str(version.version), "newest": str(newest)}
    client.set_registered_model_tag(name, registry.MOVED, json.dumps(state, ensure_ascii=False))
    return f"{sentence}: {entry.by} decided so on {entry.at[:10]} ({entry.why})"


def _asked_by(root: Path, by: str) -> str:
    """Return who asks, as given or else as git knows it: name and address."""
    if given := " ".join(by.split()):
        return given
    name, mail = (Git(root).config(key) for key in ("user.name", "user.email"))
    if not name or not mail:
        raise RegistryError(
            "the ledger keeps who moves an alias, and git does not know your name: give it with "
            '--by "…", or set git config user.name "…" and git config user.email "…"'
        )
    return f"{name} <{mail}>"

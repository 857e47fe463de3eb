"""A person moves the aliases: `retain promote` and `retain rollback`.

Who, when and why stand in the tags of both versions, and in models/NAME/promotions.csv. That file
is git's, so that a registry that was lost can be rebuilt (`rehydration.py`). DVC does not know it,
since no output depends on it. It names models by content: in another store a version has another
number.
"""

import csv
import io
import json
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from retain.errors import RegistryError
from retain.project import files
from retain.project.git import Git
from retain.registry import registry
from retain.tracking import store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


@dataclass(frozen=True)
class Promotion:
    """One line of promotions.csv: who made which model the champion, when and why."""

    at: str  # ISO, UTC
    by: str
    why: str
    champion: str  # md5 of the model
    previous: str  # md5 of the champion before; empty where there was none
    newest: str  # md5 of the newest version then: after which registration it took place


def promote(root: Path, name: str, number: int, reason: str) -> str:
    """Make a version the champion, and the champion before it `@previous`; answers what was done.

    Raises:
        RegistryError: there is no such version, it is the champion already, its files are not those
            that were registered, or git does not know who asks for it.
    """
    by = _identity(root)
    client = store.connect(root)
    with store.locked(root):
        version = _numbered(client, name, number)
        champion = registry.alias_version(client, name, "champion")
        if champion is not None and champion.version == version.version:
            raise RegistryError(f"{name} version {number} is @champion already")
        return _decide(root, client, version, champion, by, reason)


def rollback(root: Path, name: str, reason: str) -> str:
    """Make `@previous` the champion again, and the champion `@previous`: a second one undoes it.

    Raises:
        RegistryError: as `promote`, or there is no champion or none before it.
    """
    by = _identity(root)
    client = store.connect(root)
    with store.locked(root):
        champion = registry.alias_version(client, name, "champion")
        previous = registry.alias_version(client, name, "previous")
        if champion is None or previous is None or champion.version == previous.version:
            missing = "@champion" if champion is None else "@previous"
            raise RegistryError(
                f"there is nothing to roll back to: no version of {name} is {missing}; "
                f"`retain models {name}` lists them, and "
                f'`retain promote {name} --version N --reason "…"` takes any'
            )
        return _decide(root, client, previous, champion, by, reason)


def _decide(
    root: Path,
    client: "MlflowClient",
    version: "ModelVersion",
    champion: "ModelVersion | None",
    by: str,
    why: str,
) -> str:
    """Move the aliases in the store, then write the ledger and decision.json."""
    name = version.name
    if not why.strip():
        raise RegistryError("a reason is needed: give one with --reason")
    with registry.downloaded(version):
        pass  # what cannot be used must not be champion
    newest = _newest(client, name)
    promotion = Promotion(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        by=by,
        why=" ".join(why.split()),
        champion=version.tags["model.md5"],
        previous=champion.tags.get("model.md5", "") if champion is not None else "",
        newest=newest.tags.get("model.md5", ""),
    )
    said = move(client, promotion, version, champion)
    _write(root, name, [*ledger(root, name), promotion])
    now = {str(version.version): "champion"}
    if champion is not None:
        now[str(champion.version)] = "previous"
    _correct(root, name, now, said)
    return said


def move(
    client: "MlflowClient",
    promotion: Promotion,
    version: "ModelVersion",
    champion: "ModelVersion | None",
) -> str:
    """Make a version the champion in the store, with who, when and why as tags of both."""
    name = version.name
    aliases = client.get_model_version(name, version.version).aliases  # others lack them
    registry.set_alias(client, name, version, "champion", champion)
    said = {"by": promotion.by, "at": promotion.at, "why": promotion.why}
    moves = [(version, {"from": ", ".join(sorted(aliases)) or "none", "to": "champion"})]
    if champion is not None:
        moves.append((champion, {"from": "champion", "to": "previous"}))
    for moved, places in moves:
        for key, value in (said | places).items():
            client.set_model_version_tag(name, moved.version, f"moved.{key}", value)
    newest = registry.find_by_md5(client, name, promotion.newest) or _newest(client, name)
    stands = {"champion": str(version.version), "newest": str(newest.version)}
    client.set_registered_model_tag(name, registry.MOVED, json.dumps(said | stands))
    after = f", version {champion.version} is @previous" if champion is not None else ""
    return (
        f"{name} version {version.version} is @champion{after}: {promotion.by} decided so on "
        f"{promotion.at[:10]} ({promotion.why})"
    )


def ledger_path(root: Path, name: str) -> Path:
    """The file that git tracks with a person's promotions of one model."""
    return root / "models" / name / "promotions.csv"


def ledger(root: Path, name: str) -> list[Promotion]:
    """What was decided by people, in order.

    Raises:
        RegistryError: a line of the file is not one of `retain promote`.
    """
    path = ledger_path(root, name)
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = [field.name for field in fields(Promotion)]
    for number, row in enumerate(rows, start=2):
        if list(row) != columns or None in row.values():
            raise RegistryError(
                f"{path.relative_to(root)}, line {number}: expected the columns "
                f"{', '.join(columns)}; take the file back from git, or remove the line"
            )
    return [Promotion(**row) for row in rows]


def _write(root: Path, name: str, promotions: list[Promotion]) -> None:
    text = io.StringIO()
    columns = [field.name for field in fields(Promotion)]
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(promotion) for promotion in promotions)
    path = ledger_path(root, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, text.getvalue())


def _correct(root: Path, name: str, moved: dict[str, str], said: str) -> None:
    """Have decision.json, which `retain results` reads, say what became of its version."""
    path = root / "reports" / name / "decision.json"
    if not path.is_file():
        return
    decision = json.loads(path.read_text(encoding="utf-8"))
    alias = moved.get(decision["version"])
    if alias is not None:
        files.write_text(path, files.to_json(decision | {"alias": alias, "sentence": said}))


def _identity(root: Path) -> str:
    """Who asks, as git knows it: name and address."""
    name, mail = (Git(root).config(key) for key in ("user.name", "user.email"))
    if not name or not mail:
        raise RegistryError(
            "git does not know who you are, and it is written down who moves an alias: "
            'git config user.name "…" and git config user.email "…"'
        )
    return f"{name} <{mail}>"


def _versions(client: "MlflowClient", name: str) -> list["ModelVersion"]:
    return list(client.search_model_versions(f"name = '{name}'", max_results=10_000))


def _newest(client: "MlflowClient", name: str) -> "ModelVersion":
    return max(_versions(client, name), key=lambda each: int(each.version))


def _numbered(client: "MlflowClient", name: str, number: int) -> "ModelVersion":
    versions = _versions(client, name)
    for version in versions:
        if int(version.version) == number:
            return version
    there = ", ".join(str(each) for each in sorted(int(v.version) for v in versions))
    raise RegistryError(
        f"{name} has no version {number}; there is {there}"
        if versions
        else f"no version of {name} is registered: make one with `dvc repro register@{name}`"
    )

"""What `retain models` shows: each version with its aliases, metrics, age, data and verdict."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from retain.errors import RegistryError
from retain.registry import lookup, version_tags
from retain.tracking import store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

SHOWN = {  # of the test metrics, whatever kind has them
    "mae": "MAE",
    "mase": "MASE",
    "crps": "CRPS",
    "accuracy": "accuracy",
    "memory_horizon": "horizon",
    "bits": "bits",
}
CAPTION = (
    "In brackets: the champion at the time, on the same test windows. Without brackets, compare no "
    "two rows: their test windows may differ."
)


@dataclass(frozen=True)
class Row:
    """One version of a model."""

    name: str
    version: int
    aliases: list[str]
    metrics: dict[str, float]  # of the test part
    registered: str  # ISO, UTC
    age: str
    span: str  # of the data it was trained on
    verdict: str
    sentence: str  # the verdict with its reasons
    model_md5: str
    commit: str
    final_md5: str = ""  # of the refitted model, where there is one
    final_span: str = ""  # of the data that one was trained on
    versus: dict[str, float] = field(default_factory=dict)  # the champion of then, by `version`,
    # and its metrics on the test part of this version


def rows(root: Path, name: str | None = None, now: datetime | None = None) -> list[Row]:
    """The versions of one model, or of all that retain registered, newest first.

    Raises:
        RegistryError: the store does not answer, or no version is registered.
    """
    rows: list[Row] = []
    if not store.is_empty(root):
        client = store.connect(root)
        for model in _names(client) if name is None else [name]:
            known = lookup.versions(client, model)
            ours = [number for number in known if "model.md5" in known[number].tags]
            # As a search finds them, versions lack their aliases.
            numbers = client.get_registered_model(model).aliases if ours else {}
            for number in sorted(ours, reverse=True):
                aliases = sorted(alias for alias, n in numbers.items() if int(n) == number)
                rows.append(_row(known[number], aliases, now or datetime.now(UTC)))
    if not rows:
        where = store.shown(store.uri(root))
        raise RegistryError(
            f"no version of {name or 'any model'} is registered in {where}: make one "
            f"with `retain run {name or 'NAME'}`, or build the registry anew from git and "
            f"DVC's cache with `retain rehydrate`"
        )
    return rows


def _names(client: "MlflowClient") -> Iterator[str]:
    """Yield the names of all models of a store, which other teams may share."""
    token = None
    while token != "":
        page = client.search_registered_models(max_results=1000, page_token=token)
        yield from (model.name for model in page)
        token = page.token or ""


def table(found: list[Row]) -> Table:
    """The rows as a person reads them.

    Beside a version's metrics are those of the champion at the time on the same test windows: those
    of two rows may be of different test parts, so that they say nothing of each other.
    """
    keys = [key for key in SHOWN if any(key in row.metrics for row in found)]
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("model", "version", "aliases", *(SHOWN[key] for key in keys), "age"):
        right = column not in ("model", "aliases", "age")
        shown.add_column(column, justify="right" if right else "left", no_wrap=True)
    shown.add_column("trained on", no_wrap=True)
    shown.add_column("verdict")
    for row in found:
        scores = [_score(row, key) for key in keys]
        aliases = " ".join(f"@{alias}" for alias in row.aliases)
        end = row.final_span.rpartition(" to ")[2]
        span = f"{row.span}, refitted to {end}" if end else row.span
        cells = (row.name, str(row.version), aliases, *scores, row.age, span, row.verdict)
        shown.add_row(*cells)
    if any(row.versus for row in found):
        shown.caption = CAPTION
        shown.caption_justify = "left"
    return shown


def _score(row: Row, key: str) -> str:
    """A metric, with the champion's of then on the same windows."""
    if key not in row.metrics:
        return "–"
    own = f"{row.metrics[key]:.4g}"
    return (
        f"{own} (v{row.versus['version']:g}: {row.versus[key]:.4g})" if key in row.versus else own
    )


def plain(found: list[Row]) -> list[dict[str, Any]]:
    """The rows as a machine reads them."""
    return [asdict(row) for row in found]


def _row(version: "ModelVersion", aliases: list[str], now: datetime) -> Row:
    tags, at = version.tags, since(version)
    verdict = tags.get("gate", "–")
    if "moved.by" in tags:
        who = tags["moved.by"].partition(" <")[0]
        day = tags["moved.at"][:10]
        verdict += f"; made @{tags['moved.to']} by {who} on {day}: {tags['moved.why']}"
    return Row(
        name=version.name,
        version=int(version.version),
        aliases=aliases,
        metrics=version_tags.test_metrics(version),
        registered=at.astimezone(UTC).isoformat(timespec="seconds"),
        age=age((now - at).total_seconds()),
        span=tags.get("data.span", "–"),
        verdict=verdict,
        sentence=tags.get("verdict", ""),
        model_md5=tags.get("model.md5", ""),
        commit=tags.get("git.commit", ""),
        final_md5=tags.get("final.md5", ""),
        final_span=tags.get("final.span", ""),
        versus=version_tags.versus(version),
    )


def since(version: "ModelVersion") -> datetime:
    """When a version was registered."""
    stored = datetime.fromtimestamp(version.creation_timestamp / 1000, UTC)
    at = version.tags.get(version_tags.SINCE)
    return datetime.fromisoformat(at) if at else stored


def age(seconds: float) -> str:
    """How long ago, in the largest unit that fits.

    >>> age(3 * 86_400 + 5)
    '3 days'
    >>> age(90)
    '1 minute'
    """
    for size, unit in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        count = int(seconds // size)
        if count >= 1:
            return f"{count} {unit}{'s' * (count > 1)}"
    return "now"

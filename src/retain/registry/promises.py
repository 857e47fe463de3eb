"""What was promised of versions when they were registered, to compare with what they did."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

from retain.config.monitoring import Promise
from retain.registry import lookup, version_tags
from retain.tracking import store

RUN = "test/"  # how the metrics of a run begin that are of the test part


def finder(root: Path, name: str) -> Callable[[int], Promise | None]:
    """Return what finds the records of a version of a model; None if there is no such version.

    A run has all test metrics of its model; the version's tags have the most important.
    """
    if store.is_empty(root):
        return lambda number: None
    client = store.connect(root)
    versions = lookup.versions(client, name)

    @cache
    def find(number: int) -> Promise | None:
        version = versions.get(number)
        if version is None:
            return None
        recorded = client.get_run(version.run_id).data.metrics if version.run_id else {}
        metrics = {key.removeprefix(RUN): v for key, v in recorded.items() if key.startswith(RUN)}
        tags = version.tags
        return Promise(
            metrics | version_tags.test_metrics(version),
            version_tags.forecasting_md5(version),
            str(tags.get("final.span") or tags.get("data.span", "")),
        )

    return find

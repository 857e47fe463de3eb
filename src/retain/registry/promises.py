"""What was promised of versions when they were registered, to compare with what they did."""

from pathlib import Path

from retain.config.monitoring import Promise
from retain.registry import lookup, version_tags
from retain.tracking import store

RUN = "test/"  # how the metrics of a run begin that are of the test part


def promises(root: Path, name: str) -> dict[int, Promise]:
    """Return what is recorded of each version of a model; empty if none is registered.

    A run has all test metrics of its model; the version's tags have the most important.
    """
    if store.is_empty(root):
        return {}
    client, found = store.connect(root), {}
    for number, version in lookup.versions(client, name).items():
        recorded = client.get_run(version.run_id).data.metrics if version.run_id else {}
        metrics = {key.removeprefix(RUN): v for key, v in recorded.items() if key.startswith(RUN)}
        tags = version.tags
        found[number] = Promise(
            metrics | version_tags.test_metrics(version),
            version_tags.forecasting_md5(version),
            str(tags.get("final.span") or tags.get("data.span", "")),
        )
    return found

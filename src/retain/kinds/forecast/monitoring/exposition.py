"""The metrics of `retain monitor`, in the format of Prometheus."""

import math
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Gauge, generate_latest

if TYPE_CHECKING:
    from retain.kinds.forecast.monitoring.findings import Findings

FIGURES = {
    "mae": "Mean absolute error of the forecasts whose values came.",
    "mase": "Mean absolute scaled error.",
    "wape": "Sum of absolute errors over the sum of absolute values.",
    "bias": "Sum of forecast means minus values, over the sum of absolute values.",
    "coverage_80": "Share of the values within the 80 % interval.",
}


def write(name: str, found: "Findings") -> bytes:
    """Return the figures of a problem's log; those that are not known have no line."""
    from retain.kinds.forecast.monitoring.findings import by_number

    registry = CollectorRegistry()

    def declare(key: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"retain_monitor_{key}", text, labels, registry=registry)

    of_part = ("name", "version", "part")
    gauges = {key: declare(key, text, *of_part) for key, text in FIGURES.items()}
    promised = declare(
        "promised",
        "What the evaluation of the version found of a metric.",
        "name",
        "version",
        "metric",
    )
    values = declare("values", "Forecast values that came.", *of_part)
    worse = declare(
        "worse", "Whether the error is larger than promised, by its 95 % interval.", *of_part
    )
    low = declare(
        "coverage_low",
        "Whether fewer values than promised are within the 80 % interval, beyond chance.",
        *of_part,
    )
    drift = declare(
        "drift_ratio", "Drift of an input, as a multiple of its bound.", "name", "column", "measure"
    )
    lost = declare(
        "inputs_worse", "Reasons for which the newest rows are worse than those before.", "name"
    )
    ran = declare("run_timestamp_seconds", "When this was measured.", "name")
    ran.labels(name).set_to_current_time()
    for version in by_number(found.versions):  # other models would have the same labels
        for row in version.rows.values():
            of = (name, row["version"], row["part"])
            for key, gauge in gauges.items():
                if math.isfinite(row[key]):
                    gauge.labels(*of).set(row[key])
            values.labels(*of).set(row["values"])
            worse.labels(*of).set(row["judgement"] == "worse")
            low.labels(*of).set(row["coverage_is_low"])
            for key, value in row["promised"].items():
                if math.isfinite(value):
                    promised.labels(name, row["version"], key).set(value)
    if found.inputs is not None:
        lost.labels(name).set(len(found.inputs.worse))
        for one in found.inputs.drifts:
            drift.labels(name, one.name, one.measure).set(one.value / one.bound)
    return generate_latest(registry)

"""What the server counts, in the format of Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from retain.serving.champion import Live

PATHS = ("/", "/health", "/model", "/example", "/metrics", "/openapi.json")
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)


class Meter:
    """Counters of one server; nothing of a request's content.

    Args:
        live: the champion.
        counters: where a kind's own are, too.
        path: at which the kind is asked.
    """

    def __init__(self, live: Live, counters: CollectorRegistry, path: str):
        self._live, self._paths = live, (*PATHS, path)
        self._registry = registry = counters
        self._requests = Counter(
            "retain_requests", "Requests answered.", ("path", "status"), registry=registry
        )
        self._seconds = Histogram(
            "retain_request_seconds",
            "From the first byte of a request to the last of its answer.",
            ("path",),
            buckets=SECONDS,
            registry=registry,
        )
        self._model = Gauge(
            "retain_model_version",
            "Of the champion that answers.",
            ("name", "md5"),
            registry=registry,
        )
        self._registry_up = Gauge(
            "retain_registry_up", "Whether the registry answered last time.", registry=registry
        )

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        known = path if path in self._paths else "other"
        self._requests.labels(known, status).inc()
        self._seconds.labels(known).observe(seconds)

    def exposition(self) -> bytes:
        """All of it, as Prometheus reads it."""
        model = self._live.model
        self._model.clear()
        self._model.labels(model.name, model.md5).set(int(model.version))
        self._registry_up.set(not self._live.trouble)
        return generate_latest(self._registry)

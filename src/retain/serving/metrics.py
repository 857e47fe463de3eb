"""The server's counters, in the format of Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from retain.serving.champion import ChampionHolder

PATHS = ("/", "/health", "/model", "/example", "/metrics", "/openapi.json")
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)


class Metrics:
    """Counters of one server, without any content of requests.

    Args:
        holder: of the champion.
        counters: the registry that also has the endpoint's counters.
        path: of the endpoint.
    """

    def __init__(self, holder: ChampionHolder, counters: CollectorRegistry, path: str):
        self._holder, self._counters, self._paths = holder, counters, (*PATHS, path)
        self._requests = Counter(
            "retain_requests", "Requests answered.", ("path", "status"), registry=counters
        )
        self._seconds = Histogram(
            "retain_request_seconds",
            "From the first byte of a request to the last of its answer.",
            ("path",),
            buckets=SECONDS,
            registry=counters,
        )
        self._version = Gauge(
            "retain_model_version",
            "Of the champion that answers.",
            ("name", "md5"),
            registry=counters,
        )
        self._registry_up = Gauge(
            "retain_registry_up", "Whether the registry answered last time.", registry=counters
        )

    def count_request(self, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        known = path if path in self._paths else "other"
        self._requests.labels(known, status).inc()
        self._seconds.labels(known).observe(seconds)

    def exposition(self) -> bytes:
        """Write all counters in Prometheus' format."""
        champion = self._holder.champion
        self._version.clear()
        self._version.labels(champion.name, champion.md5).set(int(champion.version))
        self._registry_up.set(not self._holder.registry_error)
        return generate_latest(self._counters)

"""What monitoring reads, in Prometheus' format."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from bakeoff.ops.server.served import Origin

SECONDS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counters of one server; each has a registry of its own."""

    def __init__(self) -> None:
        """Start from nothing."""
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "bakeoff_requests", "Requests by route and HTTP status.", ["route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "bakeoff_request_seconds",
            "From the first byte of a request to the last of its answer.",
            ["route"],
            registry=self._registry,
            buckets=SECONDS,
        )
        self._batch = Histogram(
            "bakeoff_batch_size", "Queries computed together.", registry=self._registry, buckets=BATCHES
        )
        self._model = Gauge(
            "bakeoff_model_info", "1 for what answers now.", ["model", "version", "commit"], registry=self._registry
        )
        self._loaded = Gauge(
            "bakeoff_model_loaded_timestamp_seconds", "When it began to answer.", registry=self._registry
        )
        self._swaps = Counter("bakeoff_model_swaps", "Promotions that were taken up.", registry=self._registry)
        self._failures = Counter(
            "bakeoff_model_load_failures",
            "Promotions that could not be loaded; the old model goes on.",
            registry=self._registry,
        )
        self._looks = Counter(
            "bakeoff_registry_failures", "Looks at the registry that failed.", registry=self._registry
        )
        self._recall = Gauge(
            "bakeoff_search_recall", "Of the search beside brute force, at load; 1 if exact.", registry=self._registry
        )

    def on_request(self, route: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def on_batch(self, size: int) -> None:
        """A block of questions is about to be asked."""
        self._batch.observe(size)

    def on_model(self, origin: Origin, recall: float | None, at: float, *, swapped: bool) -> None:
        """A model answers from now on, in UTC seconds."""
        self._model.clear()
        self._model.labels(origin.model, origin.version, origin.commit or "").set(1)
        self._loaded.set(at)
        self._recall.set(1.0 if recall is None else recall)
        if swapped:
            self._swaps.inc()

    def on_load_failure(self) -> None:
        """A promotion could not be loaded."""
        self._failures.inc()

    def on_registry_failure(self) -> None:
        """The registry could not be read."""
        self._looks.inc()

    def text(self) -> bytes:
        """The page."""
        return generate_latest(self._registry)

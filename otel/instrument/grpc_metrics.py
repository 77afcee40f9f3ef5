"""gRPC's own metrics, counted by its C core: attempts, bytes on the wire, the statuses that a server sent (gRFC A66).

`grpcio-observability` hands them to Python; it exists for Linux alone. Off by default, for two reasons besides the
price: what it does at a hand-over would stop a busy grpc.aio process for good (see `_without_bytecode`, `_Collector`),
and it says nothing of the trace that a call was in, so its points have no exemplars.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.context import Context
from opentelemetry.metrics import (
    Counter,
    Histogram,
    Meter,
    MeterProvider,
    NoOpCounter,
    NoOpHistogram,
    NoOpMeter,
    NoOpMeterProvider,
)
from opentelemetry.util.types import Attributes

from otel.instrument.method_names import METHOD_CACHE_SIZE, service_name
from otel.instrument.settings import SettingsError

if TYPE_CHECKING:
    from types import ModuleType

METHOD: Final = "grpc.method"
OTHER: Final = "other"
# The exporters of this process call these; what export costs is no call of the program's.
EXPORT_SERVICES: Final = "opentelemetry.proto.collector."
# gRFC A66; the library leaves the SDK's own bounds, which are meant for milliseconds.
DURATION_BUCKETS_S: Final = (
    *(0.0, 0.00001, 0.00005, 0.0001, 0.0003, 0.0006, 0.0008, 0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.008),
    *(0.01, 0.013, 0.016, 0.02, 0.025, 0.03, 0.04, 0.05, 0.065, 0.08, 0.1, 0.13, 0.16, 0.2, 0.25, 0.3, 0.4, 0.5),
    *(0.65, 0.8, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0),
)
SIZE_BUCKETS_BYTES: Final = (0, *(2**power for power in (10, 11, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32)))
BUCKETS: Final[Mapping[str, tuple[float, ...]]] = {"s": DURATION_BUCKETS_S, "By": SIZE_BUCKETS_BYTES}
COLLECTION_INTERVAL_S: Final = 0.5
FULL_COLLECTION_EVERY: Final = 20


def start_grpc_metrics(meter_provider: MeterProvider, untraced_services: frozenset[str]) -> Callable[[], None]:
    """Let gRPC's core count into `meter_provider` from now on, for all channels and servers made later.

    Calls to `untraced_services` and those of OTLP exporters are left out. Once in a process at a time. Returns what
    ends it, which blocks for half a second, in which core hands over what it still has. Raises SettingsError where the
    library is not installed.
    """
    library = _library()
    plugin = library.OpenTelemetryPlugin(
        meter_provider=_CoreMeterProvider(meter_provider, untraced_services),
        # grpc.aio registers no method, so that each would be called other.
        generic_method_attribute_filter=lambda _method: True,
    )
    give_back = _without_bytecode(library)
    collector = _Collector() if sys.version_info < (3, 12) else None
    # A thread inherits being a daemon: core's would keep a process alive that ends without having closed anything.
    _in_daemon_thread(plugin.register_global)

    def stop() -> None:
        plugin.deregister_global()
        give_back()
        if collector is not None:
            collector.stop()

    return stop


def _library() -> ModuleType:
    try:
        import grpc_observability
    except ImportError as error:
        raise SettingsError(
            "LAB_GRPC_METRICS: grpcio-observability is not installed; there is one for Linux alone"
        ) from error
    return grpc_observability  # type: ignore[no-any-return]  # the library is untyped


def _without_bytecode(library: ModuleType) -> Callable[[], None]:
    """Let no bytecode run while core's figures are handed over; return what takes that back.

    A hand-over in which other Python code gets its turn may never end in a busy grpc.aio process, which stands still
    then. The library makes an object of each figure; this type is made in C, and lets nobody in between. Held by
    tests/unit/instrument/test_seams.py.
    """
    module = library._observability
    found = module.StatsData
    module.StatsData = SimpleNamespace

    def give_back() -> None:
        module.StatsData = found

    return give_back


class _Collector:
    """Collects garbage in a thread of its own, in place of the interpreter's own moments.

    Before Python 3.12 these are wherever an object is made, so at a hand-over too, which then may not end either.
    """

    def __init__(self) -> None:
        self._is_ours = gc.isenabled()
        self._ending = threading.Event()
        gc.disable()
        if self._is_ours:
            threading.Thread(target=self._run, name="grpc-metrics-gc", daemon=True).start()

    def _run(self) -> None:
        turn = 0
        while not self._ending.wait(COLLECTION_INTERVAL_S):
            turn += 1
            gc.collect(1 if turn % FULL_COLLECTION_EVERY else 2)

    def stop(self) -> None:
        self._ending.set()
        if self._is_ours:
            gc.enable()


def _in_daemon_thread(work: Callable[[], None]) -> None:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, name="grpc-metrics-start", daemon=True)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


class _CalledMethods:
    """Which method a figure is counted for; None leaves it out. Called in core's export thread alone."""

    def __init__(self, untraced_services: frozenset[str]) -> None:
        self._untraced_services = untraced_services
        self._known: set[str] = set()

    def attributes(self, found: Attributes) -> dict[str, Any] | None:
        attributes: dict[str, Any] = dict(found or {})
        method = str(attributes.get(METHOD, OTHER))
        service = service_name(method)
        if service in self._untraced_services or service.startswith(EXPORT_SERVICES):
            return None
        # Whoever probes a server may name any number of methods, and each would be a series.
        if method not in self._known and len(self._known) >= METHOD_CACHE_SIZE:
            method = OTHER
        self._known.add(method)
        return {**attributes, METHOD: method}


class _CoreCounter(NoOpCounter):
    def __init__(self, counter: Counter, name: str, methods: _CalledMethods) -> None:
        super().__init__(name)
        self.name = name
        self._counter = counter
        self._methods = methods

    def add(self, amount: float, attributes: Attributes | None = None, context: Context | None = None) -> None:
        kept = self._methods.attributes(attributes)
        if kept is not None:
            self._counter.add(amount, kept, context)


class _CoreHistogram(NoOpHistogram):
    def __init__(self, histogram: Histogram, name: str, methods: _CalledMethods) -> None:
        super().__init__(name)
        self.name = name
        self._histogram = histogram
        self._methods = methods

    def record(self, amount: float, attributes: Attributes | None = None, context: Context | None = None) -> None:
        kept = self._methods.attributes(attributes)
        if kept is not None:
            self._histogram.record(amount, kept, context)


class _CoreMeter(NoOpMeter):
    """Makes the two kinds of instruments that the library asks for."""

    def __init__(self, meter: Meter, name: str, methods: _CalledMethods) -> None:
        super().__init__(name)
        self._meter = meter
        self._methods = methods

    def create_counter(self, name: str, unit: str = "", description: str = "") -> Counter:
        return _CoreCounter(self._meter.create_counter(name, unit, description), name, self._methods)

    def create_histogram(self, name: str, unit: str = "", description: str = "", **_advisory: object) -> Histogram:
        made = self._meter.create_histogram(
            name, unit, description, explicit_bucket_boundaries_advisory=BUCKETS.get(unit)
        )
        return _CoreHistogram(made, name, self._methods)


class _CoreMeterProvider(NoOpMeterProvider):
    def __init__(self, provider: MeterProvider, untraced_services: frozenset[str]) -> None:
        self._provider = provider
        self._methods = _CalledMethods(untraced_services)

    def get_meter(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes | None = None,
    ) -> Meter:
        return _CoreMeter(self._provider.get_meter(name, version, schema_url, attributes), name, self._methods)

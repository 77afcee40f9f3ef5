"""How the process and what serves calls in it are doing: garbage collection, the event loop's lag, the pool of threads.

`opentelemetry-instrumentation-system-metrics` measures the process, and the SDK its own queues, with
`OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED`; ours is what neither has, the loop and the pool.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, ParamSpec, TypeVar

from opentelemetry.metrics import Meter, MeterProvider, Observation

PROCESS_METRICS: Final[Mapping[str, list[str] | None]] = {
    "cpython.gc.collections": None,
    "cpython.gc.collected_objects": None,
    "process.cpu.time": ["user", "system"],
    "process.memory.usage": None,
    "process.thread.count": None,
}
LOOP_LAG: Final = "tracelab.event_loop.lag"
POOL_ACTIVE: Final = "tracelab.thread_pool.active"
POOL_WAITING: Final = "tracelab.thread_pool.waiting"
LAG_INTERVAL_S: Final = 0.1
LAG_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def observe_process(meter_provider: MeterProvider) -> None:
    """Measure this process by the library that knows how, once in a process; read when metrics are collected."""
    # Imported here: it brings psutil, which a service without these metrics has no need of.
    from opentelemetry.instrumentation.system_metrics import SystemMetricsInstrumentor

    SystemMetricsInstrumentor(config=dict(PROCESS_METRICS)).instrument(meter_provider=meter_provider)


async def watch_event_loop(meter: Meter) -> None:
    """Record, ten times a second until cancelled, how late (s) the running loop wakes a sleeper: what blocks it."""
    lag = meter.create_histogram(
        LOOP_LAG, "s", "How late the event loop comes to a task.", explicit_bucket_boundaries_advisory=LAG_BUCKETS_S
    )
    loop = asyncio.get_running_loop()
    while True:
        due_s = loop.time() + LAG_INTERVAL_S
        await asyncio.sleep(LAG_INTERVAL_S)
        lag.record(max(0.0, loop.time() - due_s))


class MeasuredThreadPool(ThreadPoolExecutor):
    """A pool that tells how many of its threads work and how many pieces of work wait for one."""

    def __init__(self, meter: Meter, max_workers: int, thread_name_prefix: str) -> None:
        super().__init__(max_workers, thread_name_prefix)
        self._counting = threading.Lock()
        self._active_count = 0
        self._waiting_count = 0
        meter.create_observable_gauge(POOL_ACTIVE, [lambda _: [Observation(self._active_count)]], "{thread}")
        meter.create_observable_gauge(POOL_WAITING, [lambda _: [Observation(self._waiting_count)]], "{call}")

    def submit(
        self, fn: Callable[Parameters, Result], /, *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Future[Result]:
        """Fulfil `Executor.submit`."""
        with self._counting:
            self._waiting_count += 1
        try:
            return super().submit(self._run, fn, args, kwargs)
        except RuntimeError:  # the pool is shut down
            with self._counting:
                self._waiting_count -= 1
            raise

    def _run(self, fn: Callable[..., Result], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Result:
        with self._counting:
            self._waiting_count -= 1
            self._active_count += 1
        try:
            return fn(*args, **kwargs)
        finally:
            with self._counting:
                self._active_count -= 1

"""What is measured of the interpreter: the loop's lag, a pool's threads; the rest is a library's."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otel.instrument import runtime_metrics
from tests.polling import eventually


class Measured:
    """A meter, and what it has measured by now."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self.meter = MeterProvider([self._reader]).get_meter("test")

    def points(self, name: str) -> list[Any]:
        data = self._reader.get_metrics_data()
        metrics = data.resource_metrics[0].scope_metrics[0].metrics if data else ()
        return [point for metric in metrics if metric.name == name for point in metric.data.data_points]

    def value(self, name: str) -> float:
        (point,) = self.points(name)
        return float(point.value)


async def test_what_blocks_the_loop_is_in_its_lag() -> None:
    measured = Measured()
    watching = asyncio.create_task(runtime_metrics.watch_event_loop(measured.meter))
    await asyncio.sleep(0)  # it sleeps now

    asyncio.get_running_loop().call_soon(time.sleep, 1.0)
    while not measured.points(runtime_metrics.LOOP_LAG):
        await asyncio.sleep(0.01)

    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    assert max(point.max for point in measured.points(runtime_metrics.LOOP_LAG)) >= 0.9


def test_a_pool_tells_its_threads_at_work_and_what_waits_for_one() -> None:
    measured = Measured()
    gate = threading.Event()
    with runtime_metrics.MeasuredThreadPool(measured.meter, 2, "test") as pool:

        def seen() -> tuple[float, float]:
            return measured.value(runtime_metrics.POOL_ACTIVE), measured.value(runtime_metrics.POOL_WAITING)

        work = [pool.submit(gate.wait, 30) for _ in range(5)]
        try:
            eventually(seen, until=lambda found: found == (2, 3))
        finally:
            gate.set()
        assert all(each.result() for each in work)
        eventually(seen, until=lambda found: found == (0, 0))

"""One rig per test, with telemetry in memory and logging taken over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from otel.instrument import TelemetrySettings
from otel.instrument.testing import InMemoryTelemetry, in_memory_telemetry
from tests.inprocess.instrument.rig import Rig, Tracing
from tests.inprocess.instrument.sync_rig import SyncRig


@pytest.fixture
def settings() -> TelemetrySettings:
    return TelemetrySettings(service_name="test", log_to_stdout=False)


@pytest.fixture
def tracing() -> Tracing:
    """How channels trace; a module or test that holds for both says `BOTH_TRACINGS`."""
    return "channel"


@pytest.fixture
async def rig(settings: TelemetrySettings, tracing: Tracing) -> AsyncIterator[Rig]:
    telemetry = in_memory_telemetry(settings)
    telemetry.take_over_logging()
    made = Rig(telemetry, tracing)
    yield made
    await made.close()
    await asyncio.sleep(0)
    telemetry.shutdown()
    # grpc.aio leaves futures that nobody asks; what is said when they are collected is no record of a later test.
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)


@pytest.fixture
def telemetry(rig: Rig) -> InMemoryTelemetry:
    return rig.telemetry


@pytest.fixture
def sync_rig(settings: TelemetrySettings, tracing: Any) -> Iterator[SyncRig]:
    telemetry = in_memory_telemetry(settings)
    telemetry.take_over_logging()
    made = SyncRig(telemetry, tracing)
    yield made
    made.close()
    telemetry.shutdown()

"""The untouched library and no instrumentation at all, behind the same face."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from opentelemetry import baggage, context
from opentelemetry.instrumentation.grpc._aio_server import OpenTelemetryAioServerInterceptor
from opentelemetry.trace import SpanKind

from otel.instrument import TelemetrySettings
from otel.instrument.settings import Instrumentation
from otel.instrument.testing import InMemoryTelemetry
from tests.inprocess.instrument.rig import Rig, behavior, finish, method_handler, said, start


async def rejects(call_context: Any) -> None:
    await call_context.abort(grpc.StatusCode.INTERNAL, "broken")


@pytest.fixture
def settings(request: pytest.FixtureRequest) -> TelemetrySettings:
    chosen: Instrumentation = request.param
    return TelemetrySettings(service_name="test", log_to_stdout=False, instrumentation=chosen)


@pytest.mark.parametrize("settings", ["stock"], indirect=True)
async def test_stock_is_the_library_itself_and_still_gets_baggage(rig: Rig, telemetry: InMemoryTelemetry) -> None:
    await rig.serve(method_handler("unary_unary", behavior("unary_unary", rejects)))
    token = context.attach(baggage.set_baggage("session.id", "s1"))

    await finish(start(rig.channel(), "unary_unary", timeout=20), "unary_unary")

    context.detach(token)
    assert [type(interceptor) for interceptor in telemetry.server_interceptors()] == [OpenTelemetryAioServerInterceptor]
    server = await rig.span(SpanKind.SERVER)
    assert (server.attributes or {})["session.id"] == "s1"
    assert said(server)["events"] == ["exception", "exception"]


@pytest.mark.parametrize("settings", ["off"], indirect=True)
async def test_off_is_nothing(rig: Rig, telemetry: InMemoryTelemetry) -> None:
    await rig.serve(method_handler("unary_unary", behavior("unary_unary", rejects)))

    await finish(start(rig.channel(), "unary_unary", timeout=20), "unary_unary")

    assert telemetry.server_interceptors() == []
    assert telemetry.client_interceptors(rig.address) == []
    assert telemetry.spans() == []

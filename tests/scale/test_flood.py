"""How much each hop takes: spans from senders who never pause, so that the slowest hop sets the pace.

Opt-in (`./lab test --scale`). SCALE_FLOOD_SPANS says how many spans; a tenth of their traces is kept.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from tests.polling import eventually
from tests.scale.cluster import OTLP_PORT, Cluster
from tests.scale.cost import cost_counts, cpu_seconds
from tests.scale.counting import KEEP_PERCENT
from tests.scale.hops import counters
from tests.scale.rule import is_in_share
from tests.scale.told import Told
from tracelab.chaos.experiment import Count, at_least
from tracelab.chaos.sending import EXPORT

pytestmark = pytest.mark.timeout(1_200)

SPAN_COUNT: Final = int(os.environ.get("SCALE_FLOOD_SPANS", "60000"))
SPANS_OF_A_TRACE: Final = 8
TRACES_IN_A_REQUEST: Final = 64  # 512 spans, as a service's exporter sends them
SENDERS: Final = 4
ATTRIBUTES: Final = {f"rpc.attribute.{number}": f"of a usual length, {number}" for number in range(8)}
READ_EVERY_S: Final = 1.0
WINDOW: Final = 5  # readings
FLOOD_BOUND_S: Final = 600.0
EXPORT_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Reading:
    """How many spans had passed each hop, and when; Jaeger has those that are kept, after the wait for the decision."""

    at_s: float
    spans: dict[str, int]


def test_a_flood_of_spans_is_all_kept_or_let_go_and_shows_what_each_hop_takes(cluster: Cluster, told: Told) -> None:
    trace_ids = [secrets.token_bytes(16) for _ in range(SPAN_COUNT // SPANS_OF_A_TRACE)]
    sent = len(trace_ids) * SPANS_OF_A_TRACE
    kept = SPANS_OF_A_TRACE * sum(is_in_share(trace_id, KEEP_PERCENT) for trace_id in trace_ids)
    cpu_before, before = cpu_seconds(cluster), _passed(cluster)
    readings, begun_s = [before], time.monotonic()
    with ThreadPoolExecutor(SENDERS) as pool:
        senders = [pool.submit(_send, cluster, trace_ids[number::SENDERS], number) for number in range(SENDERS)]

        def all_has_passed() -> bool:
            time.sleep(READ_EVERY_S)  # readings cost those who are read
            readings.append(_passed(cluster))
            now = readings[-1].spans
            return now["gateway"] - before.spans["gateway"] >= sent and now["jaeger"] - before.spans["jaeger"] >= kept

        eventually(all_has_passed, within_s=FLOOD_BOUND_S)
        refused = sum(sender.result() for sender in senders)
    spent = cpu_seconds(cluster)
    spent.subtract(cpu_before)
    told.counted(
        "flood",
        Count("spans sent", sent),
        Count("requests that an agent refused, and took when they came again", refused),
        at_least("spans that the gateways read", _since(readings, "gateway"), sent),
        Count("spans that the rule keeps", kept),
        at_least("spans handed to Jaeger", _since(readings, "jaeger"), kept),
        Count("seconds until Jaeger had all that is kept", round(time.monotonic() - begun_s)),
        *(Count(f"{hop}: spans/s at best, of {WINDOW} s", _best_rate(readings, hop)) for hop in before.spans),
    )
    handled = dict.fromkeys(("agent", "kafka", "gateway"), sent) | dict.fromkeys(("jaeger", "cassandra"), kept)
    told.counted("cost of the flood, in spans for each second of CPU", *cost_counts(cluster, spent, handled))


def _send(cluster: Cluster, trace_ids: Sequence[bytes], number: int) -> int:
    """Send them to one agent, request after request, each until it is taken; gives how often one was refused."""
    agents, refused = cluster.all_of("agent"), 0
    with grpc.insecure_channel(f"{agents[number % len(agents)].address}:{OTLP_PORT}") as channel:
        export: Any = channel.unary_unary(EXPORT)  # of bytes, as it has no serializers
        for first in range(0, len(trace_ids), TRACES_IN_A_REQUEST):
            request, is_taken = _request(trace_ids[first : first + TRACES_IN_A_REQUEST]), False
            while not is_taken:
                try:
                    export(request, timeout=EXPORT_TIMEOUT_S)
                    is_taken = True
                except grpc.RpcError as error:
                    if error.code() is not grpc.StatusCode.UNAVAILABLE:
                        raise
                    refused += 1
                    time.sleep(READ_EVERY_S)
    return refused


def _request(trace_ids: Sequence[bytes]) -> bytes:
    now = time.time_ns()
    attributes = [KeyValue(key=key, value=AnyValue(string_value=text)) for key, text in ATTRIBUTES.items()]
    spans = [
        Span(
            trace_id=trace_id,
            span_id=number.to_bytes(8, "big"),
            parent_span_id=(number - 1).to_bytes(8, "big") if number > 1 else b"",
            name=f"flood {number}",
            start_time_unix_nano=now,
            end_time_unix_nano=now + number,
            attributes=attributes,
        )
        for trace_id in trace_ids
        for number in range(1, SPANS_OF_A_TRACE + 1)
    ]
    resource = Resource(attributes=[KeyValue(key="service.name", value=AnyValue(string_value="flood"))])
    part = ResourceSpans(resource=resource, scope_spans=[ScopeSpans(spans=spans)])
    return ExportTraceServiceRequest(resource_spans=[part]).SerializeToString()


def _passed(cluster: Cluster) -> Reading:
    agents, gateways = counters(cluster.all_of("agent")), counters(cluster.all_of("gateway"))
    return Reading(
        time.monotonic(),
        {
            "agent": agents["receiver_accepted_spans"],
            "kafka": agents["exporter_sent_spans"],
            "gateway": gateways["receiver_accepted_spans"],
            "jaeger": gateways["exporter_sent_spans"],
        },
    )


def _since(readings: Sequence[Reading], hop: str) -> int:
    return readings[-1].spans[hop] - readings[0].spans[hop]


def _best_rate(readings: Sequence[Reading], hop: str) -> int:
    """The most spans for each second that passed a hop between readings that lie that far apart."""
    pairs = zip(readings, readings[WINDOW:], strict=False)
    return round(max((last.spans[hop] - first.spans[hop]) / (last.at_s - first.at_s) for first, last in pairs))

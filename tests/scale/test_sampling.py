"""Three services in three languages that each sample by ratio, and the same three that follow their caller.

An edge in Python calls a greeter in Go and one in Node, each with its language's own SDK and instrumentation.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import inject
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ParentBased, Sampler, TraceIdRatioBased

from otel.query import TraceQuery
from tests.conformance import node_sender
from tests.e2e.outsiders import hello_folder, started
from tests.polling import eventually
from tests.scale.conftest import CACHE, ENVIRON
from tests.scale.engines import greeter
from tests.scale.told import Told
from tracelab.chaos.experiment import Count, equal
from tracelab.stack import Stack, StackOptions

pytestmark = pytest.mark.timeout(600)

RATIO: Final = 0.25
TRACE_COUNT: Final = 400
LANGUAGES: Final = ("python", "go", "node")
SAMPLERS: Final[dict[str, Sampler]] = {
    "traceidratio": TraceIdRatioBased(RATIO),
    "parentbased_traceidratio": ParentBased(TraceIdRatioBased(RATIO)),
}
SAY_HELLO: Final = "/hello.Greeter/SayHello"
HELLO: Final = b"\x0a\x03Ana"  # HelloRequest{name: "Ana"}


class _Ids(RandomIdGenerator):
    """Gives the trace ids of a list, in its order."""

    def __init__(self, trace_ids: Sequence[int]) -> None:
        self._trace_ids = iter(trace_ids)

    def generate_trace_id(self) -> int:
        return next(self._trace_ids)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_services_agree_on_the_traces_to_keep_only_where_they_follow_their_caller(
    sampler: str, backend: Stack, greeters: Path, go_greeter: Path, told: Told
) -> None:
    environ = {
        "PATH": os.environ["PATH"],
        "OTEL_EXPORTER_OTLP_ENDPOINT": backend.otlp_endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_TRACES_SAMPLER": sampler,
        "OTEL_TRACES_SAMPLER_ARG": str(RATIO),
    }
    # The last one's id is so small that each language's rule keeps it: what came before it has come once it is there.
    last_id = 1 + list(SAMPLERS).index(sampler)
    drawn = random.Random(last_id)
    trace_ids = [*(drawn.getrandbits(128) for _ in range(TRACE_COUNT)), last_id]
    with _servers(environ, greeters, go_greeter) as addresses:
        _ask(addresses, backend.otlp_endpoint, SAMPLERS[sampler], trace_ids)
        kept = _kept(backend.query_url, trace_ids)

    python, go, node = (kept[language] for language in LANGUAGES)
    whole, touched = python & go & node, python | go | node
    told.counted(
        f"{TRACE_COUNT} traces, {sampler}",
        *(Count(f"kept by {language}", len(kept[language])) for language in LANGUAGES),
        Count("kept by Python and Node", len(python & node)),
        Count("stored whole", len(whole)),
        Count("stored with a hole", len(touched - whole)),
        equal("kept by one of Python and Go alone", len(python ^ go), 0),
    )
    if sampler == "traceidratio":
        assert len(python & node) < len(python) / 2, (
            "Node has come to agree with Python: docs/scale.md says it does not"
        )
    else:
        assert touched == whole


@pytest.fixture(scope="module")
def backend(folder: Path) -> Iterator[Stack]:
    options = StackOptions(home=folder / "sampling", ports="auto", only=("backend",))
    with Stack.start(options, {"PATH": os.environ["PATH"]}) as stack:
        yield stack


@pytest.fixture(scope="module")
def greeters(folder: Path) -> Path:
    return hello_folder(folder / "greeters")


@pytest.fixture(scope="module")
def go_greeter() -> Path:
    return greeter(CACHE, ENVIRON)


@contextmanager
def _servers(environ: dict[str, str], greeters: Path, go_greeter: Path) -> Iterator[list[str]]:
    """The addresses of the greeters in Go and Node."""
    of_node = {"NODE_PATH": str(node_sender.installed() / "node_modules"), "OTEL_SERVICE_NAME": "node"}
    words = ["node", "--require", "./tracing.cjs", "greeter_server.cjs", "--port", "0"]
    with ExitStack() as running:
        servers = [
            running.enter_context(
                started([str(go_greeter), "127.0.0.1:0"], greeters, environ | {"OTEL_SERVICE_NAME": "go"}, "go")
            ),
            running.enter_context(started(words, greeters, environ | of_node, "node")),
        ]
        yield [server.address for server in servers]


def _ask(addresses: Sequence[str], otlp_endpoint: str, sampler: Sampler, trace_ids: Sequence[int]) -> None:
    """Make each trace: a span of the edge, and below it a call of each greeter."""
    resource = Resource.create({"service.name": "python"})
    provider = TracerProvider(sampler, resource, id_generator=_Ids(trace_ids), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(otlp_endpoint, insecure=True)))
    tracer = provider.get_tracer("edge")
    with ExitStack() as open_channels:
        channels = [open_channels.enter_context(grpc.insecure_channel(address)) for address in addresses]
        for _ in trace_ids:
            with tracer.start_as_current_span("ask"):
                headers: dict[str, str] = {}
                inject(headers)
                for channel in channels:
                    say_hello: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
                        "/hello.Greeter/SayHello"
                    )
                    say_hello(HELLO, metadata=tuple(headers.items()), timeout=30)
    provider.shutdown()


def _kept(query_url: str, trace_ids: Sequence[int]) -> dict[str, set[int]]:
    """The traces of which each service stored its span, once all that was sent has come."""
    with TraceQuery(query_url) as query:
        eventually(lambda: _services(query, trace_ids[-1]) == set(LANGUAGES), within_s=60)
        of_trace = {trace_id: _services(query, trace_id) for trace_id in trace_ids[:-1]}
    return {
        language: {trace_id for trace_id, services in of_trace.items() if language in services}
        for language in LANGUAGES
    }


def _services(query: TraceQuery, trace_id: int) -> set[str]:
    trace = query.trace(f"{trace_id:032x}")
    return {span.service_name for span in trace.spans} if trace else set()

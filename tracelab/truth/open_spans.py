"""Which spans a process of the matrix never ended: no exporter ever sees those, so the process itself must say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from opentelemetry.sdk.trace import TracerProvider

from otel.instrument import Telemetry
from otel.instrument.testing import OpenSpans


@dataclass(frozen=True, slots=True)
class OpenSpan:
    """A span that had not ended when its process did; `kind` such as `CLIENT`."""

    trace_id: str
    kind: str
    name: str


def watch_open_spans(telemetry: Telemetry) -> Callable[[], tuple[OpenSpan, ...]]:
    """Watch a process's spans from now on; what is returned gives those that are open when it is called."""
    watch = OpenSpans()
    provider = telemetry.providers.tracer_provider
    if isinstance(provider, TracerProvider):
        provider.add_span_processor(watch)
    return lambda: tuple(
        OpenSpan(f"{span.get_span_context().trace_id:032x}", span.kind.name, span.name) for span in watch.open_spans()
    )


def write_open_spans(path: Path, spans: Iterable[OpenSpan]) -> None:
    """Write the file that `read_open_spans` reads."""
    path.write_text(json.dumps([asdict(span) for span in spans]), encoding="utf-8")


def read_open_spans(path: Path) -> tuple[OpenSpan, ...]:
    """The spans that a process left open; none of one that was killed, which could not say."""
    if not path.exists():
        return ()
    return tuple(OpenSpan(**entry) for entry in json.loads(path.read_text(encoding="utf-8")))

"""Where a trace got lost: which hop between a process and the reader does not pass it on."""

from __future__ import annotations

from pathlib import Path

from clients.discovery import probes
from otel.tls.files import NO_TLS, TlsFiles
from tracelab.demo.proof import SERVICES, ReadBack
from tracelab.stack.disk import SPACE_HINT, lack_of_space


def is_reachable(otlp_endpoint: str, query_url: str) -> bool:
    """Whether somebody listens at both ends of the way; if not, there is no use in waiting for a trace."""
    return probes.accepts_connections(probes.address_of(otlp_endpoint)) and probes.accepts_connections(
        probes.address_of(query_url, probes.QUERY_PORTS)
    )


def failed_hop(
    found: ReadBack,
    otlp_endpoint: str,
    query_url: str,
    within_s: float,
    store: Path | None = None,
    tls: TlsFiles = NO_TLS,
) -> tuple[str, str]:
    """Name the hop that failed and what to do, from what arrived and who answers now.

    The hops in their order: a process's exporter, the OTLP endpoint, the backend behind it with its `store` (None where
    it is not ours), its query API.
    """
    late = f"the trace did not arrive within {within_s:g} s" if within_s else "the trace cannot be read back"
    if not probes.accepts_connections(probes.address_of(otlp_endpoint)):
        also = "" if probes.query_answers(query_url, tls=tls) else f", and no query API answers at {query_url}"
        return (
            f"{late}: nothing listens at the exporter's endpoint {otlp_endpoint}{also}",
            "start a backend with ./lab up --only backend, or set OTEL_EXPORTER_OTLP_ENDPOINT and LAB_QUERY_URL",
        )
    full = lack_of_space(store.parent) if store else ""
    if full:
        return f"{late}: the store {store} cannot be written, {full}", SPACE_HINT
    if found.failure or not probes.query_answers(query_url, tls=tls):
        why = found.failure or f"the query API at {query_url} does not answer"
        return f"{late}: {why}", "LAB_QUERY_URL names the query API of the backend that gets the spans"
    trace = found.trace
    if trace is None:
        return (
            f"{late}: {otlp_endpoint} takes spans, but the backend behind {query_url} has none of this call",
            "do both belong to one backend? OTEL_EXPORTER_OTLP_ENDPOINT and LAB_QUERY_URL say where they are",
        )
    silent = [name for name in SERVICES if name not in {span.service_name for span in trace.spans}]
    if silent:
        return (
            f"{late} whole: no span of {', '.join(silent)}; its exporter sends elsewhere, or it records nothing",
            "restart it with this demo's OTEL_EXPORTER_OTLP_ENDPOINT and LAB_INSTRUMENTATION: ./lab down, ./lab demo",
        )
    return "", ""

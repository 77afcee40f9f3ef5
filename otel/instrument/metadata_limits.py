"""How large the metadata of a call may be: measured before it is sent, warned about once, and kept from failing by us.

A gRPC server refuses metadata above a soft limit of 8,192 bytes at random, the more often the larger it is, and always
above a hard limit of twice that, unless it was started with others (`grpc.max_metadata_size`). The size is HPACK's: of
each entry key, value and 32 bytes. Baggage alone may have 8,192 bytes (W3C), so a call that is right in itself fails
now and then. What tracing adds must not be the cause: members of baggage that do not fit are left out, and said so.
Source: RFC 7541 4.1; grpc core's channel arguments; seen with grpcio 1.85.1.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry.trace import Span

from otel.instrument import semconv

SOFT_LIMIT_BYTES: Final = 8_192
ENTRY_BYTES: Final = 32
# For what core adds to every call (path, authority, user agent, timeout and more: some 550 bytes) and a long path.
RESERVED_BYTES: Final = 1_024
WARNED_RATIO: Final = 0.75
BAGGAGE: Final = "baggage"


@dataclass(frozen=True, slots=True)
class FittedBaggage:
    """A `baggage` header with the members that fit, in their order, and how many did not; empty if none is left."""

    header: str
    dropped_member_count: int


def metadata_bytes(metadata: Iterable[tuple[str, Any]]) -> int:
    """Return the size that a server counts against its limits, what core adds included as an estimate.

    A value that is no text or bytes counts nothing: gRPC refuses the call, in words of its own.
    """
    return RESERVED_BYTES + sum(
        len(key) + len(value) + ENTRY_BYTES for key, value in metadata if isinstance(value, str | bytes) and value
    )


def fitted_baggage(header: str, room_bytes: int) -> FittedBaggage:
    """Return the baggage whose header takes up at most `room_bytes`: whole members, as many as fit."""
    members = header.split(",")
    kept: list[str] = []
    left_bytes = room_bytes
    for member in members:
        needed_bytes = len(member) + (1 if kept else 0)
        if needed_bytes <= left_bytes:
            kept.append(member)
            left_bytes -= needed_bytes
    return FittedBaggage(",".join(kept), len(members) - len(kept))


class MetadataWarnings:
    """Says once per process, in the current context, that metadata nears the limit, and once that baggage was cut."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def large(self, size_bytes: int) -> None:
        """Warn of metadata that a server may soon refuse."""
        self._once("metadata.large", size_bytes=size_bytes, soft_limit_bytes=SOFT_LIMIT_BYTES)

    def baggage_dropped(self, dropped_member_count: int) -> None:
        """Warn of baggage that was not passed on."""
        self._once("baggage.dropped", member_count=dropped_member_count, soft_limit_bytes=SOFT_LIMIT_BYTES)

    def _once(self, event: str, **facts: int) -> None:
        if event not in self._said:
            self._said.add(event)
            _warn(event, facts)


def _warn(event: str, facts: Mapping[str, int]) -> None:
    """Log by structlog where the program does, else by stdlib: a program that is only traced need not have it."""
    structlog = sys.modules.get("structlog")
    if structlog is not None and structlog.is_configured():
        structlog.get_logger().warning(event, **facts)
    else:
        said = ", ".join(f"{name} {value}" for name, value in facts.items())
        logging.getLogger(__name__.rpartition(".")[0]).warning("%s: %s", event, said)


_WARNINGS: Final = MetadataWarnings()


def fit_baggage(
    metadata: Iterable[tuple[str, Any]], *, header: str | None, span: Span, warnings: MetadataWarnings = _WARNINGS
) -> str | None:
    """Return the `baggage` that fits beside the rest of `metadata`, None for none; say so where there is much of it.

    `header` is the one of `metadata` that tracing wrote, None where it wrote none: the caller's own is never cut.
    Runs with `span` current, in any thread.
    """
    size_bytes = metadata_bytes(metadata)
    if size_bytes < SOFT_LIMIT_BYTES * WARNED_RATIO:
        return header
    span.set_attribute(semconv.METADATA_SIZE_BYTES, size_bytes)
    warnings.large(size_bytes)
    if header is None or size_bytes <= SOFT_LIMIT_BYTES:
        return header
    fitted = fitted_baggage(header, len(header) - (size_bytes - SOFT_LIMIT_BYTES))
    span.set_attribute(semconv.DROPPED_BAGGAGE_MEMBERS, fitted.dropped_member_count)
    warnings.baggage_dropped(fitted.dropped_member_count)
    return fitted.header or None

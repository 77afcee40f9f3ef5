"""What a handler really did, one JSON line for each thing, independent of all telemetry.

Stands inside the errors interceptor and around the faults: it sees what the handler raised before that becomes a
status, and a fault counts as something the handler did, so an attempt that a fault ended has its lines too. Lines:

- `entered`: the handler was called; `peer`, `traceparent`, `baggage`, `grpc-previous-rpc-attempts` as received, or
  null.
- `got`: it took request message `message_number` (from 1). A single request counts as taken when the handler is
  called.
- `sent`: gRPC took response message `message_number`: for a stream when the write is done, for a single response when
  the handler returned it.
- `caught`: the handler ended by `error`, the class of what it raised; a cancel is `CancelledError` or `GeneratorExit`.
- `returned`: the handler came to its own end, also where it swallowed a cancel.

Each line is one write to a file opened for appending, so lines survive a kill and do not tear.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import grpc

from services.behaviors import CallScope, Context, Continuation, Handler, WrappedHandlers

if TYPE_CHECKING:
    from types import TracebackType

RECEIVED_KEYS = ("traceparent", "baggage", "grpc-previous-rpc-attempts")
UNWITNESSED_PREFIX = "/grpc."  # health and reflection


class WitnessFileError(Exception):
    """The witness's file cannot be opened; the text says why."""


class Witness:
    """Appends lines to a file; safe in any thread, closed by its owner."""

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise WitnessFileError(str(error)) from error
        self._numbers = itertools.count(1)

    def new_rpc_id(self) -> str:
        """Return an id that no other call of this file has, also after a restart."""
        return f"{os.getpid()}-{next(self._numbers)}"

    def write(self, facts: Mapping[str, object]) -> None:
        """Write one line, stamped with both clocks."""
        stamped = {**facts, "time_monotonic_ns": time.monotonic_ns(), "time_unix_nano": time.time_ns()}
        self._file.write(json.dumps(stamped, separators=(",", ":")).encode() + b"\n")

    def close(self) -> None:
        """Close the file; a write after it fails."""
        self._file.close()


class WitnessInterceptor(grpc.aio.ServerInterceptor):
    """Writes down what each handler does."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness
        self._wrapped = WrappedHandlers()

    async def intercept_service(
        self,
        continuation: Continuation,
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Wrap the handler; an unknown method has none, so there is nothing to see."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.startswith(UNWITNESSED_PREFIX):
            return handler
        name = method.removeprefix("/")
        return self._wrapped.wrap(method, handler, lambda context: _Testimony(self._witness, name, context))


class _Testimony(CallScope):
    """The lines of one call."""

    def __init__(self, witness: Witness, method: str, context: Context) -> None:
        self._witness = witness
        self._context = context
        self._call = {"rpc_id": witness.new_rpc_id(), "method": method}
        self._got_count = 0
        self._sent_count = 0

    async def __aenter__(self) -> Self:
        metadata = {key: str(value) for key, value in self._context.invocation_metadata() or ()}
        received = {key: metadata.get(key) for key in RECEIVED_KEYS}
        self._write("entered", more={"peer": self._context.peer(), **received})
        return self

    async def received(self, _message: Any, /) -> None:
        """Note a request message."""
        self._got_count += 1
        self._write("got", self._got_count)

    async def sent(self, _message: Any, /) -> None:
        """Note a response message."""
        self._sent_count += 1
        self._write("sent", self._sent_count)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_back: TracebackType | None
    ) -> None:
        if kind is None:
            self._write("returned")
        else:
            self._write("caught", error=kind.__name__)

    def _write(
        self,
        event: str,
        message_number: int | None = None,
        error: str | None = None,
        more: Mapping[str, object] | None = None,
    ) -> None:
        self._witness.write(
            {"event": event, **self._call, "message_number": message_number, "error": error, **(more or {})}
        )

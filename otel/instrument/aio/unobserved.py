"""A call on its server of which neither a span nor a metric is recorded: only what nobody else logs is noted."""

from __future__ import annotations

from typing import Any, Final

import grpc.aio
from grpc._cython import cygrpc

from otel.instrument import semconv
from otel.instrument.call_record import ExceptionLog
from otel.instrument.exceptions import exception_was_logged, mark_exception_logged


class _NoRecord:
    """Counts nothing."""

    def sent(self, size_bytes: int, *, in_stream: bool) -> None:
        """Count nothing."""

    def received(self, size_bytes: int, *, in_stream: bool) -> None:
        """Count nothing."""


class UnobservedCall:
    """Stands in for the `ServerCall` of every unobserved call of a server; has no state, safe in any task or thread."""

    record: Final = _NoRecord()
    is_cancelled: Final = False

    def __init__(self, log_exception: ExceptionLog) -> None:
        self._log_exception = log_exception

    def unknown_method(self) -> None:
        """Note nothing."""

    def reads_requests(self, requests: Any) -> None:
        """Note nothing."""

    def reached(self, context: Any, *, in_thread: bool = False) -> None:
        """Note nothing."""

    def answered(self) -> None:
        """Note nothing."""

    def left(self, error: BaseException | None = None) -> None:
        """Log an exception of the servicer that nobody has logged: no abort, and no write into a call that is over."""
        if isinstance(error, cygrpc.InternalError):
            mark_exception_logged(error)
        elif isinstance(error, Exception) and not isinstance(error, grpc.aio.AbortError):
            self.failed(error)

    def failed(self, error: Exception) -> None:
        """Log an exception that nobody handles, unless it was."""
        if not exception_was_logged(error):
            mark_exception_logged(error)
            self._log_exception(semconv.SERVER_CALL_EXCEPTION, error)

"""Who has logged an exception already: so that each one is exactly one log record.

The first that meets an unhandled exception and writes the `rpc.server.call.exception` record marks it: the errors
interceptor of a service, else our tracing interceptor. Everything further out (tracing, gRPC's own logger, which prints
each exception of a servicer with its stack) then keeps silent about it.
"""

from __future__ import annotations

from typing import Final

_LOGGED: Final = "__tracelab_logged__"


def mark_exception_logged(error: BaseException) -> None:
    """Note on `error` itself that a log record with its stack exists; safe in any thread, never raises."""
    try:
        setattr(error, _LOGGED, True)
    except AttributeError:  # an exception class with __slots__: it will be logged twice, which loses nothing
        return


def exception_was_logged(error: BaseException) -> bool:
    """Say whether `mark_exception_logged` was called with this very exception."""
    return getattr(error, _LOGGED, False) is True

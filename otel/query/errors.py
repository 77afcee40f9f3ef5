"""Why a question to a trace backend had no answer, as sentences for a person."""

from __future__ import annotations

from otel.analysis.model import Trace


class QueryError(Exception):
    """Asking a backend failed. `str()` is the sentence for a person, `hint` what to do; "" where nothing helps."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class BackendUnreachableError(QueryError):
    """Nothing answers at the address, or not in time."""


class QueryRefusedError(QueryError):
    """The backend answered, and says that it won't: a bad parameter, or a failure of its own."""

    def __init__(self, message: str, status_code: int, hint: str = "") -> None:
        super().__init__(message, hint)
        self.status_code = status_code


class UnreadableAnswerError(QueryError):
    """What came back is not what a Jaeger-compatible query API sends."""


class MalformedTraceIdError(QueryError):
    """The given trace id is not one; a mistake of the caller."""

    def __init__(self, trace_id: str) -> None:
        super().__init__(f"trace id {trace_id!r} is not 1 to 32 hex digits", "./lab traces lists those that exist")


class MalformedTokenError(QueryError):
    """The token is none that any backend takes; a mistake of the caller."""

    def __init__(self) -> None:
        super().__init__("LAB_QUERY_TOKEN holds more than letters, digits and -._~+/=, and no token does")


class NoLogStoreError(QueryError):
    """The backend keeps no logs, and the question can't be answered from the events of one trace."""


class NoMetricStoreError(QueryError):
    """The backend keeps no metrics."""


class UnknownMetricError(QueryError):
    """No metric of that name is stored."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no metric is called {name!r}", "./lab metrics lists those that are stored")


class TraceNotCompleteError(QueryError):
    """A trace did not arrive, or not as wanted, within the time given; `seen` is the last version, None for none."""

    def __init__(self, trace_id: str, seen: Trace | None, within_s: float, url: str) -> None:
        what = "did not arrive" if seen is None else f"is not complete ({len(seen.spans)} spans so far)"
        super().__init__(
            f"trace {trace_id} {what} at {url} within {within_s:g} s",
            "is the exporter's endpoint (OTEL_EXPORTER_OTLP_ENDPOINT) this backend's?",
        )
        self.seen = seen

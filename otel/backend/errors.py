"""What can go wrong in the backend, each with the sentence for a person.

`BackendError` is the base. The edges (OTLP/gRPC, OTLP/HTTP, the query API) each have one table from these to their own
statuses; the text is the same everywhere.
"""

from __future__ import annotations


class BackendError(Exception):
    """Base of every error of the backend; its text says what was wrong and what to do."""


class MalformedTelemetryError(BackendError):
    """An OTLP request cannot be parsed; sending it again cannot help."""


class TelemetryTooLargeError(BackendError):
    """An OTLP request is larger than the limit; sending it again cannot help."""


class OverloadedError(BackendError):
    """The queue in front of the store is full; `retry_after_s` says when to try again."""

    def __init__(self, text: str, *, retry_after_s: float) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class StoreError(BackendError):
    """The store cannot do what it was asked."""


class StoreFullError(StoreError):
    """The medium has no room or fails for now; the same request may succeed later."""


class StoreRefusedError(StoreError):
    """A store file cannot be opened as it is: written by a newer version, not ours, or in use."""


class MalformedParameterError(BackendError):
    """A query parameter has a value that it cannot have; `parameter` names it."""

    def __init__(self, parameter: str, text: str) -> None:
        super().__init__(text)
        self.parameter = parameter


class UnanswerableQueryError(BackendError):
    """A query can be read and not be answered: it costs too much, or its sides do not fit; its text says which."""


class NotFoundError(BackendError):
    """What was asked for is not stored."""


class HostError(BackendError):
    """The address to listen on is none of this machine's."""


class PortInUseError(BackendError):
    """Another process listens where the backend should; `port` and the `option` that moves it are told."""

    def __init__(self, port: int, option: str) -> None:
        super().__init__(f"port {port} is in use")
        self.port = port
        self.option = option

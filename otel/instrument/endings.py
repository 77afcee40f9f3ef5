"""How a call ended, worked out from the signals that gRPC gives. Pure: no spans, no tasks, no threads, no clock.

Neither API of gRPC tells a server-side interceptor directly about a deadline, a cancelled call or a stopping server;
`docs/corrections.md` lists what each ending looks like from inside. The adapters in `aio` and `sync` collect the
signals, each in its API's way; what they mean is the same for both and stands here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import grpc

# A cancel within this time of the deadline is the deadline: the two timers were seen 0 to 10 ms apart.
DEADLINE_SLACK_S: Final = 0.05
# gRPC's core sends a timeout rounded up by as much as this part of it, so that its caller's deadline is the earlier.
TIMEOUT_ROUNDING: Final = 0.01

SERVER_ERRORS: Final = frozenset(
    {
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)


@dataclass(frozen=True, slots=True)
class Ending:
    """What a span says about its end. `code` None: no status is known, and nothing is said about it.

    `error_type` is empty where the span is no error; `description` is the status message and never repeats the code.
    """

    code: grpc.StatusCode | None
    error_type: str = ""
    description: str = ""

    @property
    def is_error(self) -> bool:
        """Say whether the span's status is ERROR."""
        return bool(self.error_type)


@dataclass(frozen=True, slots=True)
class Failure:
    """The status that gRPC sends for an exception that nobody handled; its two APIs word the details differently."""

    code: grpc.StatusCode
    details: str


@dataclass(frozen=True, slots=True)
class ServerSignals:
    """What was seen of one call on the server by the time it was over.

    `code` and `details` are the servicer context's (None and empty if unset); `failure` comes from what left the
    servicer or its (de)serializers. `was_cancelled`: the call was cut short before its answer was handed to gRPC.
    `awaited_request`: the servicer was waiting for a message of a request stream then. `remaining_s` is what was left
    of the deadline when the servicer was left or its call cut short (None: no deadline), `timeout_s` when it was
    reached. `cancelled_before_deadline`: the cancel had arrived before the deadline was near. `is_stopping`: this
    server was cancelling its calls.
    """

    is_known_method: bool = True
    is_reached: bool = True
    code: grpc.StatusCode | None = None
    details: str = ""
    failure: Failure | None = None
    was_aborted: bool = False
    was_cancelled: bool = False
    awaited_request: bool = False
    timeout_s: float | None = None
    remaining_s: float | None = None
    cancelled_before_deadline: bool = False
    is_stopping: bool = False

    @property
    def is_answered(self) -> bool:
        """Say whether the servicer's own answer or abort ended the call: nothing failed or cut it short."""
        is_reached = self.is_known_method and self.is_reached
        is_expired = self.remaining_s is not None and self.remaining_s <= 0.0
        return is_reached and not self.was_cancelled and (self.was_aborted or not (is_expired or self.failure))


def server_ending(signals: ServerSignals) -> Ending:
    """Work out the status of a call on its server, in the order in which one thing hides another."""
    if not signals.is_known_method:
        return _server(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
    if not signals.is_reached:
        if signals.failure is not None:
            return _server(signals.failure.code, signals.failure.details)
        return Ending(None)
    if signals.was_cancelled:
        return _cut_short(signals)
    if signals.was_aborted:  # its status was sent, be it at the last moment
        return _server(signals.code or grpc.StatusCode.OK, signals.details)
    if signals.remaining_s is not None and signals.remaining_s <= 0.0:
        return _server(grpc.StatusCode.DEADLINE_EXCEEDED)
    if signals.failure is not None:
        return _server(signals.failure.code, signals.failure.details)
    return _server(signals.code or grpc.StatusCode.OK, signals.details)


def deadline_slack_s(timeout_s: float | None) -> float:
    """Return how long before a server's deadline a cancel may still be that deadline, of a call with this timeout."""
    return DEADLINE_SLACK_S + TIMEOUT_ROUNDING * (timeout_s or 0.0)


def client_ending(code: grpc.StatusCode, details: str) -> Ending:
    """Describe a client's view: every code but OK is an error there."""
    if code is grpc.StatusCode.OK:
        return Ending(code)
    return Ending(code, code.name, details)


def failure_ending(error: BaseException) -> Ending:
    """Describe a call that failed before there was any status."""
    return Ending(None, type(error).__name__, str(error))


def _cut_short(signals: ServerSignals) -> Ending:
    near_deadline = signals.remaining_s is not None and signals.remaining_s <= deadline_slack_s(signals.timeout_s)
    if near_deadline and not signals.cancelled_before_deadline:
        return _server(grpc.StatusCode.DEADLINE_EXCEEDED)
    if signals.is_stopping:
        return _server(grpc.StatusCode.UNAVAILABLE, "Cancelling all calls")
    if signals.awaited_request:  # the client's cancel, or gRPC's own refusal of a message that is too large
        return Ending(None)
    return Ending(grpc.StatusCode.CANCELLED)


def _server(code: grpc.StatusCode | None, description: str = "") -> Ending:
    if code in SERVER_ERRORS:
        return Ending(code, code.name, description)
    return Ending(code)

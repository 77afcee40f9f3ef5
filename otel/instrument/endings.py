"""How a call ended, worked out from the signals that grpc.aio gives. Pure: no spans, no tasks, no clock.

grpc.aio tells a server-side interceptor nothing directly about a deadline, a cancelled call or a stopping server;
`docs/corrections.md` lists what each ending looks like from inside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import grpc

# A cancel within this time of the deadline is the deadline: the two timers were seen 0 to 10 ms apart.
DEADLINE_SLACK_S: Final = 0.05

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
class ServerSignals:
    """What was seen of one call on the server by the time its task was done.

    `code` and `details` are the servicer context's (None and empty if unset); `error` is what left the servicer or its
    (de)serializers. `was_cancelled`: the task got a cancel, or the context never got done. `awaited_request`: the
    servicer was waiting for a message of a request stream then. `remaining_s` is what was left of the deadline when the
    servicer was left (None: no deadline). `cancelled_before_deadline`: the cancel had arrived before the deadline was
    near. `is_stopping`: this server was cancelling its calls.
    """

    is_known_method: bool = True
    is_reached: bool = True
    code: grpc.StatusCode | None = None
    details: str = ""
    error: BaseException | None = None
    was_aborted: bool = False
    was_cancelled: bool = False
    awaited_request: bool = False
    remaining_s: float | None = None
    cancelled_before_deadline: bool = False
    is_stopping: bool = False

    @property
    def is_answered(self) -> bool:
        """Say whether the servicer's own answer or abort ended the call: nothing failed or cut it short."""
        is_reached = self.is_known_method and self.is_reached
        is_expired = self.remaining_s is not None and self.remaining_s <= 0.0
        return is_reached and not self.was_cancelled and (self.was_aborted or not (is_expired or self.error))


def server_ending(signals: ServerSignals) -> Ending:
    """Work out the status of a call on its server, in the order in which one thing hides another."""
    if not signals.is_known_method:
        return _server(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
    if not signals.is_reached:
        if signals.error is not None:
            return _server(grpc.StatusCode.UNKNOWN, _unexpected(signals.error))
        return Ending(None)
    if signals.was_cancelled:
        return _cut_short(signals)
    if signals.was_aborted:  # its status was sent, be it at the last moment
        return _server(signals.code or grpc.StatusCode.OK, signals.details)
    if signals.remaining_s is not None and signals.remaining_s <= 0.0:
        return _server(grpc.StatusCode.DEADLINE_EXCEEDED)
    if signals.error is not None:
        code = signals.code if signals.code not in {None, grpc.StatusCode.OK} else grpc.StatusCode.UNKNOWN
        return _server(code, _unexpected(signals.error))  # gRPC sends this, whatever details were set
    return _server(signals.code or grpc.StatusCode.OK, signals.details)


def client_ending(code: grpc.StatusCode, details: str) -> Ending:
    """Describe a client's view: every code but OK is an error there."""
    if code is grpc.StatusCode.OK:
        return Ending(code)
    return Ending(code, code.name, details)


def failure_ending(error: BaseException) -> Ending:
    """Describe a call that failed before there was any status."""
    return Ending(None, type(error).__name__, str(error))


def _cut_short(signals: ServerSignals) -> Ending:
    near_deadline = signals.remaining_s is not None and signals.remaining_s <= DEADLINE_SLACK_S
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


def _unexpected(error: BaseException) -> str:
    return f"Unexpected {type(error)}: {error}"

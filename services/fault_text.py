"""The little language of faults: `UserService/GetUser:delay=80ms|OrderService/ListOrders:status=UNAVAILABLE:times=2`.

Faults are joined by `|` (a comma would start another baggage member). Each names one method and has at least one
action, `delay=80ms` (or `1.5s`), `status=UNAVAILABLE`, `abort_after=3` (messages), and may have the modifiers
`times=2` and `when=user_ids=u-1`. What follows `when=` is the value up to the next `:`. Methods and fields are checked
against the contracts, so that a mistyped fault is refused instead of never happening. Pure.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import grpc
from google.protobuf.descriptor import FieldDescriptor, FileDescriptor, MethodDescriptor

BAGGAGE_KEY = "fault"
MAX_DELAY_S = 60.0  # past every deadline of ours; longer only ties up the server
MAX_COUNT = 1_000_000
MAX_FAULT_COUNT = 16  # each call looks through all of them

UNITS_S: Mapping[str, float] = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
DELAY = re.compile(r"(?P<number>\d{1,9}(\.\d{1,9})?)(?P<unit>us|ms|s)", re.ASCII)
COUNT = re.compile(r"\d{1,7}", re.ASCII)


class UnknownFaultError(ValueError):
    """A fault that cannot be understood; the text says what is wrong with it and what would be right."""


@dataclass(frozen=True, slots=True)
class Condition:
    """The request's field equals the value; a repeated one contains it."""

    field: str
    value: str


@dataclass(frozen=True, slots=True)
class Fault:
    """What shall go wrong in one method. `method` is the short name, such as `UserService/GetUser`."""

    method: str
    delay_s: float | None = None
    status: grpc.StatusCode | None = None
    abort_after_count: int | None = None
    times: int | None = None
    when: Condition | None = None

    def __str__(self) -> str:
        """Return the text that parses to this fault."""
        parts = [self.method]
        if self.delay_s is not None:
            parts.append(f"delay={_plain(round(self.delay_s * 1e6, 3))}us")
        if self.status is not None:
            parts.append(f"status={self.status.name}")
        if self.abort_after_count is not None:
            parts.append(f"abort_after={self.abort_after_count}")
        if self.times is not None:
            parts.append(f"times={self.times}")
        if self.when is not None:
            parts.append(f"when={self.when.field}={self.when.value}")
        return ":".join(parts)


def methods_of(contracts: Iterable[FileDescriptor]) -> dict[str, MethodDescriptor]:
    """Return every method of these contracts by its short name."""
    return {
        f"{service.name}/{method.name}": method
        for contract in contracts
        for service in contract.services_by_name.values()
        for method in service.methods
    }


def parse_faults(text: str, methods: Mapping[str, MethodDescriptor]) -> tuple[Fault, ...]:
    """Return the faults that `text` asks for, in order; raise UnknownFaultError if one is unknown."""
    parts = text.split("|")
    if len(parts) > MAX_FAULT_COUNT:
        raise UnknownFaultError(f"at most {MAX_FAULT_COUNT} faults, is {len(parts)}")
    return tuple(_parse_fault(part.strip(), methods) for part in parts)


def _parse_fault(text: str, methods: Mapping[str, MethodDescriptor]) -> Fault:
    name, *settings = text.split(":")
    method = methods.get(name)
    if method is None:
        raise UnknownFaultError(f"{_quoted(name)} is no method{_nearest(name, methods)}")
    fault = Fault(name)
    seen: set[str] = set()
    for setting in settings:
        key, separator, value = setting.partition("=")
        if not separator or key in seen:
            problem = "is set twice" if key in seen else "is not one of delay=, status=, abort_after=, times=, when="
            raise UnknownFaultError(f"{name}: {_quoted(key)} {problem}")
        seen.add(key)
        fault = _with_setting(fault, key, value, method)
    if fault.delay_s is None and fault.status is None and fault.abort_after_count is None:
        raise UnknownFaultError(f"{name}: needs an action, one of delay=80ms, status=UNAVAILABLE, abort_after=3")
    return fault


def _with_setting(fault: Fault, key: str, value: str, method: MethodDescriptor) -> Fault:
    match key:
        case "delay":
            return replace(fault, delay_s=_delay_s(fault.method, value))
        case "status":
            return replace(fault, status=_status(fault.method, value))
        case "abort_after":
            return replace(fault, abort_after_count=_count(fault.method, key, value, 0))
        case "times":
            return replace(fault, times=_count(fault.method, key, value, 1))
        case "when":
            return replace(fault, when=_condition(fault.method, value, method))
        case _:
            raise UnknownFaultError(
                f"{fault.method}: {_quoted(key)} is not one of delay, status, abort_after, times, when"
            )


def _delay_s(name: str, value: str) -> float:
    match = DELAY.fullmatch(value)
    delay_s = float(match["number"]) * UNITS_S[match["unit"]] if match else MAX_DELAY_S + 1
    if delay_s > MAX_DELAY_S:
        raise UnknownFaultError(f"{name}: delay {_quoted(value)} is no time such as 80ms or 1.5s, at most 60s")
    return delay_s


def _status(name: str, value: str) -> grpc.StatusCode:
    codes = {code.name: code for code in grpc.StatusCode if code is not grpc.StatusCode.OK}
    if value not in codes:
        raise UnknownFaultError(f"{name}: status {_quoted(value)} is no failing status code{_nearest(value, codes)}")
    return codes[value]


def _count(name: str, key: str, value: str, lowest: int) -> int:
    if not COUNT.fullmatch(value) or not lowest <= int(value) <= MAX_COUNT:
        raise UnknownFaultError(f"{name}: {key} {_quoted(value)} is no whole number from {lowest} to {MAX_COUNT}")
    return int(value)


def _condition(name: str, value: str, method: MethodDescriptor) -> Condition:
    field, separator, wanted = value.partition("=")
    known = {each.name for each in method.input_type.fields if each.type != FieldDescriptor.TYPE_MESSAGE}
    if not separator or field not in known:
        raise UnknownFaultError(
            f"{name}: when={_quoted(field)} is no plain field of its request{_nearest(field, known)}"
        )
    return Condition(field, wanted)


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}" if close else ""


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 64 else text[:64] + "…")


def _plain(number: float) -> str:
    return f"{number:f}".rstrip("0").rstrip(".")

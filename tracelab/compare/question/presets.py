"""Comparisons worth having, ready to run. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tracelab.compare.question.errors import UsageError
from tracelab.compare.question.syntax import nearest


@dataclass(frozen=True, slots=True)
class Preset:
    """Variants, settings that hold for all of them, and the question in one line."""

    name: str
    question: str
    variants: tuple[str, ...]
    settings: Mapping[str, str] = field(default_factory=dict)


PRESETS = (
    Preset("n-plus-one", "what does one ListOrders for each user cost?", ("sequential", "concurrent", "batch")),
    Preset(
        "tracing-tax",
        "what does tracing cost a small call, ours and the library's?",
        ("off:instrumentation=off", "corrected:instrumentation=corrected", "stock:instrumentation=stock"),
        {"rpc": "UserService/GetUser"},
    ),
    Preset(
        "compression",
        "is gzip worth its CPU for 100 kB of text on a fast network?",
        ("plain:compression=none", "gzip:compression=gzip"),
        {"rpc": "OrderService/UpdateOrder", "message-size": "100kB", "users": "1", "orders-per-user": "1"},
    ),
    Preset(
        "channel-reuse",
        "what does a new channel for each call cost?",
        ("reused:channel=reuse", "per-call:channel=per-call", "local-pool:channel=local-pool"),
        {"rpc": "UserService/GetUser"},
    ),
    Preset(
        "aio-or-sync",
        "which of gRPC's two APIs serves faster, by how many calls come at once?",
        ("aio:api=aio", "sync:api=sync"),
        {"rpc": "ReportService/GetUserReport", "concurrency": "1,8,64"},
    ),
    Preset(
        "deadline-cost",
        "does sending a deadline cost anything?",
        ("none:deadline=none", "deadline:deadline=10s"),
        {"rpc": "UserService/GetUser"},
    ),
)


def find_preset(name: str) -> Preset:
    """The preset of that name; UsageError with the nearest one."""
    names = {preset.name: preset for preset in PRESETS}
    if name not in names:
        near = nearest(name, names)
        raise UsageError(
            f"--preset: '{name}' is not one of {', '.join(names)}", f"did you mean {near}?" if near else ""
        )
    return names[name]

"""What a `main()` decides about its telemetry; everything else is the SDK's own `OTEL_*` variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, cast, get_args

Instrumentation = Literal["corrected", "stock", "off"]

DEFAULT_LOG_FILE_BYTES: Final = 16 * 1024 * 1024
DEFAULT_LOG_FILE_COUNT: Final = 3
UNTRACED_SERVICES: Final = frozenset(
    {
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    }
)


class SettingsError(ValueError):
    """A `LAB_*` variable has a value that is not allowed; the text is for the person who set it."""


@dataclass(frozen=True, kw_only=True)
class TelemetrySettings:
    """How one process records and exports.

    `instrumentation`: our corrected interceptors, the untouched library, or none. `message_events` is the most message
    events that a stream's span gets in each direction. `grpc_metrics` records what gRPC's core counts, too, and beside
    it the bytes of messages before their compression; `runtime_metrics` what a service's interpreter, event loop and
    threads do. `log_file` is rotated at `log_file_bytes`, `log_file_count`
    files in all. Values of `baggage_keys` found in baggage become attributes of spans and logs, cut at
    `baggage_value_chars`. `quiet_export` says nothing when nobody listens. Calls to `untraced_services` leave no span.
    `cache_loggers` freezes structlog's configuration at a logger's first use: right for a process, wrong for tests.
    """

    service_name: str
    instrumentation: Instrumentation = "corrected"
    logs_as_span_events: bool = False
    message_events: int = 0
    grpc_metrics: bool = False
    runtime_metrics: bool = False
    log_file: Path | None = None
    log_to_stdout: bool = True
    log_level: str = "info"
    log_file_bytes: int = DEFAULT_LOG_FILE_BYTES
    log_file_count: int = DEFAULT_LOG_FILE_COUNT
    baggage_keys: tuple[str, ...] = ("session.id",)
    baggage_value_chars: int = 256
    quiet_export: bool = False
    untraced_services: frozenset[str] = UNTRACED_SERVICES
    cache_loggers: bool = False

    @classmethod
    def from_environ(
        cls,
        service_name: str,
        environ: Mapping[str, str],
        *,
        log_file: Path | None = None,
        log_to_stdout: bool = True,
        quiet_export: bool = False,
    ) -> TelemetrySettings:
        """Read `LAB_INSTRUMENTATION`, `LAB_LOGS_AS_SPAN_EVENTS`, `LAB_MESSAGE_EVENTS` and `LAB_*_METRICS`.

        Called by a `main()` only. An unset or empty variable means its default. Raises SettingsError with the sentence
        for the person.
        """
        return cls(
            service_name=service_name,
            instrumentation=_instrumentation(environ),
            logs_as_span_events=_flag(environ, "LAB_LOGS_AS_SPAN_EVENTS"),
            message_events=_count(environ, "LAB_MESSAGE_EVENTS"),
            grpc_metrics=_flag(environ, "LAB_GRPC_METRICS"),
            runtime_metrics=_flag(environ, "LAB_RUNTIME_METRICS"),
            log_file=log_file,
            log_to_stdout=log_to_stdout,
            quiet_export=quiet_export,
            cache_loggers=True,
        )


def _instrumentation(environ: Mapping[str, str]) -> Instrumentation:
    text = environ.get("LAB_INSTRUMENTATION", "").strip().lower() or "corrected"
    if text not in get_args(Instrumentation):
        raise SettingsError(f"LAB_INSTRUMENTATION: {text!r} is not one of {', '.join(get_args(Instrumentation))}")
    return cast("Instrumentation", text)


def _flag(environ: Mapping[str, str], name: str) -> bool:
    text = environ.get(name, "").strip().lower()
    if text not in {"", "true", "false"}:
        raise SettingsError(f"{name}: {text!r} is neither true nor false")
    return text == "true"


def _count(environ: Mapping[str, str], name: str) -> int:
    text = environ.get(name, "").strip() or "0"
    if not (text.isascii() and text.isdigit()):
        raise SettingsError(f"{name}: {text!r} is not a whole number from 0 on")
    return int(text)

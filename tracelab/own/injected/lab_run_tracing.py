"""Traces a program that knows nothing of it: gRPC of both APIs, stdlib logging and structlog.

Runs once, in the program's own process, right after gRPC was loaded and before the program has it. What the program
itself set up stays: its log handlers, its configuration of structlog, its signal handlers. Packages that it lacks come
from ours (`LAB_RUN_PACKAGES`), after everything that is its own.
"""

from __future__ import annotations

import atexit
import importlib
import importlib.machinery
import importlib.metadata
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterable, MutableMapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

ROOT_VARIABLE: Final = "LAB_RUN_ROOT"
PACKAGES_VARIABLE: Final = "LAB_RUN_PACKAGES"
BROUGHT: Final = (
    "opentelemetry",
    "structlog",
    "orjson",
    "google.rpc",
    "google.api",
    "packaging",
    "typing_extensions",
    "wrapt",
)
"""What is taken from our packages where the program has none of its own."""
INSTRUMENTORS: Final = (
    "GrpcInstrumentorServer",
    "GrpcInstrumentorClient",
    "GrpcAioInstrumentorServer",
    "GrpcAioInstrumentorClient",
)
SHUTDOWN_S: Final = 1.5


def start(environ: MutableMapping[str, str]) -> None:
    """Set up telemetry and trace this process. Raises what importing our packages raises."""
    root = environ[ROOT_VARIABLE]
    sys.meta_path.append(_Ours(Path(root), environ.get(PACKAGES_VARIABLE, "")))
    from otel.instrument.export_watch import ExportWatch
    from otel.instrument.providers import build_providers
    from otel.instrument.settings import TelemetrySettings
    from otel.instrument.telemetry import Telemetry

    settings = TelemetrySettings.from_environ(
        environ.get("OTEL_SERVICE_NAME", "app"), environ, log_to_stdout=False, quiet_export=True
    )
    watch = ExportWatch()
    # The exporters' own channels are made here, before anything is traced.
    providers = build_providers(settings, watch)
    telemetry = Telemetry(settings, providers, watch)
    _set_global(providers)
    _trace_grpc(telemetry)
    _join_logs(telemetry)
    _end_with(telemetry)


class _Ours:
    """Finds our own packages, last of all: `otel` in the sources, what it needs in our environment."""

    def __init__(self, root: Path, packages: str) -> None:
        self._root = root
        self._packages = packages

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> Any:
        """Find a module below one of our names; None for any other."""
        if name == "otel" or name.startswith("otel."):
            return self._found(name, str(self._root))
        if self._packages and any(name == each or f"{name}.".startswith(f"{each}.") for each in BROUGHT):
            return self._found(name, self._packages)
        return None

    def find_distributions(self, context: Any = None) -> Iterable[importlib.metadata.Distribution]:
        """Find the metadata of OpenTelemetry's packages, by which the SDK chooses its exporters."""
        if not self._packages:
            return ()
        name = getattr(context, "name", None)
        ours = importlib.metadata.DistributionFinder.Context(name=name, path=[self._packages])
        found = importlib.machinery.PathFinder.find_distributions(ours)
        return (each for each in found if (each.metadata["Name"] or "").startswith("opentelemetry"))

    @staticmethod
    def _found(name: str, place: str) -> Any:
        folder = Path(place).joinpath(*name.split(".")[:-1])
        return importlib.machinery.PathFinder.find_spec(name, [str(folder)])


def _set_global(providers: Any) -> None:
    """Make the providers the global ones, so that the program's own spans join; what it set itself stays."""
    from opentelemetry import metrics, trace
    from opentelemetry._logs import set_logger_provider

    trace.set_tracer_provider(providers.tracer_provider)
    metrics.set_meter_provider(providers.meter_provider)
    if providers.logger_provider is not None:
        set_logger_provider(providers.logger_provider)
    # The program may set its own later, which the API refuses with a warning: it would be the person's only sign of us.
    logging.getLogger("opentelemetry.trace").addFilter(_is_no_overriding)
    logging.getLogger("opentelemetry.metrics._internal").addFilter(_is_no_overriding)
    logging.getLogger("opentelemetry._logs._internal").addFilter(_is_no_overriding)


def _is_no_overriding(record: logging.LogRecord) -> bool:
    return "Overriding of current" not in str(record.msg)


def _trace_grpc(telemetry: Any) -> None:
    """Trace by our instrumentors, by the library's, or not at all; no other instrumentor acts beside them."""
    library = importlib.import_module("opentelemetry.instrumentation.grpc")
    kind = telemetry.settings.instrumentation
    if kind != "off":
        from otel.instrument import interceptors
        from otel.instrument import library as ours

        for name in INSTRUMENTORS:
            made = getattr(ours if kind == "corrected" else library, name)
            made(interceptors.untraced(telemetry.settings.untraced_services)).instrument(
                skip_dep_check=True, tracer_provider=telemetry.providers.tracer_provider, **_told(telemetry)
            )
    for name in INSTRUMENTORS:
        getattr(library, name).instrument = getattr(library, name).uninstrument = lambda self, **_: None


def _told(telemetry: Any) -> dict[str, Any]:
    return {
        "meter_provider": telemetry.providers.meter_provider,
        "message_events": telemetry.settings.message_events,
        "log_exception": telemetry.log_exception,
    }


def _join_logs(telemetry: Any) -> None:
    """Record what the program logs, beside what it does with it: no handler is added, so `basicConfig` still acts."""
    from otel.instrument.export_watch import ExportWatch
    from otel.instrument.log_lines import LineLogger
    from otel.instrument.log_stdlib import RecorderHandler

    recorder = _recorder(telemetry)
    handler = RecorderHandler(recorder, LineLogger(()), ExportWatch())
    original = logging.Logger.callHandlers

    def call_handlers(self: logging.Logger, record: logging.LogRecord) -> None:
        if not record.name.startswith("opentelemetry"):
            with suppress(Exception):
                handler.emit(record)
        original(self, record)

    logging.Logger.callHandlers = call_handlers  # type: ignore[method-assign]
    _join_structlog(recorder)


def _recorder(telemetry: Any) -> Any:
    from otel.instrument import semconv
    from otel.instrument.baggage import BaggageAttributes
    from otel.instrument.log_records import LogRecorder

    settings, provider = telemetry.settings, telemetry.providers.logger_provider
    return LogRecorder(
        settings.service_name,
        provider.get_logger("lab.run", schema_url=semconv.SCHEMA_URL) if provider else None,
        BaggageAttributes(settings.baggage_keys, settings.baggage_value_chars),
        as_span_events=settings.logs_as_span_events,
    )


def _join_structlog(recorder: Any) -> None:
    """Record each event of structlog that goes past the stdlib's logging; what goes through it is recorded there."""
    try:
        structlog = importlib.import_module("structlog")
    except ImportError:
        return
    base = structlog.BoundLoggerBase
    original = base._proxy_to_logger

    def proxy_to_logger(self: Any, method_name: str, event: Any = None, **event_kw: Any) -> Any:
        if not isinstance(self._logger, logging.Logger):
            with suppress(Exception):
                facts = {**structlog.contextvars.get_contextvars(), **structlog.get_context(self), **event_kw}
                recorder(None, method_name, {**facts, "event": event})
        return original(self, method_name, event, **event_kw)

    base._proxy_to_logger = proxy_to_logger


def _end_with(telemetry: Any) -> None:
    """Hand over what is left at the end of the process, also where SIGTERM would end it without a word."""
    atexit.register(telemetry.shutdown, SHUTDOWN_S)
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        return

    def end(number: int, frame: Any) -> None:
        telemetry.shutdown(SHUTDOWN_S)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, end)

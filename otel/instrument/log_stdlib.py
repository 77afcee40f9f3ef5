"""The stdlib's `logging` (grpc, uvicorn, asyncio, the SDK itself) goes the same way as our own records."""

from __future__ import annotations

import logging
import threading
from types import TracebackType
from typing import Any, Final

from otel.instrument.exceptions import exception_was_logged
from otel.instrument.export_watch import ExportWatch
from otel.instrument.log_lines import LineLogger
from otel.instrument.log_records import LogRecorder

# Their messages quote header values as received; only the message's template may be shown.
QUOTING_LOGGERS: Final = ("opentelemetry.baggage", "opentelemetry.propagators", "opentelemetry.trace.propagation")
# gRPC's own line, with its stack, for an exception of a servicer, a (de)serializer or an iterator of requests.
GRPC_EXCEPTION_LOGGERS: Final = ("grpc._cython.cygrpc", "grpc._channel", "grpc._common", "grpc._server")


class RecorderHandler(logging.Handler):
    """Turns stdlib records into ours: line, OTLP record, span event. Never raises, never feeds itself.

    Records about exporting go to the watch, exceptions that a record of ours stands for already are dropped.
    """

    def __init__(self, recorder: LogRecorder, lines: LineLogger, watch: ExportWatch) -> None:
        super().__init__()
        self._recorder = recorder
        self._lines = lines
        self._watch = watch
        self._inside = threading.local()

    def createLock(self) -> None:  # noqa: N802  the stdlib's name
        """Have no lock: a line is one write, and the lock would be held while another thread's call waits."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Do as the stdlib's does, without a lock, which from Python 3.13 on is entered whether there is one or not."""
        passed: Any = self.filter(record)  # from Python 3.12 on a filter may give another record
        if passed:
            self.emit(passed if isinstance(passed, logging.LogRecord) else record)
        return bool(passed)

    def emit(self, record: logging.LogRecord) -> None:
        """Record it in the context of the thread or task that logged it."""
        if self._watch.takes(record) or _is_logged_already(record):
            return
        was_inside = getattr(self._inside, "flag", False)
        self._inside.flag = True
        try:
            level = _level(record.levelno)
            line = self._recorder.record(
                level, _message(record), _facts(record), is_event_name=False, local_only=was_inside
            )
            self._lines.msg(line)
        except Exception:
            self.handleError(record)
        finally:
            self._inside.flag = was_inside


_UNHEARD: Final = logging.NullHandler()


class StdlibLogging:
    """Puts one handler in place of the root logger's, and puts the old ones back."""

    def __init__(self, handler: logging.Handler, level: str) -> None:
        self._handler = handler
        self._level = logging.getLevelNamesMapping()[level.upper()]
        self._before: tuple[list[logging.Handler], int] | None = None

    def install(self) -> None:
        """Route the root logger to the handler; also Python's warnings."""
        root = logging.getLogger()
        self._before = (root.handlers[:], root.level)
        root.handlers[:] = [self._handler]
        root.setLevel(self._level)
        logging.captureWarnings(True)
        # An export thread that is given up may complain after `restore`: then nobody wants to hear it.
        logging.getLogger("opentelemetry").addHandler(_UNHEARD)

    def restore(self) -> None:
        """Bring back what was there before `install`; twice does nothing."""
        if self._before is None:
            return
        root = logging.getLogger()
        root.handlers[:], level = self._before
        root.setLevel(level)
        self._before = None
        logging.captureWarnings(False)


def _message(record: logging.LogRecord) -> str:
    return str(record.msg) if record.name.startswith(QUOTING_LOGGERS) else record.getMessage()


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    facts: dict[str, Any] = {"logger": record.name}
    if record.exc_info:
        facts["exc_info"] = record.exc_info
    return facts


def _is_logged_already(record: logging.LogRecord) -> bool:
    exc_info: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None] | None
    exc_info = record.exc_info
    if not exc_info or exc_info[1] is None or not record.name.startswith(GRPC_EXCEPTION_LOGGERS):
        return False
    return exception_was_logged(exc_info[1])


def _level(levelno: int) -> str:
    if levelno >= logging.CRITICAL:
        return "critical"
    if levelno >= logging.ERROR:
        return "error"
    if levelno >= logging.WARNING:
        return "warning"
    return "info" if levelno >= logging.INFO else "debug"

"""`python -m otel.backend`: the embedded backend as a process of its own.

Exit codes: 0 stopped by a signal or the end of its input, 2 usage, a host of another machine or a store that cannot
be opened, 3 a port is in use.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime as dt
import gc
import json
import math
import os
import re
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

if __name__ == "__main__":
    from otel.tls.core_lines import choose_verbosity

    choose_verbosity(os.environ, sys.argv)  # read when grpc is imported

from otel.backend.errors import HostError, PortInUseError, StoreRefusedError
from otel.backend.log_output import configure_logging
from otel.backend.ports import Retention
from otel.backend.runner import Backend, BackendOptions
from otel.backend.stores.opening import MEMORY, open_store
from otel.tls.files import HELP, OPTIONS, TlsError, TlsFiles
from otel.tls.reach import is_loopback

EXIT_USAGE = 2
EXIT_PORT_IN_USE = 3
SECONDS_PER_DAY = 24 * 3600.0
MAX_DAYS = 36_500
# Others would have to be escaped, in the page and in addresses, or mean something to the router.
BASE_PATH = re.compile(r"[A-Za-z0-9/._~-]+")


VARIABLE = "LAB_QUERY_TOKEN"
B64TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{16,}=*")  # RFC 6750's b64token, long enough not to be guessed


class TokenError(ValueError):
    """The token of the environment is none."""


def main() -> int:
    """Run until SIGTERM or Ctrl-C."""
    arguments = _parser().parse_args()
    configure_logging(arguments.log_file)
    _collect_garbage_seldom()
    try:
        asyncio.run(_serve(arguments))
    except PortInUseError as error:
        print(f"error: {error}", file=sys.stderr)
        print(f"hint: choose another with {error.option}, or 0 for a free one", file=sys.stderr)
        return EXIT_PORT_IN_USE
    except HostError as error:
        print(f"error: --host: {error}\nhint: use --host 127.0.0.1", file=sys.stderr)
        return EXIT_USAGE
    except TlsError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_USAGE
    except TokenError as error:
        print(f"error: {VARIABLE}: {error}", file=sys.stderr)
        return EXIT_USAGE
    except StoreRefusedError as error:
        print(f"error: --store: {error}", file=sys.stderr)
        return EXIT_USAGE
    return 0


async def _serve(arguments: argparse.Namespace) -> None:
    retention = Retention(arguments.max_bytes, arguments.max_age_days * SECONDS_PER_DAY)
    options = BackendOptions(
        host=arguments.host,
        otlp_grpc_port=arguments.otlp_grpc_port,
        otlp_http_port=arguments.otlp_http_port,
        query_port=arguments.query_port,
        base_path=arguments.base_path,
        jaeger_ui=arguments.jaeger_ui,
        cors_origins=tuple(arguments.cors_origin),
        query_token=_query_token(os.environ),
        tls=_tls(arguments),
    )
    stopping = asyncio.Event()
    _stop_on_signals(stopping)
    if arguments.until_stdin_ends:
        _stop_at_end_of_stdin(stopping)
    with contextlib.closing(open_store(arguments.store, retention)) as store:
        async with Backend(store, options) as backend:
            _warn_if_open(options)
            _tell_ready(backend, arguments.ready_file, store.set_aside)
            await stopping.wait()


def _tls(arguments: argparse.Namespace) -> TlsFiles:
    """The files that options and environment name, checked. Raises TlsError."""
    named = TlsFiles(**{name: getattr(arguments, f"tls_{name}") for name in OPTIONS if name != "ca"})
    return named.or_else(TlsFiles.from_environ(os.environ)).check()


def _query_token(environ: Mapping[str, str]) -> str:
    """The token that readers must bring; "" for none. Not an option: others on the machine can read those."""
    token = environ.get(VARIABLE, "")
    if token and not B64TOKEN.fullmatch(token):
        raise TokenError("a token is 16 characters or more, of letters, digits and -._~+/=")
    return token


def _collect_garbage_seldom() -> None:
    """Look for reference cycles less often: ingestion makes many small objects and no cycles.

    What is imported is never looked at again. Measured: 10 to 20 % more spans a second.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _stop_on_signals(stopping: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    names = ["SIGINT", "SIGTERM", "SIGBREAK"]
    for number in (getattr(signal, name) for name in names if hasattr(signal, name)):
        try:
            loop.add_signal_handler(number, stopping.set)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stopping.set))


def _stop_at_end_of_stdin(stopping: asyncio.Event) -> None:
    """Stop when whoever holds the other end of standard input is gone, however it died."""
    loop = asyncio.get_running_loop()

    def read_to_the_end() -> None:
        with contextlib.suppress(OSError):  # closed: that is an end too
            while os.read(0, 1024):
                pass
        with contextlib.suppress(RuntimeError):  # the loop has ended by itself
            loop.call_soon_threadsafe(stopping.set)

    threading.Thread(target=read_to_the_end, name="end-of-stdin", daemon=True).start()


def _warn_if_open(options: BackendOptions) -> None:
    """Say what others could read at another address than loopback, and that a certificate has expired."""
    import structlog

    if not (is_loopback(options.host) or options.query_token):
        sentence = f"whoever reaches it reads everything; {VARIABLE} asks readers for a token"
        structlog.get_logger("otel.backend").warning("backend.open", host=options.host, reason=sentence)
    if not (is_loopback(options.host) or options.tls.serves):
        sentence = f"whoever is in between reads and changes telemetry; {OPTIONS['certificate']} speaks TLS"
        structlog.get_logger("otel.backend").warning("backend.plaintext", host=options.host, reason=sentence)
    if sentence := options.tls.expired_sentence(dt.datetime.now(dt.UTC)):
        structlog.get_logger("otel.backend").warning("tls.expired", reason=sentence)


def _tell_ready(backend: Backend, ready_file: Path | None, set_aside: Path | None) -> None:
    import structlog

    structlog.get_logger("otel.backend").info("backend.started", **backend.addresses)
    if ready_file is None:
        return
    partial = ready_file.with_name(f"{ready_file.name}.{os.getpid()}.partial")
    ready = {"pid": os.getpid(), "addresses": backend.addresses, "set_aside": str(set_aside or "")}
    partial.write_text(json.dumps(ready), "utf-8")
    partial.replace(ready_file)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m otel.backend",
        description="The embedded backend: OTLP in, Jaeger's query API, logs and the page out.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default %(default)s)")
    parser.add_argument("--otlp-grpc-port", type=_port, default=4317, metavar="PORT", help="default %(default)s")
    parser.add_argument("--otlp-http-port", type=_port, default=4318, metavar="PORT", help="default %(default)s")
    parser.add_argument("--query-port", type=_port, default=16686, metavar="PORT", help="default %(default)s")
    parser.add_argument("--store", default=MEMORY, metavar="FILE", help="a SQLite file, or :memory: (default)")
    parser.add_argument(
        "--max-bytes",
        type=_positive,
        default=512 * 1024 * 1024,
        metavar="N",
        help="drop the oldest traces past this size (default %(default)s)",
    )
    parser.add_argument("--max-age-days", type=_days, default=7.0, metavar="N", help="default %(default)s")
    parser.add_argument("--base-path", type=_base_path, default="", metavar="/PATH", help="prefix of every route")
    parser.add_argument("--jaeger-ui", type=_jaeger_ui, metavar="DIR", help="serve this Jaeger UI bundle as the page")
    parser.add_argument(
        "--cors-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="a web origin that may send OTLP over HTTP; may be repeated",
    )
    for name, option in OPTIONS.items():
        if name != "ca":  # it calls nobody
            parser.add_argument(option, type=Path, dest=f"tls_{name}", metavar="FILE", help=HELP[name])
    parser.add_argument("--log-file", type=Path, metavar="FILE", help="write log lines here, not to standard output")
    parser.add_argument("--until-stdin-ends", action="store_true", help="stop when standard input ends, too")
    parser.add_argument("--ready-file", type=Path, metavar="FILE", help="written once everything listens")
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"'{text}' is not a port from 0 to 65535")
    return int(text)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of at least 1")
    return int(text)


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = math.nan
    if not 0 < days <= MAX_DAYS:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0, at most {MAX_DAYS}")
    return days


def _base_path(text: str) -> str:
    path = text.rstrip("/")
    if not path:
        return ""
    if not path.startswith("/") or any(part in ("", ".", "..") for part in path[1:].split("/")):
        raise argparse.ArgumentTypeError(f"'{text}' does not start with / or has empty or dot segments")
    if not BASE_PATH.fullmatch(path):
        raise argparse.ArgumentTypeError(f"'{text}' has other characters than letters, digits, /, -, ., _ and ~")
    return path


def _jaeger_ui(text: str) -> Path:
    if not (Path(text) / "index.html").is_file():
        raise argparse.ArgumentTypeError(f"'{text}' is no Jaeger UI bundle: it has no index.html")
    return Path(text)


if __name__ == "__main__":
    sys.exit(main())

"""The command line that the three services share, as one frozen value."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NoReturn, TypeAlias

from otel.tls.files import HELP, NO_TLS, OPTIONS, TlsFiles
from services.admission import DEFAULT_MAX_CONCURRENT_CALLS

ChannelOption: TypeAlias = tuple[str, str | int]
ApiName: TypeAlias = Literal["aio", "sync"]

API_VARIABLE = "LAB_API"
EXIT_USAGE = 2
MAX_PORT = 65_535
PRODUCTION = "production"
MAX_COUNT_DIGITS = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingOptions:
    """How a service is served. `port` 0 takes a free one; `channel_options` go to its server and its channels.

    `max_concurrent_calls` bounds the calls in hand. `grace_s` is how long calls in flight may go on after a stop was
    asked for. `until_stdin_ends` asks for one when standard input ends, too: when whoever holds its other end is gone.
    `tls` is for its port and for its channels; `reflection` tells
    strangers the contract.
    """

    host: str = "127.0.0.1"
    port: int = 0
    allow_faults: bool = False
    channel_options: tuple[ChannelOption, ...] = ()
    witness_file: Path | None = None
    log_file: Path | None = None
    ready_file: Path | None = None
    grace_s: float = 5.0
    max_concurrent_calls: int = DEFAULT_MAX_CONCURRENT_CALLS
    api: ApiName = "aio"
    until_stdin_ends: bool = False
    tls: TlsFiles = NO_TLS
    reflection: bool = True


class _Parser(argparse.ArgumentParser):
    """Reports a mistake in one line, without the usage text before it."""

    def error(self, message: str) -> NoReturn:
        """Print the mistake and exit 2."""
        print(f"error: {message.removeprefix('argument ')}\nhint: {self.prog} --help", file=sys.stderr)
        sys.exit(EXIT_USAGE)


def parse_options(
    name: str,
    default_port: int,
    arguments: Sequence[str] | None = None,
    environ: Mapping[str, str] = MappingProxyType({}),
) -> ServingOptions:
    """Parse a service's command line (None: that of the process); exits 2 with one line on a mistake.

    Of `environ` it reads LAB_API, which stands for `--api` where that is not given.
    """
    parser = _Parser(
        prog=f"python -m services.{name}_service",
        description=f"Serve {name.capitalize()}Service by gRPC until SIGTERM or Ctrl-C.",
        allow_abbrev=False,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument(
        "--port", type=_port, default=default_port, help=f"0 takes a free one (default: {default_port})"
    )
    parser.add_argument("--allow-faults", action="store_true", help="let a call's baggage make it fail (fault=…)")
    parser.add_argument(
        "--channel-option",
        type=channel_option,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="gRPC channel argument for the server and its channels; repeatable",
    )
    parser.add_argument(
        "--max-concurrent-calls",
        type=_count,
        default=DEFAULT_MAX_CONCURRENT_CALLS,
        metavar="N",
        help=f"refuse what comes while so many are in hand, streams aside (default: {DEFAULT_MAX_CONCURRENT_CALLS})",
    )
    parser.add_argument(
        "--api",
        type=_api,
        default=environ.get(API_VARIABLE) or "aio",
        metavar="NAME",
        help=f"gRPC's API to serve by: aio, or sync with its thread pool (default: {API_VARIABLE}, or aio)",
    )
    parser.add_argument(
        "--witness", type=Path, metavar="FILE", help="append one JSON line for each thing a handler does"
    )
    parser.add_argument("--log-file", type=Path, metavar="FILE", help="append log lines to this file too")
    parser.add_argument("--ready-file", type=Path, metavar="FILE", help="write pid and address here once serving")
    parser.add_argument("--until-stdin-ends", action="store_true", help="stop when standard input ends, too")
    parser.add_argument("--no-reflection", action="store_true", help="do not tell clients the contract")
    for name, option in OPTIONS.items():
        parser.add_argument(option, type=Path, dest=f"tls_{name}", metavar="FILE", help=HELP[name])
    parsed = parser.parse_args(arguments)
    return ServingOptions(
        host=parsed.host,
        port=parsed.port,
        allow_faults=parsed.allow_faults,
        channel_options=tuple(parsed.channel_option),
        witness_file=parsed.witness,
        log_file=parsed.log_file,
        ready_file=parsed.ready_file,
        until_stdin_ends=parsed.until_stdin_ends,
        max_concurrent_calls=parsed.max_concurrent_calls,
        api=parsed.api,
        reflection=not parsed.no_reflection,
        tls=TlsFiles(**{name: getattr(parsed, f"tls_{name}") for name in OPTIONS}),
    )


def _api(text: str) -> ApiName:
    names: dict[str, ApiName] = {"aio": "aio", "sync": "sync"}
    if text in names:
        return names[text]
    raise argparse.ArgumentTypeError(f"{text!r} (of {API_VARIABLE}, if not of the option) is neither aio nor sync")


def in_production(options: ServingOptions, profile: str) -> ServingOptions:
    """What `profile`, of the compose file, makes of the options: in production the contract is not told.

    Raises ValueError, with the sentence for the person, for what production does not allow.
    """
    if PRODUCTION not in profile.split(","):
        return options
    if options.allow_faults:
        raise ValueError("--allow-faults: no call may ask for a fault in production (LAB_PROFILE)")
    return replace(options, reflection=False)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_COUNT_DIGITS and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= MAX_PORT):
        raise argparse.ArgumentTypeError(f"{text!r} is no port, 0 to {MAX_PORT}")
    return int(text)


def channel_option(text: str) -> ChannelOption:
    """Parse `KEY=VALUE`; a value that reads as a whole number is one, as gRPC wants it."""
    key, separator, value = text.partition("=")
    if not key or not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE, as in grpc.max_receive_message_length=8388608")
    digits = value.removeprefix("-")
    return key, int(value) if digits.isascii() and digits.isdigit() else value

"""What a variant is where the server is not ours: which method of which server, with what, and how it is called."""

from __future__ import annotations

import hashlib
import ipaddress
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tracelab.compare.question.errors import UsageError
from tracelab.compare.question.variant_options import Load
from tracelab.own.contract import Contract
from tracelab.own.target import Metadata, Tls

NUMBER = '"$n"'
"""What a sweep puts its number in place of, quotes included."""
SERVER_KEY = "server"
"""The setting that says where a variant ran: the one that may differ between runs that are compared."""
_PORT = re.compile(r"(.*):([0-9]{1,5})")
_SCHEME = re.compile(r"(dns:(///)?|ipv4:|ipv6:)")
_LONGEST_SHOWN = 80


@dataclass(frozen=True, slots=True)
class ForeignServer:
    """One server: at an address, or a command that starts it; "" as the address of a command is found out."""

    name: str
    address: str = ""
    command: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """What was named, for a reader."""
        return shlex.join(self.command) if self.command else self.address


@dataclass(frozen=True, slots=True)
class RequestData:
    """What each call sends: the JSON of one call, or of a `.jsonl` file's lines, one call each, with their numbers."""

    source: str
    calls: tuple[tuple[int, str], ...]

    @property
    def words(self) -> str:
        """What is sent, for a reader; the same words for the same data."""
        text = "\n".join(call for _, call in self.calls)
        if not self.source:
            return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        count = f", {len(self.calls):,} requests" if len(self.calls) > 1 else ""
        return f"@{self.source}{count}, sha256 {digest}"


@dataclass(frozen=True, slots=True)
class MethodCall:
    """One variant. `method` is as it was written; without `contract` the server's reflection is asked.

    `number` is what a sweep puts in place of `"$n"`; a deadline of None sends none.
    """

    server: ForeignServer
    method: str
    data: RequestData
    metadata: Metadata = ()
    tls: Tls | None = None
    contract: Contract | None = None
    number: int | None = None
    load: Load = field(default_factory=Load)
    instrumentation: str = "corrected"
    sampling: float | None = None
    compression: str = "none"
    channel: str = "reuse"
    deadline_s: float | None = None

    @property
    def service(self) -> str:
        """The service's name without its package, as `method` says it."""
        return self._parts[0].rpartition(".")[2]

    @property
    def operation(self) -> str:
        """What a trace calls the method, such as Greeter/SayHello."""
        return f"{self.service}/{self._parts[1]}"

    @property
    def _parts(self) -> tuple[str, str]:
        written = self.method.strip().strip("/")
        service, _, name = written.rpartition("/" if "/" in written else ".")
        return service, name

    @property
    def is_tried(self) -> bool:
        """Whether one call may be made beforehand: it will be made many times anyway."""
        return True

    def in_words(self) -> Mapping[str, str]:
        """Every setting as text, by name; of metadata the keys alone, since values may be secrets."""
        return {
            "rpc": self.method,
            SERVER_KEY: self.server.words,
            "data": self.data.words,
            "n": "none" if self.number is None else str(self.number),
            "metadata": ", ".join(key for key, _ in self.metadata) or "none",
            "tls": "yes" if self.tls else "no",
            "concurrency": str(self.load.concurrency),
            "rate_per_s": "none" if self.load.rate_per_s is None else f"{self.load.rate_per_s:g}",
            "poisson": str(self.load.poisson),
            "instrumentation": self.instrumentation,
            "sampling": "none" if self.sampling is None else f"{self.sampling:g}",
            "compression": self.compression,
            "channel": self.channel,
            "deadline_s": "none" if self.deadline_s is None else f"{self.deadline_s:g}",
        }


def read_servers(targets: Sequence[str], runs: Sequence[str]) -> tuple[ForeignServer, ...]:
    """The servers of `--target NAME=HOST:PORT` and `--run NAME=COMMAND`, in the order of their names' first mention.

    A name may stand in both: the command starts it, and the address is where it listens. UsageError for anything else.
    """
    commands = {name: _command(name, text) for name, text in _named("--run", runs, "NAME='python app.py'").items()}
    addresses = _named("--target", targets, "NAME=HOST:PORT")
    for name, address in addresses.items():
        _refuse_foreign_machines(name, address)
    names = [*commands, *(name for name in addresses if name not in commands)]
    return tuple(ForeignServer(name, addresses.get(name, ""), commands.get(name, ())) for name in names)


def _named(option: str, texts: Sequence[str], form: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name.strip() and equals and value.strip()):
            raise UsageError(f"{option}: '{text}' is not like {form}")
        if name.strip() in found:
            raise UsageError(f"{option}: {name.strip()} is named twice", "each server has a name of its own")
        found[name.strip()] = value.strip()
    return found


def _command(name: str, text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"--run: the command of {name} cannot be read: {error}") from error


def _refuse_foreign_machines(name: str, address: str) -> None:
    """UsageError for an address that is none, or of another machine: load is made on this one alone."""
    if address.startswith("unix:"):
        return
    parts = _PORT.fullmatch(_SCHEME.sub("", address, count=1))
    if parts is None or not 0 < int(parts[2]) < 65_536:
        raise UsageError(f"--target {name}: '{address}' is not HOST:PORT", "such as 127.0.0.1:50051")
    if not is_this_machine(parts[1]):
        raise UsageError(
            f"--target {name}: {parts[1]} is not this machine, and load is made on this machine alone",
            "127.0.0.1:PORT, localhost:PORT or [::1]:PORT; a comparison sends thousands of calls",
        )


def is_this_machine(host: str) -> bool:
    """Whether a host is a loopback address or `localhost`."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False

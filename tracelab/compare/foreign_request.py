"""From the words of the command line to variants that call servers that are not ours."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from otel.tls.files import NO_TLS, TlsFiles
from tracelab.compare.question.errors import UsageError
from tracelab.compare.question.method_call import NUMBER, ForeignServer, MethodCall, RequestData, read_servers
from tracelab.compare.question.syntax import apply, read_numbers
from tracelab.compare.question.variant_options import TOP_USERS, VariantOptions
from tracelab.own.contract import Contract
from tracelab.own.contract_files import given_contract
from tracelab.own.request_data import request_text
from tracelab.own.target import UNSAID, Metadata, Tls, TlsWords, metadata_of

LINES_SUFFIXES = (".jsonl", ".ndjson")
_EXAMPLE = "./lab compare --target a=127.0.0.1:50061 --target b=127.0.0.1:50062 --call pkg.Service/Method --data '{}'"
N = "n"
"""What a sweep of the data is by."""
CONCURRENCY = "concurrency"
_TAKEN = (CONCURRENCY, "rate", "poisson", "instrumentation", "sampling", "compression", "channel", "deadline")
"""The settings that hold for any server; the others are about what our services offer."""


@dataclass(frozen=True, slots=True)
class ForeignWords:
    """Which servers are compared, and by which call, as it was written."""

    targets: Sequence[str] = ()
    runs: Sequence[str] = ()
    call: str = ""
    data: str = ""
    metadata: Sequence[str] = ()
    proto: Sequence[Path] = ()
    proto_path: Sequence[Path] = ()
    protoset: Path | None = None
    tls: TlsWords = UNSAID
    sweep: str = ""

    @property
    def is_given(self) -> bool:
        """Whether any of it was written."""
        return self != ForeignWords()


@dataclass(frozen=True, slots=True)
class ForeignQuestion:
    """What was asked of them, read once: each number of a sweep is the same question."""

    servers: tuple[ForeignServer, ...]
    call: str
    data: RequestData
    metadata: Metadata
    tls: Tls | None
    contract: Contract | None
    options: VariantOptions
    swept: str = ""
    """Of what a sweep takes several numbers: n in the data, or the calls at once; "" for none."""
    numbers: tuple[int, ...] = ()

    def variants(self, number: int | None = None) -> dict[str, MethodCall]:
        """The variants by name, in their order; `number` is that of a sweep."""
        load = self.options.load
        if number is not None and self.swept == CONCURRENCY:
            load, number = replace(load, concurrency=number), None
        return {
            server.name: MethodCall(
                server=server,
                method=self.call,
                data=self.data,
                metadata=self.metadata,
                tls=self.tls,
                contract=self.contract,
                number=number,
                load=load,
                instrumentation=self.options.instrumentation,
                sampling=self.options.sampling,
                compression=self.options.compression,
                channel=self.options.channel,
                deadline_s=self.options.deadline_s,
            )
            for server in self.servers
        }


def read_question(
    words: ForeignWords, variants: Sequence[str], settings: Mapping[str, str], tls_variables: TlsFiles = NO_TLS
) -> ForeignQuestion:
    """Read the words. UsageError and WrongUsageError for what makes no sense, OSError for a file that is not there.

    `tls_variables` say how the servers are reached where no option does.
    """
    if variants:
        raise UsageError(f"'{variants[0]}' is a variant of our own services", "--target NAME=HOST:PORT names a server")
    for setting in settings:
        if setting not in _TAKEN:
            raise UsageError(f"--{setting} is about our own services", "--call and --data say what others are asked")
    servers = read_servers(words.targets, words.runs)
    if len(servers) < 2:
        named = f"{servers[0].name} alone is named" if servers else "no server is named"
        raise UsageError(f"a comparison needs two servers or more, and {named}", _EXAMPLE)
    if not words.call:
        raise UsageError("--call is missing: which method shall be called?", _EXAMPLE)
    data = _read_data(words.data)
    swept, numbers = _read_sweep(words.sweep, settings.get(CONCURRENCY, ""), data)
    return ForeignQuestion(
        servers=servers,
        call=words.call,
        data=data,
        metadata=metadata_of(words.metadata),
        tls=words.tls.read(tls_variables),
        contract=given_contract(words.proto, words.proto_path, words.protoset),
        options=apply(VariantOptions(TOP_USERS), _without_lists(settings), "", ()),
        swept=swept,
        numbers=numbers,
    )


def _read_sweep(sweep: str, concurrency: str, data: RequestData) -> tuple[str, tuple[int, ...]]:
    if "," in concurrency and sweep:
        raise UsageError("--sweep and --concurrency both have several numbers", "give one of them one number")
    if "," in concurrency:
        return CONCURRENCY, read_numbers(CONCURRENCY, concurrency)
    if not sweep:
        return "", ()
    numbers = read_numbers("sweep", sweep)
    if not any(NUMBER in text for _, text in data.calls):
        raise UsageError(f"--sweep: {NUMBER} is nowhere in --data", '--data \'{"count": "$n"}\' puts the number in')
    return N, numbers


def _without_lists(settings: Mapping[str, str]) -> dict[str, str]:
    return {option: value for option, value in settings.items() if "," not in value}


def _read_data(data: str) -> RequestData:
    text = request_text(data or "{}", sys.stdin)
    source = data.removeprefix("@") if data.startswith("@") else ""
    if not source.endswith(LINES_SUFFIXES):
        return RequestData(source, ((0, text),))
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise UsageError(f"--data: {source} has no line", "one JSON a line, one call each")
    return RequestData(source, tuple(lines))

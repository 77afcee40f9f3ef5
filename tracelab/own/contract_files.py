"""The contract of a service from files: `.proto`, compiled here, or a descriptor set that somebody else compiled."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.message import DecodeError

from tracelab.own.contract import Contract, pool_of
from tracelab.own.errors import ContractError

COMPILE_TIMEOUT_S: Final = 60.0
_LOGGED: Final = re.compile(r"WARNING: All log messages before|[WIEF]\d{4} ")  # of the compiler's own, no fault found


def given_contract(protos: Sequence[Path], include: Sequence[Path], protoset: Path | None) -> Contract | None:
    """Read the contract that the options name; None where they name none."""
    if protos and protoset:
        raise ContractError("--proto and --protoset both name a contract", "leave one of them out")
    if protoset:
        return contract_of_protoset(protoset)
    return contract_of_protos(protos, include) if protos else None


def contract_of_protos(protos: Sequence[Path], include: Sequence[Path]) -> Contract:
    """Compile `.proto` files; imports are looked for in `include`, or beside each file without it.

    Google's common files (`google/protobuf`, `google/rpc`, `google/api`) are always found. ContractError has the
    compiler's sentence.
    """
    with tempfile.TemporaryDirectory(prefix="lab-") as folder:
        compiled = Path(folder) / "contract.binpb"
        folders = [*(include or [proto.parent for proto in protos]), *_common_folders()]
        words = [f"-I{each}" for each in folders]
        words += ["--include_imports", f"--descriptor_set_out={compiled}", *(str(proto) for proto in protos)]
        done = subprocess.run(
            [sys.executable, "-m", "grpc_tools.protoc", *words],
            capture_output=True,
            text=True,
            timeout=COMPILE_TIMEOUT_S,
            check=False,
        )
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.strip() and not _LOGGED.match(line)]
            reason = said[0] if said else "no reason was given"
            raise ContractError(f"--proto: {reason}", "--proto-path DIR says where imports are")
        return _contract(compiled)


def contract_of_protoset(protoset: Path) -> Contract:
    """Read a descriptor set as `protoc --descriptor_set_out` or `buf build -o` writes it."""
    return _contract(protoset)


def _contract(path: Path) -> Contract:
    try:
        found = FileDescriptorSet.FromString(path.read_bytes())
    except DecodeError as error:
        hint = "protoc --include_imports --descriptor_set_out=FILE makes one"
        raise ContractError(f"--protoset: {path} is no descriptor set", hint) from error
    files: dict[str, FileDescriptorProto] = {file.name: file for file in found.file}
    named = (
        f"{file.package}.{service.name}" if file.package else service.name
        for file in files.values()
        for service in file.service
    )
    return Contract(pool_of(files), tuple(sorted(named)))


def _common_folders() -> list[Path]:
    found = [(find_spec(name), below) for name, below in (("grpc_tools", "_proto"), ("google.rpc", "../.."))]
    places = [(place, below) for spec, below in found if spec for place in spec.submodule_search_locations or ()]
    return [(Path(place) / below).resolve() for place, below in places]

"""What the matrix's servicers of both APIs have in common: what is asked of them and witnessed, and how they start."""

from __future__ import annotations

import argparse
import json
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

from tracelab.truth.witness import WitnessFile

SCENARIO_KEY = "truth-scenario"
BEHAVIOUR_KEY = "truth-behaviour"
LARGE_NOTE = "x" * (5 * 1024 * 1024)
ANSWER_COUNT = 3


@dataclass(frozen=True, slots=True)
class Call:
    """One RPC as its servicer sees it; every step is witnessed."""

    witness: WitnessFile
    scenario: str
    rpc_id: str
    behaviour: str
    previous_attempts: int
    method: str

    @classmethod
    def of(cls, witness: WitnessFile, context: Any, method: str) -> Call:
        """Read what the caller asks for from its metadata, and witness the entry."""
        metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        call = cls(
            witness,
            metadata.get(SCENARIO_KEY, ""),
            uuid.uuid4().hex,
            metadata.get(BEHAVIOUR_KEY, "answer"),
            int(metadata.get("grpc-previous-rpc-attempts", "0")),
            method,
        )
        call.saw("entered")
        return call

    def saw(self, event: str, *, message_number: int = 0, error: str = "") -> None:
        """Witness one step."""
        self.witness.write(self.scenario, event, self.rpc_id, self.method, message_number=message_number, error=error)


def rich_not_found() -> status_pb2.Status:
    """A NOT_FOUND with an `ErrorInfo`."""
    detail = any_pb2.Any()
    detail.Pack(error_details_pb2.ErrorInfo(reason="ORDER_NOT_FOUND", domain="truth.tracelab"))
    return status_pb2.Status(code=code_pb2.NOT_FOUND, message="no such order", details=[detail])


def servicer_options(module: str, description: str | None) -> argparse.Namespace:
    """Read a server process's command line."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("--ready-file", type=Path, required=True)
    parser.add_argument("--witness", type=Path, required=True)
    parser.add_argument("--open-spans", type=Path, required=True)
    parser.add_argument("--rpc-limit", type=int, help="refuse calls past so many at once")
    parser.add_argument("--threads", type=int, default=64, help="of a synchronous server")
    return parser.parse_args()


def say_ready(ready_file: Path, port: int) -> None:
    """Write the file that says where this server is."""
    draft = ready_file.with_suffix(".tmp")
    draft.write_text(json.dumps({"pid": os.getpid(), "addresses": {"grpc": f"127.0.0.1:{port}"}}), encoding="utf-8")
    draft.replace(ready_file)

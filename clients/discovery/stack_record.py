"""`stack.json`: who runs where, so that another command finds, uses and stops it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from clients.errors import LabError

SCHEMA: Final = 1


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """One process: `addresses` by purpose (`grpc`, or `otlp_grpc`, `otlp_http` and `query`), each `host:port`.

    `tls` says whether it speaks TLS there.
    """

    name: str
    pid: int
    addresses: Mapping[str, str]
    log_file: str
    tls: bool = False

    @property
    def scheme(self) -> str:
        """The scheme of its URLs."""
        return "https" if self.tls else "http"


@dataclass(frozen=True, slots=True)
class StackRecord:
    """The processes that were started together, when (RFC 3339), and the store that they write to."""

    started_time: str
    store: str
    processes: tuple[ProcessRecord, ...]

    def process(self, name: str) -> ProcessRecord | None:
        """The process of that name, if it is recorded."""
        return next((process for process in self.processes if process.name == name), None)


def read_record(path: Path) -> StackRecord | None:
    """Read the record; None where there is none. LabError for a file that is not one of ours."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema"] != SCHEMA:
            raise LabError(f"{path} has schema {content['schema']}, not {SCHEMA}", "stop its stack with its own ./lab")
        return StackRecord(
            started_time=str(content["started_time"]),
            store=str(content["store"]),
            processes=tuple(_process(entry) for entry in content["processes"]),
        )
    except FileNotFoundError:
        return None
    except NotADirectoryError as error:
        raise LabError(f"{path.parent} is not a folder", "LAB_HOME names the folder of what runs leave") from error
    except PermissionError as error:
        raise LabError(f"{path} may not be read", "LAB_HOME names another folder of what runs leave") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LabError(
            f"{path} cannot be read ({type(error).__name__})",
            f"remove {path}; processes that it named go on, and are yours to end: `ps` shows them",
        ) from error


def write_record(path: Path, record: StackRecord) -> None:
    """Write the record at once, or remove the file where no process is left."""
    if not record.processes:
        path.unlink(missing_ok=True)
        return
    content = {
        "schema": SCHEMA,
        "started_time": record.started_time,
        "store": record.store,
        "processes": [
            {"name": p.name, "pid": p.pid, "addresses": dict(p.addresses), "log_file": p.log_file, "tls": p.tls}
            for p in record.processes
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f"{path.name}.{os.getpid()}")
    half.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    half.replace(path)


def add_processes(path: Path, started: StackRecord) -> None:
    """Add processes to the record; one of the same name takes the place of the one before."""
    before = read_record(path)
    names = {process.name for process in started.processes}
    kept = tuple(process for process in before.processes if process.name not in names) if before else ()
    backend_runs_on = before is not None and any(process.name == "backend" for process in kept)
    store = before.store if before is not None and backend_runs_on else started.store
    write_record(path, StackRecord(started.started_time, store, (*kept, *started.processes)))


def remove_processes(path: Path, pids: Iterable[int]) -> None:
    """Take processes out of the record, by pid; the file goes with the last one."""
    before = read_record(path)
    if before is None:
        return
    gone = set(pids)
    kept = tuple(process for process in before.processes if process.pid not in gone)
    write_record(path, StackRecord(before.started_time, before.store, kept))


def _process(entry: Mapping[str, Any]) -> ProcessRecord:
    addresses, tls = dict(entry["addresses"]), bool(entry.get("tls", False))
    return ProcessRecord(str(entry["name"]), int(entry["pid"]), addresses, str(entry["log_file"]), tls)

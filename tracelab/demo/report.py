"""What `lab demo` shows: processes as they come up, the trace with its logs, the proof, and where to go on."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from clients.discovery.defaults import BACKEND, DEFAULT_PORTS, LOOPBACK, PROCESSES
from clients.screen import palette
from clients.screen.console import console_for
from clients.screen.text import Sentence, typed_path
from otel.analysis.reading import WIRE_AND_QUEUES, TraceReading
from otel.analysis.summary import summary_sentence
from tracelab.demo.proof import Proof, ReadBack
from tracelab.demo.target import DemoTarget
from tracelab.fork_server import fork_server_pid
from tracelab.render.waterfall import Waterfall
from tracelab.stack import StackProcess
from tracelab.stack.memory import peak_rss_bytes, proportional_set_bytes
from tracelab.stack.view import plain_process_line

_USUAL_PAGE: Final = f"http://{LOOPBACK}:{DEFAULT_PORTS[BACKEND]['query']}"


class DemoReport:
    """Prints the sections of the demo on standard output. On a terminal a spinner stands in for what is awaited."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or console_for(sys.stdout, os.environ)
        self._status = self.console.status("", spinner="line") if console is None and self.console.is_terminal else None

    def waiting(self, for_what: str) -> None:
        """Show what is awaited, until the next line is final."""
        if self._status is not None:
            self._status.update(for_what)
            self._status.start()

    def stop_waiting(self) -> None:
        """Take the spinner away."""
        if self._status is not None:
            self._status.stop()

    def healthy(self, process: StackProcess) -> None:
        """One line for a process that was started and is healthy."""
        self.console.print(Text(plain_process_line(process.name, process.addresses)), soft_wrap=True)

    def adopted(self, name: str, address: str, state: str) -> None:
        """One line for something that is used as it was found."""
        self.console.print(Text(f"{name:<8} {address} ({state})"), soft_wrap=True)

    def line(self, text: str) -> None:
        """One of the demo's own lines."""
        self.console.print(Text(text))

    def trace(self, found: ReadBack) -> None:
        """The waterfall with its logs, then the sentence on where the time went."""
        assert found.trace is not None
        reading = TraceReading(found.trace, found.logs)
        self.console.print()
        self.console.print(Waterfall(reading))
        self.console.print()
        sentence = summary_sentence(reading, "Report")
        self.console.print(Sentence(sentence))
        for line in explained_words(reading, sentence):
            self.console.print(Sentence(line, palette.QUIET))

    def proof(self, proof: Proof) -> None:
        """The proof, as numbers with what they should be."""
        files = "not reachable" if proof.file_log_count is None else str(proof.file_log_count)
        facts = (
            ("traces of the call", f"{proof.traces}", "found by its session.id, expected 1"),
            ("services", ", ".join(proof.services), ""),
            ("spans", f"{proof.span_count}", f"{proof.orphan_span_count} orphans"),
            ("log lines", f"{proof.log_count} in the backend, {files} in the files", ""),
            ("joined to a span", f"{proof.logs_joined} of {proof.log_count}", ""),
        )
        self.console.print()
        self.console.print(Text(f"Proof: {proof.verdict}", "bold" if not proof.problems else "bold red"))
        for name, value, remark in facts:
            self.console.print(Text(f"  {name:<19} {value}{f' ({remark})' if remark else ''}"))
        for problem in proof.problems:
            self.console.print(Text(f"  ! {problem}", "red"))
        if proof.verdict == "partial":
            self.console.print(Text("  partial: the log files of a process can't be reached from here"))

    def no_trace(self, why: str) -> None:
        """The proof where there is nothing to prove."""
        self.console.print()
        self.console.print(Text("Proof: none", "bold"))
        self.console.print(Text(f"  there is no trace to prove: {why}"))

    def where_to_go_on(self, trace_id: str, target: DemoTarget, *, stays: bool) -> None:
        """The trace's page and the commands to try next."""
        own_backend = target.stack is not None and BACKEND in {process.name for process in target.stack.processes}
        is_gone = own_backend and not stays
        named = ""
        if is_gone and target.stack is not None and target.stack.options.ports == "auto":
            named = f" --store {typed_path(target.stack.store)}"
        steps = [("lessons", "./lab learn")]
        if trace_id:
            page = f"{_USUAL_PAGE if is_gone else target.query_url}/trace/{trace_id}"
            gone = [("page", f"./lab up --only backend{named}"), ("", f"serves {page}")]
            steps = [
                *(gone if is_gone else [("page", page)]),
                ("trace", f"./lab trace {trace_id}{named}"),
                ("", "(`last` is the ranking, TopUsers, which came after it)"),
                ("logs", f"./lab logs {trace_id}{named}"),
                *steps,
            ]
        self.console.print()
        self.console.print(Text("Go on with:", "bold"))
        for name, step in steps:
            self.console.print(Text(f"  {name:<8} {step}"), soft_wrap=True)


def explained_words(reading: TraceReading, sentence: str) -> list[str]:
    """Say what those words mean that stand in the drawing, or in the sentence below it, and nowhere else."""
    lines = []
    if WIRE_AND_QUEUES in sentence:
        lines.append("  wire and queues: from client to server and back, by network, gRPC and queues")
    if reading.path.outlives_parent_ns:
        lines.append("  outlives: ended after its parent, so that part is not in the parent's time")
    return lines


def report_json(proof: Proof, found: ReadBack, verdict: str, target: DemoTarget, elapsed_s: float) -> dict[str, Any]:
    """The one object of `lab demo --json`."""
    trace = found.trace
    root = TraceReading(trace, found.logs).root if trace else None
    return {
        "trace_id": proof.trace_id,
        "traces": proof.traces,
        "services": list(proof.services),
        "span_count": proof.span_count,
        "orphan_span_count": proof.orphan_span_count,
        "log_count": proof.log_count,
        "logs_joined": proof.logs_joined,
        "file_log_count": proof.file_log_count,
        "proof": verdict,
        "report_duration_ms": round(root.duration_ns / 1e6, 3) if root else None,
        "elapsed_s": round(elapsed_s, 3),
        "peak_rss_mb": {name: _megabytes(peak_rss_bytes, target.pids.get(name)) for name in PROCESSES},
        "pss_mb": {
            **{name: _megabytes(proportional_set_bytes, target.pids.get(name)) for name in PROCESSES},
            "fork_server": _megabytes(proportional_set_bytes, fork_server_pid()),
        },
    }


def _megabytes(measure: Callable[[int], int | None], pid: int | None) -> float | None:
    measured_bytes = measure(pid) if pid is not None else None
    return None if measured_bytes is None else round(measured_bytes / 1e6, 1)

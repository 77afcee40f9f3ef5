"""The run of `lab demo`: processes, calls, read-back, proof, each shown as soon as it is known."""

from __future__ import annotations

import gc
import io
import sys
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from clients.cli_errors import LabError
from clients.commands.options import record_file_for
from clients.commands.output import note
from clients.commands.stack_view import damage_notes
from clients.commands.up import watch
from clients.demo_stack import Ground, Listeners, own_ground, shared_ground
from clients.stack import StackOptions, StackProcess
from clients.stack.options import PROCESSES
from clients.stack.start_lock import StartLock
from clients.stack.surroundings import surroundings
from clients.started import STARTED_S

if TYPE_CHECKING:  # loaded while the processes start
    from rich.console import Console

    from clients.demo import DemoRun
    from clients.demo_proof import Proof, ReadBack
    from clients.demo_report import DemoReport

PICTURE_WIDTH: Final = 100


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the person asked for. `home` is where the run's files go; `stays` keeps the stack until Ctrl-C."""

    home: Path
    as_json: bool = False
    stays: bool = False
    is_new_stack: bool = False
    store: Path | None = None
    picture: Path | None = None


def run_lab_demo(wishes: Wishes, environ: MutableMapping[str, str]) -> int:
    """Run the demo; gives the exit code: 1 where the proof failed. Ends whatever it started."""
    if sys.stdout.isatty() and not wishes.as_json:
        print("starting", end="\r", flush=True)  # the first sign of life; the spinner takes its place
    screen = _Screen(wishes)
    try:
        with _start_lock(wishes) as lock, _ground(wishes, environ, screen) as ground:
            if ground.stack is None:  # nothing that we stop, so that others may use it too
                lock.release()
            return _run_on(ground, wishes, environ, screen, lock)
    finally:
        screen.stop_waiting()


def _start_lock(wishes: Wishes) -> StartLock:
    """Wait until no other command starts or stops the stack of this home."""
    lock = StartLock(wishes.home)
    return lock if wishes.is_new_stack else lock.acquire(note)


def _run_on(ground: Ground, wishes: Wishes, environ: MutableMapping[str, str], screen: _Screen, lock: StartLock) -> int:
    from clients.demo_diagnosis import failed_hop, is_reachable
    from clients.demo_proof import ARRIVAL_BOUND_S, ReadBack, await_proof, prove
    from clients.demo_report import report_json
    from otel.query import TraceQuery

    screen.stop_waiting()
    if ground.stack is not None:
        for sentence in damage_notes(ground.stack.processes, ground.stack.store):
            note(sentence)
    run = _calls(ground, wishes, environ, screen)
    why = _nothing_to_prove(run)
    found, verdict, hop = ReadBack((), ()), "none", ("", "")
    proof = prove(found, None)
    if not why:
        screen.waiting("reading the trace back")
        with TraceQuery(ground.query_url, environ.get("LAB_LOGS_URL") or None) as query:
            within_s = ARRIVAL_BOUND_S if is_reachable(ground.otlp_endpoint, ground.query_url) else 0.0
            proof, found = await_proof(query, run.session_id, ground.log_files, within_s)
        screen.stop_waiting()
        verdict = proof.verdict
        if proof.problems:
            hop = failed_hop(found, ground.otlp_endpoint, ground.query_url, within_s, ground.store)
    if wishes.as_json:
        from clients.commands.output import print_json

        print_json(report_json(proof, found, verdict, ground, time.perf_counter() - STARTED_S))
    else:
        screen.result(proof, found, why)
        screen.report.where_to_go_on(proof.trace_id or "", ground, stays=wishes.stays)
    screen.save_picture()
    if verdict == "failed" and not wishes.stays:
        raise LabError(*(hop if hop[0] else ("the proof failed: " + "; ".join(proof.problems), "")))
    if verdict == "failed":
        from clients.cli_errors import Report, print_report

        print_report(Report(*(hop if hop[0] else ("the proof failed: " + "; ".join(proof.problems), ""))))
    if wishes.stays and ground.stack is not None:
        lock.release()
        _stay(ground, screen)
    return 0


def _calls(ground: Ground, wishes: Wishes, environ: MutableMapping[str, str], screen: _Screen) -> DemoRun:
    """Make the demo's calls as a client of its own, and hand over its telemetry."""
    from clients.client_telemetry import client_telemetry
    from clients.demo import run_demo
    from clients.event_loop import run_until_signal

    telemetry = client_telemetry("demo", environ, wishes.home, ground.otlp_endpoint, is_certain=True)
    try:
        return run_until_signal(run_demo(telemetry, ground.addresses, screen.line))
    finally:
        telemetry.shutdown()


def _nothing_to_prove(run: DemoRun) -> str:
    if not run.report_trace_id:
        return "instrumentation is off (LAB_INSTRUMENTATION)"
    return "" if run.is_sampled else "the call was sampled out (OTEL_TRACES_SAMPLER)"


@contextmanager
def _ground(wishes: Wishes, environ: MutableMapping[str, str], screen: _Screen) -> Iterator[Ground]:
    options = StackOptions(home=wishes.home, ports="auto" if wishes.is_new_stack else "default", store=wishes.store)
    listeners = Listeners(screen.adopted, screen.spawned, screen.healthy)
    if wishes.is_new_stack:
        options = replace(options, record_file=record_file_for(wishes.home))
        with own_ground(options, environ, listeners) as ground:
            yield ground
        return
    with shared_ground(surroundings(environ, wishes.home), options, environ, listeners) as ground:
        yield ground


def _stay(ground: Ground, screen: _Screen) -> None:
    """Keep the stack until Ctrl-C, or until a process of it ends by itself."""
    assert ground.stack is not None
    screen.line("")
    screen.line("running until Ctrl-C")
    watch(ground.stack)


class _Screen:
    """What the person sees; loads its drawing only once the processes are on their way. Silent for `--json`."""

    def __init__(self, wishes: Wishes) -> None:
        self._wishes = wishes
        self._report: DemoReport | None = None
        self._picture_text = io.StringIO()

    @property
    def report(self) -> DemoReport:
        """The report, made on first use."""
        if self._report is None:
            from clients.demo_report import DemoReport

            self._report = DemoReport(_picture_console(self._picture_text) if self._wishes.picture else None)
        return self._report

    def spawned(self) -> None:
        """Show that processes start, and load meanwhile what the demo needs."""
        self.waiting(f"starting {', '.join(PROCESSES)}")
        gc.disable()  # nothing of what is loaded is garbage; looking for some costs a third of the time
        import clients.demo
        import clients.demo_proof
        import clients.demo_report  # noqa: F401 - loaded ahead

        gc.freeze()
        gc.enable()

    def waiting(self, for_what: str) -> None:
        """Show what is awaited."""
        if not self._wishes.as_json:
            self.report.waiting(for_what)

    def stop_waiting(self) -> None:
        """Show that the wait is over."""
        if self._report is not None:
            self._report.stop_waiting()

    def healthy(self, process: StackProcess) -> None:
        """Show a process that was started."""
        if not self._wishes.as_json:
            self.report.healthy(process)

    def adopted(self, name: str, address: str, state: str) -> None:
        """Show something that was not started by this run."""
        if not self._wishes.as_json:
            self.report.adopted(name, address, state)

    def line(self, text: str) -> None:
        """Show one line."""
        if not self._wishes.as_json:
            self.report.line(text)

    def result(self, proof: Proof, found: ReadBack, why: str) -> None:
        """Show the trace and its proof, or why there is none."""
        if why:
            self.report.no_trace(why)
            return
        if found.trace is not None:
            self.report.trace(found)
        self.report.proof(proof)

    def save_picture(self) -> None:
        """Write the picture, and print as text what it shows."""
        if self._wishes.picture is None or self._wishes.as_json:
            return
        from rich.text import Text

        from clients.render.svg import svg_of_capture

        shown = self._picture_text.getvalue()
        self._wishes.picture.write_text(
            svg_of_capture(shown, title="./lab demo", width=PICTURE_WIDTH), encoding="utf-8"
        )
        print(Text.from_ansi(shown).plain)


def _picture_console(stream: io.StringIO) -> Console:
    from rich.console import Console

    return Console(
        file=stream, force_terminal=True, width=PICTURE_WIDTH, color_system="truecolor", highlight=False, markup=False
    )

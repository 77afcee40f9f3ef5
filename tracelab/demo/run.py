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

from clients.discovery.defaults import PROCESSES
from clients.discovery.endpoints import find_endpoints
from clients.errors import LabError
from clients.output import note
from clients.process_start import PROCESS_START_S
from otel.tls.files import TlsFiles
from tracelab.demo.target import DemoTarget, Listeners, own_target, shared_target
from tracelab.stack import StackOptions, StackProcess
from tracelab.stack.run_home import record_file_for
from tracelab.stack.start_lock import StartLock
from tracelab.stack.view import damage_notes
from tracelab.stack.watch import watch

if TYPE_CHECKING:  # loaded while the processes start
    from rich.console import Console

    from clients.demo import DemoRun
    from tracelab.demo.proof import Proof, ReadBack
    from tracelab.demo.report import DemoReport

PICTURE_WIDTH: Final = 100


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """What the person asked for. `home` is where the run's files go; `stays` keeps the stack until Ctrl-C."""

    home: Path
    as_json: bool = False
    stays: bool = False
    is_new_stack: bool = False
    store: Path | None = None
    api: str = ""
    picture: Path | None = None


def run_lab_demo(options: DemoOptions, environ: MutableMapping[str, str]) -> int:
    """Run the demo; gives the exit code: 1 where the proof failed. Ends whatever it started."""
    if sys.stdout.isatty() and not options.as_json:
        print("starting", end="\r", flush=True)  # the first sign of life; the spinner takes its place
    screen = _Screen(options)
    try:
        with _start_lock(options) as lock, _target(options, environ, screen) as target:
            if target.stack is None:  # nothing that we stop, so that others may use it too
                lock.release()
            return _run_on(target, options, environ, screen, lock)
    finally:
        screen.stop_waiting()


def _start_lock(options: DemoOptions) -> StartLock:
    """Wait until no other command starts or stops the stack of this home."""
    lock = StartLock(options.home)
    return lock if options.is_new_stack else lock.acquire(note)


def _run_on(
    target: DemoTarget, options: DemoOptions, environ: MutableMapping[str, str], screen: _Screen, lock: StartLock
) -> int:
    from otel.query import TraceQuery
    from otel.tls.contexts import client_context
    from tracelab.demo.delivery import RETRY_BOUND_S, Patience, await_delivery
    from tracelab.demo.diagnosis import failed_hop, is_reachable
    from tracelab.demo.proof import ReadBack, prove
    from tracelab.demo.report import report_json

    screen.stop_waiting()
    if target.stack is not None:
        for sentence in damage_notes(target.stack.processes, target.stack.store):
            note(sentence)
    run = _calls(target, options, environ, screen)
    why = _nothing_to_prove(run)
    found, verdict, hop = ReadBack((), ()), "none", ("", "")
    proof = prove(found, None)
    if not why:
        screen.waiting("reading the trace back")
        logs_url, token = environ.get("LAB_LOGS_URL") or None, environ.get("LAB_QUERY_TOKEN", "")
        tls = client_context(TlsFiles.from_environ(environ))
        with TraceQuery(target.query_url, logs_url, token=token, tls=tls) as query:
            patience = Patience(retry_s=RETRY_BOUND_S if target.has_older_services else 0.0)
            if not is_reachable(target.otlp_endpoint, target.query_url):
                patience = Patience(arrival_s=0.0)
            proof, found, within_s = await_delivery(query, run.session_id, target.log_files, note, patience)
        screen.stop_waiting()
        verdict = proof.verdict
        if proof.problems:
            hop = failed_hop(
                found, target.otlp_endpoint, target.query_url, within_s, target.store, TlsFiles.from_environ(environ)
            )
    if options.as_json:
        from clients.output import print_json

        print_json(report_json(proof, found, verdict, target, time.perf_counter() - PROCESS_START_S))
    else:
        screen.result(proof, found, why)
        screen.report.where_to_go_on(proof.trace_id or "", target, stays=options.stays)
    screen.save_picture()
    if verdict == "failed" and not options.stays:
        raise LabError(*(hop if hop[0] else ("the proof failed: " + "; ".join(proof.problems), "")))
    if verdict == "failed":
        from clients.errors import Report, print_report

        print_report(Report(*(hop if hop[0] else ("the proof failed: " + "; ".join(proof.problems), ""))))
    if options.stays and target.stack is not None:
        lock.release()
        _stay(target, screen)
    return 0


def _calls(target: DemoTarget, options: DemoOptions, environ: MutableMapping[str, str], screen: _Screen) -> DemoRun:
    """Make the demo's calls as a client of its own, and hand over its telemetry."""
    from clients.demo import run_demo
    from clients.event_loop import run_until_signal
    from clients.telemetry import client_telemetry

    telemetry = client_telemetry("demo", environ, options.home, target.otlp_endpoint, is_certain=True)
    try:
        return run_until_signal(run_demo(telemetry, target.addresses, screen.line, TlsFiles.from_environ(environ)))
    finally:
        telemetry.shutdown()


def _nothing_to_prove(run: DemoRun) -> str:
    if not run.report_trace_id:
        return "instrumentation is off (LAB_INSTRUMENTATION, or OTEL_SDK_DISABLED)"
    return "" if run.is_sampled else "the call was sampled out (OTEL_TRACES_SAMPLER)"


@contextmanager
def _target(options: DemoOptions, environ: MutableMapping[str, str], screen: _Screen) -> Iterator[DemoTarget]:
    stack_options = StackOptions(
        home=options.home,
        ports="auto" if options.is_new_stack else "default",
        store=options.store,
        api=options.api,
        follows_tls_variables=True,
    )
    listeners = Listeners(screen.adopted, screen.spawned, screen.healthy)
    if options.is_new_stack:
        stack_options = replace(stack_options, record_file=record_file_for(options.home, environ))
        with own_target(stack_options, environ, listeners) as target:
            yield target
        return
    with shared_target(find_endpoints(environ, options.home), stack_options, environ, listeners) as target:
        yield target


def _stay(target: DemoTarget, screen: _Screen) -> None:
    """Keep the stack until Ctrl-C, or until a process of it ends by itself."""
    assert target.stack is not None
    screen.line("")
    screen.line("running until Ctrl-C")
    watch(target.stack)


class _Screen:
    """What the person sees; loads its drawing only once the processes are on their way. Silent for `--json`."""

    def __init__(self, options: DemoOptions) -> None:
        self._options = options
        self._report: DemoReport | None = None
        self._picture_text = io.StringIO()

    @property
    def report(self) -> DemoReport:
        """The report, made on first use."""
        if self._report is None:
            from tracelab.demo.report import DemoReport

            self._report = DemoReport(_picture_console(self._picture_text) if self._options.picture else None)
        return self._report

    def spawned(self) -> None:
        """Show that processes start, and load meanwhile what the demo needs."""
        self.waiting(f"starting {', '.join(PROCESSES)}")
        gc.disable()  # nothing of what is loaded is garbage; looking for some costs a third of the time
        import tracelab.demo.diagnosis
        import tracelab.demo.proof
        import tracelab.demo.report  # noqa: F401 - loaded ahead

        gc.freeze()
        gc.enable()

    def waiting(self, for_what: str) -> None:
        """Show what is awaited."""
        if not self._options.as_json:
            self.report.waiting(for_what)

    def stop_waiting(self) -> None:
        """Show that the wait is over."""
        if self._report is not None:
            self._report.stop_waiting()

    def healthy(self, process: StackProcess) -> None:
        """Show a process that was started."""
        if not self._options.as_json:
            self.report.healthy(process)

    def adopted(self, name: str, address: str, state: str) -> None:
        """Show something that was not started by this run."""
        if not self._options.as_json:
            self.report.adopted(name, address, state)

    def line(self, text: str) -> None:
        """Show one line."""
        if not self._options.as_json:
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
        if self._options.picture is None or self._options.as_json:
            return
        from rich.text import Text

        from tracelab.render.svg import svg_of_capture

        shown = self._picture_text.getvalue()
        self._options.picture.write_text(
            svg_of_capture(shown, title="./lab demo", width=PICTURE_WIDTH), encoding="utf-8"
        )
        print(Text.from_ansi(shown).plain)


def _picture_console(stream: io.StringIO) -> Console:
    from rich.console import Console

    return Console(
        file=stream, force_terminal=True, width=PICTURE_WIDTH, color_system="truecolor", highlight=False, markup=False
    )

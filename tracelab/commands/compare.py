"""`lab compare`: which variant is faster, by how much, how sure, and where in the call the difference comes from."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from otel.tls.files import TlsFiles, let_exporters_dial
from tracelab.compare.question.errors import UsageError
from tracelab.compare.question.presets import PRESETS
from tracelab.compare.statistics.verdict import Gate, parse_gate

if TYPE_CHECKING:
    from tracelab.compare.request import Request
    from tracelab.compare.results.comparison_run import ComparisonRun
    from tracelab.compare.results.saved_runs import SavedRuns
    from tracelab.compare.views.reporting import Report

SAVED_FOLDER: Final = "comparisons"
INTERRUPTED: Final = 130
GATE_FAILED: Final = 1

_PRESETS_TEXT: Final = "\n".join(f"  {preset.name:<14} {preset.question}" for preset in PRESETS)
_HELP: Final = f"""\
Measure variants side by side, say which is faster and how sure that is, and show where the difference lies.

\b
Examples:
  lab compare sequential batch
  lab compare --preset tracing-tax
  lab compare sequential batch --users 1,10,100
  lab compare UserService/GetUser UserService/GetUser:channel=per-call
  lab compare plain slow:fault=OrderService/ListOrders:delay=20ms --strategy batch
  lab compare sequential batch --save before
  lab compare sequential batch --against before
  lab compare sequential batch --fail-if slower:10% --json --output batch.json
  lab compare --target a=127.0.0.1:50061 --target b=127.0.0.1:50062 \\
    --call hello.Greeter/SayHello --data '{{"name": "Ana"}}'
  lab compare --run old='python old.py' --run new='python new.py' \\
    --call hello.Greeter/SayHello --data @requests.jsonl

\b
Presets:
{_PRESETS_TEXT}

A variant is a strategy of TopUsers (sequential, concurrent, batch, streaming), an RPC, or NAME:key=value,key=value; the
keys are the options from --rpc to --deadline, which hold for all variants when given as options. The first variant is
the baseline. Servers that are not ours are named by --target or started by --run, and called by --call.
"""

app = typer.Typer(add_completion=False, rich_markup_mode=None)


def _for_all(text: str, metavar: str = "TEXT") -> Any:
    return typer.Option(help=text, metavar=metavar, rich_help_panel="What is called")


def _of_theirs(text: str, *words: str, metavar: str = "TEXT", is_file: bool | None = None) -> Any:
    options: dict[str, Any] = {} if is_file is None else {"exists": True, "dir_okay": not is_file, "file_okay": is_file}
    return typer.Option(*words, help=text, metavar=metavar, rich_help_panel="Servers of yours", **options)


def _flag_of_theirs(text: str, word: str) -> Any:
    return typer.Option(word, help=text, rich_help_panel="Servers of yours")


@app.command(help=_HELP)
def compare(
    variants: Annotated[list[str] | None, typer.Argument(help="Strategies, RPCs, or NAME:key=value,key=value.")] = None,
    preset: Annotated[str, typer.Option(metavar="NAME", help="A ready comparison, see above.")] = "",
    rpc: Annotated[str, _for_all("The RPC, such as UserService/GetUser.")] = "",
    strategy: Annotated[str, _for_all("The strategy of TopUsers.")] = "",
    request: Annotated[str, _for_all("The request; $user, $users, $order and $note are put in.", "JSON")] = "",
    users: Annotated[str, _for_all("How many users; several numbers make a sweep. [20]", "N[,N...]")] = "",
    orders_per_user: Annotated[str, _for_all("How many orders each user has. [5]", "N")] = "",
    message_size: Annotated[str, _for_all("The length of each order's note, such as 100kB. [0]", "SIZE")] = "",
    payload: Annotated[str, _for_all("What notes are made of: text or random.")] = "",
    concurrency: Annotated[str, _for_all("Workers that call at once; several make a sweep. [1]", "N[,N...]")] = "",
    rate: Annotated[str, _for_all("An open loop: calls each second, whatever they take.", "N")] = "",
    poisson: Annotated[bool, typer.Option("--poisson", help="With a rate: arrivals at random.")] = False,
    fault: Annotated[str, _for_all("A fault, such as OrderService/ListOrders:delay=20ms.")] = "",
    instrumentation: Annotated[str, _for_all("corrected, stock or off. [corrected]")] = "",
    api: Annotated[str, _for_all("The services' gRPC API: aio or sync. [aio]")] = "",
    sampling: Annotated[str, _for_all("The share of calls that are traced. [all]", "SHARE")] = "",
    compression: Annotated[str, _for_all("none, gzip or deflate. [none]")] = "",
    channel: Annotated[str, _for_all("reuse, per-call or local-pool. [reuse]")] = "",
    deadline: Annotated[str, _for_all("Each call's deadline, such as 200ms, or none. [30s]", "TIME")] = "",
    target: Annotated[
        list[str] | None, _of_theirs("A server of yours; at least two.", "--target", metavar="NAME=HOST:PORT")
    ] = None,
    run: Annotated[
        list[str] | None,
        _of_theirs("Starts and traces one; --target says where it listens.", "--run", metavar="NAME=COMMAND"),
    ] = None,
    call: Annotated[str, _of_theirs("The method to call.", metavar="SERVICE/METHOD")] = "",
    data: Annotated[str, _of_theirs("The request; a .jsonl file has one a line.", metavar="JSON|@FILE")] = "",
    sweep: Annotated[str, _of_theirs('What "$n" in the data stands for.', metavar="N,N[,N...]")] = "",
    metadata: Annotated[
        list[str] | None, _of_theirs("Goes along; may be repeated.", "--metadata", "-H", metavar="KEY=VALUE")
    ] = None,
    proto: Annotated[
        list[Path] | None,
        _of_theirs("The contract, in place of reflection.", "--proto", metavar="FILE", is_file=True),
    ] = None,
    proto_path: Annotated[
        list[Path] | None, _of_theirs("Where imports are.", "--proto-path", metavar="DIR", is_file=False)
    ] = None,
    protoset: Annotated[
        Path | None, _of_theirs("The contract as a descriptor set.", metavar="FILE", is_file=True)
    ] = None,
    tls: Annotated[
        bool, _flag_of_theirs("Speak TLS; the options below imply it, and so does LAB_TLS_CA.", "--tls")
    ] = False,
    plaintext: Annotated[bool, _flag_of_theirs("Speak no TLS, whatever LAB_TLS_CA says.", "--plaintext")] = False,
    ca: Annotated[Path | None, _of_theirs("Whom to trust, PEM.", metavar="FILE", is_file=True)] = None,
    cert: Annotated[Path | None, _of_theirs("Our certificate, PEM.", metavar="FILE", is_file=True)] = None,
    key: Annotated[Path | None, _of_theirs("Its private key, PEM.", metavar="FILE", is_file=True)] = None,
    server_name: Annotated[str, _of_theirs("The name in the servers' certificate.", metavar="NAME")] = "",
    by: Annotated[str, typer.Option(metavar="QUANTILE", help="The verdict's: median, p95, p99.")] = "median",
    precision: Annotated[float, typer.Option(metavar="%", help="Stop when every interval is as narrow.")] = 5.0,
    floor: Annotated[float, typer.Option(metavar="%", help="What differs less is not called a difference.")] = 2.0,
    margin: Annotated[float, typer.Option(metavar="%", help="What lies within is no measurable difference.")] = 10.0,
    max_seconds: Annotated[
        float | None,
        typer.Option(metavar="S", min=1, help="Measure no longer. [60; 120 with a rate; 20 in a sweep to 100 users]"),
    ] = None,
    restarts: Annotated[int, typer.Option(metavar="N", min=1, max=50, help="Fresh processes so many times.")] = 1,
    seed: Annotated[int | None, typer.Option(metavar="N", min=0, help="Repeat a run's order and bootstrap.")] = None,
    tail: Annotated[bool, typer.Option("--tail", help="Break down the slowest calls, not the typical ones.")] = False,
    what_if: Annotated[
        list[str] | None,
        typer.Option(metavar="OPERATION=FACTOR", help="Predict by replay: OrderService/ListOrders=0.5."),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Make that change by a fault, and measure it.")] = False,
    save: Annotated[str, typer.Option(metavar="NAME", help="Keep the run under a name.")] = "",
    against: Annotated[str, typer.Option(metavar="NAME[,NAME...]", help="Against saved runs, by control.")] = "",
    saved: Annotated[str, typer.Option(metavar="NAME[,NAME...]", help="Show saved runs, measure nothing.")] = "",
    list_saved: Annotated[bool, typer.Option("--list", help="List the saved runs.")] = False,
    from_file: Annotated[Path | None, typer.Option("--from", metavar="FILE", help="Recompute a run from JSON.")] = None,
    fail_if: Annotated[str, typer.Option(metavar="GATE", help="Exit with 1 if it is certain, e.g. slower:10%.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON with all samples.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the samples as CSV.")] = False,
    ecdf: Annotated[bool, typer.Option("--ecdf", help="Draw the share of calls by latency, too.")] = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", dir_okay=False, help="Write a page, too.")] = None,
    output: Annotated[str, typer.Option(metavar="FILE", help="Print to a file; - is standard output.")] = "-",
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="Print without colour.")] = False,
) -> int:
    """Measure variants side by side, say which is faster and how sure that is, and show where the difference lies."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # before gRPC is loaded: what failed is said once, in our words
    from clients.discovery.home import home_of
    from tracelab.compare.foreign_request import ForeignWords, read_question
    from tracelab.compare.request import Request
    from tracelab.compare.results.saved_runs import SavedRuns
    from tracelab.compare.views.reporting import Report
    from tracelab.own.target import TlsWords

    home = home_of(os.environ)
    runs = SavedRuns(home / SAVED_FOLDER)
    report = Report(output, as_json, as_csv, html, quiet or bool(os.environ.get("LAB_QUIET")), no_color, ecdf)
    gate = parse_gate(fail_if) if fail_if else None
    if as_json and as_csv:
        raise UsageError("--json and --csv cannot both be printed", "ask for one of them")
    if list_saved:
        report.list_runs(runs)
        return 0
    asked = {
        "rpc": rpc,
        "strategy": strategy,
        "request": request,
        "users": users,
        "orders-per-user": orders_per_user,
        "message-size": message_size,
        "payload": payload,
        "concurrency": concurrency,
        "rate": rate,
        "poisson": "true" if poisson else "",
        "fault": fault,
        "instrumentation": instrumentation,
        "api": api,
        "sampling": sampling,
        "compression": compression,
        "channel": channel,
        "deadline": deadline,
    }
    settings = {option: value for option, value in asked.items() if value}
    words = ForeignWords(
        targets=target or (),
        runs=run or (),
        call=call,
        data=data,
        metadata=metadata or (),
        proto=proto or (),
        proto_path=proto_path or (),
        protoset=protoset,
        tls=TlsWords(tls, plaintext, ca, cert, key, server_name),
        sweep=sweep,
    )
    foreign = None
    if words.is_given:
        tls_variables = TlsFiles.from_environ(os.environ)
        let_exporters_dial(os.environ, tls_variables)
        foreign = read_question(words, variants or (), settings, tls_variables)
    question = Request(
        variants=variants or (),
        preset=preset,
        settings=settings,
        foreign=foreign,
        by=by,
        precision=precision,
        floor=floor,
        margin=margin,
        max_seconds=max_seconds,
        seed=seed,
        restarts=restarts,
        tail=tail,
        what_if=what_if or (),
        check=check,
        command_line=shlex.join(["lab", "compare", *_without_secrets(_words())]),
    )
    return _answered(question, report, runs, home, gate, save, against, saved, from_file)


def _answered(
    question: Request,
    report: Report,
    runs: SavedRuns,
    home: Path,
    gate: Gate | None,
    save: str,
    against: str,
    saved: str,
    from_file: Path | None,
) -> int:
    """Show what is asked for, from a file, from saved runs, or by measuring."""
    from tracelab.compare.measurement.block_design import StopReason
    from tracelab.compare.request import plan_of, sweep_of
    from tracelab.compare.results.saved_runs import read_run
    from tracelab.compare.run_plan import measure_plan, measure_sweep

    if from_file is not None or saved:
        if question.variants or question.preset or question.foreign or (from_file is not None and saved):
            raise UsageError("a saved run has its own variants", "name it alone")
        loaded = [read_run(from_file)] if from_file is not None else [runs.load(name) for name in saved.split(",")]
        if against:
            report.show_against(loaded, [runs.load(name) for name in against.split(",")], saved, against)
            return 0
        for run in loaded:
            report.show(run)
        return _gate_status(gate, loaded, report)
    if save:
        runs.path_of(save)
    earlier = [runs.load(name) for name in against.split(",")] if against else []
    numbers = sweep_of(question)
    if numbers:
        if save or against or gate or report.html or report.as_csv or question.restarts > 1 or question.check:
            raise UsageError(
                "a sweep has no --save, --against, --fail-if, --html, --csv, --restarts or --check",
                "give its option one number for these",
            )
        sweep = measure_sweep(question, numbers, home, report)
        report.show_sweep(sweep)
        return 0 if sweep.numbers == numbers else INTERRUPTED
    run = measure_plan(plan_of(question), home, report, check=question.check)
    report.show(run, earlier, against)
    if run.measurement.stop_reason is StopReason.INTERRUPTED:
        return INTERRUPTED
    if save:
        report.note(f"saved as {save}: {runs.save(save, run)}")
    return _gate_status(gate, [run], report)


def _gate_status(gate: Gate | None, runs: list[ComparisonRun], report: Report) -> int:
    """1 if any comparison is beyond the gate for certain."""
    if gate is None:
        return 0
    headlines = [headline for run in runs for headline in run.analyse().headlines]
    tripped = [headline for headline in headlines if gate.trips(headline.interval)]
    for headline in headlines:
        if headline.interval is None:
            report.note(f"--fail-if has nothing to judge {headline.variant} by")
    if tripped:
        names = ", ".join(headline.variant for headline in tripped)
        report.note(f"--fail-if {gate.kind.value}:{gate.share * 100:g}% holds for {names}")
    return GATE_FAILED if tripped else 0


def _without_secrets(words: list[str]) -> list[str]:
    """The words without the values of metadata, which are kept with a run that others may read."""
    kept = []
    for before, word in zip(["", *words], words, strict=False):
        option, _, value = word.partition("=") if word.startswith("--metadata=") else ("", "", word)
        if option or before in {"-H", "--metadata"}:
            word = f"{f'{option}=' if option else ''}{value.partition('=')[0]}=..."
        elif word.startswith("-H") and len(word) > 2:
            word = f"{word.partition('=')[0]}=..."
        kept.append(word)
    return kept


def _words() -> list[str]:
    return sys.argv[2:] if len(sys.argv) > 1 and sys.argv[1] == "compare" else sys.argv[1:]

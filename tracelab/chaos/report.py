"""Shows results: a table for the terminal, JSON for programs, Markdown for the documents."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import Console
from rich.text import Text

from tracelab.chaos.experiment import Count, Experiment, Result

HELD: Final = "✔"
BROKEN: Final = "✘"
SECONDS_PER_MINUTE: Final = 60


def print_results(out: Console, results: Sequence[Result]) -> None:
    """Print each promise, the harm, what was counted, and whether it held."""
    for result in results:
        mark, style = (HELD, "green") if result.held else (BROKEN, "red")
        out.print(Text.assemble((f"{mark} ", style), (result.experiment.slug, "bold"), f"  {result.duration_s:.0f} s"))
        out.print(Text(f"  promise  {result.experiment.promise}"))
        out.print(Text(f"  harm     {result.experiment.harm}"))
        for line in _told(result):
            out.print(Text(f"  {line}"))
    held_count = sum(result.held for result in results)
    total_s = sum(result.duration_s for result in results)
    out.print(Text(f"{held_count} of {len(results)} promises held, in {duration_text(total_s)}"))


def duration_text(seconds: float) -> str:
    """Minutes and seconds."""
    return f"{int(seconds) // 60} min {int(seconds) % 60} s" if seconds >= SECONDS_PER_MINUTE else f"{seconds:.0f} s"


def results_json(results: Sequence[Result], *, is_short: bool) -> str:
    """Everything, as one JSON object."""
    told = [
        {
            "experiment": result.experiment.slug,
            "promise": result.experiment.promise,
            "harm": result.experiment.harm,
            "held": result.held,
            "error": result.error,
            "durationS": round(result.duration_s, 1),
            "counts": [
                {"name": count.name, "value": count.value, "held": count.held, "timed": count.is_timed}
                for count in result.counts
            ],
        }
        for result in results
    ]
    return json.dumps({"form": "short" if is_short else "long", "experiments": told}, ensure_ascii=False, indent=2)


def document(results: Sequence[Result], page_before: str = "") -> str:
    """The page of a run: for each experiment what a test compares with the code, and the figures of this run.

    What `page_before` has of a long soak stays.
    """
    whole = f"The run of this page took {duration_text(sum(result.duration_s for result in results))}.\n\n"
    return (
        INTRODUCTION + whole + "\n".join(_section(result) for result in results) + _long_soak_in(page_before) + LIMITS
    )


def with_long_soak(page: str, result: Result) -> str:
    """The page with the figures of a soak that was longer than its own run's, in place of another such."""
    before, _, _ = page.replace(_long_soak_in(page), "").partition(LIMITS_HEADING)
    return f"{before.rstrip()}\n{LONG_SOAK_HEADING}{_run(result)}{LIMITS}"


def _long_soak_in(page: str) -> str:
    _, heading, rest = page.partition(LONG_SOAK_HEADING)
    return heading + rest.partition(LIMITS_HEADING)[0]


def described(experiment: Experiment) -> str:
    """The part of an experiment's section that does not change from run to run."""
    return (
        f"## {experiment.slug}\n\n"
        f"**Promise.** {experiment.promise}\n\n"
        f"**Harm.** {sentence(experiment.harm)}\n\n"
        f"**Seen broken.** {sentence(experiment.without)}\n"
    )


def sentence(text: str) -> str:
    """A text as a sentence of its own."""
    return f"{text[0].upper()}{text[1:]}."


def _section(result: Result) -> str:
    return f"{described(result.experiment)}\n{_run(result)}"


def _run(result: Result) -> str:
    rows = "".join(f"| {count.name} | {_figure(count)} | {_mark(count.held)} |\n" for count in result.counts)
    verdict = "held" if result.held else f"**not held**{f': {result.error}' if result.error else ''}"
    return f"This run: {verdict}, in {result.duration_s:.0f} s.\n\n" + (
        f"| counted | | held |\n|---|---|---|\n{rows}" if rows else ""
    )


def _told(result: Result) -> Iterator[str]:
    width = max((len(_figure(count)) for count in result.counts), default=0)
    for count in result.counts:
        yield f"{_mark(count.held) or ' '} {_figure(count):>{width}}  {count.name}"
    if result.error:
        yield f"{BROKEN} {result.error}"


def _figure(count: Count) -> str:
    return f"{count.value:,}"


def _mark(held: bool | None) -> str:
    return "" if held is None else HELD if held else BROKEN


INTRODUCTION: Final = """\
# What holds when things go wrong

Promises of the services and of the embedded backend, each with the harm that was done to real processes and what was
counted afterwards by witnesses that use no telemetry: what callers received, what handlers wrote down, what is stored.
A promise whose protection was never seen missing proves nothing, so each says how it was broken on purpose.

`./lab chaos --write` made this page, `./lab chaos` shows the same, `./lab chaos --short` takes about a minute. A
test compares promises and harms with the code; the figures are those of one run.

"""
LONG_SOAK_HEADING: Final = """
## The long soak

`./lab chaos soak --minutes 30 --write` made this part of the page: the experiment above, for longer.

"""
LIMITS_HEADING: Final = """
## What does not hold, or was not tried
"""
LIMITS: Final = f"""{LIMITS_HEADING}
- A caller who does not wait for one answer before the next call can hit the moment between a server's stop and the
  arrival of its GOAWAY: less than a millisecond on one machine. Such a call reads CANCELLED; our clients repeat it.
- What has reached a machine that lets no thread of gRPC's read it for the 150 ms of quiet before a stop, while the
  service itself runs, is not seen by the service either, and reads CANCELLED.
- A call whose answer died with its server may be served twice, once more by the server that the retry went to.
- A request of 16 MiB that holds nothing but empty spans takes the backend seconds and more than a gigabyte to parse
  before it is refused.
- In the long soak, on two cores with work for twenty, 5 of 478,226 calls failed. How is not known: a soak did not yet
  say so. None of 192,045 did in a quarter of an hour after it.
- A soak sees tasks by what they hold, by live spans above all: a task that belongs to no call and holds next to nothing
  is not seen. Its interval takes samples as independent; `./lab chaos soak --minutes 30` is the long form.
- Where no disk may be mounted (not root, not Linux), the full disk is a bound on the size of files, and the read-only
  one is not run.
- TLS has no experiment here: its tests, on real processes, are in `tests/e2e/test_tls.py`.
- The locked packages are not checked against a database of known faults: every checker asks one over the network, and
  none was at hand offline. `pip-audit --require-hashes -r requirements.txt` asks where the network allows it.
- Everything ran on one machine, on loopback.
"""

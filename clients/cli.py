"""The command line, `lab`: finds the command that is asked for, loads that one alone, and answers for its errors."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn

from clients import (
    errors,
    output,
    process_start,  # noqa: F401 - notes the time
)
from clients.discovery.defaults import SERVICES
from clients.error_report import report_of
from tracelab.command_table import COMMANDS, Command, find_command, help_text

INTERRUPTED: Final = errors.INTERRUPTED
VERSION: Final = "0.1.0"
PROGRAM: Final = "lab"
_REACH_FILES: Final = ("--ca", "--cert", "--key")
COMPLETION_VARIABLE: Final = "_LAB_COMPLETE"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and give its exit code: 0, 1 for a failure, 2 for wrong usage, 130 after Ctrl-C."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # read when grpc is imported: its core writes past every setting
    if any(name.lower().endswith("_proxy") for name in os.environ):
        from otel.instrument.loopback import bypass_proxies  # slow to load, and seldom needed

        bypass_proxies(os.environ)
    with _closed_streams_open():
        return _answered_for(words)


def _answered_for(words: list[str]) -> int:
    try:
        with _ended_by_signals():
            code = _run(words)
            sys.stdout.flush()
            return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has seen enough: what was asked for is done
        _discard_output()
        return 0
    except Exception as error:  # the last place where a traceback can be kept from the person
        report = report_of(error, _crash_file())
        try:
            sys.stdout.flush()
        except OSError:
            _discard_output()
        errors.print_report(report)
        return report.exit_code


def _discard_output() -> None:
    """Let go what could not be written: the interpreter would try it again at its end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _closed_streams_open() -> Iterator[None]:
    """Let what is written to a closed stream (`>&-`) go nowhere, and nothing come from a closed one (`<&-`).

    Python has None there, and `print` other streams.
    """
    modes = {"stdin": "r", "stdout": "w", "stderr": "w"}
    closed = [name for name in modes if getattr(sys, name) is None]
    with ExitStack() as nowhere:
        for name in closed:
            setattr(sys, name, nowhere.enter_context(Path(os.devnull).open(modes[name], encoding="utf-8")))
        try:
            yield
        finally:
            for name in closed:
                setattr(sys, name, None)


def _run(words: list[str]) -> int:
    if COMPLETION_VARIABLE in os.environ:
        return _invoke(words)
    if os.environ.get("LAB_QUIET"):
        output.be_quiet()
    words, name = _take_common_options(words)
    if not words:
        if sys.stdin.isatty() and sys.stdout.isatty():
            from tracelab.menu import show_menu

            return show_menu(main)
        print(help_text())
        return 0
    if words[0] == "help" and len(words) > 1:
        words = [words[1], *words[2:], "--help"]
    if words[0] in {"--help", "-h", "help"}:
        print(help_text())
        return 0
    if words[0] == "--version":
        print(f"{PROGRAM} {VERSION}")
        return 0
    command = find_command(words[0])
    with _output_to(name):
        return command.run(words[1:]) if command.is_raw else _invoke_command(command, words[1:])


def _invoke_command(command: Command, words: list[str]) -> int:
    """Parse and run one command; without the group around it, so that nothing else is loaded."""
    if command.starts_stack and not {"-h", "--help"}.intersection(words):
        from tracelab.fork_server import prepare_stack

        prepare_stack(os.environ)
    loaded = command.load()
    try:
        result = loaded.main(args=words, prog_name=f"{PROGRAM} {command.name}", standalone_mode=False)
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # Typer and Rich call it a failure
            raise end.__context__ from None
        raise
    return result if isinstance(result, int) else 0


def _invoke(words: list[str]) -> int:
    """Answer a shell that completes a word: the one case that needs the tree of all commands."""
    from typer import completion
    from typer.core import TyperGroup

    completion.completion_init()  # type: ignore[attr-defined]  # not listed, and called by Typer itself alone
    group = TyperGroup(name=PROGRAM, commands={command.name: command.load() for command in COMMANDS if command.exists})
    result = group.main(args=words, prog_name=PROGRAM, complete_var=COMPLETION_VARIABLE, standalone_mode=False)
    return result if isinstance(result, int) else 0


def _take_common_options(words: list[str]) -> tuple[list[str], str]:
    """Take out the options that mean the same everywhere: `--no-color`, `--quiet`, `--certs DIR`, `--output FILE`.

    They go no further than a `--`, and a command that hands its words on (`test`, `bench`) keeps them.
    """
    command = next((word for word in words if not word.startswith("-")), "")
    if command in {entry.name for entry in COMMANDS if entry.is_raw}:
        return words, ""
    has_own_output = command in {entry.name for entry in COMMANDS if entry.has_own_output}
    end = words.index("--") if "--" in words else len(words)
    kept, file = [], ""
    mine = iter(words[:end])
    for word in mine:
        if word == "--certs" or word.startswith("--certs="):
            _take_certificates(word.removeprefix("--certs=") if "=" in word else next(mine, ""))
        elif has_own_output:
            kept.append(word)
        elif word == "--no-color":
            os.environ["NO_COLOR"] = "1"
        elif word == "--quiet":
            output.be_quiet()
        elif word == "--output" or word.startswith("--output="):
            file = word.removeprefix("--output=") if "=" in word else next(mine, "")
            if not file:
                raise errors.WrongUsageError("--output is missing its file", "`-` is standard output")
        else:
            kept.append(word)
    if has_own_output:
        return kept + words[end:], ""
    return _reach_first(_json_last(kept)) + words[end:], file


def _take_certificates(folder: str) -> None:
    """Let this command, and what it starts, speak mTLS by the files of one folder, as `lab certs` makes it."""
    from otel.tls.try_out import CertificateFolder

    if not folder:
        raise errors.WrongUsageError("--certs is missing its folder", "./lab certs makes one")
    os.environ.update(CertificateFolder(Path(folder)).check().variables)


def _reach_first(words: list[str]) -> list[str]:
    """Let the options of how our services are reached stand anywhere behind the command that calls them."""
    if not words or words[0] not in SERVICES:
        return words
    moved: list[str] = []
    kept: list[str] = []
    rest = iter(words[1:])
    for word in rest:
        if word in _REACH_FILES:
            moved += [word, *islice(rest, 1)]
        elif word == "--plaintext" or word.startswith(tuple(f"{option}=" for option in _REACH_FILES)):
            moved.append(word)
        else:
            kept.append(word)
    return [words[0], *moved, *kept]


def _json_last(words: list[str]) -> list[str]:
    """Let `--json` stand before the command, or between it and its subcommand, as it means the same everywhere."""
    for place in (0, 1):
        following = words[place + 1 : place + 2]
        if words[place : place + 1] == ["--json"] and following and not following[0].startswith("-"):
            return [*words[:place], *words[place + 1 :], "--json"]
    return words


@contextmanager
def _output_to(name: str) -> Iterator[None]:
    """Send standard output to a file, opened before the command runs."""
    if name in {"", "-"}:
        yield
        return
    with Path(name).open("w", encoding="utf-8") as stream, redirect_stdout(stream):
        yield


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let SIGTERM and a closed terminal unwind the command, so that whatever it started is stopped."""
    names = [name for name in ("SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]
    before: dict[signal.Signals, Any] = {}
    try:
        for name in names:
            number = signal.Signals[name]
            with suppress(ValueError):  # not the main thread
                before[number] = signal.signal(number, _exit_by_signal)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _exit_by_signal(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _crash_file() -> Path:
    from clients.discovery.home import home_of

    return home_of(os.environ) / "crash.log"


if __name__ == "__main__":
    sys.exit(main())

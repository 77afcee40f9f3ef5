"""Turns whatever stopped a command into a report for the person; never raises."""

from __future__ import annotations

import errno
import traceback
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from clients.errors import FAILURE, USAGE, Report

_OURS: Final = ("clients.", "tracelab.", "otel.")
_LIKENESS: Final = 0.6  # of two names without their dashes, by difflib's ratio
_UNDECODED: Final = "surrogates not allowed"  # bytes of an argument that Python could not decode, to be sent or written
_OUT_OF_RANGE: Final = "Value out of range: "  # protobuf, of a number that is too large for its field
_PARSERS_WORDS: Final = "Value error, "  # Typer's, before what it says of a word that is none of several
_USAGE_ERRORS: Final = frozenset({"SettingsError", "MalformedTokenError", "MalformedTraceIdError"})


def report_of(error: BaseException, crash_file: Path) -> Report:
    """Explain an error; never raises.

    Errors of our own modules carry their sentence, and may carry `hint` and `exit_code`; the command line's parser and
    gRPC have theirs. Anything else is a fault of ours: its traceback goes to `crash_file`, never to the person.
    """
    try:
        return _explained(error, crash_file.parent) or _crash_report(error, crash_file)
    except Exception as failure:  # explaining went wrong; the person still gets one line, and the file both tracebacks
        return _crash_report(failure, crash_file)


def _explained(error: BaseException, home: Path) -> Report | None:
    if hasattr(error, "format_message"):
        return _usage_report(error)
    if type(error).__module__.startswith("grpc"):
        from clients.rpc_errors import rpc_report  # gRPC is loaded already where this is reached

        report = rpc_report(error)
        if report is not None:
            return report
    if type(error).__module__.startswith(_OURS):
        usage = type(error).__name__ in _USAGE_ERRORS
        return Report(str(error), getattr(error, "hint", ""), getattr(error, "exit_code", USAGE if usage else FAILURE))
    if isinstance(error, UnicodeEncodeError) and error.reason == _UNDECODED:
        return Report("a word of the command is not UTF-8", "LC_ALL=C.UTF-8 reads it as such", USAGE)
    if isinstance(error, ValueError) and str(error).startswith(_OUT_OF_RANGE):
        return Report(f"{str(error).removeprefix(_OUT_OF_RANGE)} is no number that a request can hold", exit_code=USAGE)
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return Report(f"{place}{error.strerror}", _file_hint(error, home))
    return None


def _file_hint(error: OSError, home: Path) -> str:
    """What helps where a file below `home` could not be written."""
    is_below_home = error.filename and home in (Path(str(error.filename)), *Path(str(error.filename)).parents)
    if error.errno == errno.ENOSPC:
        return f"free some space where the output goes, or name another folder than {home} with LAB_HOME"
    return f"name a folder that can be written with LAB_HOME, in place of {home}" if is_below_home else ""


def _usage_report(error: Any) -> Report:
    """Say what is wrong with the words of the command line, by the house's form of it."""
    kind = type(error).__name__
    if kind == "NoArgsIsHelpError":
        return Report(str(error.format_message()), exit_code=USAGE, is_help=True)
    command = error.ctx.command_path if getattr(error, "ctx", None) else "lab"
    hint = f"./{command} --help shows what it takes"
    message = _lower_first(str(error.format_message())).rstrip(".")
    parameter = getattr(error, "param", None)
    given = getattr(error, "message", "") or ""
    if kind == "MissingParameter" and parameter is not None:
        message = f"{_parameter_name(parameter)} is missing"
    elif kind == "BadParameter" and parameter is not None:
        message = f"{_parameter_name(parameter)}: {_lower_first(given.removeprefix(_PARSERS_WORDS)).rstrip('.')}"
    elif kind == "NoSuchOption":
        message = f"{error.option_name} is not an option of {command}"
        near = _nearest_option(error.option_name, error.possibilities or [])
        hint = f"did you mean {near}?" if near else hint
    message, found, suggestion = message.partition(". Did you mean ")
    return Report(message, f"did you mean {suggestion.rstrip('?')}?" if found else hint, USAGE)


def _nearest_option(name: str, options: list[str]) -> str:
    """The option most like `name`, by their letters: the dashes that all options share make none alike."""
    bare = {option.lstrip("-"): option for option in options}
    near = get_close_matches(name.lstrip("-"), bare, n=1, cutoff=_LIKENESS)
    return bare[near[0]] if near else ""


def _parameter_name(parameter: Any) -> str:
    """An option as it is typed, an argument as the help shows it: `--name`, `USER_ID`."""
    named = [name for name in getattr(parameter, "opts", ()) if name.startswith("--")]
    shown = getattr(parameter, "metavar", None) or str(parameter.name).upper()
    return str(named[0]) if named else str(shown).strip("[]").removesuffix("...")


def _crash_report(error: BaseException, crash_file: Path) -> Report:
    hint = f"this is a fault of the lab; the details are in {crash_file}"
    try:
        crash_file.parent.mkdir(parents=True, exist_ok=True)
        crash_file.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    except OSError:
        hint = "this is a fault of the lab, and its details could not be written"
    return Report(f"{type(error).__name__}: {error}", hint)


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:] if text[1:2].islower() else text

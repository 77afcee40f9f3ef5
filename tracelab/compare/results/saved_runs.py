"""Runs kept under a name in the lab's folder: written whole or not at all, and read back with their schema checked."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from tracelab.compare.question.errors import SavedRunError, UsageError
from tracelab.compare.results.comparison_run import ComparisonRun
from tracelab.compare.results.json_form import run_from_json, run_to_json

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}")
_SUFFIX = ".json"


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is either the old one or the whole new one, whatever happens. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_run(path: Path) -> ComparisonRun:
    """Read a run from any file; SavedRunError if that cannot be."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SavedRunError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise SavedRunError(f"{path} is not a saved comparison: it is no JSON") from error
    return run_from_json(document, str(path))


@dataclass(frozen=True, slots=True)
class SavedRuns:
    """The folder of saved runs; it need not exist yet."""

    folder: Path

    def save(self, name: str, run: ComparisonRun) -> Path:
        """Keep a run under a name, in place of one that had it."""
        path = self.path_of(name)
        write_whole(path, json.dumps(run_to_json(run), separators=(",", ":")))
        return path

    def load(self, name: str) -> ComparisonRun:
        """The run of that name; SavedRunError with the nearest name where there is none."""
        path = self.path_of(name)
        if not path.is_file():
            names = list(self.names())
            near = get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]}?" if near else "./lab compare --list shows those that are"
            raise SavedRunError(f"no run is saved as '{name}'", hint)
        return read_run(path)

    def names(self) -> Iterator[str]:
        """The names of all saved runs, sorted."""
        yield from sorted(path.name.removesuffix(_SUFFIX) for path in self.folder.glob(f"[!.]*{_SUFFIX}"))

    def path_of(self, name: str) -> Path:
        """Where a run of that name is kept; UsageError for a name that is no plain file name."""
        if _NAME.fullmatch(name) is None:
            raise UsageError(f"'{name}' cannot be the name of a saved run", "letters, digits, dot, dash, underscore")
        return self.folder / f"{name}{_SUFFIX}"

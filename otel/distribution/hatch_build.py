"""Builds the distribution's package out of `otel/instrument`: the modules that its face needs, under its own name."""

from __future__ import annotations

import ast
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE: Final = "grpc_trace_lab_instrumentation"
SOURCE: Final = "otel.instrument"
FACE: Final = "library"
"""The module that becomes the package's `__init__`."""
_IMPORT: Final = re.compile(rf"^(\s*(?:from|import) ){re.escape(SOURCE)}(?=[.\s])", re.MULTILINE)


class PackageHook(BuildHookInterface[Any]):  # type: ignore[misc]  # only the build has hatchling
    """Puts the package into the wheel; what it writes on the way is gone after the build."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the package to a temporary folder, and have it packed. Raises ValueError where it is not whole."""
        source = Path(self.root).parent / "instrument"
        if version != "standard" or not source.is_dir():
            raise ValueError(f"the distribution is built from a checkout, as a wheel: {source} is needed")
        self._folder = tempfile.TemporaryDirectory()
        for name, text in package_files(source):
            path = Path(self._folder.name, name)
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        build_data["force_include"][self._folder.name] = PACKAGE

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was written."""
        self._folder.cleanup()


def package_files(source: Path) -> Iterator[tuple[str, str]]:
    """Yield path and text of the package's files: what the face imports, and what that imports, from `source`."""
    waiting, seen = [source / f"{FACE}.py"], set[Path]()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        text = path.read_text(encoding="utf-8")
        waiting += _imported(text, source)
        if path.parent != source:
            waiting.append(path.parent / "__init__.py")
        name = "__init__.py" if path == source / f"{FACE}.py" else path.relative_to(source).as_posix()
        yield name, renamed(text)
    yield "py.typed", ""


def renamed(text: str) -> str:
    """Return a module's text with its imports of `otel.instrument` under the package's name.

    Raises ValueError where an import is left that such an exchange does not reach.
    """
    text = _IMPORT.sub(rf"\g<1>{PACKAGE}", text)
    left = [name for name in _names(text) if name.split(".")[0] == SOURCE.split(".")[0]]
    if left:
        raise ValueError(f"an import cannot be renamed: {', '.join(left)}")
    return text


def _imported(text: str, source: Path) -> list[Path]:
    inside = [name.removeprefix(f"{SOURCE}.").split(".") for name in _names(text) if name.startswith(f"{SOURCE}.")]
    return [path for names in inside if (path := source.joinpath(*names).with_suffix(".py")).is_file()]


def _names(text: str) -> Iterator[str]:
    """Yield all that a module imports, `from a import b` as `a` and as `a.b`."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)

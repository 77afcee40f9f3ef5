"""Runs at the start of every Python process below `lab run`: waits for `import grpc`, and has it traced from then on.

Python imports the first `sitecustomize` on its path; a person's own one, further back, is run as if this were not
there. Nothing else happens in a process that never imports gRPC. Only the standard library is needed here, and of
Python 3.8 on: it runs in interpreters that are not ours, so it must not fail.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys

TYPE_CHECKING = False  # the name that checkers know; `typing` would be loaded in every process
if TYPE_CHECKING:
    from typing import Any

_HERE = os.path.dirname(os.path.abspath(__file__))


def _run_their_own() -> None:
    path = [place for place in sys.path if os.path.abspath(place or os.getcwd()) != _HERE]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", path)
    if spec is None or spec.loader is None:
        return
    module = importlib.util.module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


class _AfterGrpc(importlib.abc.MetaPathFinder):
    """Finds `grpc` as it is found without us, and starts the tracing once it is loaded; to find it starts nothing."""

    def __init__(self) -> None:
        self._is_asking = False

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        """Give the real spec with a loader that goes on to the tracing."""
        if fullname != "grpc" or self._is_asking:
            return None
        self._is_asking = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._is_asking = False
        if spec is None or spec.loader is None:
            return None
        spec.loader = _Loader(spec.loader)
        return spec


class _Loader(importlib.abc.Loader):
    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: Any) -> Any:
        """Make the module as its own loader does."""
        return self._loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        """Load the module, which then looks as if this were not there, and start."""
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _AfterGrpc)]
        _start_tracing()


def _start_tracing() -> None:
    try:
        name = "lab_run_tracing"  # importable by the program too, so called as nobody else's module is
        spec = importlib.util.spec_from_file_location(name, os.path.join(_HERE, f"{name}.py"))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        module.start(os.environ)
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        hint = os.environ.get("LAB_RUN_INSTALL", "")
        print(f"lab: this program is not traced: {said}{f'; {hint}' if hint else ''}", file=sys.stderr)


if os.environ.get("LAB_RUN_ROOT"):
    sys.meta_path.insert(0, _AfterGrpc())
_run_their_own()

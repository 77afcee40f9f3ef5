"""What a run of the tests left in the checkout: nothing but the caches that every run may make."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

CACHES: Final = {
    ".cache", ".coverage", ".git", ".hypothesis", ".mypy_cache", ".ruff_cache", ".venv", ".venv.lock", "__pycache__",
}  # fmt: skip


def entries(root: Path) -> set[str]:
    """Every file and folder below `root`, empty folders too, by its path from there; caches are left out."""
    found: set[str] = set()
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in CACHES]
        at = Path(folder).relative_to(root)
        found.update(str(at / name) for name in (*folders, *files) if name not in CACHES)
    return found


class LeftBehind:
    """The check of one run: an error of its own, beside those of the tests, where something was left."""

    def __init__(self, root: Path, report: Callable[[pytest.TestReport], object]) -> None:
        self._root = root
        self._report = report
        self._before = entries(root)

    def is_clean(self) -> bool:
        """Whether nothing was left; reports what was."""
        new = entries(self._root) - self._before
        left = sorted(name for name in new if str(Path(name).parent) not in new)
        if left:
            said = f"new in the checkout since the run began, left by it or made meanwhile: {', '.join(left)}"
            self._report(pytest.TestReport("the checkout", ("", None, "the checkout"), {}, "failed", said, "teardown"))
        return not left

    @pytest.hookimpl(tryfirst=True)  # before the summary is written
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Let the run fail."""
        if not self.is_clean() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

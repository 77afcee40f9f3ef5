"""Runs `lab` as a person would: in a process of its own, with an environment and a home of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from clients.discovery.stack_record import StackRecord, read_record
from tests.e2e.warm_process import run_module

ROOT = Path(__file__).resolve().parents[2]
BOUND_S = 90.0
NOTHING: tuple[str, ...] = ()
FOUR_LINES = [
    "Users created: [Alice, Bob]",
    "Report Alice: orders=2, total=75.0",
    "Top: Alice | count=2 total=75.0",
    "Top: Bob | count=1 total=80.0",
]


def environment(home: Path, **extra: str) -> dict[str, str]:
    """The environment of a command: nothing of ours but its home."""
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LAB_HOME": str(home), **extra}


@dataclass(frozen=True)
class Lab:
    """One home, in which commands are run. `inside` goes in front of each: a network of its own, for instance."""

    home: Path
    inside: Sequence[str] = NOTHING

    def run(self, *words: str, **extra: str) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        return self.run_module("clients.cli", *words, **extra)

    def run_module(self, module: str, *words: str, **extra: str) -> subprocess.CompletedProcess[str]:
        """Run one module to its end: as a fork of what is loaded already, where that makes no difference."""
        made = environment(self.home, **extra)
        if not self.inside:
            return run_module([module, *words], self.home.parent, made, BOUND_S)
        return subprocess.run(
            [*self.inside, sys.executable, "-P", "-m", module, *words],
            cwd=self.home.parent,
            env=made,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BOUND_S,
        )

    def json(self, *words: str, **extra: str) -> Any:
        """Run one command that succeeds, and read the JSON that it prints."""
        done = self.run(*words, "--json", **extra)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def start(self, *words: str, **extra: str) -> subprocess.Popen[str]:
        """Start a command that goes on."""
        return subprocess.Popen(
            [*self.inside, sys.executable, "-P", "-m", "clients.cli", *words],
            cwd=self.home.parent,
            env=environment(self.home, **extra),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def record(self) -> StackRecord | None:
        """What `stack.json` says."""
        return read_record(self.home / "stack.json")


def living(pids: Sequence[int]) -> list[int]:
    """Those of the processes that still run."""
    found = []
    for pid in pids:
        try:
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.append(pid)
        except psutil.NoSuchProcess:
            continue
    return found

"""What can go wrong with the stack, each error with the sentence and the hint that a person is shown."""

from __future__ import annotations


class StackError(RuntimeError):
    """The stack could not be started, found or stopped. `hint` says what to do, or is ""."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class PortInUseError(StackError):
    """Another program listens on a port that a process needs."""


class HostError(StackError):
    """No process can listen at the address that was asked for."""

    exit_code = 2


class ProcessFailedError(StackError):
    """A process ended, or did not become healthy, before it could serve."""

"""What can go wrong with the stack, each error with the sentence and the hint that a person is shown."""

from __future__ import annotations

from clients.errors import USAGE, LabError


class StackError(LabError):
    """The stack could not be started, found or stopped."""


class PortInUseError(StackError):
    """Another program listens on a port that a process needs."""


class HostError(StackError):
    """No process can listen at the address that was asked for."""

    exit_code = USAGE


class ProcessFailedError(StackError):
    """A process ended, or did not become healthy, before it could serve."""

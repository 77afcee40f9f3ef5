"""Starts, finds and stops the lab's processes: the backend and the three services."""

from tracelab.stack.errors import PortInUseError, ProcessFailedError, StackError
from tracelab.stack.options import StackOptions
from tracelab.stack.stack import Stack, StackProcess

__all__ = ["PortInUseError", "ProcessFailedError", "Stack", "StackError", "StackOptions", "StackProcess"]

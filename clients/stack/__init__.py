"""Starts, finds and stops the lab's processes: the backend and the three services."""

from clients.stack.errors import PortInUseError, ProcessFailedError, StackError
from clients.stack.options import StackOptions
from clients.stack.stack import Stack, StackProcess

__all__ = ["PortInUseError", "ProcessFailedError", "Stack", "StackError", "StackOptions", "StackProcess"]

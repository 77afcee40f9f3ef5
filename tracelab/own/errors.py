"""Why a service that is not ours could not be asked; sentences for the person."""

from __future__ import annotations

from clients.errors import LabError, WrongUsageError


class TargetError(LabError):
    """Nothing at the address answers as was asked: not there, another protocol, no reflection."""


class ContractError(WrongUsageError):
    """What was named is not in the contract, or the contract's files cannot be read."""


class RequestDataError(WrongUsageError):
    """The request's JSON is none, or not of the request's type."""

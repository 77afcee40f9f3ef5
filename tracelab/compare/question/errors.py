"""What `lab compare` refuses, and how a person reads it: one line of error and at most one of hint."""

from __future__ import annotations


class CompareError(Exception):
    """A comparison could not be made. `text` is the sentence, `hint` what to do about it ("" for none)."""

    exit_code = 1

    def __init__(self, text: str, hint: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.hint = hint


class UsageError(CompareError):
    """The question was asked wrongly: exit status 2."""

    exit_code = 2


class SavedRunError(CompareError):
    """A saved run is missing, damaged or of a newer schema."""

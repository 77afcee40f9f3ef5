"""What requests may say: one `Violations` collects every bad field, so that a client hears of all of them at once."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from services.errors import FieldViolation, InvalidFieldsError, quoted

MAX_BATCH_IDS = 1_000  # one page of a list, so that a batch never asks for more than a page can answer
MAX_NOTE_BYTES = 1024 * 1024  # a quarter of gRPC's default message limit: lessons about size need that much, not more
MAX_AMOUNT_MINOR_UNITS = 1_000_000_000_000  # a sum of a million such orders still fits int64


class Violations:
    """The violations of one request, in the order found; `raise_if_any` ends the validation."""

    def __init__(self) -> None:
        self._found: list[FieldViolation] = []

    def add(self, field: str, description: str) -> None:
        """Note that `field` is wrong."""
        self._found.append(FieldViolation(field, description))

    def raise_if_any(self) -> None:
        """Raise InvalidFieldsError if any field was wrong."""
        if self._found:
            raise InvalidFieldsError(self._found)

    def required(self, field: str, value: str) -> None:
        """Refuse an empty value."""
        if not value:
            self.add(field, "must not be empty")

    def length(self, field: str, value: str, low: int, high: int) -> None:
        """Refuse a text with fewer than `low` or more than `high` characters, without quoting it."""
        if not low <= len(value) <= high:
            self.add(field, f"must be {low} to {high} characters, is {len(value)}")

    def text(self, field: str, value: str) -> None:
        """Refuse the one character that a database's text can't hold."""
        if "\0" in value:
            self.add(field, "must not contain U+0000")

    def name(self, field: str, value: str) -> None:
        """Refuse what is no name of a user."""
        self.length(field, value, 1, 200)
        self.text(field, value)

    def email(self, field: str, value: str) -> None:
        """Refuse what is no email, without quoting it."""
        if not 3 <= len(value) <= 320:
            self.length(field, value, 3, 320)
        elif value.count("@") != 1:
            self.add(field, f"must have exactly one @, has {value.count('@')}")
        self.text(field, value)

    def note(self, field: str, value: str) -> None:
        """Refuse a note of more than 1 MiB."""
        size_bytes = len(value.encode())
        if size_bytes > MAX_NOTE_BYTES:
            self.add(field, f"must be at most {MAX_NOTE_BYTES} bytes in UTF-8, is {size_bytes}")
        self.text(field, value)

    def amount(self, field: str, value: int) -> None:
        """Refuse an amount outside of 1 to MAX_AMOUNT_MINOR_UNITS."""
        if not 1 <= value <= MAX_AMOUNT_MINOR_UNITS:
            self.add(field, f"must be 1 to {MAX_AMOUNT_MINOR_UNITS}, is {value}")

    def request_id(self, field: str, value: str) -> None:
        """Refuse what is neither empty nor a UUID in its usual form (any case)."""
        if value and not _is_uuid(value):
            self.add(field, f"must be a UUID, is {quoted(value)}")

    def ids(self, field: str, values: Sequence[str]) -> None:
        """Refuse more than MAX_BATCH_IDS ids, and empty ones."""
        if len(values) > MAX_BATCH_IDS:
            self.add(field, f"must be at most {MAX_BATCH_IDS} ids, is {len(values)}")
            return
        for index, value in enumerate(values):
            self.required(f"{field}[{index}]", value)


def _is_uuid(value: str) -> bool:
    try:
        return str(uuid.UUID(value)) == value.lower()
    except ValueError:
        return False

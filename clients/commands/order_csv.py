"""Orders of a CSV file, read line by line while they are sent."""

from __future__ import annotations

import csv
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from clients.errors import WrongUsageError
from clients.money import parse_amount
from generated import order_pb2

COLUMNS: Final = ("user_id", "amount")
MOST_FIELD_CHARS: Final = 1024 * 1024  # the longest note that an order may have; csv itself stops at 128 Ki


@dataclass
class OrderFile:
    """What was met while the file was read. `refused` says by message number what is wrong with an amount.

    `failure` is why reading stopped before the end; "" if it did not.
    """

    file: Path
    stop_on_first_error: bool = False
    sent_count: int = 0
    refused: dict[int, str] = field(default_factory=dict)
    failure: str = ""

    def requests(self, rows: csv.DictReader[str]) -> Iterator[order_pb2.ImportOrdersRequest]:
        """Give one message per line. An amount that is none goes as 0, which the service rejects in its place."""
        try:
            for row in rows:
                self.sent_count += 1
                yield order_pb2.ImportOrdersRequest(
                    user_id=row["user_id"] or "",
                    amount_minor_units=self._amount(row["amount"] or ""),
                    note=row.get("note") or "",
                    request_id=str(uuid.uuid4()),
                    stop_on_first_error=self.stop_on_first_error and self.sent_count == 1,
                )
        except (UnicodeDecodeError, csv.Error, OSError) as error:
            self.failure = (
                f"{self.file}, after line {rows.line_num}: {_why(error)}; the {self.sent_count} orders before were sent"
            )

    def explain(self, answer: order_pb2.ImportOrdersResponse) -> None:
        """Say in the answer, in the words of the file, why an amount was rejected."""
        for result in answer.results:
            if result.message_number in self.refused and result.HasField("rejection"):
                result.rejection.message = self.refused[result.message_number]

    def _amount(self, text: str) -> int:
        try:
            return parse_amount(text)
        except ValueError as error:
            self.refused[self.sent_count] = f"amount: {error}"
            return 0


@contextmanager
def opened_rows(file: Path) -> Iterator[csv.DictReader[str]]:
    """Open a CSV file and read its titles; WrongUsageError where these are not to be read, or not the right ones."""
    csv.field_size_limit(MOST_FIELD_CHARS)
    with file.open(encoding="utf-8-sig", newline="") as lines:
        rows = csv.DictReader(lines)
        try:
            missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
        except (UnicodeDecodeError, csv.Error) as error:
            raise WrongUsageError(f"{file}: {_why(error)}", "save it as CSV in UTF-8") from error
        if missing:
            raise WrongUsageError(
                f"{file}: the first line does not name {', '.join(missing)}", "it reads user_id,amount,note"
            )
        yield rows


def _why(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "this is not UTF-8"
    return f"a field is longer than {MOST_FIELD_CHARS} characters" if "field limit" in str(error) else str(error)

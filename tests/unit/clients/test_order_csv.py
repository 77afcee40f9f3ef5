"""A CSV file of orders, read while it is sent: bad amounts stay in their place, bad bytes stop the reading."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.commands.order_csv import MOST_FIELD_CHARS, OrderFile, opened_rows
from clients.errors import WrongUsageError
from generated import order_pb2


def written(tmp_path: Path, content: str | bytes) -> Path:
    file = tmp_path / "orders.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def read(orders: OrderFile) -> list[order_pb2.ImportOrdersRequest]:
    with opened_rows(orders.file) as rows:
        return list(orders.requests(rows))


def test_a_bad_amount_is_sent_to_be_rejected_and_explained_in_the_words_of_the_file(tmp_path: Path) -> None:
    orders = OrderFile(written(tmp_path, "user_id,amount\nu,1.5\nu,forty\nu,-1\nu,2\n"))
    assert [request.amount_minor_units for request in read(orders)] == [150, 0, 0, 200]
    answer = order_pb2.ImportOrdersResponse()
    for number in (2, 3):
        answer.results.add(
            message_number=number, rejection=order_pb2.ImportRejection(reason="INVALID_FIELDS", message="minor units")
        )
    orders.explain(answer)
    assert [result.rejection.message for result in answer.results] == [
        "amount: 'forty' is not an amount such as 40.0: digits, and at most two decimals",
        "amount: must be 0.01 to 10000000000.0, is -1",
    ]


def test_lines_are_sent_while_the_rest_is_not_read_yet(tmp_path: Path) -> None:
    orders = OrderFile(written(tmp_path, "user_id,amount,note\n" + "u,1,x\n" * 100_000))
    with opened_rows(orders.file) as rows:
        sending = orders.requests(rows)
        next(sending)
        assert (orders.sent_count, rows.line_num) == (1, 2)


def test_only_the_first_message_says_whether_to_stop(tmp_path: Path) -> None:
    orders = OrderFile(written(tmp_path, "user_id,amount\nu,1\nu,2\n"), stop_on_first_error=True)
    assert [request.stop_on_first_error for request in read(orders)] == [True, False]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("user_id,amount,note\nu,1,café\n".encode("latin-1"), id="Latin-1"),
        pytest.param("user_id,amount\nu,1\n".encode("utf-16"), id="UTF-16"),
    ],
)
def test_another_encoding_is_wrong_usage(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(WrongUsageError, match=r"orders\.csv: this is not UTF-8") as refused:
        read(OrderFile(written(tmp_path, content)))
    assert "UTF-8" in refused.value.hint


def test_bad_bytes_far_into_the_file_stop_the_reading_and_say_where(tmp_path: Path) -> None:
    orders = OrderFile(written(tmp_path, b"user_id,amount,note\n" + b"u,1,x\n" * 5000 + b"u,1,caf\xe9\n"))
    sent = read(orders)
    assert "this is not UTF-8" in orders.failure
    assert f"the {len(sent)} orders before were sent" in orders.failure
    assert len(sent) > 1000


def test_a_note_may_be_as_long_as_the_contract_allows(tmp_path: Path) -> None:
    longest = "x" * MOST_FIELD_CHARS
    assert read(OrderFile(written(tmp_path, f"user_id,amount,note\nu,1,{longest}\n")))[0].note == longest


def test_a_longer_field_is_said_in_one_line(tmp_path: Path) -> None:
    orders = OrderFile(written(tmp_path, f"user_id,amount,note\nu,1,{'x' * (MOST_FIELD_CHARS + 1)}\n"))
    assert read(orders) == []
    assert f"a field is longer than {MOST_FIELD_CHARS} characters" in orders.failure


def test_titles_that_are_missing_are_named(tmp_path: Path) -> None:
    with pytest.raises(WrongUsageError, match="does not name user_id, amount"):
        read(OrderFile(written(tmp_path, "a,b\n1,2\n")))

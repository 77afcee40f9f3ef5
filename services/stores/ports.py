"""Where a service keeps what it owns: the ports that every adapter of a store fulfils.

One contract suite (`tests/contract`) holds every adapter to the same behaviour. Records are frozen; a write returns
only when the record is kept; concurrent calls never lose an update. Positions grow with creation and are never reused,
so a page is what comes after a position (keyset paging): a record made or deleted meanwhile moves no other to another
page. Times are nanoseconds since the Unix epoch.
Where a store is not in this process, every method may raise `services.errors.StoreUnavailableError`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Generic, Protocol, TypeVar

Record = TypeVar("Record")


class StoreOpeningError(Exception):
    """A store can't be used; the text is a sentence for the person, and holds no password."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class RequestIdReusedError(Exception):
    """A create with a `request_id` that an earlier create used with other fields."""

    def __init__(self, request_id: str) -> None:
        super().__init__(request_id)
        self.request_id = request_id


@dataclass(frozen=True, slots=True)
class Created(Generic[Record]):
    """A record that a create answers with; `is_new` is false when an earlier call with its request id made it."""

    record: Record
    is_new: bool


@dataclass(frozen=True, slots=True)
class Page(Generic[Record]):
    """Some records in order of creation; `next_position` is None on the last page, and only there."""

    records: tuple[Record, ...]
    next_position: int | None


@dataclass(frozen=True, slots=True)
class UserDraft:
    """The fields of a user that does not exist yet."""

    name: str
    email: str


@dataclass(frozen=True, slots=True)
class UserChanges:
    """What to change of a user; None leaves a field as it is."""

    name: str | None = None
    email: str | None = None


@dataclass(frozen=True, slots=True)
class UserRecord:
    """A user as it is kept."""

    user_id: str
    position: int
    name: str
    email: str
    create_time_unix_nano: int
    update_time_unix_nano: int


class UserStore(Protocol):
    """Keeps users."""

    async def create(self, draft: UserDraft, request_id: str = "") -> Created[UserRecord]:
        """Keep a new user, or answer with the one that the same `request_id` ("" for none) made, as it was then.

        Raises RequestIdReusedError if that request had another draft. A store may forget request ids, oldest first.
        """

    async def get(self, user_id: str) -> UserRecord | None:
        """Return a user, or None."""

    async def get_many(self, user_ids: Collection[str]) -> dict[str, UserRecord]:
        """Return those that exist, by id."""

    async def page(self, after_position: int, limit: int) -> Page[UserRecord]:
        """Return at most `limit` users after a position; 0 is before the first."""

    async def update(self, user_id: str, changes: UserChanges) -> UserRecord | None:
        """Change the fields that are set, in one step, and return the user after it; None if there is none."""

    async def delete(self, user_id: str) -> bool:
        """Forget a user; False if there is none."""


class OrderStatus(IntEnum):
    """How far an order has come; the numbers are those of order.proto."""

    PENDING = 1
    PAID = 2
    SHIPPED = 3
    CANCELLED = 4


@dataclass(frozen=True, slots=True)
class OrderDraft:
    """The fields of an order that does not exist yet."""

    user_id: str
    amount_minor_units: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class OrderChanges:
    """What to change of an order; None leaves a field as it is."""

    status: OrderStatus | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class OrderRecord:
    """An order as it is kept."""

    order_id: str
    position: int
    user_id: str
    amount_minor_units: int
    status: OrderStatus
    note: str
    create_time_unix_nano: int
    update_time_unix_nano: int


@dataclass(frozen=True, slots=True)
class OrderUpdate:
    """An order before and after one change."""

    before: OrderRecord
    after: OrderRecord


class OrderStore(Protocol):
    """Keeps orders."""

    async def create(self, draft: OrderDraft, request_id: str = "") -> Created[OrderRecord]:
        """Keep a new pending order, or answer with the one that the same `request_id` ("" for none) made.

        Raises RequestIdReusedError if that request had another draft. A store may forget request ids, oldest first.
        """

    async def created_by(self, draft: OrderDraft, request_id: str) -> OrderRecord | None:
        """Return the order that `request_id` made, as it was then, or None; raises RequestIdReusedError as `create`."""

    async def get(self, order_id: str) -> OrderRecord | None:
        """Return an order, or None."""

    async def page(self, after_position: int, limit: int, user_ids: Sequence[str] = ()) -> Page[OrderRecord]:
        """Return at most `limit` orders after a position, of these users; without `user_ids`, of all."""

    async def last_position(self) -> int:
        """Return the position of the newest order; 0 if there never was one."""

    async def update(self, order_id: str, changes: OrderChanges) -> OrderUpdate | None:
        """Change the fields that are set, in one step; None if there is no such order."""

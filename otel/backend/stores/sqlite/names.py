"""The dictionaries of a store: services, operations, resources and scopes, each stored once and named by id.

Held whole in memory, which their bounds keep small. The writer's thread adds; any thread reads. After a transaction
that failed they are loaded anew, since they may name rows that were never committed.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans

from otel.backend.ports import Operation
from otel.backend.stores.matching import service_of
from otel.backend.stores.sqlite.tokens import AttributeTokens

# A sender that puts ids into span names must not fill the memory; further names are found by a scan, and not listed.
MAX_OPERATIONS = 20_000
HOUR_NS = 3600 * 1_000_000_000
DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class StoredOperation:
    """A row of `operation`; `name` is None for names past the bound."""

    operation_id: int
    service: str
    name: str | None
    kind: int


@dataclass(frozen=True, slots=True)
class Origin:
    """A resource or scope with its schema URL: bytes of a ResourceSpans or ScopeSpans without spans."""

    origin_id: int
    is_scope: bool
    body: bytes
    tokens: frozenset[int]
    scope_name: str = ""
    scope_version: str = ""
    service: str = ""


class Names:
    """The dictionaries over one connection."""

    def __init__(self, tokens: AttributeTokens) -> None:
        self._tokens = tokens
        self.load(None)

    def load(self, connection: sqlite3.Connection | None) -> None:
        """Forget everything and read what is stored."""
        self.service_names: dict[int, str] = {}
        self._service_ids: dict[str, int] = {}
        self.operations: dict[int, StoredOperation] = {}
        self._operation_ids: dict[tuple[str, str | None, int], int] = {}
        self.origins: dict[int, Origin] = {}
        self._origin_ids: dict[bytes, int] = {}
        self._seen: dict[tuple[str, int], int] = {}
        if connection is None:
            return
        for row_id, name, seen in connection.execute("SELECT id, name, seen FROM service"):
            self._service_ids[name] = row_id
            self.service_names[row_id] = name
            self._seen["service", row_id] = seen
        rows = connection.execute(
            "SELECT o.id, s.name, o.name, o.kind, o.seen FROM operation o JOIN service s ON s.id = o.service_id"
        )
        for row_id, service, name, kind, seen in rows:
            self._remember_operation(StoredOperation(row_id, service, name, kind))
            self._seen["operation", row_id] = seen
        for row_id, digest, is_scope, body, seen in connection.execute(
            "SELECT id, digest, is_scope, body, seen FROM origin"
        ):
            self._origin_ids[digest] = row_id
            self.origins[row_id] = self._origin(row_id, bool(is_scope), body)
            self._seen["origin", row_id] = seen

    def service_id(self, connection: sqlite3.Connection, name: str, now_unix_nano: int) -> int:
        """Return the id of a service, storing it where it is new."""
        row_id = self._service_ids.get(name)
        if row_id is None:
            row_id = _inserted(
                connection, "INSERT INTO service (name, seen) VALUES (?, ?)", (name, _hour(now_unix_nano))
            )
            self._service_ids[name] = row_id
            self.service_names[row_id] = name
            self._seen["service", row_id] = _hour(now_unix_nano)
        self._touch(connection, "service", row_id, now_unix_nano)
        return row_id

    def operation_id(
        self, connection: sqlite3.Connection, service: str, name: str | None, kind: int, now_unix_nano: int
    ) -> int:
        """Return the id of a span name, storing it where it is new and the bound allows."""
        row_id = self._operation_ids.get((service, name, kind))
        if row_id is None:
            if name is not None and len(self.operations) >= MAX_OPERATIONS:
                return self.operation_id(connection, service, None, kind, now_unix_nano)
            service_id = self.service_id(connection, service, now_unix_nano)
            row_id = _inserted(
                connection,
                "INSERT INTO operation (service_id, name, kind, seen) VALUES (?, ?, ?, ?)",
                (service_id, name, kind, _hour(now_unix_nano)),
            )
            self._remember_operation(StoredOperation(row_id, service, name, kind))
            self._seen["operation", row_id] = _hour(now_unix_nano)
        self._touch(connection, "operation", row_id, now_unix_nano)
        return row_id

    def origin_id(self, connection: sqlite3.Connection, body: bytes, *, is_scope: bool, now_unix_nano: int) -> int:
        """Return the id of a resource or scope given as message bytes."""
        digest = hashlib.blake2b(body, digest_size=DIGEST_BYTES, person=b"scope" if is_scope else b"resource").digest()
        row_id = self._origin_ids.get(digest)
        if row_id is None:
            row_id = _inserted(
                connection,
                "INSERT INTO origin (digest, is_scope, body, seen) VALUES (?, ?, ?, ?)",
                (digest, is_scope, body, _hour(now_unix_nano)),
            )
            self.origins[row_id] = self._origin(row_id, is_scope, body)
            self._origin_ids[digest] = row_id
            self._seen["origin", row_id] = _hour(now_unix_nano)
        self._touch(connection, "origin", row_id, now_unix_nano)
        return row_id

    def known_operation_id(self, service: str, name: str, kind: int) -> int:
        """Return the id of a stored span name, or of what stands for names past the bound; 0 where neither is known."""
        found = self._operation_ids.get((service, name, kind))
        return found if found is not None else self._operation_ids.get((service, None, kind), 0)

    def services_of_spans(self) -> list[str]:
        """Return the services that made spans, sorted."""
        return sorted({operation.service for operation in list(self.operations.values())})

    def listed_operations(self, service: str) -> list[Operation]:
        """Return the names and kinds of a service's spans, sorted."""
        return sorted(
            Operation(operation.name, operation.kind)
            for operation in list(self.operations.values())
            if operation.service == service and operation.name is not None
        )

    def service_number(self, name: str) -> int | None:
        """Return the id of a service that is known."""
        return self._service_ids.get(name)

    def forget_before(self, connection: sqlite3.Connection, horizon_unix_nano: int) -> None:
        """Drop what was not seen since; what is seen is noted to the hour, so an hour is added."""
        horizon = horizon_unix_nano - 2 * HOUR_NS
        for table, key in [entry for entry, seen in self._seen.items() if seen < horizon]:
            connection.execute(f"DELETE FROM {table} WHERE id = ?", (key,))  # noqa: S608  # our own names
            del self._seen[table, key]
            if table == "operation":
                operation = self.operations.pop(key)
                del self._operation_ids[operation.service, operation.name, operation.kind]
            elif table == "origin":
                del self.origins[key]
                self._origin_ids = {digest: row_id for digest, row_id in self._origin_ids.items() if row_id != key}
            else:
                del self._service_ids[self.service_names.pop(key)]

    def _touch(self, connection: sqlite3.Connection, table: str, row_id: int, now_unix_nano: int) -> None:
        hour = _hour(now_unix_nano)
        if self._seen[table, row_id] < hour:
            self._seen[table, row_id] = hour
            connection.execute(f"UPDATE {table} SET seen = ? WHERE id = ?", (hour, row_id))  # noqa: S608  # our names

    def _remember_operation(self, operation: StoredOperation) -> None:
        self.operations[operation.operation_id] = operation
        self._operation_ids[operation.service, operation.name, operation.kind] = operation.operation_id

    def _origin(self, row_id: int, is_scope: bool, body: bytes) -> Origin:
        if is_scope:
            scope = ScopeSpans.FromString(body).scope
            return Origin(row_id, True, body, self._attribute_tokens(scope.attributes), scope.name, scope.version)
        resource = ResourceSpans.FromString(body).resource
        return Origin(row_id, False, body, self._attribute_tokens(resource.attributes), service=service_of(resource))

    def _attribute_tokens(self, attributes: Iterable[KeyValue]) -> frozenset[int]:
        return frozenset(self._tokens[pair.SerializeToString()] for pair in attributes)


def _inserted(connection: sqlite3.Connection, statement: str, values: tuple[object, ...]) -> int:
    row_id = connection.execute(statement, values).lastrowid
    assert row_id is not None
    return row_id


def _hour(unix_nano: int) -> int:
    return unix_nano // HOUR_NS * HOUR_NS

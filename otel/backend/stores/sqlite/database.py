"""The SQLite file: opened, checked, locked; one connection that writes and one per thread that reads.

WAL mode with `synchronous = NORMAL`: what is committed survives the death of the process (the loss of power may cost
the last transactions, never the file's order). Source: sqlite.org/wal.html, sqlite.org/pragma.html.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import TypeVar

import structlog

from otel.backend.errors import StoreError, StoreFullError, StoreRefusedError
from otel.backend.stores.sqlite.file_lock import FileLock

SCHEMA_VERSION = 5
# "gTL1": tells our files from other SQLite databases, which are left alone.
APPLICATION_ID = 0x67544C31
SQLITE_HEAD = b"SQLite format 3\0"
PAGE_BYTES = 8192
WRITER_CACHE_KIB = 16 * 1024
READER_CACHE_KIB = 4 * 1024
WAL_LIMIT_BYTES = 32 * 1024 * 1024
BUSY_TIMEOUT_S = 5.0
# What the medium may recover from: full, I/O error, busy, locked, read-only, cannot open.
TRANSIENT_CODES = {13, 10, 5, 6, 8, 14}
DAMAGED_CODES = {11, 26}

T = TypeVar("T")
log = structlog.get_logger("otel.backend.store")


class Database:
    """A store file that is open. `write` belongs to one thread at a time; `read` gives each thread its connection.

    `set_aside` is the damaged file that it took the place of; None where there was none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(path.with_name(path.name + ".lock"))
        self._lock.acquire()
        # What we never wrote is not ours to set aside, whatever SQLite says of it.
        if self._lock.is_new and _is_file_of_something_else(path):
            self._lock.discard()
            raise StoreRefusedError(f"{path} is not a store of telemetry; name another file")
        self._readers = threading.local()
        self._all_readers: list[sqlite3.Connection] = []
        self._closing = threading.Lock()
        try:
            self.writer, self.set_aside = _open_or_begin(path)
        except BaseException:
            self._lock.release()
            raise

    def begin_again(self, error: sqlite3.DatabaseError) -> None:
        """Go on with a fresh file where reading this one met damage; only before anything else was done with it."""
        self.writer.close()
        try:
            self.writer, self.set_aside = _begin_again(self.path, error)
        except BaseException:
            self._lock.release()
            raise

    @property
    def reader(self) -> sqlite3.Connection:
        """This thread's read-only connection."""
        connection: sqlite3.Connection | None = getattr(self._readers, "connection", None)
        if connection is None:
            connection = _connect(self.path)
            connection.execute(f"PRAGMA cache_size = -{READER_CACHE_KIB}")
            connection.execute("PRAGMA query_only = ON")
            self._readers.connection = connection
            with self._closing:
                self._all_readers.append(connection)
        return connection

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit what the context writes, or nothing of it; StoreFullError where the medium fails for now."""
        with told(self.path):
            self.writer.execute("BEGIN IMMEDIATE")
            try:
                yield self.writer
                self.writer.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self.writer.execute("ROLLBACK")
                raise

    def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run a query on this thread's connection."""
        with told(self.path):
            return query(self.reader)

    def used_bytes(self, connection: sqlite3.Connection) -> int:
        """Return how much of the file is in use; freed pages are used again before it grows."""
        pages = int(connection.execute("PRAGMA page_count").fetchone()[0])
        free = int(connection.execute("PRAGMA freelist_count").fetchone()[0])
        return (pages - free) * PAGE_BYTES

    def close(self) -> None:
        """Close every connection, which folds the write-ahead log into the file."""
        with self._closing:
            for connection in self._all_readers:
                connection.close()
            self._all_readers.clear()
        self.writer.close()
        self._lock.release()


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into the store's."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF
        if code in TRANSIENT_CODES:
            raise StoreFullError(
                f"the store cannot write or read now ({error}); free some room and send again"
            ) from error
        if code in DAMAGED_CODES:
            _suspect(path).touch()
            raise StoreError(f"the store file {path.name} is damaged ({error}); restart the backend") from error
        raise


def _open_or_begin(path: Path) -> tuple[sqlite3.Connection, Path | None]:
    try:
        return _open(path), None
    except sqlite3.DatabaseError as error:
        return _begin_again(path, error)


def _begin_again(path: Path, error: sqlite3.DatabaseError) -> tuple[sqlite3.Connection, Path]:
    """Set a damaged file aside and open a fresh one in its place; StoreRefusedError for an error of another kind."""
    if ((getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF) not in DAMAGED_CODES:
        raise StoreRefusedError(f"{path} cannot be opened: {error}") from error
    aside = _set_aside(path)
    log.error("store.damaged", store=str(path), error=str(error), set_aside=str(aside))
    return _open(path), aside


def _open(path: Path) -> sqlite3.Connection:
    connection = _connect(path)
    try:
        if _is_empty(connection):
            _begin(connection)
        else:
            _check(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute(f"PRAGMA cache_size = -{WRITER_CACHE_KIB}")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")
    except BaseException:
        connection.close()
        raise
    return connection


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)


def _is_empty(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("SELECT count(*) = 0 FROM sqlite_master").fetchone()[0])


def _is_file_of_something_else(path: Path) -> bool:
    """Whether the file has content that does not begin as a SQLite database does. Source: sqlite.org/fileformat."""
    try:
        with path.open("rb") as file:
            head = file.read(len(SQLITE_HEAD))
    except OSError:  # there is none yet, or opening it will say what is wrong
        return False
    return head not in (b"", SQLITE_HEAD)


def _begin(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    _run(connection, "schema.sql", "metrics.sql", "spans.sql", "logs.sql", "traces.sql", "batches.sql")


def _run(connection: sqlite3.Connection, *names: str) -> None:
    """Run scripts of `otel/backend/sql` and note the version, all or nothing."""
    scripts = (resources.files("otel.backend.sql").joinpath(name).read_text("utf-8") for name in names)
    connection.executescript(f"BEGIN; {' '.join(scripts)} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")


def _check(connection: sqlite3.Connection, path: Path) -> None:
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise StoreRefusedError(f"{path} is a database of something else; name another file")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise StoreRefusedError(
            f"{path} was written by a newer version (schema {version}, this one reads {SCHEMA_VERSION}); "
            "use that version, or name another file"
        )
    suspect = _suspect(path)
    if suspect.exists():
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        suspect.unlink()
        if found != "ok":
            error = sqlite3.DatabaseError(found)
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error
    # Version 1 had no metrics, and the first files with them could not tell which points have exemplars.
    # Version 2 had spans in pieces: they are read where they lie, and what comes lies in blocks. Version 3 had log
    # records as they are, and services of a trace in fixed lengths. Version 4 had every span with its trace id,
    # for each trace and block a row, and arrivals in the rows of traces and log records.
    if version < SCHEMA_VERSION:
        _run(connection, "metrics.sql", "spans.sql", "logs.sql", "traces.sql", "batches.sql")
    elif not _has(connection, "metric_exemplar"):
        _run(connection, "metrics.sql")
    tables = ["trace", "span_block", "span_segment", "log", "metric_series", "metric_point", "metric_exemplar"]
    for table in tables + [each for each in ("span_piece", "segment") if _has(connection, each)]:
        connection.execute(f"SELECT max(rowid), min(rowid) FROM {table}").fetchone()  # noqa: S608  # our own names


def _has(connection: sqlite3.Connection, table: str) -> bool:
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)).fetchone()
    return found is not None


def _set_aside(path: Path) -> Path:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{stamp}-{number}")
    for suffix in ("", "-wal", "-shm"):
        piece = path.with_name(path.name + suffix)
        if piece.exists():
            piece.replace(aside.with_name(aside.name + suffix))
    return aside


def _suspect(path: Path) -> Path:
    return path.with_name(path.name + ".suspect")

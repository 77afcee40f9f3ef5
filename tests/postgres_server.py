"""A PostgreSQL server of a test's own: Debian's package or another on the path, on a socket in a temporary folder."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.polling import eventually

USER = "tracelab"
ACCOUNT = "postgres"
AS_POSTGRES = ("setpriv", f"--reuid={ACCOUNT}", f"--regid={ACCOUNT}", "--clear-groups")
BOUND_S = 30.0
# Data need not outlive a power cut; what was committed still outlives the process, since the kernel has it.
OPTIONS = ("-c", "fsync=off", "-c", "full_page_writes=off", "-c", "listen_addresses=")


def programs() -> Path | None:
    """The folder of `initdb` and `postgres`, or None where there is no PostgreSQL."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    return debian[-1] if debian else None


class PostgresServer:
    """One server. It refuses to run as root, so root lends it the package's own account."""

    def __init__(self, folder: Path, bin_folder: Path) -> None:
        self._folder = folder
        self._bin = bin_folder
        # By a program that becomes the server, not by Popen's `user`: that forks, and gRPC's threads do not survive it.
        self._prefix = (*AS_POSTGRES, "--") if os.geteuid() == 0 else ()
        self._process: subprocess.Popen[bytes] | None = None
        if self._prefix:
            owner = pwd.getpwnam(ACCOUNT)
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        self._run("initdb", "--no-sync", "--auth=trust", f"--username={USER}", "--encoding=UTF8", "--locale=C.UTF-8")

    @property
    def url(self) -> str:
        """The URL of its one database."""
        return f"postgresql://{USER}@/postgres?host={self._folder}"

    @property
    def socket_file(self) -> Path:
        """Where it listens."""
        return self._folder / ".s.PGSQL.5432"

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        command = [str(self._bin / "postgres"), "-D", str(self._data), "-k", str(self._folder), *OPTIONS]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._prefix, *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/"
            )
        eventually(self._answers, until=bool, within_s=BOUND_S)

    def kill(self) -> None:
        """End it at once, as a crash would: connections break off, nothing is written down, the next start recovers."""
        self._end(signal.SIGQUIT)

    def stop(self) -> None:
        """End it in order, with whatever is in flight cut off."""
        self._end(signal.SIGINT)

    @property
    def log_file(self) -> Path:
        """What the server says, beside its folder."""
        return self._folder.with_name(f"{self._folder.name}.log")

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _run(self, program: str, *words: str) -> None:
        done = subprocess.run(
            [*self._prefix, str(self._bin / program), "-D", str(self._data), *words],
            cwd="/", capture_output=True, text=True, timeout=BOUND_S,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"it ended while it started:\n{self.log_file.read_text()[-2000:]}"
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(BOUND_S)
            self._process = None


@contextmanager
def postgres_server(bin_folder: Path) -> Iterator[PostgresServer]:
    """Make a server, start it, and leave nothing of it. Its folder's name is short, as a socket's path must be."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    server = PostgresServer(folder, bin_folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
        server.log_file.unlink(missing_ok=True)

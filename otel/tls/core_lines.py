"""What gRPC's core says of failed handshakes, for a log: it tells nobody, but writes to standard error.

gRPC has no hook for a handshake that fails, and the server's calls never see it. Its core does write one line of level
INFO, straight to file descriptor 2. While a server speaks TLS that descriptor is a pipe: lines of the core that are
about handshakes are told, its others of levels INFO and WARNING are dropped, as they are not written without TLS, and
everything else goes on to where it was meant to go. A server is told nothing where the client refuses the certificate
or its name: there the connection only ends.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from typing import Final

VERBOSITY: Final = "GRPC_VERBOSITY"
_CORE_LINE: Final = re.compile(rb"[IW]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ [\w./-]+:\d+\] (?P<text>.*)", re.DOTALL)
_HANDSHAKE: Final = b"Handshake failed with error "
_JOIN_S: Final = 2.0


def choose_verbosity(environ: MutableMapping[str, str], words: Sequence[str] = ()) -> None:
    """Let gRPC's core be silent, or say what `handshake_failures` reads; call it before gRPC is imported.

    A level that a person chose stays.
    """
    speaks_tls = bool(environ.get("LAB_TLS_CERT")) or any(word.startswith("--tls-cert") for word in words)
    if environ.get(VERBOSITY, "NONE") == "NONE":
        environ[VERBOSITY] = "INFO" if speaks_tls else "NONE"


@contextlib.contextmanager
def handshake_failures(tell: Callable[[str], None], descriptor: int = 2) -> Iterator[None]:
    """Call `tell` with each failed handshake of this process's gRPC, in a thread of its own, while the block runs."""
    reading, writing = os.pipe()
    before = os.dup(descriptor)
    os.dup2(writing, descriptor)
    os.close(writing)
    reader = threading.Thread(target=_sort, args=(reading, before, tell), name="grpc-core-lines", daemon=True)
    reader.start()
    try:
        yield
    finally:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            sys.stderr.flush()
        os.dup2(before, descriptor)  # the pipe's last writer goes, and with it the thread
        reader.join(_JOIN_S)
        os.close(before)


def _sort(reading: int, onward: int, tell: Callable[[str], None]) -> None:
    with os.fdopen(reading, "rb") as lines:
        for line in lines:
            core = _CORE_LINE.match(line)
            if core is None:
                with contextlib.suppress(OSError):
                    os.write(onward, line)
            elif core["text"].startswith(_HANDSHAKE):
                tell(core["text"].removeprefix(_HANDSHAKE).decode("utf-8", "replace").strip())

"""A network of its own for a test: commands run there as documented, on the documented ports, disturbing nobody.

Linux only, by a network namespace; root or unprivileged user namespaces are needed. `own_network_is_possible` tells.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Brings up the loopback device (SIOCSIFFLAGS, IFF_UP), says so, and keeps the namespace until its standard input ends.
# Outgoing connections get ports below the usual ones: by default one of them may have 50052 just when order wants it.
_KEEPER = """
import contextlib, fcntl, pathlib, socket, struct, sys
with contextlib.suppress(OSError): # where it cannot be written
    pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("32768 49999")
with socket.socket() as device:
    fcntl.ioctl(device, 0x8914, struct.pack("16sH14x", b"lo", 1))
print("up", flush=True)
sys.stdin.read()
"""


def _unshare() -> list[str]:
    return ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]


@functools.cache
def own_network_is_possible() -> bool:
    """Whether this machine lets the tests make a network namespace."""
    if sys.platform != "linux" or not (shutil.which("unshare") and shutil.which("nsenter")):
        return False
    tried = subprocess.run([*_unshare(), sys.executable, "-c", _KEEPER], stdin=subprocess.DEVNULL, capture_output=True)
    return tried.returncode == 0


@contextmanager
def own_network() -> Iterator[list[str]]:
    """Make a network and yield the words to put before a command that shall run in it; it goes with the context."""
    keeper = subprocess.Popen(
        [*_unshare(), sys.executable, "-c", _KEEPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert keeper.stdout is not None
        assert keeper.stdout.readline() == "up\n"
        user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        yield ["nsenter", f"--target={keeper.pid}", *user, "--net", "--"]
    finally:
        keeper.communicate()

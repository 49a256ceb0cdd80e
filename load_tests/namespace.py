"""A network namespace of this process's own: what runs in it reaches nothing else.

Janus' ICE passes over loopback addresses, so the load needs another one; in a namespace that ends
with the process no address of the machine is touched, and nothing is left behind.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess

#: sched.h: a new network namespace. Python's os module has no name for it before 3.12.
_CLONE_NEWNET = 0x4000_0000
ADDRESS = "10.77.0.1"


class NamespaceError(Exception):
    """There can be no namespace here; the text says why."""


def enter() -> str:
    """Move this process and its later children into a new namespace; its address.

    One end of a veth pair has the address; both ends are in the namespace. Raises `NamespaceError`.
    """
    if shutil.which("ip") is None:
        raise NamespaceError("the program ip (package iproute2) is missing")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        raise NamespaceError(f"no network namespace: {os.strerror(ctypes.get_errno())}")
    _ip("link", "set", "lo", "up")
    _ip("link", "add", "load0", "type", "veth", "peer", "name", "load1")
    _ip("address", "add", f"{ADDRESS}/24", "dev", "load0")
    _ip("link", "set", "load0", "up")
    _ip("link", "set", "load1", "up")
    return ADDRESS


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NamespaceError(f"ip {' '.join(words)}: {done.stderr.strip()}")

"""What a process used, by /proc: CPU time of all its threads, and resident memory."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Usage:
    """At one moment. `cpu_s` is user and system time since the process began."""

    cpu_s: float
    resident_bytes: int


def usage(pid: int) -> Usage:
    """Of a process that lives. Raises `OSError` when it does not."""
    fields = _stat(pid)
    return Usage(
        # proc(5): utime and stime are fields 14 and 15, of all threads; rss is field 24.
        cpu_s=(int(fields[11]) + int(fields[12])) / _TICKS_PER_S,
        resident_bytes=int(fields[21]) * _PAGE_BYTES,
    )


def children(pid: int, module: str) -> list[int]:
    """The children of a process that run ``python -m <module>``."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parent = int(_stat(int(entry.name))[1])
            command = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # it ended while we looked
        if parent == pid and command[1:3] == [b"-m", module.encode()]:
            found.append(int(entry.name))
    return found


def udp_drops(ports: set[int]) -> int:
    """Datagrams that the kernel dropped at full receive buffers of sockets on these ports."""
    drops = 0
    for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
        columns = line.split()
        if int(columns[1].rpartition(":")[2], 16) in ports:
            drops += int(columns[-1])
    return drops


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat from the third on; the second, the name, may hold blanks."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()

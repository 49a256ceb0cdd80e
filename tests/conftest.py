"""Guards that hold for every test: a task, socket or file that outlives its test fails it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

#: What a descriptor may point to without being a leak: the machine's own and the test runner's.
_NOT_OURS = ("/dev/", "/proc/", "anon_inode:", "pipe:")


def _open_descriptors() -> dict[int, str]:
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = str(entry.readlink())
        except OSError:
            continue  # the descriptor of the listing itself
        if not target.startswith(_NOT_OURS):
            found[int(entry.name)] = target
    return found


@pytest_asyncio.fixture(autouse=True)
async def nothing_leaks() -> AsyncIterator[None]:
    """Fail a test that leaves a task running, or a socket or file open, when it is over."""
    descriptors_before = _open_descriptors()
    tasks_before = asyncio.all_tasks()
    yield
    for _ in range(10):  # closed transports tell the loop in its next turns
        await asyncio.sleep(0)
    ours = asyncio.current_task()  # the teardown itself, which is another task than the setup
    left = [t for t in asyncio.all_tasks() - tasks_before if t is not ours and not t.done()]
    assert not left, f"tasks outlive the test: {[task.get_coro() for task in left]}"
    gc.collect()
    leaked = {
        number: target
        for number, target in _open_descriptors().items()
        if descriptors_before.get(number) != target
    }
    assert not leaked, f"sockets or files outlive the test: {leaked}"

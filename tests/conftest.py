"""Guards that hold for every test: a task, socket or file that outlives its test fails it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import settings

from tests.support.eventually import eventually
from tests.support.standstill import MACHINE

#: The same examples everywhere, and no example too slow: a busy machine finds no fault in the code.
settings.load_profile("ci")

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


@pytest.fixture(autouse=True, scope="session")
def standstill_is_measured() -> Iterator[None]:
    """See `eventually`."""
    with MACHINE:
        yield


@pytest_asyncio.fixture(autouse=True)
async def nothing_leaks() -> AsyncIterator[None]:
    """Fail a test that leaves a task running, or a socket or file open, when it is over."""
    descriptors_before = _open_descriptors()
    tasks_before = asyncio.all_tasks()
    yield
    ours = asyncio.current_task()  # the teardown itself, which is another task than the setup

    def tasks_left() -> str | None:
        left = [t for t in asyncio.all_tasks() - tasks_before if t is not ours and not t.done()]
        return f"tasks outlive the test: {[task.get_coro() for task in left]}" if left else None

    def descriptors_left() -> str | None:
        gc.collect()
        left = {
            number: target
            for number, target in _open_descriptors().items()
            if descriptors_before.get(number) != target
        }
        return f"sockets or files outlive the test: {left}" if left else None

    # What was closed may take a moment: the other end of a connection has to hear of it.
    await eventually(tasks_left, within_s=1)
    await eventually(descriptors_left, within_s=1)

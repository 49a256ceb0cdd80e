"""Child processes of the real programs: ready, restarted on the same ports, and never left over."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import sys
from pathlib import Path
from socket import SOCK_DGRAM, SOCK_STREAM, SocketKind
from typing import Any

import pytest

from signaling.children import (
    Child,
    ChildError,
    Program,
    check_media_port_free,
    recorder_program,
    sfu_program,
)
from tests.support.eventually import eventually

SECRET = "secret-of-the-children-0123456789abcdef"


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def program(kind: str, directory: Path) -> Program:
    if kind == "sfu":
        return sfu_program(secret=SECRET, udp_port=0, log_level="WARNING")
    directories = {
        "RECORDER_WORK_DIR": str(directory / "work"),
        "RECORDER_ARCHIVE_DIR": str(directory / "archive"),
    }
    return recorder_program(secret=SECRET, directories=directories)


@pytest.mark.parametrize("kind", ["sfu", "recorder"])
async def test_killed_child_comes_back_on_the_same_port(kind: str, tmp_path: Path) -> None:
    restarts: list[str] = []
    child = Child(program(kind, tmp_path), restarts.append)
    try:
        await child.start()
        url, pid = child.control_url, child.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        port = int(url.removesuffix("/control").rpartition(":")[2])

        async def complaint() -> str | None:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError as error:
                return str(error)
            writer.close()
            await writer.wait_closed()
            return None if child.pid != pid else "still the old process"

        await eventually(complaint)
        assert restarts == [kind]
        assert child.control_url == url
    finally:
        last = child.pid
        await child.stop(5.0)
    assert last is not None
    assert not alive(last)


async def test_child_that_will_not_start_is_one_sentence(tmp_path: Path) -> None:
    bad = Program(kind="sfu", environment={"SFU_CONTROL_SECRET": "short"})
    child = Child(bad, lambda _: None)
    with pytest.raises(ChildError, match=r"^The sfu process did not start: .*\.$"):
        await child.start()
    await child.stop(1.0)
    assert child.pid is None


class Refusing:
    """Lets no process start for the next `times`, as a machine without memory does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
        self.left = times
        self._real = asyncio.create_subprocess_exec
        monkeypatch.setattr(asyncio, "create_subprocess_exec", self._start)

    async def _start(self, *arguments: Any, **settings: Any) -> asyncio.subprocess.Process:
        if self.left:
            self.left -= 1
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return await self._real(*arguments, **settings)


async def test_child_is_started_again_when_the_system_gives_a_process_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = Child(program("sfu", tmp_path), lambda _: None)
    try:
        await child.start()
        pid = child.pid
        assert pid is not None
        refusing = Refusing(monkeypatch, 2)
        os.kill(pid, signal.SIGKILL)
        await eventually(
            lambda: "no new process" if child.pid == pid or not alive(child.pid or 0) else None
        )
        assert refusing.left == 0
    finally:
        await child.stop(5.0)


async def test_first_start_without_a_process_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Refusing(monkeypatch, 1)
    child = Child(program("sfu", tmp_path), lambda _: None)
    with pytest.raises(ChildError, match=r"^The sfu process could not be started: .*\.$"):
        await child.start()
    await child.stop(1.0)


async def test_child_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    child = Child(program("sfu", tmp_path), lambda _: None)
    await child.start()
    pid = child.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)  # it will not hear SIGTERM
    await child.stop(0.2)
    assert not alive(pid)


async def test_children_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    code = (
        "import asyncio\n"
        "from signaling.children import Child, sfu_program\n"
        "async def main():\n"
        f"    program = sfu_program(secret='{SECRET}', udp_port=0, log_level='WARNING')\n"
        "    child = Child(program, print)\n"
        "    await child.start()\n"
        "    print(child.pid, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    assert alive(pid)
    parent.kill()
    await parent.wait()
    await eventually(lambda: "the child lives on" if alive(pid) else None)
    assert await parent.stdout.read() == b""


@pytest.mark.parametrize(("name", "kind"), [("UDP", SOCK_DGRAM), ("TCP", SOCK_STREAM)])
def test_taken_media_port_names_the_setting(name: str, kind: SocketKind) -> None:
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind is SOCK_STREAM:
            taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ChildError, match=rf"^{name} port {port} .*SIGNALING_SFU_UDP_PORT.*\.$"):
            check_media_port_free(port, "127.0.0.1")
    check_media_port_free(port, "127.0.0.1")

"""Archives and dossiers on their way to the recorder: nothing blocks, hides or overtakes them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from recorder.control import messages as recorder
from recorder.record.dossier import Dossier
from signaling.archive_spool import ArchiveSpool
from signaling.dossier import dossier
from signaling.errors import InternalError
from signaling.recording import Recordings
from signaling.rooms.room import Room
from tests.support.bench import in_state
from tests.support.control_server import ScriptedRecorder
from tests.support.eventually import eventually


class Desk:
    """Recordings beside a recorder, and what they tell of archives that wait."""

    def __init__(self, directory: Path, server: ScriptedRecorder) -> None:
        self.server = server
        self.directory = directory
        self.spool = ArchiveSpool(directory)
        self.pending: list[int] = []
        self.recordings = Recordings(
            "secret",
            self.spool,
            on_connected=lambda: None,
            on_failed=lambda consultation, recording: None,
            on_pending=self.pending.append,
        )

    def archived(self) -> list[str]:
        told: list[recorder.ArchiveConsultation] = self.server.heard(recorder.ArchiveConsultation)
        return [each.dossier.consultation for each in told]

    async def connect(self) -> None:
        await self.recordings.use(self.server.url)
        await eventually(lambda: None if self.recordings.connected else "not connected")


@pytest_asyncio.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with ScriptedRecorder() as server:
        made = Desk(tmp_path, server)
        yield made
        await made.recordings.close()


def room(room_id: str, version: int = 9) -> Room:
    return msgspec.structs.replace(in_state("admitted").room, id=room_id, version=version)


def kept(room_id: str) -> Dossier:
    return dossier(room(room_id))


async def test_refused_or_unreadable_archive_is_in_nobodys_way(desk: Desk) -> None:
    desk.server.refused = {"a"}
    for name in ("a", "b", "c"):
        desk.spool.put(kept(name))
    (desk.directory / "b.dossier.json").write_bytes(b"{")
    (desk.directory / "bad name.dossier.json").write_bytes(b"{}")
    await desk.connect()
    desk.recordings.start()
    await eventually(lambda: None if desk.pending else "nothing told")
    assert desk.archived() == ["a", "c"]
    assert desk.pending == [3]
    assert desk.spool.pending() == ("a", "b", "bad name")


async def test_all_wait_while_the_recorder_is_away(desk: Desk) -> None:
    for name in ("a", "b"):
        desk.spool.put(kept(name))
    desk.recordings.start()
    await eventually(lambda: None if desk.pending else "nothing told")
    assert desk.pending == [2]
    await desk.connect()
    await eventually(lambda: None if desk.pending[-1] == 0 else str(desk.pending))
    assert desk.archived() == ["a", "b"]


async def test_no_dossier_follows_an_archive(desk: Desk) -> None:
    await desk.connect()
    desk.recordings.put_dossier(room("a", 3))
    await desk.recordings.archive(room("a", 9))
    desk.recordings.put_dossier(room("a", 4))
    desk.recordings.put_dossier(room("b"))
    desk.recordings.start()

    def complaint() -> str | None:
        told = [each.dossier for each in desk.server.heard(recorder.PutDossier)]
        ids = {each.consultation for each in told}
        assert "a" not in ids
        return None if ids else "no dossier"

    await eventually(complaint)
    await eventually(lambda: None if desk.archived() == ["a"] else str(desk.archived()))
    (archive,) = desk.server.heard(recorder.ArchiveConsultation)
    assert archive.dossier.version == 9


async def test_archive_is_written_once(desk: Desk) -> None:
    await desk.recordings.archive(room("a"))
    desk.spool.remove("a")
    await desk.recordings.archive(room("a"))
    assert desk.spool.pending() == ()


async def test_archive_that_is_not_on_disk_says_so_and_is_kept(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(dossier: Dossier) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(desk.spool, "put", full)
    with pytest.raises(InternalError):
        await desk.recordings.archive(room("a"))
    await desk.connect()
    desk.recordings.start()
    await eventually(lambda: None if desk.archived() == ["a"] else "not archived")

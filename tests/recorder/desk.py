"""A whole recorder on the directories of one test."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from recorder.archive import Archive
from recorder.config import Config
from recorder.control import (
    Archived,
    Events,
    RecordingState,
    StartRecording,
)
from recorder.manifest import Manifest
from recorder.metrics import Metrics
from recorder.record.outbox import Outbox
from recorder.record.systems import Systems
from recorder.service import Recorder
from recorder.workspace import Workspace
from tests.recorder.tap_server import SECRET, TapServer
from tests.recorder.visits import visit
from tests.support.eventually import eventually


class Desk:
    """A recorder on the directories of one test, and the events that it told."""

    def __init__(self, root: Path, **settings: object) -> None:
        self.root = root
        values: dict[str, object] = {
            "control_secret": "c" * 32,
            "sfu_secret": SECRET,
            "work_dir": root / "work",
            "archive_dir": root / "archive",
            "min_free_bytes": 0,
        }
        self.config = Config(**(values | settings))  # type: ignore[arg-type]  # named above
        self.metrics = Metrics()
        self.workspace = Workspace(self.config.work_dir)
        outbox = Outbox(self.workspace.outbox, (), self.metrics.outbox)
        self.archive = Archive(
            self.config.archive_dir, self.workspace, outbox, Systems(), self.metrics
        )
        self.events: list[Events] = []
        self.recorder = Recorder(
            self.config, self.workspace, self.archive, self.metrics, self.events.append
        )
        self.metrics.observe(self.recorder)

    async def start(self, server: TapServer, name: str = "rec-1", **more: object) -> object:
        dossier = visit(ended=False, **more)  # type: ignore[arg-type]  # names of `visit`
        return await self.recorder.handle(
            StartRecording(id=1, recording=name, tap_url=server.url(name), dossier=dossier)
        )

    def told(self, event: Events) -> str | None:
        return None if event in self.events else f"told {self.events}"

    async def until(self, event: Events) -> None:
        await eventually(lambda: self.told(event), within_s=20)

    def manifest(self) -> Manifest:
        manifest = self.archive.manifest("c-1")
        assert manifest is not None
        return manifest

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"vtelehealth_recorder_{name}", labels) or 0.0


@contextlib.asynccontextmanager
async def desk(root: Path, **settings: object) -> AsyncIterator[Desk]:
    one = Desk(root, **settings)
    await one.recorder.start()
    try:
        yield one
    finally:
        await one.recorder.close()
        one.workspace.close()


RECORDING = RecordingState(recording="rec-1", state="recording")
STOPPED = RecordingState(recording="rec-1", state="stopped")
ARCHIVED = Archived(consultation="c-1", directory="c-1")

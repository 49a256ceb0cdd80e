"""The whole product as an operator runs it apart: sfu, recorder and signalling, on loopback."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from clients.python.rest import Created, NewConsultation, NewParticipant, Patient, Rest
from sfu.control.client import SfuClient
from sfu.control.messages import OpenRoom, ReadStatistics, Statistics
from sfu.ids import RoomId
from signaling.protocol.messages import Facility, RecordingPolicy
from tests.support.servers import Program, free_port
from tests.support.turn import TurnServer

CENTRAL = Facility(code="01001", name="Bệnh viện Trung ương A")
COMMUNE = Facility(code="52117", name="Trạm y tế xã B")
CLINICIAN_NAME = "Nguyễn Thị Ánh"
SECOND_NAME = "Lê Quang Đạo"
CITIZEN_NAME = "Trần Văn Ước"
PATIENT_ID = "052190001234"


def consultation(policy: RecordingPolicy = "everyone") -> NewConsultation:
    """A citizen's call with a treating and a consulting clinician, in this order of people."""
    return NewConsultation(
        mode="DIRECT_TO_PATIENT",
        title="Khám tim mạch từ xa",
        facility=CENTRAL,
        recording_policy=policy,
        patient=Patient(identifier=PATIENT_ID, name=CITIZEN_NAME),
        participants=(
            NewParticipant(
                name=CLINICIAN_NAME,
                role="treating_clinician",
                title="BS. CKII",
                licence="001234/BYT-CCHN",
                facility=CENTRAL,
            ),
            NewParticipant(name=CITIZEN_NAME, role="patient"),
            NewParticipant(
                name=SECOND_NAME,
                role="consulting_clinician",
                title="ThS. BS",
                licence="005678/BYT-CCHN",
                facility=COMMUNE,
            ),
        ),
    )


@dataclass
class Stack:
    """Running programs; `nodes` are the signalling processes, by their base URLs."""

    directory: Path
    sfu: Program
    recorder: Program
    nodes: list[Program]
    urls: list[str]
    api_key: str
    sfu_control: SfuClient

    @property
    def archive(self) -> Path:
        """Where the recorder keeps finished consultations."""
        return self.directory / "archive"

    async def create(
        self,
        policy: RecordingPolicy = "everyone",
        node: int = 0,
        also: tuple[NewParticipant, ...] = (),
    ) -> Created:
        """Make the consultation over REST at one node, with further people after the three."""
        asked = consultation(policy)
        asked = msgspec.structs.replace(asked, participants=(*asked.participants, *also))
        async with Rest(self.urls[node], self.api_key) as rest:
            return await rest.create(asked)

    async def statistics(self, room: str) -> Statistics:
        """What the SFU counts in a room."""
        await self.sfu_control.request(OpenRoom(id=0, room=RoomId(room)))
        answer = await self.sfu_control.request(ReadStatistics(id=0, room=RoomId(room)))
        assert isinstance(answer, Statistics)
        return answer

    def logs(self) -> str:
        """All that the programs have logged."""
        return "".join(program.log for program in (self.sfu, self.recorder, *self.nodes))


@asynccontextmanager
async def stack(
    directory: Path,
    *,
    nodes: int = 1,
    redis_url: str = "",
    grace_s: float = 30,
    address: str = "127.0.0.1",
    turn: TurnServer | None = None,
) -> AsyncIterator[Stack]:
    """Start sfu, recorder and `nodes` signalling processes; stop them all at the end.

    People reach pages and media at `address`, an address of this machine.
    """
    secret, api_key = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    token_key = secrets.token_urlsafe(32)
    sfu = Program(
        "sfu",
        {
            "SFU_CONTROL_SECRET": secret,
            "SFU_CONTROL_PORT": "0",
            "SFU_UDP_PORT": "0",
            "SFU_ANNOUNCED_ADDRESSES": address,
            "SFU_EXIT_WITH_STDIN": "1",
        },
        directory / "sfu.log",
    )
    # It may be started again, and must be found where it was.
    recorder_port = free_port()
    recorder = Program(
        "recorder",
        {
            "RECORDER_CONTROL_SECRET": secret,
            "RECORDER_SFU_SECRET": secret,
            "RECORDER_CONTROL_PORT": str(recorder_port),
            "RECORDER_WORK_DIR": str(directory / "work"),
            "RECORDER_ARCHIVE_DIR": str(directory / "archive"),
            "RECORDER_MIN_FREE_BYTES": "1000000",
            "RECORDER_EXIT_WITH_STDIN": "1",
        },
        directory / "recorder.log",
    )
    async with AsyncExitStack() as owned:

        async def started(program: Program) -> Program:
            owned.push_async_callback(program.stop)
            await program.start()
            return program

        await started(sfu)
        await started(recorder)
        sfu_url = f"ws://127.0.0.1:{sfu.ready['control_port']}/control"
        programs = [
            await started(
                Program(
                    "signaling",
                    {
                        "SIGNALING_HTTP_HOST": address,
                        "SIGNALING_HTTP_PORT": "0",
                        "SIGNALING_SFU_URLS": sfu_url,
                        "SIGNALING_RECORDER_URL": f"ws://127.0.0.1:{recorder_port}/control",
                        "SIGNALING_CONTROL_SECRET": secret,
                        "SIGNALING_TOKEN_KEYS": token_key,
                        "SIGNALING_API_KEYS": api_key,
                        "SIGNALING_REDIS_URL": redis_url,
                        "SIGNALING_DATA_DIR": str(directory / f"node{number}"),
                        "SIGNALING_GRACE_S": str(grace_s),
                        "SIGNALING_TURN_URLS": turn.url if turn is not None else "",
                        "SIGNALING_TURN_SECRET": turn.secret if turn is not None else "",
                    },
                    directory / f"signaling{number}.log",
                )
            )
            for number in range(nodes)
        ]
        urls = [f"http://{address}:{node.ready['http_port']}" for node in programs]
        control = SfuClient(sfu_url, secret, lambda event: None, lambda up: None)
        await control.start()
        owned.push_async_callback(control.close)
        yield Stack(directory, sfu, recorder, programs, urls, api_key, control)

"""The Python client with the real programs: signalling, SFU and recorder as processes."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from av import AudioFrame, VideoFrame
from numpy.typing import NDArray

from clients.python.address import split_link
from clients.python.call import Call
from clients.python.errors import Disconnected, Refused, SessionOver
from clients.python.rest import Created, Rest
from clients.python.room_copy import RoomCopy
from clients.python.seats import Seat
from clients.python.signalling import Signalling
from clients.python.statistics import Statistics
from clients.python.synthetic import AUDIO_RATE, Pattern, Tone
from load_tests.process_usage import children
from signaling.protocol.messages import ChatLine, MediaConnection, Stats
from tests.clients.whole_server import WholeServer, whole_server
from tests.support.eventually import eventually
from tests.support.media import tone_share
from tests.support.servers import ROOT

CLINICIAN_HZ, PATIENT_HZ = 440.0, 880.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[WholeServer]:
    async with whole_server(tmp_path_factory.mktemp("server")) as running:
        yield running


pytestmark = pytest.mark.asyncio(loop_scope="module")


class Ear:
    """What was heard and seen on each seat."""

    def __init__(self) -> None:
        self._samples: dict[int, list[NDArray[np.float64]]] = defaultdict(list)
        self._pictures: dict[int, set[int]] = defaultdict(set)

    def forget(self) -> None:
        """What comes from now on counts."""
        self._samples.clear()
        self._pictures.clear()

    def hear(self, seat: Seat, frame: AudioFrame) -> None:
        channels = len(frame.layout.channels)
        self._samples[seat.index].append(frame.to_ndarray().reshape(-1)[::channels].astype(float))

    def see(self, seat: Seat, frame: VideoFrame) -> None:
        self._pictures[seat.index].add(hash(frame.to_ndarray(format="gray").tobytes()))

    def lacks(self, seat: int, tone_hz: float) -> str | None:
        """What is missing for half a second of the tone and ten different pictures."""
        heard = self._samples[seat]
        if sum(map(len, heard)) < AUDIO_RATE:
            return f"{len(heard)} audio frames on seat {seat}"
        share = tone_share(np.concatenate(heard)[-AUDIO_RATE // 2 :], AUDIO_RATE, tone_hz)
        if share < 0.5:
            return f"the tone of {tone_hz} Hz has {share:.2f} of the energy on seat {seat}"
        if len(self._pictures[seat]) < 10:
            return f"{len(self._pictures[seat])} different pictures on seat {seat}"
        return None


class Camera(Pattern):
    """A camera that can get stuck."""

    def __init__(self) -> None:
        super().__init__()
        self.works = asyncio.Event()
        self.works.set()

    async def recv(self) -> VideoFrame:
        await self.works.wait()
        return await super().recv()


@dataclass
class Visit:
    """A clinician and a patient in the call, each with what they hear and see."""

    created: Created
    clinician: Signalling
    patient: Signalling
    calls: tuple[Call, Call]
    ears: tuple[Ear, Ear]
    cameras: tuple[Camera, Camera]

    async def flows(self) -> None:
        """Both hear and see each other."""
        clinicians, patients = self.ears
        await eventually(lambda: clinicians.lacks(0, PATIENT_HZ), within_s=15)
        await eventually(lambda: patients.lacks(0, CLINICIAN_HZ), within_s=15)


async def admitted(clinician: Signalling, patient: Signalling) -> None:
    await clinician.ready()
    await clinician.until(lambda room: room.my_state == "admitted")
    await patient.ready()
    who = patient.room.joined.participant
    await clinician.until(lambda room: room.participants[who].state == "waiting")
    assert patient.room.my_state == "waiting"
    await clinician.admit(who)
    await patient.until(lambda room: room.my_state == "admitted")


@asynccontextmanager
async def visit(server: WholeServer) -> AsyncIterator[Visit]:
    created = await server.visit()
    links = [split_link(invitation.link) for invitation in created.invitations]
    async with AsyncExitStack() as stack:
        clinician, patient = [
            await stack.enter_async_context(Signalling.connect(*link)) for link in links
        ]
        await admitted(clinician, patient)
        calls, ears = [], []
        cameras = Camera(), Camera()
        for session, hz, camera in zip(
            (clinician, patient), (CLINICIAN_HZ, PATIENT_HZ), cameras, strict=True
        ):
            ear = Ear()
            call = Call(session, audio=Tone(hz), video=camera, on_audio=ear.hear, on_video=ear.see)
            calls.append(await stack.enter_async_context(call))
            ears.append(ear)
            await call.connected()
        yield Visit(created, clinician, patient, (calls[0], calls[1]), (ears[0], ears[1]), cameras)


async def test_a_visit_from_the_waiting_room_to_the_end(server: WholeServer) -> None:
    async with visit(server) as held:
        await held.flows()
        await held.patient.chat("Bác sĩ nghe rõ không ạ?")
        await held.clinician.until(lambda room: bool(room.chat))
        assert [line.text for line in held.clinician.room.chat] == ["Bác sĩ nghe rõ không ạ?"]
        sees = held.clinician.room.participants[held.patient.room.joined.participant]
        assert sees.media.audio
        assert sees.media.video
        await held.clinician.end()
        await held.patient.until(lambda room: room.over)
        await eventually(lambda: None if held.patient.over else "the patient's session is not over")
        with pytest.raises(SessionOver, match="ended"):
            await held.patient.chat("Còn ai không?")


async def test_a_hold_stops_what_is_heard_and_a_return_brings_it_back(server: WholeServer) -> None:
    async with visit(server) as held:
        await held.flows()
        who = held.patient.room.joined.participant
        await held.clinician.hold(who)
        await held.patient.until(lambda room: room.my_state == "held")
        with pytest.raises(Refused, match="not_admitted"):
            await held.patient.chat("Có ai không?")
        await held.clinician.bring_back(who)
        await held.patient.until(lambda room: room.my_state == "admitted")
        for ear in held.ears:
            ear.forget()
        await held.flows()


async def test_a_lost_connection_is_resumed_while_media_flows(server: WholeServer) -> None:
    async with visit(server) as held:
        await held.flows()
        before = held.calls[1].seats[0].audio_frames
        secret = held.patient.room.joined.session
        held.patient.break_connection()
        await eventually(lambda: None if held.patient.resumes == 1 else "not resumed")
        await held.patient.until(lambda room: room.my_state == "admitted")
        await held.patient.chat("Tôi đã quay lại")
        assert held.patient.room.joined.session.split(".")[:2] == secret.split(".")[:2]
        await held.clinician.until(lambda room: bool(room.chat))
        await eventually(
            lambda: None if held.calls[1].seats[0].audio_frames > before + 25 else "no audio"
        )


async def test_a_camera_that_gets_stuck_is_named_at_both_ends(server: WholeServer) -> None:
    async with visit(server) as held:
        await held.flows()
        patient = held.patient.room.joined.participant
        camera = held.cameras[1]

        def told(*faults: str) -> str | None:
            for session in (held.clinician, held.patient):
                found = [(each.participant, each.code) for each in session.room.faults]
                if found != [(patient, code) for code in faults]:
                    return str(found)
            return None

        camera.works.clear()
        # A camera that was just switched on is given three seconds; then five to be found out.
        await eventually(lambda: told("camera_frozen"), within_s=8)
        texts = {session.room.faults[0].text.en for session in (held.clinician, held.patient)}
        assert len(texts) == 2
        camera.works.set()
        await eventually(lambda: told(), within_s=5)


async def test_a_report_that_fails_is_left_out_and_the_next_is_sent(
    server: WholeServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    read = Statistics.read
    reports: list[Stats] = []

    async def fail_once(self: Statistics, *args: Any, **kwargs: Any) -> Stats:
        if "a report is left out" not in caplog.text:
            raise KeyError("from inside aiortc")
        reports.append(await read(self, *args, **kwargs))
        return reports[-1]

    monkeypatch.setattr(Statistics, "read", fail_once)
    async with visit(server):
        await eventually(lambda: None if len(reports) > 3 else f"{len(reports)} reports")


async def test_a_place_is_taken_over_with_its_secret(server: WholeServer) -> None:
    async with visit(server) as held:
        secret = held.patient.room.joined.session
        async with Signalling.resume(server.url, secret) as second:
            await second.until(lambda room: room.my_state == "admitted")
            await eventually(lambda: None if held.patient.over else "the first is not over")
        assert isinstance(held.patient.over, SessionOver)
        assert held.patient.over.reason == "replaced"


async def test_a_screen_is_a_source_of_its_own(server: WholeServer) -> None:
    async with visit(server) as held:
        await held.calls[0].close()
        shared = Call(held.clinician, audio=Tone(CLINICIAN_HZ), screen=Pattern(180))
        async with shared as call:
            await call.connected()
            await held.patient.until(
                lambda room: (
                    room.seating is not None
                    and any(one is not None and one.screen for one in room.seating.seats)
                )
            )
            seats = held.calls[1].seats
            await eventually(lambda: None if len(seats) == 2 else "no second seat", within_s=5)


async def test_media_comes_back_after_the_sfu_died(server: WholeServer) -> None:
    async with visit(server) as held:
        await held.flows()
        (sfu,) = children(server.program.pid, "sfu")
        os.kill(sfu, signal.SIGKILL)
        await eventually(
            lambda: None if sfu not in children(server.program.pid, "sfu") else "the SFU lives"
        )
        for ear in held.ears:
            ear.forget()
        await held.flows()


async def test_media_that_the_server_calls_failed_is_made_anew(server: WholeServer) -> None:
    async with visit(server) as held:
        await held.flows()
        before = held.calls[1].seats[0]
        held.patient._take(MediaConnection(state="failed"))
        await eventually(
            lambda: None if before not in held.calls[1].seats else "the old connection is kept"
        )
        for ear in held.ears:
            ear.forget()
        await held.flows()


async def test_a_recording_waits_for_consent_and_stops_when_it_is_withdrawn(
    server: WholeServer,
) -> None:
    async with visit(server) as held:
        with pytest.raises(Refused, match="consent_missing"):
            await held.clinician.record(on=True)
        await held.patient.consent("given")
        await held.clinician.record(on=True)
        await held.patient.until(lambda room: is_recorded(room))
        await held.patient.consent("withdrawn")
        await held.clinician.until(lambda room: not is_recorded(room), within_s=2)
        recording = held.clinician.room.recording
        assert recording is not None
        assert recording.stop_reason == "consent_withdrawn"


def is_recorded(room: RoomCopy) -> bool:
    return room.recording is not None and room.recording.state == "on"


async def test_a_wrong_token_is_refused_with_words(server: WholeServer) -> None:
    with pytest.raises(Refused) as refused:
        async with Signalling.connect(server.url, "wrong"):
            pass
    assert refused.value.code == "token_invalid"
    assert refused.value.text.vi


async def test_a_revoked_invitation_is_refused(server: WholeServer) -> None:
    created = await server.visit()
    async with Rest(server.url, server.api_key) as rest:
        await rest.revoke(created.id, created.invitations[1].invitation)
        again = await rest.invite(created.id, created.invitations[1].participant)
    with pytest.raises(Refused, match="invitation_revoked"):
        async with Signalling.connect(*split_link(created.invitations[1].link)):
            pass
    async with Signalling.connect(*split_link(again.link)) as session:
        assert session.room.joined.participant == created.invitations[1].participant


async def test_rest_reads_and_ends_a_consultation(server: WholeServer) -> None:
    created = await server.visit()
    async with Rest(server.url, server.api_key) as rest:
        assert (await rest.read(created.id))["state"] == "scheduled"
        await rest.end(created.id)
        assert (await rest.read(created.id))["state"] == "ended"
        with pytest.raises(Refused, match="consultation_unknown"):
            await rest.read("nowhere")
    with pytest.raises(Refused, match="consultation_ended"):
        async with Signalling.connect(*split_link(created.invitations[0].link)):
            pass


async def test_a_wrong_api_key_is_refused(server: WholeServer) -> None:
    async with Rest(server.url, "x" * 32) as rest:
        with pytest.raises((Refused, Disconnected)):
            await rest.read("nowhere")


async def test_who_leaves_may_come_again_by_the_same_link(server: WholeServer) -> None:
    created = await server.visit()
    link = split_link(created.invitations[1].link)
    async with Signalling.connect(*link) as session:
        await session.ready()
        await session.leave()
        await eventually(lambda: None if session.over else "the session is not over")
    async with Signalling.connect(*link) as session:
        await session.until(lambda room: room.my_state == "knocking")


async def test_the_example_of_the_readme_holds_a_visit(server: WholeServer, tmp_path: Path) -> None:
    readme = (ROOT / "clients" / "python" / "README.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    script = tmp_path / "visit.py"
    script.write_text(example)
    created = await server.visit()
    links = [invitation.link for invitation in created.invitations]
    async with Signalling.connect(*split_link(links[0])) as clinician:
        await clinician.ready()
        visitor = await asyncio.create_subprocess_exec(
            sys.executable, str(script), links[1], cwd=ROOT, env={"PYTHONPATH": str(ROOT)}
        )
        try:
            who = created.invitations[1].participant
            await clinician.until(
                lambda room: who in room.participants and room.participants[who].state == "waiting"
            )
            await clinician.admit(who)
            ear = Ear()
            async with Call(clinician, on_audio=ear.hear, on_video=ear.see) as call:
                await call.connected()
                await eventually(lambda: ear.lacks(0, 440.0), within_s=20)
                await clinician.until(lambda room: bool(room.chat))
                line: ChatLine = clinician.room.chat[0]
                assert (line.participant, line.text) == (who, "Xin chào")
                await clinician.end()
            assert await asyncio.wait_for(visitor.wait(), 10) == 0
        finally:
            if visitor.returncode is None:
                visitor.kill()
                await visitor.wait()

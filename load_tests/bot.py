"""One participant: real signalling, a real transport, RTP from a source, a tally of what came."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass

from aiortc import RTCCertificate

from clients.python.signalling import Signalling
from load_tests import rtcp
from load_tests.description import Credentials, mid, offer, read_answer
from load_tests.ice import CONSENT_INTERVAL_S
from load_tests.plan import Seat
from load_tests.rtp_source import AudioSource, Source, VideoSource
from load_tests.stamp import STAMP, STAMP_BYTES, Tally
from load_tests.wire import Wire
from signaling.protocol.messages import MediaState

JOIN_TIMEOUT_S = 60.0
#: One packet in this many is timed on its way.
_TIMED = 16
_SEQUENCE = slice(2, 4)
_SSRC = slice(8, 12)


@dataclass
class JoinTimes:
    """Monotonic ns; 0: not yet."""

    open: int = 0
    joined: int = 0
    admitted: int = 0
    answered: int = 0
    connected: int = 0


class Bot:
    """Made with the numbers of its two sources; `join`, then `send_due` often, then `close`."""

    def __init__(
        self,
        seat: Seat,
        certificate: RTCCertificate,
        source_numbers: tuple[int, int],
        video_packets_per_s: int,
    ) -> None:
        self.seat = seat
        self.participant = ""
        self.times = JoinTimes()
        self.sources: list[Source] = []
        if seat.sends:
            audio, video = source_numbers
            self.sources = [
                AudioSource(audio, mid(0)),
                VideoSource(video, mid(1), video_packets_per_s),
            ]
        self.tallies: dict[int, Tally] = {}
        self.on_the_way_ns: list[int] = []
        self.nacked = 0
        self.key_frames_asked = 0
        self._credentials = _credentials(certificate)
        self._cname = secrets.token_hex(8)
        self._ssrc = secrets.randbits(32)
        self._due_ns: list[int] = []
        self._reported: dict[int, rtcp.Received] = {}
        self._packets = 0
        self._consent_at_ns = 0
        self.wire = Wire(certificate, self._on_rtp, self._on_rtcp)
        self.session: Signalling | None = None

    async def join(self, url: str, token: str) -> None:
        """Join, wait to be admitted, negotiate and connect."""
        self.times.open = time.monotonic_ns()
        self.session = session = Signalling.connect(url, token)
        await session.__aenter__()
        self.times.joined = time.monotonic_ns()
        self.participant = session.room.joined.participant
        await session.ready()
        await session.until(lambda room: room.my_state == "admitted", within_s=JOIN_TIMEOUT_S)
        self.times.admitted = time.monotonic_ns()
        sdp = offer(self._credentials, self._cname, self.sources, self.seat.receives)
        answer = await session.offer(sdp, fresh=True)
        self.times.answered = time.monotonic_ns()
        await self.wire.connect(self._credentials, read_answer(answer.sdp))
        self.times.connected = now_ns = time.monotonic_ns()
        if self.seat.sends:
            await session.request(MediaState(audio=True, video=True))
        # Sources that began in step would burst in step.
        self._due_ns = [now_ns + secrets.randbelow(s.interval_ns) for s in self.sources]
        self._consent_at_ns = now_ns

    @property
    def connected(self) -> bool:
        """Whether media can flow."""
        return self.times.connected > 0

    def send_due(self, now_ns: int) -> None:
        """Send each packet whose time has come."""
        for index, due_ns in enumerate(self._due_ns):
            source = self.sources[index]
            while due_ns <= now_ns:
                due_ns += source.interval_ns
                self._send(source)
            self._due_ns[index] = due_ns

    def _send(self, source: Source) -> None:
        sequence = source.sequence
        datagram = self.wire.protect(source.packet(time.monotonic_ns()))
        source.kept.append((sequence, datagram))
        self.wire.send(datagram)

    def report(self, now_ns: int) -> None:
        """Send RTCP reports, and renew consent; to be called once a second."""
        unix_ns = time.time_ns()
        for source in self.sources:
            self.wire.send_rtcp(
                rtcp.sender_report(
                    source.ssrc,
                    unix_ns,
                    source.rtp_time,
                    source.sent,
                    source.sent_bytes,
                    self._cname,
                )
            )
        if self._reported:
            own = self.sources[0].ssrc if self.sources else self._ssrc
            received = list(self._reported.items())
            self.wire.send_rtcp(rtcp.receiver_report(own, received, now_ns, self._cname))
        if now_ns - self._consent_at_ns >= CONSENT_INTERVAL_S * 1e9:
            self._consent_at_ns = now_ns
            self.wire.refresh_consent()

    def _on_rtp(self, packet: bytes, now_ns: int) -> None:
        if len(packet) < 12 + STAMP_BYTES:
            return
        source, begins, number, sent_ns = STAMP.unpack_from(packet, len(packet) - STAMP_BYTES)
        tally = self.tallies.get(source)
        if tally is None:
            tally = self.tallies[source] = Tally()
        tally.note(number, begins=begins, now_ns=now_ns)
        self._packets += 1
        if self._packets % _TIMED == 0:
            self.on_the_way_ns.append(now_ns - sent_ns)
            self._note_sequence(packet)

    def _note_sequence(self, packet: bytes) -> None:
        """For the reports; a wrap of the sequence number is counted (RFC 3550 §6.4.1)."""
        ssrc = int.from_bytes(packet[_SSRC], "big")
        state = self._reported.setdefault(ssrc, rtcp.Received())
        sequence = int.from_bytes(packet[_SEQUENCE], "big")
        ahead = (sequence - state.highest_sequence) & 0xFFFF
        if state.highest_sequence == 0:
            state.highest_sequence = sequence
        elif 0 < ahead < 0x8000:
            state.highest_sequence += ahead

    def _on_rtcp(self, compound: bytes, now_ns: int) -> None:
        for item in rtcp.read(compound):
            if isinstance(item, rtcp.Reported):
                state = self._reported.get(item.ssrc)
                if state is not None:
                    state.last_report, state.last_report_at_ns = item.middle_ntp, now_ns
                continue
            for source in self.sources:
                if source.ssrc == item.ssrc:
                    self._serve(source, item)

    def _serve(self, source: Source, wanted: rtcp.Wanted) -> None:
        if wanted.key_frame and isinstance(source, VideoSource):
            self.key_frames_asked += 1
            source.want_key_frame()
        self.nacked += len(wanted.sequences)
        for sequence, datagram in source.kept:
            if sequence in wanted.sequences:
                self.wire.send(datagram)

    async def close(self) -> None:
        """Leave and close."""
        await self.wire.close()
        if self.session is not None:
            await self.session.close()


def _credentials(certificate: RTCCertificate) -> Credentials:
    digest = next(f.value for f in certificate.getFingerprints() if f.algorithm == "sha-256")
    return Credentials(secrets.token_hex(4), secrets.token_hex(16), digest)


async def admit_all(session: Signalling) -> None:
    """Admit whoever waits, for ever: what the chair of a room does."""
    asked: set[str] = set()
    wake = asyncio.Event()
    unlisten = session.listen(lambda _: wake.set())
    try:
        while True:
            wake.clear()
            for person in tuple(session.room.participants.values()):
                if person.state == "waiting" and person.id not in asked:
                    asked.add(person.id)
                    await session.admit(person.id)
            await wake.wait()
    finally:
        unlisten()

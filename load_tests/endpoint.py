"""One PeerConnection's worth of media: RTP from sources, a tally of what came, RTCP both ways.

Once everything flows, `sample` makes receiving cheap, so that the load does not become the limit:
only one packet in some is decrypted, for its stamp; the others are counted by their sequence
numbers, which stand in the clear and go on without a gap as long as nothing is lost.
"""

from __future__ import annotations

import secrets
import struct
import time
from collections.abc import Sequence

from aiortc import RTCCertificate

from load_tests import rtcp
from load_tests.description import Answer, Credentials, offer
from load_tests.ice import CONSENT_INTERVAL_S
from load_tests.rtp_source import RTX, TRANSPORT_CC_ID, Source, VideoSource
from load_tests.stamp import STAMP, STAMP_BYTES, Tally
from load_tests.wire import Wire
from sfu.rtp.extensions import position_of
from sfu.rtp.packet import header_length

#: Once sampling, one packet of a stream in this many is decrypted and timed.
SAMPLED = 16
_HEADER = struct.Struct("!BBHII")
_TWO_BYTES = struct.Struct("!H")
_PADDING = 0x20


class _Incoming:
    """One received SSRC: how its sequence numbers follow those of its source."""

    def __init__(self, tally: Tally, sequence: int, number: int, transport_cc_at: int) -> None:
        self.tally = tally
        self.highest = sequence
        self.ahead = number - sequence
        self.transport_cc_at = transport_cc_at
        self.countdown = SAMPLED
        self.report = rtcp.Received()

    def number_of(self, sequence: int) -> int:
        """The source's number of the packet with that sequence number."""
        step = (sequence - self.highest) & 0xFFFF
        if step < 0x8000:
            self.highest += step
            return self.highest + self.ahead
        return self.highest + step - 0x10000 + self.ahead


class Endpoint:
    """Made with what it sends; `connect`, then `send_due` often and the two reports; `close`."""

    def __init__(
        self, certificate: RTCCertificate, host: str, sources: Sequence[Source] = ()
    ) -> None:
        digest = next(f.value for f in certificate.getFingerprints() if f.algorithm == "sha-256")
        self.credentials = Credentials(secrets.token_hex(4), secrets.token_hex(16), digest)
        self.cname = secrets.token_hex(8)
        self.sources = list(sources)
        self.tallies: dict[int, Tally] = {}
        self.on_the_way_ns: list[int] = []
        self.nacked = 0
        self.key_frames_asked = 0
        self.connected_at_ns = 0
        self.wire = Wire(certificate, host, self._on_srtp, self._on_rtcp)
        self._ssrc = self.sources[0].ssrc if self.sources else secrets.randbits(32)
        self._incoming: dict[int, _Incoming] = {}
        self._sampling = False
        self._due_ns: list[int] = []
        self._consent_at_ns = 0
        self._transport_sequence = 0
        self._transport_cc_id = 0
        self._arrivals: list[tuple[int, int]] = []
        self._newest_arrival = 0
        self._feedbacks = 0

    def offer(self, seats: int) -> str:
        """The SDP offer of what it sends and of `seats`."""
        wire = self.wire
        return offer(self.credentials, wire.address, self.cname, self.sources, seats)

    async def connect(self, answer: Answer, *, offered: bool = True) -> None:
        """To the server's side, answer to our offer or the other way round. Raises `WireError`."""
        await self.wire.connect(self.credentials, answer, offered=offered)
        for source in self.sources:
            source.negotiated(answer.extensions)
        self._transport_cc_id = answer.extensions.get(TRANSPORT_CC_ID, 0)
        self.connected_at_ns = now_ns = time.monotonic_ns()
        # Sources that began in step would burst in step.
        self._due_ns = [now_ns + secrets.randbelow(s.interval_ns) for s in self.sources]
        self._consent_at_ns = now_ns

    def sample(self) -> None:
        """From now on decrypt one packet in `SAMPLED`."""
        self._sampling = True

    async def close(self) -> None:
        """Say goodbye and close the socket."""
        await self.wire.close()

    # ---------------------------------------------------------------- sending

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
        packet = source.packet(time.monotonic_ns(), self._transport_sequence)
        self._transport_sequence = self._transport_sequence + 1 & 0xFFFF
        datagram = self.wire.protect(packet)
        source.kept.append((sequence, datagram))
        self.wire.send(datagram)

    # ---------------------------------------------------------------- reports

    def report(self, now_ns: int) -> None:
        """Send RTCP reports, and renew consent; to be called once a second."""
        unix_ns = time.time_ns()
        for source in self.sources:
            report = rtcp.sender_report(
                source.ssrc, unix_ns, source.rtp_time, source.sent, source.sent_bytes, self.cname
            )
            self.wire.send_rtcp(report)
        if self._incoming:
            for incoming in self._incoming.values():
                incoming.report.highest_sequence = incoming.highest
            received = [(ssrc, incoming.report) for ssrc, incoming in self._incoming.items()]
            self.wire.send_rtcp(rtcp.receiver_report(self._ssrc, received, now_ns, self.cname))
        if now_ns - self._consent_at_ns >= CONSENT_INTERVAL_S * 1e9:
            self._consent_at_ns = now_ns
            self.wire.refresh_consent()

    def feed_back(self) -> None:
        """Send transport-wide feedback on what came since the last, if it was negotiated."""
        if not self._arrivals:
            return
        arrivals, self._arrivals = sorted(self._arrivals), []
        latest_ns = 0
        ordered = []
        for sequence, now_ns in arrivals:
            latest_ns = max(latest_ns, now_ns)
            ordered.append((sequence, latest_ns))
        self.wire.send_rtcp(rtcp.transport_feedback(self._ssrc, self._feedbacks, ordered))
        self._feedbacks += 1

    # -------------------------------------------------------------- receiving

    def _on_srtp(self, datagram: bytes, now_ns: int) -> None:
        _, _, sequence, _, ssrc = _HEADER.unpack_from(datagram)
        incoming = self._incoming.get(ssrc)
        if incoming is None or not self._sampling:
            self._decrypt(datagram, ssrc, sequence, now_ns)
            return
        incoming.countdown -= 1
        if not incoming.countdown:
            incoming.countdown = SAMPLED
            self._decrypt(datagram, ssrc, sequence, now_ns)
            return
        at = incoming.transport_cc_at
        if at:
            self._note_arrival(_TWO_BYTES.unpack_from(datagram, at)[0], now_ns)
        incoming.tally.note(incoming.number_of(sequence), begins=0, now_ns=now_ns)

    def _decrypt(self, datagram: bytes, ssrc: int, sequence: int, now_ns: int) -> None:
        packet = self.wire.unprotect(datagram)
        if packet is None:
            return
        at = self._transport_cc_at(packet)
        if at:
            self._note_arrival(_TWO_BYTES.unpack_from(packet, at)[0], now_ns)
        if packet[0] & _PADDING or len(packet) < _HEADER.size + STAMP_BYTES:
            return  # a probe of the path
        source, begins, number, sent_ns = STAMP.unpack_from(packet, len(packet) - STAMP_BYTES)
        tally = self.tallies.setdefault(source, Tally())
        tally.note(number, begins=begins, now_ns=now_ns)
        self.on_the_way_ns.append(now_ns - sent_ns)
        if packet[1] & 0x7F == RTX:
            return
        incoming = self._incoming.get(ssrc)
        if incoming is None or incoming.tally is not tally:
            self._incoming[ssrc] = _Incoming(tally, sequence, number, at)
        else:
            incoming.ahead += number - incoming.number_of(sequence)
            incoming.transport_cc_at = at

    def _transport_cc_at(self, packet: bytes) -> int:
        wanted = self._transport_cc_id
        return position_of(packet, wanted, 2, header_length(packet)) if wanted else 0

    def _note_arrival(self, sequence: int, now_ns: int) -> None:
        step = (sequence - self._newest_arrival) & 0xFFFF
        if step < 0x8000:
            self._newest_arrival += step
            self._arrivals.append((self._newest_arrival, now_ns))
        else:
            self._arrivals.append((self._newest_arrival + step - 0x10000, now_ns))

    def _on_rtcp(self, compound: bytes, now_ns: int) -> None:
        for item in rtcp.read(compound):
            if isinstance(item, rtcp.Reported):
                incoming = self._incoming.get(item.ssrc)
                if incoming is not None:
                    incoming.report.last_report = item.middle_ntp
                    incoming.report.last_report_at_ns = now_ns
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

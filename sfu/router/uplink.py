"""What a publisher is told of its own way to us: transport-wide feedback, or REMB without it."""

from __future__ import annotations

from collections.abc import Iterator

from sfu.forwarder.contract import Forwarder, TransportHandle
from sfu.router.bitrate import UplinkBudget
from sfu.router.publisher import Publisher
from sfu.rtp.extensions import value
from sfu.rtp.rtcp import Remb, RtcpPacket
from sfu.streams.congestion.arrivals import FeedbackBuilder

#: A transport-wide sequence number (draft-holmer-rmcat-transport-wide-cc-extensions-01 §2).
_NUMBER_BYTES = 2
#: To a peer whose own downlink is narrow every fourth feedback goes out: ten a second would take a
#: tenth of 64 kbit/s, which is a voice's.
_SPARING = 4


class Uplink:
    """One publisher's feedback. Call `feedback` ten times a second and `limit` twice."""

    def __init__(
        self,
        transport: TransportHandle,
        publisher: Publisher,
        forwarder: Forwarder,
        budget: UplinkBudget,
        ssrc: int,
    ) -> None:
        self._transport = transport
        self._publisher = publisher
        self._forwarder = forwarder
        self._budget = budget
        self._ssrc = ssrc
        self._builder = FeedbackBuilder(ssrc)
        self._passed_over = 0

    def feedback(self, *, sparing: bool) -> Iterator[RtcpPacket]:
        """What arrived since it was last told, by transport-wide number; nothing when nothing did.

        `sparing` tells it less often.
        """
        self._passed_over += 1
        if sparing and self._passed_over < _SPARING:
            return iter(())
        self._passed_over = 0
        arrivals = self._forwarder.drain_arrivals(self._transport)
        if arrivals:
            self._builder.media_ssrc = next((s.ssrc for s in self._publisher), 0)
            self._builder.note(arrivals)
        return iter(self._builder.take())

    def note_stray(self, packet: bytes, now_ns: int) -> None:
        """A packet that was no stream's arrived all the same: a probe made of retransmissions
        begins before the stream that they are of.
        """
        found = value(packet, self._publisher.number_id)
        if found is not None and len(found) == _NUMBER_BYTES:
            self._builder.note([(int.from_bytes(found, "big"), now_ns)])

    def limit(self) -> Remb | None:
        """How much it may send; None for one that works it out itself or sends no video."""
        if self._publisher.number_id:
            return None
        self._budget.note(self._forwarder.drain_send_times(self._transport))
        video = [s for s in self._publisher if "goog-remb" in s.format.feedback]
        if not video:
            return None
        target = self._budget.target_bps(screen=any(s.screen for s in video))
        return Remb(self._ssrc, target, tuple(s.ssrc for s in video))

"""The slow path's side of the forwarder: it fills the tables and reads what was counted."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from itertools import count

from sfu.forwarder.contract import (
    Address,
    Arrival,
    Cipher,
    Codec,
    Kind,
    LegCounters,
    LegHandle,
    LegSpec,
    Sends,
    StreamCounters,
    StreamHandle,
    StreamSpec,
    TransportCounters,
    TransportHandle,
)
from sfu.forwarder.tables import Leg, Repair, Stream, Transport, new_leg, new_sink

#: Levels kept between two drains: a second of 80 people who all speak.
MAX_LEVELS = 4096

#: Addresses beside the nominated one that a transport's packets are taken from: a browser checks
#: its path over UDP, over TCP and over a relay.
MAX_ELSEWHERE = 4

#: The payload types of a sink's packets.
SINK_OPUS, SINK_VIDEO = 111, 96


class Switchboard:
    """Transports, streams and legs, and what is connected to what.

    Functions that take a handle raise `KeyError` when it is not, or no longer, in the table;
    removing what is not there is fine.
    """

    def __init__(self) -> None:
        self._handles = count(1)
        self._transports: dict[TransportHandle, Transport] = {}
        self._addresses: dict[Address, Transport] = {}
        self._elsewhere: dict[Address, Transport] = {}
        self._streams: dict[StreamHandle, Stream] = {}
        self._legs: dict[LegHandle, Leg] = {}
        self._levels: deque[tuple[StreamHandle, int]] = deque(maxlen=MAX_LEVELS)

    # ------------------------------------------------------------ transports

    def add_transport(self) -> TransportHandle:
        """A transport without address and keys: nothing goes in or out but punts."""
        handle = TransportHandle(next(self._handles))
        self._transports[handle] = Transport(handle)
        return handle

    def set_address(self, transport: TransportHandle, address: Address | None) -> None:
        """The nominated remote address, None for none; the newest wins and frees the old one."""
        row = self._transports[transport]
        if row.address == address:
            return
        former, row.address = row.address, address
        if former is not None:
            del self._addresses[former]
        if address is None:
            self._forget_elsewhere(row)
        else:
            self._unhear(address)
            loser = self._addresses.get(address)
            if loser is not None:
                loser.address = None
                _settle(loser.legs)
            self._addresses[address] = row
            row.sends.moves += 1
            if former is not None:
                self.hear(transport, former)
        _settle(row.legs)

    def hear(self, transport: TransportHandle, address: Address) -> None:
        """Receive from this address too; the newest few are kept."""
        row = self._transports[transport]
        if address in self._addresses:
            return
        self._unhear(address)  # also its own, which is the newest again
        self._elsewhere[address] = row
        row.elsewhere.append(address)
        if len(row.elsewhere) > MAX_ELSEWHERE:
            self._unhear(row.elsewhere[0])

    def hears(self, address: Address) -> bool:
        """Whether a transport has, or receives from, this address."""
        return address in self._addresses or address in self._elsewhere

    def lose(self, address: Address) -> TransportHandle | None:
        """Nobody is there any more; the transport that media went to there, now without address."""
        self._unhear(address)
        row = self._addresses.pop(address, None)
        if row is None:
            return None
        row.address = None
        _settle(row.legs)
        return row.handle

    def _unhear(self, address: Address) -> None:
        row = self._elsewhere.pop(address, None)
        if row is not None:
            row.elsewhere.remove(address)

    def _forget_elsewhere(self, row: Transport) -> None:
        for address in tuple(row.elsewhere):
            self._unhear(address)

    def holder(self, address: Address) -> TransportHandle | None:
        """The transport that has this address now."""
        row = self._addresses.get(address)
        return None if row is None else row.handle

    def set_cipher(self, transport: TransportHandle, cipher: Cipher) -> None:
        """SRTP keys, after the DTLS handshake."""
        row = self._transports[transport]
        row.protect = cipher.protect
        row.protect_rtcp = cipher.protect_rtcp
        row.unprotect = cipher.unprotect
        row.unprotect_rtcp = cipher.unprotect_rtcp
        row.remove_srtp_stream = cipher.remove_stream
        _settle(row.legs)

    def remove_transport(self, transport: TransportHandle) -> None:
        """Also removes its streams and legs."""
        row = self._transports.pop(transport, None)
        if row is None:
            return
        for leg in list(row.legs):
            self.remove_leg(leg.handle)
        for stream in list(row.streams.values()):
            self.remove_stream(stream.handle)
        if row.address is not None:
            del self._addresses[row.address]
        self._forget_elsewhere(row)

    # ------------------------------------------------------ streams and legs

    def add_stream(self, spec: StreamSpec) -> StreamHandle:
        """Raises `ValueError` when the transport has a stream or a repair of that SSRC."""
        transport = self._transports[spec.transport]
        _claim(transport, spec.ssrc)
        handle = StreamHandle(next(self._handles))
        self._streams[handle] = transport.streams[spec.ssrc] = Stream(handle, spec, transport)
        return handle

    def add_repair(self, stream: StreamHandle, ssrc: int, payload_type: int) -> None:
        """The stream's lost packets come again with this SSRC; a newer one takes its place.

        Raises `ValueError` when the transport has a stream or a repair of that SSRC.
        """
        row = self._streams[stream]
        _claim(row.transport, ssrc)
        repair = Repair(row, ssrc, payload_type)
        if row.repair is not None:
            del row.transport.repairs[row.repair.ssrc]
            repair.payload_bytes = row.repair.payload_bytes
        row.repair = row.transport.repairs[ssrc] = repair

    def set_clock(self, stream: StreamHandle, origin: int) -> None:
        """The stream's RTP timestamp at its sender's NTP time 0, modulo 2^32."""
        self._streams[stream].clock.origin = origin

    def remove_stream(self, stream: StreamHandle) -> None:
        """Legs that show it fall silent, those that waited for it keep what they show."""
        row = self._streams.pop(stream, None)
        if row is None:
            return
        del row.transport.streams[row.spec.ssrc]
        if row.repair is not None:
            del row.transport.repairs[row.repair.ssrc]
        for leg in [*row.legs, *row.filtered]:
            leg.hide()
        for leg in tuple(row.chosen):
            _select(leg, leg.shown)

    def add_leg(self, spec: LegSpec) -> LegHandle:
        """A leg that shows nothing yet."""
        transport = self._transports[spec.transport]
        handle = LegHandle(next(self._handles))
        leg = self._legs[handle] = new_leg(handle, spec, transport)
        transport.legs.append(leg)
        return handle

    def add_sink(
        self, kind: Kind, codecs: Collection[Codec], deliver: Callable[[bytes, int], None]
    ) -> LegHandle:
        """A leg without a transport: `deliver(packet, now_ns)` gets each packet, unencrypted."""
        handle = LegHandle(next(self._handles))
        payload_types = {codec: SINK_OPUS if codec == "opus" else SINK_VIDEO for codec in codecs}
        self._legs[handle] = new_sink(handle, kind, payload_types, deliver)
        return handle

    def remove_leg(self, leg: LegHandle) -> None:
        """What was sent on it stays in its transport's counters."""
        row = self._legs.pop(leg, None)
        if row is None:
            return
        _select(row, None)
        if row.deliver is None:
            row.transport.legs.remove(row)
            row.transport.rtp_sent_packets += row.sent_packets

    def select(self, leg: LegHandle, stream: StreamHandle | None) -> None:
        """Show a stream on a leg, or nothing; see the contract for when it takes effect.

        Raises `ValueError` for a stream of another kind or of a codec that the leg cannot send.
        """
        row = self._legs[leg]
        target = None if stream is None else self._streams[stream]
        if target is not None and (
            target.spec.kind != row.kind or target.spec.codec not in row.payload_types
        ):
            raise ValueError(f"the leg cannot carry {target.spec.kind} in {target.spec.codec}")
        _select(row, target)

    def limit(self, leg: LegHandle, spatial: int, temporal: int) -> None:
        """The highest layers of the shown stream to forward, from 0; 7 is all there are."""
        row = self._legs[leg]
        row.filter.want(spatial, temporal)
        row.take_place()

    def pause(self, leg: LegHandle, paused: bool) -> None:
        """A paused leg sends nothing; a video leg goes on at the next key frame."""
        row = self._legs[leg]
        row.paused = paused
        row.settle()

    def set_discard(self, stream: StreamHandle, discard: bool) -> None:
        """A discarded stream is counted and goes nowhere; legs go on as after a pause."""
        row = self._streams[stream]
        row.discard = discard
        if discard:
            for leg in [*row.legs, *row.filtered]:
                leg.hide()
                leg.settle()
            row.inbound.forget()

    def release(self, stream: StreamHandle, now_ns: int) -> None:
        """The stream is silent: keep no packet that is too old to be asked for."""
        self._streams[stream].inbound.history.release(now_ns)

    # --------------------------------------------------- reading, in batches

    def stream_counters(self, stream: StreamHandle) -> StreamCounters:
        """Reception since the stream was added."""
        return self._streams[stream].counters()

    def carried(self, stream: StreamHandle) -> tuple[int, Sequence[int]]:
        """Packets, and payload bytes by `4 * spatial + temporal` layer, since it was added."""
        inbound = self._streams[stream].inbound
        return inbound.reception.packets, inbound.layer_bytes

    def leg_counters(self, leg: LegHandle) -> LegCounters:
        """What was sent on a leg since it was added."""
        return self._legs[leg].counters()

    def transport_counters(self, transport: TransportHandle) -> TransportCounters:
        """What crossed the wire on a transport since it was added."""
        return self._transports[transport].counters()

    def sends(self, transport: TransportHandle) -> Sends:
        """What was sent with transport-wide sequence numbers: a live view, not a copy."""
        return self._transports[transport].sends

    def drain_levels(self) -> list[tuple[StreamHandle, int]]:
        """(stream, level in -dBov 0 loud to 127 silent) of audio packets since the last call."""
        levels = list(self._levels)
        self._levels.clear()
        return levels

    def drain_arrivals(self, transport: TransportHandle) -> list[tuple[int, int]]:
        """(transport-wide sequence number, now_ns) since the last call; the oldest are dropped."""
        arrivals = self._transports[transport].arrivals
        drained = list(arrivals)
        arrivals.clear()
        return drained

    def drain_send_times(self, transport: TransportHandle) -> list[Arrival]:
        """Packets of streams without transport-wide numbers; the oldest are dropped."""
        send_times = self._transports[transport].send_times
        drained = [Arrival(*arrival) for arrival in send_times]
        send_times.clear()
        return drained

    def leg_time(self, leg: LegHandle, rtp_time: int) -> int | None:
        """The outgoing RTP timestamp of the shown stream's `rtp_time`, None while it shows none."""
        row = self._legs[leg]
        return None if row.shown is None else row.rewriter.time_of(rtp_time)


def _claim(transport: Transport, ssrc: int) -> None:
    if ssrc in transport.streams or ssrc in transport.repairs:
        raise ValueError(f"the transport has a stream of SSRC {ssrc}")
    transport.publishers.add(ssrc)


def _settle(legs: list[Leg]) -> None:
    for leg in legs:
        leg.settle()


def _select(leg: Leg, target: Stream | None) -> None:
    if leg.target is not None and leg in leg.target.waiting:
        leg.target.waiting.remove(leg)
    if leg.target is not None:
        leg.target.chosen.discard(leg)
    if target is not None:
        target.chosen.add(leg)
    leg.target = target
    leg.settle()

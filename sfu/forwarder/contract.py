"""The boundary between the fast path, which forwards, and the slow path, which decides.

The fast path runs once for each datagram and holds no policy, no clock, no asyncio and no logging.
The slow path (router and transports) fills its tables through `Forwarder`, hears of what the fast
path does not handle through `Punts`, and reads counters and drained records in batches.

Times are `now_ns`, Unix time in nanoseconds, read once at the edge and passed in.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, NewType, Protocol

Address = tuple[str, int]
#: Handles given out by the forwarder; small integers, never used again in one process.
TransportHandle = NewType("TransportHandle", int)
StreamHandle = NewType("StreamHandle", int)
LegHandle = NewType("LegHandle", int)

Codec = Literal["opus", "VP8", "H264", "VP9", "AV1"]
Kind = Literal["audio", "video"]


class Cipher(Protocol):
    """SRTP of one transport, one session each way (pylibsrtp's `Session` is one)."""

    def protect(self, packet: bytes) -> bytes: ...
    def protect_rtcp(self, packet: bytes) -> bytes: ...
    def unprotect(self, packet: bytes) -> bytes: ...
    def unprotect_rtcp(self, packet: bytes) -> bytes: ...
    def remove_stream(self, ssrc: int) -> None:
        """Forget what is kept of an incoming SSRC; raises when there is nothing."""


class Arrival(NamedTuple):
    """One received RTP packet of a sender without transport-wide sequence numbers, for REMB."""

    now_ns: int
    ssrc: int
    size_bytes: int
    abs_send_time: int | None  # 24 bit, 6.18 fixed point seconds (abs-send-time extension)


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """What comes in: one SSRC of one transport; each layer of a simulcast camera is one.

    The `..._id` are the header extension ids that the *sender* negotiated (RFC 8285), 0 when it
    did not: audio level (RFC 6464), abs-send-time, transport-wide sequence number
    (draft-holmer-rmcat-transport-wide-cc-extensions-01), AV1 dependency descriptor.
    """

    transport: TransportHandle
    ssrc: int
    kind: Kind
    codec: Codec
    payload_type: int
    clock_rate: int
    audio_level_id: int = 0
    abs_send_time_id: int = 0
    transport_cc_id: int = 0
    dependency_id: int = 0


@dataclass(frozen=True, slots=True)
class LegSpec:
    """What goes out: one SSRC of one transport, as the *receiver* negotiated it.

    A packet is sent with the payload type of its codec; a stream whose codec is not in
    `payload_types` cannot be selected. `mid` is stamped with `mid_id` (RFC 8843) when `mid_id`
    is not 0; the audio level of the packet is carried over with `audio_level_id` when not 0, the
    AV1 dependency descriptor with `dependency_id`; each packet gets the transport's next sequence
    number with `transport_cc_id`. With an `rtx_ssrc` packets are repeated as RFC 4588 says, in
    the payload type that `rtx_payload_types` has for their codec; without one, or for a codec
    that is not in it, as they were; then a packet that went out with a transport-wide sequence
    number is not repeated at all, for it cannot have another one in the same packet.
    """

    transport: TransportHandle
    ssrc: int
    kind: Kind
    payload_types: dict[Codec, int]
    mid: str = ""
    mid_id: int = 0
    audio_level_id: int = 0
    transport_cc_id: int = 0
    dependency_id: int = 0
    rtx_ssrc: int = 0
    rtx_payload_types: dict[Codec, int] = field(default_factory=dict)


class StreamCounters(NamedTuple):
    """Reception of one stream since it was added (RFC 3550 §6.4.1, A.3, A.8)."""

    packets: int
    bytes: int  # of payload, without headers and padding
    lost: int
    jitter: int  # in units of the clock rate
    highest_sequence: int  # extended, as in a receiver report
    key_frames: int
    frames: int  # pictures that ended (marker bit)
    duplicates: int
    repaired: int  # of those that were missing when the next one came, how many came after all
    repair_bytes: int  # of payload, in retransmission packets (RFC 4588), probing included


class LegCounters(NamedTuple):
    """What was sent on one leg since it was added."""

    packets: int  # without the resent ones
    bytes: int  # of payload, as a sender report counts them
    resent: int
    resent_bytes: int  # of payload, probing included


class TransportCounters(NamedTuple):
    """What crossed the wire on one transport since it was added (UDP payload bytes)."""

    received_packets: int
    received_bytes: int
    sent_packets: int
    sent_bytes: int
    rtp_sent_packets: int
    dropped_packets: int  # failed authentication, replayed, malformed, or of no known stream
    elsewhere_packets: int  # of the received ones, those that came from another address (`hear`)


class Sends(Protocol):
    """What a transport sent with a transport-wide sequence number: the newest `SENDS` packets.

    Sequence numbers count from 0 and are not wrapped here; on the wire they are 16 bit. The
    packet of sequence `s` is at `s % SENDS` of both arrays, as long as
    ``next_sequence - SENDS <= s < next_sequence``. `moves` counts the addresses that the transport
    got, one after the other.
    """

    moves: int
    next_sequence: int
    times_ns: array[int]
    sizes_bytes: array[int]  # of the UDP payload


class Sent(NamedTuple):
    """A packet as its receiver knows it, with its transport-wide number as `Sends` counts them."""

    number: int
    ssrc: int
    sequence: int


#: A second of 8,000 packets: more than any feedback lets wait.
SENDS = 8192


class Punts(Protocol):
    """What the fast path hands to the slow path. Called inside `Forwarder.receive`: be brief."""

    def on_stun(self, data: bytes, address: Address, now_ns: int) -> None:
        """First byte 0-3 (RFC 7983), from any address."""

    def on_dtls(self, transport: TransportHandle, data: bytes) -> None:
        """First byte 20-63, from the address of a known transport."""

    def on_rtcp(self, transport: TransportHandle, packet: bytes, now_ns: int) -> None:
        """A decrypted compound RTCP packet of at least one whole header."""

    def on_unknown_ssrc(self, transport: TransportHandle, packet: bytes, now_ns: int) -> bool:
        """A decrypted RTP packet whose SSRC is no stream's. True: a stream was added, go on."""

    def on_key_frame(self, stream: StreamHandle) -> None:
        """Every leg that waited for a key frame to show the stream shows it now.

        Also told when a key frame that came late brought the layers of a raised spatial limit; one
        in order that does no more than that is only counted (`StreamCounters.key_frames`).
        """


class Forwarder(Protocol):
    """The tables of the fast path and the path itself."""

    # -- transports
    def add_transport(self) -> TransportHandle:
        """A transport without address and keys: nothing goes in or out but punts."""

    def set_address(self, transport: TransportHandle, address: Address | None) -> None:
        """The nominated remote address; the newest wins and frees the old one. None: nothing is
        sent, and nothing but STUN is received, until there is one again.
        """

    def hear(self, transport: TransportHandle, address: Address) -> None:
        """Receive media from this address too, which passed a check: what a peer sends on a path
        before it nominates it, or sent on the path that it left, is not lost. The newest few are
        kept.
        """

    def hears(self, address: Address) -> bool:
        """Whether a transport has, or receives from, this address."""

    def lose(self, address: Address) -> TransportHandle | None:
        """Nobody is at this address any more. The transport that had it, if any, is returned: it
        is sent nothing until it has another, and is received from where else it was heard.
        """

    def holder(self, address: Address) -> TransportHandle | None:
        """The transport that has this address now."""

    def set_cipher(self, transport: TransportHandle, cipher: Cipher) -> None:
        """SRTP keys, after the DTLS handshake."""

    def remove_transport(self, transport: TransportHandle) -> None:
        """Also removes its streams and legs."""

    # -- streams and legs
    def add_stream(self, spec: StreamSpec) -> StreamHandle:
        """Raises `ValueError` when the transport has a stream of that SSRC."""

    def add_repair(self, stream: StreamHandle, ssrc: int, payload_type: int) -> None:
        """The stream's lost packets come again with this SSRC and payload type (RFC 4588 §4).

        Raises `ValueError` when the transport has a stream or a repair of that SSRC.
        """

    def set_clock(self, stream: StreamHandle, origin: int) -> None:
        """The stream's RTP timestamp at its sender's NTP time 0, modulo 2^32 (from its reports).

        A leg that switches between two streams of one transport and clock rate whose origins are
        known goes on exactly in the sender's time; else in the time of arrival.
        """

    def remove_stream(self, stream: StreamHandle) -> None:
        """Legs that show it fall silent; its repair goes with it.

        A leg that still shows another, and waited for this one, is as if it had been told to show
        that other one.
        """

    def add_leg(self, spec: LegSpec) -> LegHandle:
        """A leg that shows nothing yet."""

    def add_sink(
        self, kind: Kind, codecs: Collection[Codec], deliver: Callable[[bytes, int], None]
    ) -> LegHandle:
        """A leg without a transport, for a recorder: `deliver(packet, now_ns)` gets each packet.

        It is selected, limited and removed like any leg and its packets are numbered like any
        leg's, so a switch between layers leaves no mark but the picture's size. Packets carry
        payload type 96 (Opus: 111) and no extension. `deliver` may not raise.
        """

    def remove_leg(self, leg: LegHandle) -> None: ...

    def select(self, leg: LegHandle, stream: StreamHandle | None) -> None:
        """Show a stream on a leg, or nothing.

        Audio switches with the next packet. Video switches with the next key frame of the new
        stream; until then the old one, if it is still there, goes on. Nothing of the new one is
        sent that arrived before it was selected. Selecting None, or removing
        the shown stream, stops at once. Sequence numbers and timestamps of a leg go on without a
        gap or a step backwards over every switch, VP8 picture ids and TL0PICIDX too.
        """

    def limit(self, leg: LegHandle, spatial: int, temporal: int) -> None:
        """The highest layers of the shown stream to forward, from 0; 7 is all there are.

        Temporal layers (VP8, VP9, AV1) and spatial ones (VP9, AV1) above are dropped from the next
        picture on, without a hole in the sequence. Raised temporal limits take effect where the
        stream allows to switch up, raised spatial ones at a key frame (the owner asks for it).
        """

    def pause(self, leg: LegHandle, paused: bool) -> None:
        """A paused leg sends nothing; a video leg goes on at the next key frame."""

    def set_discard(self, stream: StreamHandle, discard: bool) -> None:
        """A discarded stream is counted and goes nowhere: no leg, no sink, no ring."""

    def release(self, stream: StreamHandle, now_ns: int) -> None:
        """The stream is silent: keep no packet that is too old to be asked for.

        A ring is written over by what follows; where nothing does, it would be kept for ever.
        """

    # -- repair and reports
    def resend(
        self, leg: LegHandle, sequences: Sequence[int], now_ns: int, copies: int = 1
    ) -> list[int]:
        """Answer a NACK from the ring, with so many of each; the sequence numbers sent, in order.

        On a leg that numbers its packets transport-wide they are the newest of `sends`.
        """

    def repairable(self, transport: TransportHandle, numbers: Iterable[int]) -> list[Sent]:
        """Those of these transport-wide numbers, as `sends` counts them, that were packets sent for
        the first time and could be sent again on an SSRC of their own (RFC 4588).
        """

    def probe(self, leg: LegHandle, size_bytes: int, now_ns: int) -> int:
        """Send about so much more on a leg's RTX SSRC, its newest packets again or else padding.

        Returns the bytes sent, 0 without RTX. A leg that has shown nothing yet sends padding, so
        that there is a way out where the path was thought too narrow for the first picture.
        """

    def missing(self, stream: StreamHandle, now_ns: int, round_trip_ns: int) -> list[int]:
        """Sequence numbers to ask of the sender now: each at most a few times, then given up.

        None is asked for again before the answer to the last time could be here.
        """

    def holed(self) -> list[StreamHandle]:
        """The streams for which `missing` may have something to ask, now or later."""

    def send_rtcp(self, transport: TransportHandle, packet: bytes) -> None:
        """Encrypt and send a compound RTCP packet."""

    def leg_time(self, leg: LegHandle, rtp_time: int) -> int | None:
        """The outgoing RTP timestamp of the shown stream's `rtp_time`, None while it shows none."""

    # -- reading, in batches
    def stream_counters(self, stream: StreamHandle) -> StreamCounters: ...
    def leg_counters(self, leg: LegHandle) -> LegCounters: ...
    def transport_counters(self, transport: TransportHandle) -> TransportCounters: ...
    def drain_levels(self) -> list[tuple[StreamHandle, int]]:
        """(stream, level in -dBov 0 loud to 127 silent) of audio packets since the last call."""

    def carried(self, stream: StreamHandle) -> tuple[int, Sequence[int]]:
        """Packets, and payload bytes by `4 * spatial + temporal` layer (16: a live view), since the
        stream was added. A stream without layers of its own counts all bytes as layer 0's.
        """

    def sends(self, transport: TransportHandle) -> Sends:
        """What was sent with transport-wide sequence numbers: a live view, not a copy."""

    def drain_arrivals(self, transport: TransportHandle) -> list[tuple[int, int]]:
        """(transport-wide sequence number as on the wire, now_ns) since the last call, in order of
        arrival; bounded, the oldest are dropped. For transport-wide feedback.
        """

    def drain_send_times(self, transport: TransportHandle) -> list[Arrival]:
        """The same of senders that have abs-send-time instead, for REMB."""

    # -- the path
    def receive(self, data: bytes, address: Address, now_ns: int) -> None:
        """One datagram from the wire."""

    def flush(self) -> None:
        """End of a read burst: send what was gathered for each address."""

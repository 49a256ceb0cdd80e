"""The boundary between the fast path, which forwards, and the slow path, which decides.

The fast path runs once for each datagram and holds no policy, no clock, no asyncio and no logging.
The slow path (router and transports) fills its tables through `Forwarder`, hears of what the fast
path does not handle through `Punts`, and reads counters and drained records in batches.

Times are `now_ns`, Unix time in nanoseconds, read once at the edge and passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NewType, Protocol

Address = tuple[str, int]
#: Handles given out by the forwarder; small integers, never used again in one process.
TransportHandle = NewType("TransportHandle", int)
StreamHandle = NewType("StreamHandle", int)
LegHandle = NewType("LegHandle", int)

Codec = Literal["opus", "VP8", "H264"]
Kind = Literal["audio", "video"]


class Cipher(Protocol):
    """SRTP of one transport, one session each way (pylibsrtp's `Session` is one)."""

    def protect(self, packet: bytes) -> bytes: ...
    def protect_rtcp(self, packet: bytes) -> bytes: ...
    def unprotect(self, packet: bytes) -> bytes: ...
    def unprotect_rtcp(self, packet: bytes) -> bytes: ...
    def remove_stream(self, ssrc: int) -> None:
        """Forget what is kept of an incoming SSRC; raises when there is nothing."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One received RTP packet, for bandwidth estimation: drained in batches by the slow path."""

    now_ns: int
    ssrc: int
    size_bytes: int
    abs_send_time: int | None  # 24 bit, 6.18 fixed point seconds (abs-send-time extension)


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """What comes in: one SSRC of one transport.

    `audio_level_id` and `abs_send_time_id` are the header extension ids that the *sender*
    negotiated (RFC 8285), 0 when it did not.
    """

    transport: TransportHandle
    ssrc: int
    kind: Kind
    codec: Codec
    payload_type: int
    clock_rate: int
    audio_level_id: int = 0
    abs_send_time_id: int = 0


@dataclass(frozen=True, slots=True)
class LegSpec:
    """What goes out: one SSRC of one transport, as the *receiver* negotiated it.

    A packet is sent with the payload type of its codec; a stream whose codec is not in
    `payload_types` cannot be selected. `mid` is stamped with `mid_id` (RFC 8843) when `mid_id`
    is not 0; the audio level of the packet is carried over with `audio_level_id` when not 0.
    """

    transport: TransportHandle
    ssrc: int
    kind: Kind
    payload_types: dict[Codec, int]
    mid: str = ""
    mid_id: int = 0
    audio_level_id: int = 0


@dataclass(frozen=True, slots=True)
class StreamCounters:
    """Reception of one stream since it was added (RFC 3550 §6.4.1, A.3, A.8)."""

    packets: int
    bytes: int  # of payload, without headers and padding
    lost: int
    jitter: int  # in units of the clock rate
    highest_sequence: int  # extended, as in a receiver report
    key_frames: int
    duplicates: int


@dataclass(frozen=True, slots=True)
class LegCounters:
    """What was sent on one leg since it was added."""

    packets: int  # without the resent ones
    bytes: int  # of payload, as a sender report counts them
    resent: int


@dataclass(frozen=True, slots=True)
class TransportCounters:
    """What crossed the wire on one transport since it was added (UDP payload bytes)."""

    received_packets: int
    received_bytes: int
    sent_packets: int
    sent_bytes: int
    rtp_sent_packets: int
    dropped_packets: int  # failed authentication, replayed, malformed, or of no known stream


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
        """A key frame began on a stream for which a leg's `select` was waiting."""


class Forwarder(Protocol):
    """The tables of the fast path and the path itself."""

    # -- transports
    def add_transport(self) -> TransportHandle:
        """A transport without address and keys: nothing goes in or out but punts."""

    def set_address(self, transport: TransportHandle, address: Address | None) -> None:
        """The nominated remote address; the newest wins and frees the old one. None: nothing is
        sent, and nothing but STUN is received, until there is one again.
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

    def remove_stream(self, stream: StreamHandle) -> None:
        """Legs that show it fall silent."""

    def add_leg(self, spec: LegSpec) -> LegHandle:
        """A leg that shows nothing yet."""

    def remove_leg(self, leg: LegHandle) -> None: ...

    def select(self, leg: LegHandle, stream: StreamHandle | None) -> None:
        """Show a stream on a leg, or nothing.

        Audio switches with the next packet. Video switches with the next key frame of the new
        stream; until then the old one, if it is still there, goes on. Selecting None, or removing
        the shown stream, stops at once. Sequence numbers and timestamps of a leg go on without a
        gap or a step backwards over every switch, VP8 picture ids and TL0PICIDX too.
        """

    def pause(self, leg: LegHandle, paused: bool) -> None:
        """A paused leg sends nothing; a video leg goes on at the next key frame."""

    def set_tap(self, stream: StreamHandle, tap: Callable[[bytes, int], None] | None) -> None:
        """Call `tap(packet, now_ns)` with each decrypted RTP packet, in order of arrival."""

    def set_discard(self, stream: StreamHandle, discard: bool) -> None:
        """A discarded stream is counted and goes nowhere: no leg, no tap, no ring."""

    # -- repair and reports
    def resend(self, leg: LegHandle, sequences: Sequence[int]) -> int:
        """Answer a NACK from the ring with the same outgoing packets; how many were sent."""

    def missing(self, stream: StreamHandle, now_ns: int) -> list[int]:
        """Sequence numbers to ask of the sender now: each at most a few times, then given up."""

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

    def drain_arrivals(self, transport: TransportHandle) -> list[Arrival]:
        """RTP packets of a transport since the last call; bounded, the oldest are dropped."""

    # -- the path
    def receive(self, data: bytes, address: Address, now_ns: int) -> None:
        """One datagram from the wire."""

    def flush(self) -> None:
        """End of a read burst: send what was gathered for each address."""

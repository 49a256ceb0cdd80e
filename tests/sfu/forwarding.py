"""An engine with real SRTP parties around it and a wire in memory."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field

from pylibsrtp import Policy, Session

from sfu.forwarder.contract import (
    Address,
    Codec,
    Kind,
    LegHandle,
    LegSpec,
    StreamHandle,
    StreamSpec,
    TransportHandle,
)
from sfu.forwarder.engine import Engine
from sfu.rtp.extensions import extension_block
from sfu.rtp.packet import RtpPacket
from sfu.rtp.payload import build_vp8

START_NS = 1_700_000_000_000_000_000
MS = 1_000_000

VP8_PT, OPUS_PT = 96, 111
#: What the sender negotiated, and what each receiver did.
LEVEL_IN, SEND_TIME_IN, TRANSPORT_CC_IN, DEPENDENCY_IN = 1, 3, 5, 7
MID_OUT, LEVEL_OUT, TRANSPORT_CC_OUT, DEPENDENCY_OUT = 4, 6, 8, 9
#: The payload types that receivers have for each codec, and for its repeats.
VIDEO_OUT: dict[Codec, int] = {"VP8": 101, "H264": 102, "VP9": 103, "AV1": 104}
RTX_OUT: dict[Codec, int] = {codec: number + 20 for codec, number in VIDEO_OUT.items()}
RTX_SSRC, RTX_IN = 950, 97

Profile = int
GCM: Profile = Policy.SRTP_PROFILE_AEAD_AES_128_GCM
CM: Profile = Policy.SRTP_PROFILE_AES128_CM_SHA1_80


class Wire:
    """The outbox of the engine: what was gathered waits for `flush`."""

    def __init__(self) -> None:
        self.gathered: list[tuple[Address, bytes]] = []
        self.sent: list[tuple[Address, bytes]] = []

    def gather(self, data: bytes, address: Address) -> None:
        self.gathered.append((address, data))

    def send(self, data: bytes, address: Address) -> None:
        self.sent.append((address, data))

    def flush(self) -> None:
        self.sent += self.gathered
        self.gathered.clear()


@dataclass
class Heard:
    """The punts of the engine, noted down; `adopt` answers an unknown SSRC."""

    stun: list[tuple[bytes, Address, int]] = field(default_factory=list)
    dtls: list[tuple[TransportHandle, bytes]] = field(default_factory=list)
    rtcp: list[tuple[TransportHandle, bytes, int]] = field(default_factory=list)
    unknown: list[bytes] = field(default_factory=list)
    key_frames: list[StreamHandle] = field(default_factory=list)
    engine: Engine | None = None
    adopt: StreamSpec | None = None

    def on_stun(self, data: bytes, address: Address, now_ns: int) -> None:
        self.stun.append((data, address, now_ns))

    def on_dtls(self, transport: TransportHandle, data: bytes) -> None:
        self.dtls.append((transport, data))

    def on_rtcp(self, transport: TransportHandle, packet: bytes, now_ns: int) -> None:
        self.rtcp.append((transport, packet, now_ns))

    def on_unknown_ssrc(self, transport: TransportHandle, packet: bytes, now_ns: int) -> bool:
        self.unknown.append(packet)
        if self.engine is None or self.adopt is None:
            return False
        self.engine.add_stream(self.adopt)
        return True

    def on_key_frame(self, stream: StreamHandle) -> None:
        self.key_frames.append(stream)


def _session(key: bytes, profile: Profile, direction: int) -> Session:
    policy = Policy(key=key, ssrc_type=direction, srtp_profile=profile)
    policy.window_size = 1024
    policy.allow_repeat_tx = True
    return Session(policy)


class Keys:
    """One end's SRTP, a session each way."""

    def __init__(self, outgoing: bytes, incoming: bytes, profile: Profile) -> None:
        sender = _session(outgoing, profile, Policy.SSRC_ANY_OUTBOUND)
        receiver = _session(incoming, profile, Policy.SSRC_ANY_INBOUND)
        self.protect, self.protect_rtcp = sender.protect, sender.protect_rtcp
        self.unprotect, self.unprotect_rtcp = receiver.unprotect, receiver.unprotect_rtcp
        self.remove_stream = receiver.remove_stream


class Party:
    """A remote peer: its transport in the engine, and its own end of SRTP."""

    def __init__(self, stage: Stage, port: int, profile: Profile) -> None:
        theirs, ours = os.urandom(30), os.urandom(30)
        self._stage = stage
        self.keys = Keys(theirs, ours, profile)
        self.address: Address = ("192.0.2.1", port)
        self.transport = stage.engine.add_transport()
        self.server_keys = Keys(ours, theirs, profile)

    def connect(self) -> Party:
        self._stage.engine.set_address(self.transport, self.address)
        self._stage.engine.set_cipher(self.transport, self.server_keys)
        return self

    def send(self, packet: RtpPacket | bytes) -> bytes:
        """Encrypt and hand to the engine; the datagram."""
        datagram: bytes = self.keys.protect(bytes(packet))
        self._stage.receive(datagram, self.address)
        return datagram

    def datagrams(self) -> list[bytes]:
        """What the engine has sent here since the last call, still encrypted."""
        sent = [data for address, data in self._stage.wire.sent if address == self.address]
        self._stage.wire.sent = [
            (address, data) for address, data in self._stage.wire.sent if address != self.address
        ]
        return sent

    def received(self) -> list[RtpPacket]:
        """What the engine has sent here since the last call, decrypted."""
        return [RtpPacket.parse(self.keys.unprotect(data)) for data in self.datagrams()]

    def adds(self, kind: Kind, ssrc: int, codec: Codec | None = None) -> StreamHandle:
        """A stream of this party."""
        codec = codec or ("opus" if kind == "audio" else "VP8")
        payload_type, clock_rate = (OPUS_PT, 48_000) if kind == "audio" else (VP8_PT, 90_000)
        spec = StreamSpec(
            self.transport, ssrc, kind, codec, payload_type, clock_rate, LEVEL_IN, SEND_TIME_IN
        )
        return self._stage.engine.add_stream(spec)

    def adds_modern(self, ssrc: int, codec: Codec = "VP8") -> StreamHandle:
        """A video stream with transport-wide sequence numbers, and repeats on `ssrc + 1000`."""
        spec = StreamSpec(
            self.transport,
            ssrc,
            "video",
            codec,
            VP8_PT,
            90_000,
            transport_cc_id=TRANSPORT_CC_IN,
            dependency_id=DEPENDENCY_IN,
        )
        stream = self._stage.engine.add_stream(spec)
        self._stage.engine.add_repair(stream, ssrc + 1000, RTX_IN)
        return stream

    def sees(self, stream: StreamHandle | None, kind: Kind = "video", ssrc: int = 900) -> LegHandle:
        """A leg to this party that shows `stream`."""
        payload_types: dict[Codec, int] = {"opus": 100} if kind == "audio" else {"VP8": 101}
        spec = LegSpec(self.transport, ssrc, kind, payload_types, "seat0", MID_OUT, LEVEL_OUT)
        leg = self._stage.engine.add_leg(spec)
        self._stage.engine.select(leg, stream)
        return leg

    def sees_modern(self, stream: StreamHandle | None, ssrc: int = 900) -> LegHandle:
        """A video leg with RTX and transport-wide sequence numbers."""
        spec = LegSpec(
            self.transport,
            ssrc,
            "video",
            VIDEO_OUT,
            "seat0",
            MID_OUT,
            transport_cc_id=TRANSPORT_CC_OUT,
            dependency_id=DEPENDENCY_OUT,
            rtx_ssrc=ssrc + 50,
            rtx_payload_types=RTX_OUT,
        )
        leg = self._stage.engine.add_leg(spec)
        self._stage.engine.select(leg, stream)
        return leg


class Stage:
    """The engine, its wire, its punts, and a clock that the test moves."""

    def __init__(self, heard: Heard | None = None) -> None:
        self.wire = Wire()
        self.heard = heard or Heard()
        self.engine = Engine(self.heard, self.wire)
        self.heard.engine = self.engine
        self.now_ns = START_NS
        self._ports = 1000

    def party(self, *, connected: bool = True, profile: Profile = GCM) -> Party:
        self._ports += 1
        party = Party(self, self._ports, profile)
        return party.connect() if connected else party

    def receive(self, data: bytes, address: Address) -> None:
        self.engine.receive(data, address, self.now_ns)
        self.engine.flush()


def video(
    sequence: int, *, key: bool = False, ssrc: int = 1, picture_id: int | None = None
) -> RtpPacket:
    """A VP8 frame of one packet; its payload tells its sequence number."""
    number = sequence if picture_id is None else picture_id
    descriptor = build_vp8(0x90E0, number & 0x7FFF, number & 0xFF) + b"\0"
    frame = (b"\0" if key else b"\1") + b"%d" % sequence
    time = sequence * 3000 & 0xFFFF_FFFF
    return RtpPacket(VP8_PT, sequence & 0xFFFF, time, ssrc, descriptor + frame, marker=True)


def audio(sequence: int, *, ssrc: int = 2, level: int | None = 30) -> RtpPacket:
    """An Opus packet with its level and a send time."""
    items = [(SEND_TIME_IN, b"\1\2\3")]
    if level is not None:
        items.append((LEVEL_IN, bytes((level,))))
    extension = extension_block(items)[4:]
    payload = b"opus %d" % sequence
    time = sequence * 960 & 0xFFFF_FFFF
    return RtpPacket(OPUS_PT, sequence & 0xFFFF, time, ssrc, payload, False, (), 0xBEDE, extension)


def layered(
    sequence: int,
    temporal: int = 0,
    *,
    key: bool = False,
    sync: bool = False,
    picture_id: int | None = None,
    ends: bool = True,
    ssrc: int = 1,
) -> RtpPacket:
    """A VP8 packet of a temporal layer; its payload tells its sequence number."""
    number = sequence if picture_id is None else picture_id
    descriptor = build_vp8(0x90E0, number & 0x7FFF, number & 0xFF)
    descriptor += bytes((temporal << 6 | sync << 5,))
    frame = (b"\0" if key else b"\1") + b"%d" % sequence
    return RtpPacket(
        VP8_PT, sequence & 0xFFFF, number * 3000 & 0xFFFF_FFFF, ssrc, descriptor + frame, ends
    )


def stamped(packet: RtpPacket, number: int) -> RtpPacket:
    """The packet with a transport-wide sequence number."""
    extension = extension_block([(TRANSPORT_CC_IN, number.to_bytes(2, "big"))])[4:]
    return dataclasses.replace(packet, extension_profile=0xBEDE, extension=extension)


def again(packet: RtpPacket, sequence: int, number: int = 0) -> RtpPacket:
    """The packet on its retransmission SSRC (RFC 4588)."""
    payload = packet.sequence.to_bytes(2, "big") + packet.payload
    return dataclasses.replace(
        stamped(packet, number),
        payload_type=RTX_IN,
        sequence=sequence,
        ssrc=packet.ssrc + 1000,
        payload=payload,
    )


def numbers(packets: list[RtpPacket]) -> list[int]:
    """The source sequence numbers that the payloads of `video` packets tell."""
    return [int(packet.payload[7:]) for packet in packets]

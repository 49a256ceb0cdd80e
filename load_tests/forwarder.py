"""Micro-benchmark of the forwarder without sockets: `python -m load_tests.forwarder`.

One VP8 sender, many receivers, real SRTP (AEAD_AES_128_GCM) on both sides. Prints CPU
microseconds for each packet that would have been sent, decryption of the incoming one included.
"""

from __future__ import annotations

import argparse
import os
import time

from pylibsrtp import Policy, Session

from sfu.forwarder.contract import Address, LegSpec, StreamHandle, StreamSpec, TransportHandle
from sfu.forwarder.engine import Engine
from sfu.rtp.packet import RtpPacket
from sfu.transport.srtp import SrtpCipher

KEY_BYTES = 28
KEY_FRAME = bytes.fromhex("90e0800001000000")  # descriptor with picture id, TL0PICIDX and TID
INTER_FRAME = bytes.fromhex("90e0800001000100")


class Sink:
    """An outbox and the punts: counts, and throws away."""

    def __init__(self) -> None:
        self.packets = 0

    def gather(self, data: bytes, address: Address) -> None:
        """Count a packet."""
        self.packets += 1

    def send(self, data: bytes, address: Address) -> None:
        """Count a packet."""
        self.packets += 1

    def flush(self) -> None:
        """Nothing waits."""

    def on_stun(self, data: bytes, address: Address, now_ns: int) -> None:
        """Does not come."""

    def on_dtls(self, transport: TransportHandle, data: bytes) -> None:
        """Does not come."""

    def on_rtcp(self, transport: TransportHandle, packet: bytes, now_ns: int) -> None:
        """Does not come."""

    def on_unknown_ssrc(self, transport: TransportHandle, packet: bytes, now_ns: int) -> bool:
        """Does not come."""
        return False

    def on_key_frame(self, stream: StreamHandle) -> None:
        """The legs have begun."""


def session(key: bytes, direction: int = Policy.SSRC_ANY_INBOUND) -> Session:
    """One direction of SRTP."""
    policy = Policy(key=key, ssrc_type=direction, srtp_profile=Policy.SRTP_PROFILE_AEAD_AES_128_GCM)
    policy.window_size = 1024
    policy.allow_repeat_tx = True
    return Session(policy)


def cipher(key: bytes) -> SrtpCipher:
    """Both directions of one transport, as the SFU has them after a handshake."""
    return SrtpCipher(session(key, Policy.SSRC_ANY_OUTBOUND), session(key))


def microseconds_per_packet(receivers: int, packets: int, payload_bytes: int) -> float:
    """CPU time of one outgoing packet, in µs."""
    sink = Sink()
    engine = Engine(sink, sink)
    sender_key = os.urandom(KEY_BYTES)
    transport = engine.add_transport()
    engine.set_address(transport, ("192.0.2.1", 1))
    engine.set_cipher(transport, cipher(sender_key))
    stream = engine.add_stream(StreamSpec(transport, 1, "video", "VP8", 96, 90_000, 0, 3))
    for number in range(receivers):
        receiver = engine.add_transport()
        engine.set_address(receiver, ("192.0.2.2", number))
        engine.set_cipher(receiver, cipher(os.urandom(KEY_BYTES)))
        leg = engine.add_leg(LegSpec(receiver, 2, "video", {"VP8": 97}, "1", 4))
        engine.select(leg, stream)
    source = session(sender_key, Policy.SSRC_ANY_OUTBOUND)
    incoming = []
    for number in range(packets):
        payload = (INTER_FRAME if number else KEY_FRAME) + bytes(payload_bytes)
        extension = bytes.fromhex("32000001")
        packet = RtpPacket(96, number, number * 300, 1, payload, False, (), 0xBEDE, extension)
        incoming.append(source.protect(bytes(packet)))
    now_ns = time.time_ns()
    started = time.process_time()
    for number, data in enumerate(incoming):
        engine.receive(data, ("192.0.2.1", 1), now_ns + number * 1_000_000)
        engine.flush()
    return (time.process_time() - started) * 1e6 / sink.packets


def main() -> None:
    """Print one line for each number of receivers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--payload-bytes", type=int, default=1040)
    parser.add_argument("--packets", type=int, default=100_000, help="outgoing packets a line")
    arguments = parser.parse_args()
    for receivers in (1, 5, 50):
        packets = max(1, min(30_000, arguments.packets // receivers))
        cost = microseconds_per_packet(receivers, packets, arguments.payload_bytes)
        print(f"{receivers:3d} receivers: {cost:5.2f} µs for each packet sent")


if __name__ == "__main__":
    main()

"""What a real Chromium sends goes through the engine, whole and by layers."""

from __future__ import annotations

import re

import pytest

from sfu.forwarder.contract import Codec, LegHandle, LegSpec, StreamSpec
from sfu.rtp.av1 import DependencyReader
from sfu.rtp.extensions import value
from sfu.rtp.packet import RtpPacket
from sfu.rtp.payload import parse_vp8
from sfu.rtp.vp9 import parse_vp9
from tests.sfu.forwarding import DEPENDENCY_OUT, RTX_OUT, VIDEO_OUT, Party, Stage
from tests.vectors import offer, packets

DEPENDENCY_URI = "dependency-descriptor-rtp-header-extension"
TRANSPORT_CC_URI = "transport-wide-cc-extensions-01"
VECTORS: dict[str, Codec] = {
    "chromium-vp8-simulcast": "VP8",
    "chromium-h264-simulcast": "H264",
    "chromium-vp9-svc": "VP9",
    "chromium-av1-temporal": "AV1",
    "chromium-av1-svc": "AV1",
}


def extension_id(name: str, uri: str) -> int:
    found = re.search(rf"a=extmap:(\d+) \S*{uri}", offer(name))
    return int(found[1]) if found else 0


def payload_type(name: str, codec: Codec) -> int:
    """The one that the recording uses: the first of the codec's that it has packets of."""
    offered = {int(number) for number in re.findall(rf"a=rtpmap:(\d+) {codec}/", offer(name))}
    return next(packet[1] & 0x7F for packet in packets(name) if packet[1] & 0x7F in offered)


def forwarded(name: str, spatial: int, temporal: int) -> tuple[list[RtpPacket], list[RtpPacket]]:
    """What the first SSRC of a recording sent, and what a leg with limits made of it."""
    codec, stage = VECTORS[name], Stage()
    sender, receiver = stage.party(), stage.party()
    wanted = payload_type(name, codec)
    sent = [p for p in map(RtpPacket.parse, packets(name)) if p.payload_type == wanted]
    sent = [packet for packet in sent if packet.ssrc == sent[0].ssrc]
    spec = StreamSpec(
        sender.transport,
        sent[0].ssrc,
        "video",
        codec,
        wanted,
        90_000,
        transport_cc_id=extension_id(name, TRANSPORT_CC_URI),
        dependency_id=extension_id(name, DEPENDENCY_URI),
    )
    stream = stage.engine.add_stream(spec)
    leg = leg_of(stage, receiver)
    stage.engine.limit(leg, spatial, temporal)
    stage.engine.select(leg, stream)
    for packet in sent:
        sender.send(packet)
    arrivals = stage.engine.drain_arrivals(sender.transport)
    assert len(arrivals) == len(sent)
    assert sum(stage.engine.carried(stream)[1]) == sum(len(packet.payload) for packet in sent)
    return sent, receiver.received()


def leg_of(stage: Stage, receiver: Party) -> LegHandle:
    return stage.engine.add_leg(
        LegSpec(
            receiver.transport,
            900,
            "video",
            VIDEO_OUT,
            dependency_id=DEPENDENCY_OUT,
            rtx_ssrc=950,
            rtx_payload_types=RTX_OUT,
        )
    )


@pytest.mark.parametrize("name", VECTORS)
def test_vectors__no_limit__everything_arrives_as_it_was(name: str) -> None:
    sent, received = forwarded(name, 7, 7)
    assert [packet.payload for packet in received] == [packet.payload for packet in sent]
    assert [packet.marker for packet in received] == [packet.marker for packet in sent]
    steps = [packet.sequence - received[0].sequence for packet in received]
    assert steps == [packet.sequence - sent[0].sequence & 0xFFFF for packet in sent]


def layers(name: str, received: list[RtpPacket]) -> list[tuple[int, int]]:
    codec, reader = VECTORS[name], DependencyReader()
    found = []
    for index, packet in enumerate(received):
        if codec == "VP8":
            found.append((0, parse_vp8(packet.payload, 0, len(packet.payload)).temporal))
        elif codec == "VP9":
            descriptor = parse_vp9(packet.payload, 0, len(packet.payload))
            found.append((descriptor.spatial, descriptor.temporal))
        else:
            data = value(bytes(packet), DEPENDENCY_OUT)
            assert data is not None
            read = reader.read(data, index)
            found.append((read.spatial, read.temporal))
    return found


@pytest.mark.parametrize("name", [name for name, codec in VECTORS.items() if codec != "H264"])
@pytest.mark.parametrize(("spatial", "temporal"), [(0, 0), (0, 7), (7, 0), (1, 1)])
def test_vectors__limit__only_lower_layers_without_a_hole(
    name: str, spatial: int, temporal: int
) -> None:
    everything = layers(name, forwarded(name, 7, 7)[1])
    _, received = forwarded(name, spatial, temporal)
    wanted = [(s, t) for s, t in everything if s <= spatial and t <= temporal]
    assert layers(name, received) == wanted
    assert max(everything) > (0, 0)
    steps = [packet.sequence - received[0].sequence & 0xFFFF for packet in received]
    assert steps == list(range(len(received)))
    pictures = {packet.timestamp: packet.marker for packet in received}
    assert list(pictures.values()).count(False) <= 1, "only the last picture may be cut"

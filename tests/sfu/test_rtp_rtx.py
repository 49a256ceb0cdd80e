from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.rtp.extensions import value
from sfu.rtp.packet import RtpPacket, payload_bounds
from sfu.rtp.payload import PayloadFormatError
from sfu.rtp.rtx import original_sequence, restore
from sfu.transport.description import REPAIRED_RID_URI, RID_URI, parse_offer
from tests import vectors

_U16, _U32 = st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)


@given(_U16, _U16, _U32, st.booleans(), st.binary(max_size=30), st.integers(0, 3))
def test_restored__is_the_packet_that_was_repeated(
    sequence: int, other: int, timestamp: int, marker: bool, payload: bytes, words: int
) -> None:
    extension = {"extension_profile": 0xBEDE, "extension": bytes(4 * words)} if words else {}
    lost = RtpPacket(96, sequence, timestamp, 7, payload, marker=marker, **extension)  # type: ignore[arg-type]
    again = bytes(
        RtpPacket(
            97,
            other,
            timestamp,
            8,
            sequence.to_bytes(2, "big") + payload,
            marker=marker,
            **extension,  # type: ignore[arg-type]
        )
    )
    start, end = payload_bounds(again)
    assert original_sequence(again, start, end) == sequence
    assert restore(again, start, 7, 96) == bytes(lost)


def test_empty__only_probes() -> None:
    assert original_sequence(bytes(12), 12, 12) == -1


def test_one_byte__format_error() -> None:
    with pytest.raises(PayloadFormatError):
        original_sequence(bytes(13), 12, 13)


def test_chromium__repeats_what_it_sent_before() -> None:
    name = "chromium-vp8-simulcast"
    camera = parse_offer(vectors.offer(name)).of_role("camera")
    assert camera is not None
    codec = camera.codecs[0]
    ssrcs: dict[bytes | None, bytes] = {}
    sent: dict[tuple[bytes, int], RtpPacket] = {}
    repeated = 0
    for packet in vectors.packets(name):
        start, end = payload_bounds(packet)
        if packet[1] & 0x7F == codec.payload_type:
            ssrcs[value(packet, camera.extensions[RID_URI])] = packet[8:12]
            read = RtpPacket.parse(packet)
            sent[packet[8:12], read.sequence] = read
            continue
        ssrc = ssrcs[value(packet, camera.extensions[REPAIRED_RID_URI])]
        again = RtpPacket.parse(
            restore(packet, start, int.from_bytes(ssrc, "big"), codec.payload_type)
        )
        before = sent[ssrc, original_sequence(packet, start, end)]
        assert (again.timestamp, again.marker) == (before.timestamp, before.marker)
        # The vector cuts both payloads at one size, two bytes of which are the number.
        assert before.payload.startswith(again.payload)
        repeated += 1
    assert repeated

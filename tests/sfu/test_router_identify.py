from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.router.identify import Identity, identify, layers_of
from sfu.rtp.extensions import extension_block
from sfu.rtp.packet import RtpPacket
from sfu.transport.description import Section, parse_offer
from tests.sfu.offers import VP8, Line, offer
from tests.sfu.simulcast import CAMERA, MID_ID, REPAIRED_RID_ID, RID_ID

GROUPS = (
    "a=ssrc-group:SIM 301 302 303",
    "a=ssrc-group:FID 301 311",
    "a=ssrc-group:FID 302 312",
    "a=ssrc-group:FID 303 313",
    *(f"a=ssrc:{ssrc} cname:x" for ssrc in (301, 302, 303, 311, 312, 313)),
)
#: As clients without RIDs name their layers.
NAMED = Line("cam", codecs=VP8, extra=GROUPS, without=("a=ssrc:21",))


def sections(*lines: str | Line) -> list[Section]:
    return [s for s in parse_offer(offer(*lines)).sections if s.role != "seat"]


def packet(ssrc: int, payload_type: int, *items: tuple[int, str]) -> bytes:
    block = extension_block([(number, text.encode()) for number, text in items])
    extension = (0xBEDE, block[4:]) if items else (None, b"")
    return bytes(RtpPacket(payload_type, 1, 1, ssrc, b"payload", False, (), *extension))


def found(
    of: list[Section], data: bytes, known: dict[int, int] | None = None
) -> tuple[str, int, bool] | None:
    formats = {section.mid: section.codecs[0] for section in of}
    identity = identify(data, of, formats, known or {})
    return None if identity is None else (identity.section.mid, identity.layer, identity.repair)


@pytest.mark.parametrize(("rid", "layer"), [("q", 0), ("h", 1), ("f", 2)])
def test_layer__is_found_by_rid_and_its_repair_by_repaired_rid(rid: str, layer: int) -> None:
    of = sections("mic", CAMERA)
    assert found(of, packet(9, 96, (MID_ID, "1"), (RID_ID, rid))) == ("1", layer, False)
    assert found(of, packet(9, 97, (MID_ID, "1"), (REPAIRED_RID_ID, rid))) == ("1", layer, True)


def test_unknown_rid_or_none__is_nobodys_layer() -> None:
    of = sections("mic", CAMERA)
    assert found(of, packet(9, 96, (MID_ID, "1"), (RID_ID, "x"))) is None
    assert found(of, packet(9, 96, (MID_ID, "1"))) is None
    assert found(of, packet(9, 97, (MID_ID, "1"), (RID_ID, "q"))) is None


def test_layer__is_found_by_its_place_in_the_named_group() -> None:
    of = sections("mic", NAMED)
    for layer in range(3):
        assert found(of, packet(301 + layer, 96)) == ("1", layer, False)
        assert found(of, packet(311 + layer, 97)) == ("1", layer, True)
    assert found(of, packet(304, 96)) is None


def test_layer__more_in_the_named_group_than_rids__is_found_by_rid_only() -> None:
    extra = (*CAMERA.extra[:-1], "a=simulcast:send q;h", *GROUPS)
    extra = tuple(line for line in extra if line != "a=rid:f send")
    of = sections("mic", replace(CAMERA, extra=extra, without=("a=ssrc:21",)))
    assert of[1].rids == ("q", "h")
    assert len(of[1].layer_ssrcs) == 3
    assert found(of, packet(303, 96, (MID_ID, "1"))) is None
    assert found(of, packet(303, 96, (MID_ID, "1"), (RID_ID, "h"))) == ("1", 1, False)


def test_repair_without_its_rid__is_found_by_the_stream_that_it_names() -> None:
    extra = (*CAMERA.extra, "a=ssrc-group:FID 401 411", "a=ssrc:401 cname:x")
    line = replace(CAMERA, extra=extra, without=("a=ssrc:21",))
    of = sections("mic", line)
    data = packet(411, 97, (MID_ID, "1"))
    assert found(of, data) is None
    assert found(of, data, {401: 2}) == ("1", 2, True)


def test_payload_type_that_was_not_agreed__is_nobodys() -> None:
    of = sections("mic", "cam")
    assert found(of, packet(21, 102)) is None
    assert found(of, packet(21, 96)) == ("1", 0, False)


def test_group_of_layers_on_a_microphone__is_no_group() -> None:
    """It would ask for layers that audio has no way to name."""
    of = sections(Line("mic", extra=("a=ssrc-group:SIM 11 12 13",)), "cam")
    assert layers_of(of[0]) == 1
    assert found(of, packet(11, 111, (MID_ID, "0"))) == ("0", 0, False)
    assert found(of, packet(99, 111, (MID_ID, "0"))) == ("0", 0, False)


@given(st.binary(min_size=12, max_size=60), st.integers(0, 127))
def test_any_bytes__raise_nothing(rest: bytes, payload_type: int) -> None:
    of = sections("mic", CAMERA, "screen")
    data = bytes((0x90, payload_type)) + rest
    identity = identify(data, of, {section.mid: section.codecs[0] for section in of}, {})
    assert identity is None or isinstance(identity, Identity)

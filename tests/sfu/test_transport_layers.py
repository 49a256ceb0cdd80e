from __future__ import annotations

import pytest

from sfu.errors import OfferError
from sfu.transport.layers import named_streams, simulcast
from sfu.transport.sections import Block

QHF = ["q send", "h send", "f send"]


def block(**attributes: list[str]) -> Block:
    return Block(
        "video", attributes={name.replace("_", "-"): values for name, values in attributes.items()}
    )


@pytest.mark.parametrize(
    ("rid", "value", "expected"),
    [
        (QHF, "send q;h;f", ("q", "h", "f")),
        (QHF, "send f;h", ("f", "h")),
        (QHF, "send q;~h", ("q", "h")),
        (QHF, "send q,h;f", ("q", "f")),
        (QHF, "recv x send q;h", ("q", "h")),
        (QHF, "send q recv h;f", ("q",)),
        (["q send pt=96;max-width=320", "h send"], "send q;h", ("q", "h")),
        (["q send"], "send q;h", ("q",)),  # no such rid line
        (["q recv", "h send"], "send q;h", ("h",)),
        (QHF, "recv q;h;f", ()),
        (QHF, "send", ()),
        (QHF, "send ;;", ()),
        (QHF, "", ()),
        ([f"{'r' * 17} send"], f"send {'r' * 17}", ()),
    ],
)
def test_simulcast__rids_in_the_offers_order(
    rid: list[str], value: str, expected: tuple[str, ...]
) -> None:
    assert simulcast(block(rid=rid, simulcast=[value])) == expected


def test_rids__without_simulcast__are_none() -> None:
    assert simulcast(block(rid=["q send"])) == ()


@pytest.mark.parametrize("value", ["send q;h;f;x", "send q;q"])
def test_simulcast__too_many_or_twice__is_refused(value: str) -> None:
    with pytest.raises(OfferError) as caught:
        simulcast(block(rid=[*QHF, "x send"], simulcast=[value]))
    assert caught.value.reason == "bad_simulcast"


def test_ssrcs__layers_and_their_repairs() -> None:
    found = named_streams(
        block(
            ssrc=[f"{ssrc} cname:x" for ssrc in (1, 11, 2, 12, 3, 13, 3, 99)],
            ssrc_group=["SIM 1 2 3", "FID 1 11", "FID 2 12", "FID 3 13", "FEC-FR 1 99"],
        )
    )
    assert found.media == (1, 2, 3)
    assert found.layers == (1, 2, 3)
    assert found.repairs == {11: 1, 12: 2, 13: 3}


def test_ssrcs__without_groups__are_media() -> None:
    found = named_streams(block(ssrc=["5 cname:x", "5 msid:a b", "4294967296 cname:x", "x"]))
    assert found == ((5,), (), {})


@pytest.mark.parametrize("group", ["FID 1", "FID 1 2 3", "LS 1 2", "SIM 1 4294967296", "FID 1 x"])
def test_group__that_is_no_group__is_passed_over(group: str) -> None:
    found = named_streams(block(ssrc_group=[group]))
    assert (found.layers, found.repairs) == ((), {})


@pytest.mark.parametrize("group", ["SIM 1 2 3 4", "SIM 1 1"])
def test_sim_group__too_many_or_twice__is_refused(group: str) -> None:
    with pytest.raises(OfferError) as caught:
        named_streams(block(ssrc_group=[group]))
    assert caught.value.reason == "bad_simulcast"


def test_ssrcs__without_number__are_bounded() -> None:
    many = [f"{ssrc} cname:x" for ssrc in range(1, 200)]
    groups = [f"FID {ssrc} {1000 + ssrc}" for ssrc in range(1, 200)]
    found = named_streams(block(ssrc=many, ssrc_group=groups))
    assert len(found.media) == len(found.repairs) == 16

from __future__ import annotations

import pytest

from tests.sfu.forwarding import (
    MS,
    Stage,
    audio,
    numbers,
    video,
)


def test_select__another_video__goes_on_with_the_old_until_its_key_frame() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    old, new = sender.adds("video", 1), sender.adds("video", 5)
    leg = receiver.sees(old)
    sender.send(video(10, key=True))
    stage.engine.select(leg, new)
    sender.send(video(11))
    sender.send(video(700, ssrc=5))
    assert stage.engine.leg_time(leg, 0) is not None
    stage.now_ns += 100 * MS
    sender.send(video(701, ssrc=5, key=True))
    sender.send(video(12))
    sender.send(video(702, ssrc=5))
    received = receiver.received()
    assert numbers(received) == [10, 11, 701, 702]
    first = received[0]
    assert [packet.sequence - first.sequence for packet in received] == [0, 1, 2, 3]
    steps = [packet.timestamp - first.timestamp & 0xFFFF_FFFF for packet in received]
    assert steps == [0, 3000, 12_000, 15_000]
    picture_ids = [int.from_bytes(packet.payload[2:4], "big") & 0x7FFF for packet in received]
    assert picture_ids == [10, 11, 12, 13]
    assert [packet.payload[4] for packet in received] == [10, 11, 12, 13]


def test_select__another_audio__switches_with_the_next_packet() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    old, new = sender.adds("audio", 2), sender.adds("audio", 6)
    leg = receiver.sees(old, "audio")
    sender.send(audio(1))
    stage.engine.select(leg, new)
    sender.send(audio(2))
    sender.send(audio(50, ssrc=6))
    received = receiver.received()
    assert [packet.payload for packet in received] == [b"opus 1", b"opus 50"]
    assert received[1].sequence == received[0].sequence + 1
    assert stage.heard.key_frames == []


def test_select__back_to_the_old_one__never_leaves_it() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    old, new = sender.adds("video", 1), sender.adds("video", 5)
    leg = receiver.sees(old)
    sender.send(video(1, key=True))
    stage.engine.select(leg, new)
    stage.engine.select(leg, old)
    sender.send(video(70, ssrc=5, key=True))
    sender.send(video(2))
    assert numbers(receiver.received()) == [1, 2]


def test_select__none__stops_at_once() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    leg = receiver.sees(sender.adds("video", 1))
    sender.send(video(1, key=True))
    stage.engine.select(leg, None)
    sender.send(video(2, key=True))
    assert numbers(receiver.received()) == [1]
    assert stage.engine.leg_time(leg, 0) is None
    assert stage.engine.resend(leg, range(1 << 16), stage.now_ns) == []


def test_select__what_the_leg_cannot_carry__value_error() -> None:
    stage = Stage()
    party = stage.party()
    sound, h264 = party.adds("audio", 2), party.adds("video", 3, "H264")
    leg = party.sees(None)
    for stream in (sound, h264):
        with pytest.raises(ValueError, match="cannot carry"):
            stage.engine.select(leg, stream)


def test_select__a_stream_held_until_now__numbers_do_not_step_back_with_its_late_packets() -> None:
    stage = Stage()
    an, binh, viewer = stage.party(), stage.party(), stage.party()
    held, heard = an.adds("audio", 2), binh.adds("audio", 3)
    leg = viewer.sees(heard, "audio")
    for sequence in range(1000, 1600):
        binh.send(audio(sequence, ssrc=3))
    used = {packet.sequence for packet in viewer.received()}
    stage.engine.set_discard(held, True)
    an.send(audio(401, ssrc=2))
    stage.engine.set_discard(held, False)
    stage.engine.select(leg, held)
    an.send(audio(400, ssrc=2))  # sent before it was let in
    assert viewer.received() == []
    an.send(audio(402, ssrc=2))
    stage.engine.select(leg, heard)
    for sequence in range(1600, 1605):
        binh.send(audio(sequence, ssrc=3))
    later = [packet.sequence for packet in viewer.received()]
    assert len(later) == 6  # one of the other's, five of the first's
    assert used.isdisjoint(later)


def test_pause__video__goes_on_at_the_next_key_frame_without_a_gap() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    leg = receiver.sees(sender.adds("video", 1))
    sender.send(video(1, key=True))
    stage.engine.pause(leg, True)
    sender.send(video(2))
    sender.send(video(3, key=True))
    assert stage.engine.resend(leg, range(1 << 16), stage.now_ns) == []
    stage.engine.pause(leg, False)
    stage.engine.pause(leg, False)
    sender.send(video(4))
    stage.now_ns += 1000 * MS
    sender.send(video(5, key=True))
    received = receiver.received()
    assert numbers(received) == [1, 5]
    assert received[1].sequence == received[0].sequence + 1
    assert received[1].timestamp - received[0].timestamp & 0xFFFF_FFFF == 90_000


def test_leg_before_its_keys__begins_when_they_are_there() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party(connected=False)
    stream = sender.adds("video", 1)
    receiver.sees(stream)
    sender.send(video(1, key=True))
    assert stage.heard.key_frames == []
    receiver.connect()
    sender.send(video(2))
    sender.send(video(3, key=True))
    assert numbers(receiver.received()) == [3]
    assert stage.heard.key_frames == [stream]


def test_remove_stream__legs_fall_silent_and_can_show_another() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    old = sender.adds("video", 1)
    leg = receiver.sees(old)
    sender.send(video(1, key=True))
    stage.engine.remove_stream(old)
    stage.engine.remove_stream(old)
    sender.send(video(2))
    assert stage.engine.leg_time(leg, 0) is None
    stage.engine.select(leg, sender.adds("video", 1))
    sender.send(video(3, key=True))
    assert numbers(receiver.received()) == [1, 3]


def test_remove_stream__that_a_leg_waited_for__goes_on_with_what_it_shows() -> None:
    stage = Stage()
    sender, receiver = stage.party(), stage.party()
    old, new = sender.adds("video", 1), sender.adds("video", 5)
    leg = receiver.sees(old)
    sender.send(video(1, key=True))
    stage.engine.select(leg, new)
    stage.engine.remove_stream(new)
    sender.send(video(2))
    stage.engine.select(leg, old)
    sender.send(video(3))
    assert numbers(receiver.received()) == [1, 2, 3]
    stage.engine.remove_stream(old)
    assert stage.engine.leg_time(leg, 0) is None


def test_remove_transport__takes_its_streams_and_legs_along() -> None:
    stage = Stage()
    both, other = stage.party(), stage.party()
    shown, seen = both.adds("video", 1), other.adds("video", 5)
    other.sees(shown)
    leg = both.sees(seen)
    both.send(video(1, key=True))
    other.send(video(1, ssrc=5, key=True))
    stage.wire.sent.clear()
    stage.engine.remove_transport(both.transport)
    stage.engine.remove_transport(both.transport)
    both.send(video(2, key=True))
    other.send(video(2, ssrc=5, key=True))
    assert stage.wire.sent == []
    for stale in (
        lambda: stage.engine.leg_counters(leg),
        lambda: stage.engine.missing(shown, 0, 0),
    ):
        with pytest.raises(KeyError):
            stale()


def test_add_stream__same_ssrc_twice__value_error() -> None:
    stage = Stage()
    first, second = stage.party(), stage.party()
    first.adds("video", 1)
    second.adds("video", 1)
    with pytest.raises(ValueError, match="SSRC"):
        first.adds("video", 1)


# ------------------------------------------------------------ the sender's clock


def switch_step(stage: Stage, origins: tuple[int | None, int | None], late_ms: int) -> int:
    """How far a leg's timestamp goes when it switches to a layer that was captured 40 ms later."""
    sender, receiver = stage.party(), stage.party()
    low, high = sender.adds("video", 1), sender.adds("video", 5)
    for stream, origin in zip((low, high), origins, strict=True):
        if origin is not None:
            stage.engine.set_clock(stream, origin)
    leg = receiver.sees(low)
    sender.send(video(1, key=True))  # timestamp 3000
    stage.engine.select(leg, high)
    stage.now_ns += late_ms * MS
    sender.send(video(11, key=True, ssrc=5))  # timestamp 33000
    first, second = receiver.received()
    return (second.timestamp - first.timestamp + 0x8000_0000 & 0xFFFF_FFFF) - 0x8000_0000


def test_switch__clocks_known__exactly_in_the_senders_time() -> None:
    origins = (0xFFFF_FF00, 0xFFFF_FF00 + 30_000 - 3600 & 0xFFFF_FFFF)
    assert switch_step(Stage(), origins, late_ms=55) == 3600


@pytest.mark.parametrize("origins", [(None, None), (0, None), (None, 0)])
def test_switch__a_clock_unknown__in_the_time_of_arrival(
    origins: tuple[int | None, int | None],
) -> None:
    assert switch_step(Stage(), origins, late_ms=55) == 55 * 90


def test_switch__clocks_that_cannot_be__in_the_time_of_arrival() -> None:
    assert switch_step(Stage(), (0, 0x1234_5678), late_ms=55) == 55 * 90


def test_switch__to_an_earlier_instant__never_steps_back() -> None:
    assert switch_step(Stage(), (0, 30_000 + 3600), late_ms=1) == 1


def test_switch__to_another_sender__in_the_time_of_arrival() -> None:
    stage = Stage()
    one, two, receiver = stage.party(), stage.party(), stage.party()
    first, second = one.adds("video", 1), two.adds("video", 1)
    for stream in (first, second):
        stage.engine.set_clock(stream, 7)
    leg = receiver.sees(first)
    one.send(video(1, key=True))
    stage.engine.select(leg, second)
    stage.now_ns += 55 * MS
    two.send(video(2, key=True))
    before, after = receiver.received()
    assert after.timestamp - before.timestamp & 0xFFFF_FFFF == 55 * 90

"""Each fault is named within 5 s of its beginning, and what is no fault is not."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signaling.protocol.messages import SeatStats, Stats
from signaling.quality.faults import Detector
from signaling.quality.observations import Duty, Flow
from signaling.rooms.room import Break

GOOD = Flow(
    round_trip_ms=40.0,
    up_bps=900_000,
    up_loss=0.0,
    up_jitter_ms=3.0,
    audio_packets=50,
    level=45,
    video_frames=25,
    down_bps=900_000,
    down_packets=150,
    down_loss=0.0,
    acknowledged=True,
)
FULL_DUTY = Duty(
    audio=True,
    video=True,
    may_send_audio=True,
    may_send_video=True,
    receives=True,
    pictures=frozenset({0}),
)
LISTENS = msgspec.structs.replace(FULL_DUTY, audio=False, video=False)

TALKS = Stats(
    microphone="on",
    camera="on",
    microphone_level=0.1,
    camera_frames=0,
    seats=(SeatStats(seat=0),),
)


@dataclass
class Person:
    """A person in the call, whose client reports half a second after each second of the SFU."""

    detector: Detector = field(default_factory=lambda: Detector(1000.0))
    now: float = 1000.0
    flow: Flow | None = GOOD
    duty: Duty = FULL_DUTY
    reports: bool = True
    stats: Stats = field(default_factory=lambda: TALKS)
    received: int = 150
    frames: int = 25
    decoded: int = 25
    hears_flows: bool = True
    #: What was found at the half of the last second.
    midway: tuple[Break, ...] = ()

    def second(self) -> tuple[Break, ...]:
        """One second passes: the faults at its end."""
        self.now += 0.5
        if self.hears_flows:
            self.detector.take_flow(self.flow, self.now)
        self.midway = self.detector.judge(self.duty, self.now)
        self.now += 0.5
        if self.reports:
            self._report()
        return self.detector.judge(self.duty, self.now)

    def _report(self) -> None:
        frames = self.stats.camera_frames
        seat = self.stats.seats[0]
        self.stats = msgspec.structs.replace(
            self.stats,
            camera_frames=None if frames is None else frames + self.frames,
            received_packets=self.stats.received_packets + self.received,
            seats=(
                msgspec.structs.replace(
                    seat,
                    frames_received=seat.frames_received + 25,
                    frames_decoded=seat.frames_decoded + self.decoded,
                ),
            ),
        )
        self.detector.take_stats(self.stats, self.now)

    def seconds(self, count: int) -> list[str]:
        """The codes after so many seconds."""
        found: tuple[Break, ...] = ()
        for _ in range(count):
            found = self.second()
        return [each.reason for each in found]

    def sfu(self, **fields: object) -> None:
        self.flow = msgspec.structs.replace(self.flow or GOOD, **fields)

    def says(self, **fields: object) -> None:
        self.stats = msgspec.structs.replace(self.stats, **fields)


def in_a_good_call(**fields: object) -> Person:
    person = Person(**fields)  # type: ignore[arg-type]  # fields of Person
    assert person.seconds(15) == []
    return person


def named_within_5_s(person: Person) -> list[str]:
    """What is found, which must be there no later than 4 s after it began; since when is right."""
    began = person.now
    for _ in range(4):
        found = person.second()
        if found:
            assert all(began - 1 <= each.start <= began + 1.5 for each in found)
            return [each.reason for each in found]
    return []


def test_good_call__no_fault() -> None:
    assert in_a_good_call().seconds(60) == []


def test_microphone_muted_by_the_system() -> None:
    person = in_a_good_call()
    person.says(microphone="muted")
    person.sfu(level=127)
    assert named_within_5_s(person) == ["microphone_muted"]


def test_microphone_of_a_silent_client_gives_only_zeros() -> None:
    person = in_a_good_call(reports=False)
    person.sfu(level=127)
    assert named_within_5_s(person) == ["microphone_muted"]


@pytest.mark.parametrize("kind", ["audio", "video"])
def test_muted_by_the_chair__the_device_is_no_fault(kind: str) -> None:
    person = in_a_good_call()
    person.duty = msgspec.structs.replace(FULL_DUTY, **{kind: False, f"may_send_{kind}": False})
    person.says(**{"audio": {"microphone": "muted"}, "video": {"camera": "muted"}}[kind])
    assert person.seconds(20) == []


def test_silent_microphone() -> None:
    person = in_a_good_call()
    person.says(microphone_level=0.0)
    person.sfu(level=127)
    assert named_within_5_s(person) == ["microphone_silent"]


def test_microphone_that_sends_nothing_while_the_picture_comes() -> None:
    person = in_a_good_call()
    person.says(microphone_level=0.0)
    person.sfu(audio_packets=0, level=None)
    assert named_within_5_s(person) == ["microphone_silent"]


@pytest.mark.parametrize("meter", [0.1, None])
def test_one_way_sound__whatever_the_own_meter_says(meter: float | None) -> None:
    person = in_a_good_call()
    person.says(microphone_level=meter)
    person.sfu(audio_packets=0, level=None)
    assert named_within_5_s(person) == ["microphone_silent"]


def test_silent_microphone_without_levels_at_the_sfu() -> None:
    person = in_a_good_call()
    person.says(microphone_level=0.0)
    person.sfu(level=None)
    assert named_within_5_s(person) == ["microphone_silent"]


@pytest.mark.parametrize("level", [60, 80, 89])
def test_quiet_room__no_fault(level: int) -> None:
    person = in_a_good_call()
    person.says(microphone_level=0.0)  # asked for between two words
    person.sfu(level=level, audio_packets=3)
    assert person.seconds(60) == []


def test_noise_gate__a_fault_only_when_it_stays_shut() -> None:
    person = in_a_good_call()
    person.says(microphone_level=0.0)
    person.sfu(level=95)
    assert person.seconds(10) == []
    assert person.seconds(5) == ["microphone_silent"]


@pytest.mark.parametrize("reports", [True, False])
def test_noise_gate_of_a_client_without_a_meter__no_fault(reports: bool) -> None:
    person = in_a_good_call(reports=reports)
    person.says(microphone_level=None)
    person.sfu(level=95)
    assert person.seconds(30) == []


def test_own_meter_moves__no_silence() -> None:
    person = in_a_good_call()
    person.sfu(level=127)
    assert person.seconds(20) == []


def test_microphone_switched_off__no_fault() -> None:
    person = in_a_good_call()
    person.duty = msgspec.structs.replace(FULL_DUTY, audio=False)
    person.says(microphone="off", microphone_level=0.0)
    person.sfu(level=127)
    assert person.seconds(20) == []


def test_microphone_just_switched_on__time_to_begin() -> None:
    person = in_a_good_call(duty=msgspec.structs.replace(FULL_DUTY, audio=False))
    person.duty = FULL_DUTY
    person.says(microphone_level=0.0)
    person.sfu(level=127)
    assert person.seconds(3) == []


def test_camera_muted_by_the_system() -> None:
    person = in_a_good_call()
    person.says(camera="muted")
    person.frames = 0
    person.sfu(video_frames=0)
    assert named_within_5_s(person) == ["camera_muted"]


def test_camera_frozen_by_the_client() -> None:
    person = in_a_good_call()
    person.frames = 0  # the encoder repeats the last picture
    assert named_within_5_s(person) == ["camera_frozen"]


def test_camera_frozen_by_the_sfu() -> None:
    person = in_a_good_call(reports=False)
    person.sfu(video_frames=0)
    assert named_within_5_s(person) == ["camera_frozen"]


def test_pictures_lost_after_the_camera__not_the_camera() -> None:
    person = in_a_good_call()
    person.sfu(video_frames=0)
    assert person.seconds(20) == []


def test_camera_that_nobody_takes__no_fault() -> None:
    person = in_a_good_call()
    person.duty = msgspec.structs.replace(FULL_DUTY, video=False)
    person.sfu(video_frames=0)
    assert person.seconds(20) == []


def test_camera_asked_for_again__time_to_begin() -> None:
    person = in_a_good_call(duty=msgspec.structs.replace(FULL_DUTY, video=False))
    person.duty = FULL_DUTY
    person.sfu(video_frames=0)
    assert person.seconds(3) == []


@pytest.mark.parametrize("row", [None, msgspec.structs.replace(GOOD, up_bps=0, audio_packets=0)])
def test_uplink_blocked(row: Flow | None) -> None:
    person = in_a_good_call()
    person.flow = row
    assert named_within_5_s(person) == ["uplink_blocked"]


def test_uplink_blocked__explains_what_else_is_missing() -> None:
    person = in_a_good_call()
    person.frames = 0
    person.sfu(up_bps=0, audio_packets=0, level=None, video_frames=0)
    assert named_within_5_s(person) == ["uplink_blocked"]


def test_nothing_to_send_or_receive__nothing_blocked() -> None:
    person = in_a_good_call()
    person.duty = msgspec.structs.replace(LISTENS, receives=False)
    person.flow = None
    assert person.seconds(20) == []


def test_media_being_set_up__ten_seconds_of_patience() -> None:
    person = Person(flow=None)
    assert person.seconds(9) == []
    assert person.seconds(4) == ["uplink_blocked"]


def test_media_set_up_anew__patience_again() -> None:
    person = in_a_good_call()
    person.flow = None
    person.detector.begin_anew(person.now)
    assert person.seconds(9) == []


def test_downlink_blocked_by_the_client() -> None:
    person = in_a_good_call()
    person.received, person.decoded = 0, 0
    assert named_within_5_s(person) == ["downlink_blocked"]


def test_downlink_blocked_by_the_sfu() -> None:
    """It waits two seconds for a confirmation before it says so: there is not much time left."""
    person = in_a_good_call(reports=False)
    person.sfu(acknowledged=False)
    began = person.now
    person.second()
    (found,) = person.second()
    assert found.reason == "downlink_blocked"
    assert began - 2 <= found.start <= began


def test_downlink__the_client_knows_better_than_confirmations() -> None:
    person = in_a_good_call()
    person.sfu(acknowledged=False)
    assert person.seconds(20) == []


def test_nothing_sent__no_blocked_downlink() -> None:
    person = in_a_good_call()
    person.received = 0
    person.sfu(down_packets=0, down_bps=0)
    assert person.seconds(20) == []


CUT_OFF = msgspec.structs.replace(
    GOOD, up_bps=0, audio_packets=0, level=None, video_frames=0, acknowledged=False
)


def test_listeners_media_blocked__named_until_it_is_mended() -> None:
    person = in_a_good_call(duty=LISTENS)
    person.flow, person.received = CUT_OFF, 0
    assert named_within_5_s(person) == ["downlink_blocked"]
    person.seconds(10)
    person.flow = None  # the SFU gives it up
    assert [person.seconds(1) for _ in range(20)] == [["downlink_blocked"]] * 20
    person.flow, person.received = GOOD, 150
    assert person.seconds(2) == []


def test_listeners_whole_network_cut__named() -> None:
    person = in_a_good_call(duty=LISTENS)
    person.flow, person.reports = CUT_OFF, False
    assert person.seconds(4) == ["downlink_blocked"]
    person.flow = None
    assert person.seconds(20) == ["downlink_blocked"]


def test_listener_never_connects__named_after_ten_seconds_of_patience() -> None:
    person = Person(duty=LISTENS, flow=None, received=0)
    assert person.seconds(9) == []
    assert person.seconds(4) == ["downlink_blocked"]


def test_talker_loses_the_connection__one_name_after_the_other_without_a_gap() -> None:
    person = in_a_good_call()
    person.duty = msgspec.structs.replace(FULL_DUTY, pictures=frozenset())
    person.received = 0
    assert person.seconds(5) == ["downlink_blocked"]
    person.flow = None
    assert all(person.seconds(1) and person.midway for _ in range(10))
    assert person.seconds(1) == ["uplink_blocked"]


def test_talkers_whole_network_cut__one_name_for_it() -> None:
    person = in_a_good_call()
    person.flow, person.reports = CUT_OFF, False
    assert person.seconds(5) == ["uplink_blocked"]


def test_silent_listener_loses_the_connection__named_since_then() -> None:
    person = in_a_good_call(duty=LISTENS, reports=False)
    person.flow = None
    assert named_within_5_s(person) == ["downlink_blocked"]


def test_nothing_sent_for_a_second__a_blocked_downlink_is_not_over() -> None:
    person = in_a_good_call(duty=LISTENS)
    person.flow, person.received = CUT_OFF, 0
    person.seconds(4)
    person.sfu(down_packets=0)  # nobody speaks
    assert person.seconds(2) == ["downlink_blocked"]


def test_decoder_stalled() -> None:
    person = in_a_good_call()
    person.decoded = 0
    assert named_within_5_s(person) == ["decoder_stalled"]


def test_hidden_picture__no_stalled_decoder() -> None:
    person = in_a_good_call()
    person.duty = msgspec.structs.replace(FULL_DUTY, pictures=frozenset({1}))
    person.decoded = 0
    assert person.seconds(20) == []


def test_late_report__counted_and_no_sign() -> None:
    person = in_a_good_call()
    person.duty = msgspec.structs.replace(FULL_DUTY, audio=False, video=False)
    (seat,) = person.stats.seats
    person.now += 6
    person.says(seats=(msgspec.structs.replace(seat, freezes=2),))
    grown = person.detector.take_stats(person.stats, person.now)
    assert grown is not None
    assert grown.seats[0].freezes == 2
    assert person.detector.fresh_growth(person.now) is None


@pytest.mark.parametrize(("heard_s", "counts"), [(60, True), (80, False)])
def test_report_after_a_long_loss__counted_when_it_is_plausible(heard_s: int, counts: bool) -> None:
    person = in_a_good_call()
    (seat,) = person.stats.seats
    person.now += 60
    samples = seat.audio_samples + heard_s * 48_000
    person.says(seats=(msgspec.structs.replace(seat, audio_samples=samples, freezes=1),))
    grown = person.detector.take_stats(person.stats, person.now)
    assert grown is not None
    assert bool(grown.seats) is counts


def test_counters_begin_anew__no_fault() -> None:
    person = in_a_good_call()
    person.says(received_packets=0, camera_frames=0, seats=(SeatStats(seat=0),))
    assert person.seconds(20) == []


def test_mended__over_within_2_s() -> None:
    person = in_a_good_call()
    person.says(microphone_level=0.0)
    person.sfu(level=127)
    person.seconds(6)
    person.says(microphone_level=0.1)
    person.sfu(level=40)
    assert person.seconds(2) == []


def test_one_bad_second__no_fault() -> None:
    person = in_a_good_call()
    person.sfu(up_bps=0)
    assert person.second() == ()
    person.sfu(up_bps=900_000)
    assert person.seconds(5) == []


def test_one_bad_second_before_the_sfu_falls_silent__no_fault() -> None:
    person = in_a_good_call()
    person.sfu(up_bps=0)
    assert person.second() == ()
    person.hears_flows = False
    assert person.seconds(10) == []


def test_sfu_falls_silent__its_faults_are_forgotten() -> None:
    person = in_a_good_call()
    person.flow = None
    assert person.seconds(5) == ["uplink_blocked"]
    person.hears_flows = False
    assert person.seconds(8) == []


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.integers(0, 60),
            st.one_of(st.none(), st.integers(0, 127)),
            st.integers(0, 30),
            st.integers(0, 100),
            st.booleans(),
        ),
        max_size=30,
    )
)
def test_whatever_is_observed__times_and_codes_make_sense(
    seconds: list[tuple[bool, int, int | None, int, int, bool]],
) -> None:
    person = Person()
    for connected, packets, level, frames, down, acknowledged in seconds:
        person.flow = (
            msgspec.structs.replace(
                GOOD,
                audio_packets=packets,
                up_bps=packets * 400,
                level=level,
                video_frames=frames,
                down_packets=down,
                acknowledged=acknowledged,
            )
            if connected
            else None
        )
        found = person.second()
        assert len({each.reason for each in found}) == len(found)
        # What is not confirmed was sent up to two seconds before.
        assert all(998.0 <= each.start <= person.now and each.end is None for each in found)
        reasons = {each.reason for each in found}
        assert not {"uplink_blocked", "camera_frozen"} <= reasons

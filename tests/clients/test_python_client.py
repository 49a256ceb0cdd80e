"""The pure parts of the Python client."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from av import AudioFrame

from clients.python.address import is_loopback, split_link, websocket_url
from clients.python.backoff import JITTER, LONGEST_DELAY_S, delays_s
from clients.python.room_copy import RoomCopy
from clients.python.sdp import mark_slides
from clients.python.synthetic import AUDIO_RATE, Pattern, Tone
from signaling.protocol.messages import (
    ChatLine,
    Consultation,
    Facility,
    Fault,
    Faults,
    Joined,
    Layer,
    Layers,
    Participant,
    ParticipantHidden,
    Pictures,
    Recording,
    Room,
    Seating,
    Speakers,
    Text,
)
from tests.support.media import tone_share

JOINED = Joined(
    session="c.p.secret",
    consultation="c",
    participant="me",
    role="patient",
    grace_s=30,
    ping_interval_s=15,
    ice_servers=(),
    consent_texts=(),
)
CONSULTATION = Consultation(
    id="c",
    state="waiting",
    mode="DIRECT_TO_PATIENT",
    title="Khám",
    facility=Facility(code="01001"),
)
LINE = ChatLine(id="1", participant="doctor", name="A", at=1.0, text="Xin chào")


def person(name: str, state: str = "admitted") -> Participant:
    return Participant(
        id=name,
        name=name,
        role="patient",
        state=state,  # type: ignore[arg-type] # spelled by the tests
        connection="connected",
    )


def room(*people: Participant, chat: tuple[ChatLine, ...] = ()) -> Room:
    return Room(
        consultation=CONSULTATION,
        participants=people,
        chat=chat,
        recording=Recording(state="off", policy="none"),
    )


# ----------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://call.example.vn", "wss://call.example.vn/v1/ws"),
        ("http://127.0.0.1:8080/", "ws://127.0.0.1:8080/v1/ws"),
        ("https://example.vn/kham", "wss://example.vn/kham/v1/ws"),
        ("wss://example.vn/v1/ws", "wss://example.vn/v1/ws"),
    ],
)
def test_the_websocket_stands_under_the_public_url(url: str, expected: str) -> None:
    assert websocket_url(url) == expected


@pytest.mark.parametrize("url", ["", "ftp://example.vn", "example.vn", "http://"])
def test_an_address_that_is_no_server_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="https://"):
        websocket_url(url)


def test_a_link_is_split_into_server_and_token() -> None:
    assert split_link("https://call.example.vn/#t=a.b-c_d") == (
        "https://call.example.vn",
        "a.b-c_d",
    )


@pytest.mark.parametrize("link", ["https://call.example.vn/", "#t=x", "https://x.vn/#t=a&t=b"])
def test_a_link_without_one_token_is_refused(link: str) -> None:
    with pytest.raises(ValueError, match="#t="):
        split_link(link)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:80", True),
        ("http://localhost", True),
        ("ws://[::1]:5", True),
        ("http://192.0.2.7", False),
        ("https://call.example.vn", False),
    ],
)
def test_only_this_machine_is_loopback(url: str, expected: bool) -> None:
    assert is_loopback(url) is expected


# --------------------------------------------------------------- reconnecting


def test_the_first_attempt_is_at_once_and_later_ones_are_spread_and_bounded() -> None:
    waits = list(itertools.islice(delays_s(random.Random(1)), 12))
    assert waits[0] == 0
    assert all(earlier < later for earlier, later in itertools.pairwise(waits[:5]))
    assert all(wait <= LONGEST_DELAY_S * (1 + JITTER) for wait in waits)
    assert waits[1:] != list(itertools.islice(delays_s(random.Random(2)), 1, 12))


# ------------------------------------------------------------------- the room


def test_a_room_replaces_everything() -> None:
    copy = RoomCopy(JOINED)
    copy.apply(room(person("me"), person("doctor"), chat=(LINE,)))
    copy.apply(room(person("me", "held")))
    assert set(copy.participants) == {"me"}
    assert copy.chat == []
    assert copy.me == person("me", "held")
    assert copy.my_state == "held"


def test_changes_between_rooms_are_taken_in() -> None:
    copy = RoomCopy(JOINED)
    assert copy.me is None
    assert copy.my_state == "invited"
    copy.apply(room(person("me"), person("doctor")))
    copy.apply(person("doctor", "held"))
    copy.apply(person("nurse"))
    copy.apply(LINE)
    copy.apply(Recording(state="on", policy="none", since=2.0))
    copy.apply(Speakers(participants=("nurse",)))
    copy.apply(Seating(seats=(None,), wanted=2))
    assert copy.participants["doctor"].state == "held"
    assert copy.chat == [LINE]
    assert copy.recording == Recording(state="on", policy="none", since=2.0)
    assert copy.speakers == ("nurse",)
    assert copy.seating == Seating(seats=(None,), wanted=2)


def test_what_becomes_of_layers_pictures_and_faults_is_kept() -> None:
    copy = RoomCopy(JOINED)
    copy.apply(room(person("me"), person("doctor")))
    layers = (Layer(rid="q", active=True), Layer(rid="f", active=False))
    copy.apply(Layers(kind="camera", layers=layers))
    copy.apply(Layers(kind="screen", layers=()))
    copy.apply(Pictures(seats=("shown", "network")))
    silent = Fault(participant="me", code="microphone_silent", since=1.0, text=Text(vi="", en=""))
    copy.apply(Faults(faults=(silent,)))
    assert copy.layers == {"camera": layers, "screen": ()}
    assert copy.pictures == ("shown", "network")
    assert [each.code for each in copy.faults] == ["microphone_silent"]
    copy.apply(room(person("me", "held")))
    assert not copy.faults


def test_a_hidden_person_is_forgotten() -> None:
    copy = RoomCopy(JOINED)
    copy.apply(room(person("me"), person("doctor")))
    copy.apply(ParticipantHidden(id="doctor"))
    copy.apply(ParticipantHidden(id="nobody"))
    assert set(copy.participants) == {"me"}


# ---------------------------------------------------------------------- media


def test_the_screen_section_is_marked_and_no_other() -> None:
    sdp = "v=0\r\nm=video 9\r\na=mid:1\r\na=sendonly\r\nm=video 9\r\na=mid:11\r\na=sendonly\r\n"
    marked = mark_slides(sdp, "1")
    assert marked.count("a=content:slides") == 1
    assert "a=mid:1\r\na=content:slides\r\n" in marked


async def test_a_tone_is_at_its_frequency_and_in_time() -> None:
    tone = Tone(440.0)
    frames = [await tone.recv() for _ in range(10)]
    tone.stop()
    assert all(isinstance(frame, AudioFrame) for frame in frames)
    samples = np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames]).astype(float)
    assert [frame.pts for frame in frames] == [960 * number for number in range(10)]
    assert tone_share(samples, AUDIO_RATE, 440.0) > 0.9
    assert tone_share(samples, AUDIO_RATE, 880.0) < 0.05


async def test_a_pattern_moves() -> None:
    pattern = Pattern(100, frames_per_s=30)
    first, second = [(await pattern.recv()).to_ndarray(format="gray") for _ in range(2)]
    pattern.stop()
    assert first.shape == (180, 320)
    assert (first != second).any()
    assert abs(int(np.median(first)) - 100) < 10

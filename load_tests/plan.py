"""What a run loads the server with: rooms, and in each room bots. Bounded. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from signaling.protocol.messages import Role

#: One load process on one core drives this much; more would measure the load, not the server.
MAX_CALLS = 100
#: The server seats 16 sources for each person, and never oneself.
MAX_SENDERS = 17
#: A consultation has at most 200 participants.
MAX_RECEIVERS = 180
MAX_SECONDS = 600
MAX_VIDEO_PACKETS_PER_S = 3_000


@dataclass(frozen=True)
class Seat:
    """One bot of a room: its role, whether it sends, and how many others it receives."""

    role: Role
    sends: bool
    receives: int


@dataclass(frozen=True)
class Plan:
    """One run. `rooms` has the bots of each consultation; the first of each admits the others."""

    scenario: str
    rooms: tuple[tuple[Seat, ...], ...]
    seconds: float
    video_packets_per_s: int

    @property
    def bots(self) -> int:
        """Participants in all."""
        return sum(map(len, self.rooms))


class Load(NamedTuple):
    """One of the loads that servers are compared on; without receivers the senders are theirs."""

    rooms: int
    senders: int
    receivers: int
    video_packets_per_s: int


LOADS = (
    Load(1, 1, 50, 300),
    Load(1, 1, 50, 1000),
    Load(10, 2, 0, 150),
    Load(20, 2, 0, 150),
    Load(4, 6, 0, 150),
)


def of_load(load: Load, seconds: float) -> Plan:
    """The run of one load. Raises `ValueError`."""
    room = one_room(load.senders, load.receivers, seconds, load.video_packets_per_s)
    return _plan("load", room.rooms * load.rooms, seconds, load.video_packets_per_s)


def one_to_one(calls: int, seconds: float, video_packets_per_s: int) -> Plan:
    """`calls` visits of a clinician and a citizen, both sending. Raises `ValueError`."""
    _within("calls", calls, 1, MAX_CALLS)
    room = (Seat("treating_clinician", True, 1), Seat("patient", True, 1))
    return _plan("one_to_one", (room,) * calls, seconds, video_packets_per_s)


def one_room(senders: int, receivers: int, seconds: float, video_packets_per_s: int) -> Plan:
    """One consultation; the senders receive each other too. Raises `ValueError`."""
    _within("senders", senders, 1, MAX_SENDERS)
    _within("receivers", receivers, 0, MAX_RECEIVERS)
    if senders + receivers < 2:
        raise ValueError("somebody must receive: at least two senders, or a receiver")
    chair = Seat("treating_clinician", True, senders - 1)
    others = (Seat("consulting_clinician", True, senders - 1),) * (senders - 1)
    audience = (Seat("observer", False, senders),) * receivers
    return _plan("room", ((chair, *others, *audience),), seconds, video_packets_per_s)


def _plan(
    scenario: str, rooms: tuple[tuple[Seat, ...], ...], seconds: float, video_packets_per_s: int
) -> Plan:
    _within("seconds", seconds, 1, MAX_SECONDS)
    _within("video packets/s", video_packets_per_s, 1, MAX_VIDEO_PACKETS_PER_S)
    return Plan(scenario, rooms, seconds, video_packets_per_s)


def _within(name: str, value: float, least: int, most: int) -> None:
    if not least <= value <= most:
        raise ValueError(f"{name} must be from {least} to {most}")

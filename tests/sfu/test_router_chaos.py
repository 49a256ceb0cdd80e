"""Views, seats, layers and permissions that change at random: the promises hold all the same."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from sfu.control.messages import MediaState, SeatView, View
from sfu.ids import SourceId
from sfu.router import ticks
from tests.sfu.routing import ALL, MS, ROOM, SECOND, Stage, StagePeer
from tests.sfu.simulcast import CAMERA, HEAR, SEE, SSRCS, Camera

CALL = ("mic", CAMERA, HEAR, SEE)
NAMES = ("an", "binh", "chi", "dung")


class Chaos:
    """Peers with cameras of three layers, and a die."""

    def __init__(self, stage: Stage, peers: list[StagePeer], seed: int) -> None:
        self.stage = stage
        self.random = random.Random(seed)
        self.cameras: dict[str, Camera] = {peer.name: Camera(peer, talks=True) for peer in peers}
        self.held: set[str] = set()
        self.version = 0
        self.sequences: dict[tuple[str, int], int] = {}

    def step(self) -> None:
        """One thing changes, then a third of a second passes."""
        name = self.random.choice(NAMES)
        self.random.choice((self.view, self.pin, self.hold, self.layers, self.mute))(name)
        for _ in range(10):
            for camera in self.cameras.values():
                camera.frame()
            self.stage.now_ns += 33 * MS
            ticks.repair(self.stage.router, self.stage.now_ns)
            for camera in self.cameras.values():
                self.check(camera.peer)
        ticks.pictures(self.stage.router, self.stage.now_ns)
        ticks.reports(self.stage.router, self.stage.now_ns)

    def view(self, name: str) -> None:
        height_px = self.random.choice((0, 150, 300, 700))
        seats = (SeatView(seat=0, height_px=height_px),)
        self.stage.do(View(room=ROOM, peer=self.cameras[name].peer.name, seats=seats))

    def pin(self, name: str) -> None:
        pinned = (SourceId(f"{self.random.choice(NAMES)}/camera"),)
        self.stage.do(View(room=ROOM, peer=self.cameras[name].peer.name, pinned=pinned))

    def hold(self, name: str) -> None:
        self.version += 1
        if name in self.held:
            self.held.remove(name)
            self.stage.permit(name, ALL, version=self.version)
        else:
            self.stage.permit(name, (), receive=False, version=self.version)
            self.check(self.cameras[name].peer)  # what was sent before that
            self.held.add(name)

    def layers(self, name: str) -> None:
        camera = self.cameras[name]
        camera.on = set(self.random.choice(((0,), (0, 1), (0, 1, 2), (2,), ())))

    def mute(self, name: str) -> None:
        peer = self.cameras[name].peer.name
        on = self.random.random() < 0.5
        state = MediaState(room=ROOM, peer=peer, audio=on, video=True, screen=False)
        self.stage.do(state)

    def check(self, peer: StagePeer) -> None:
        """No packet to who is held; no hole and no repetition on any leg."""
        for packet in peer.received():
            if packet.payload_type == 97:
                continue
            assert peer.name not in self.held
            key = peer.name, packet.ssrc
            if key in self.sequences:
                assert packet.sequence == (self.sequences[key] + 1) % 65_536
            self.sequences[key] = packet.sequence


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_changes__no_hole_no_leak_and_one_request_a_second(
    stage: Stage, seed: int
) -> None:
    peers = [await stage.peer(name, *CALL).connected() for name in NAMES]
    chaos = Chaos(stage, peers, seed)
    for _ in range(150):
        chaos.step()
    requests = 0
    for camera in chaos.cameras.values():
        for ssrc in SSRCS:
            times = camera.asked_at.get(ssrc, [])
            requests += len(times)
            assert all(b - a >= SECOND - 40 * MS for a, b in pairwise(times))
    assert requests > 20

"""What the router does by the clock. Each function is one tick; the server calls them.

Those that take a `part` do their work for one share of `PARTS` at a time; None does all of it.
A fault of ours costs the peer or the room at which it happened, not those after it.
"""

from __future__ import annotations

from collections.abc import Callable

from sfu.forwarder.contract import StreamHandle
from sfu.ids import PeerId, RoomId
from sfu.router.reports import (
    listening_losses,
    own_compound,
    receiver_report,
    sender_reports,
)
from sfu.router.room import Around, Room
from sfu.router.router import Router
from sfu.router.state import PARTS, Home
from sfu.router.stream import Stream
from sfu.rtp.rtcp import Nack, RtcpPacket

__all__ = [
    "BITRATE_S",
    "FEEDBACK_S",
    "FLOWS_S",
    "PARTS",
    "PICTURES_S",
    "REPAIR_S",
    "REPORTS_S",
    "SPEAKERS_S",
    "bitrate",
    "feedback",
    "flows",
    "housekeeping",
    "pictures",
    "repair",
    "reports",
    "speakers",
]

#: How often each tick is due. A repair must be asked for soon to be of use; who speaks is drawn; a
#: bit rate is told twice a second (the estimator's own pace); senders expect transport-wide
#: feedback ten times a second; the rest is paced by what people notice.
REPAIR_S = 0.02
FEEDBACK_S = 0.1
SPEAKERS_S = 0.2
PICTURES_S = 0.2
BITRATE_S = 0.5
REPORTS_S = 1.0
FLOWS_S = 1.0
#: Reports in a row without a packet, by when all that came is too old to be repeated.
_RELEASED_AFTER = 4
#: Numbers in one NACK: each may take four bytes (RFC 4585 §6.2.1), and it must fit a datagram.
_MAX_NACK = 200


def repair(router: Router, now_ns: int) -> None:
    """Ask publishers for packets that are missing and key frames that are due; keep probes up."""
    state = router.state
    for handle in state.forwarder.holed():
        found = state.stream(handle)
        if found is None:
            continue
        try:
            _ask_again(router, *found, now_ns)
        except Exception:
            state.faults.note(found[0].room.id, found[0].peer.id)
    _keep_probing(router, now_ns)
    router.settle(now_ns)
    state.key_frames.ask(now_ns)


def feedback(router: Router, part: int | None = None) -> None:
    """Tell publishers what arrived when, by transport-wide number."""

    def tell(home: Home) -> None:
        connection = home.connection
        for packet in connection.uplink.feedback(sparing=connection.downlink.is_narrow):
            _send(router, home, packet)
            router.state.feedback.transport_wide_sent += 1

    _each_home(router, part, tell)


def speakers(router: Router, now_ns: int) -> None:
    """Who speaks; whoever begins to may take a seat."""
    state = router.state
    for handle, level in state.forwarder.drain_levels():
        found = state.stream(handle)
        if found is None or not found[1].permitted:
            continue
        home = found[0]
        home.room.speakers.note(home.peer.id, level, now_ns)
        loudest = home.connection.loudest
        home.connection.loudest = level if loudest is None else min(level, loudest)

    def hear(room: Room) -> None:
        changed = room.hear(now_ns)
        if changed is not None:
            state.emit(room.id, changed)
            state.change(room)

    _each_room(router, None, hear)
    router.settle(now_ns)


def pictures(router: Router, now_ns: int, part: int | None = None) -> None:
    """What flows and what is taken; who sees which layer, and whether there is room for more."""
    state = router.state
    _each_room(router, part, lambda room: room.measure(state.around(room, now_ns)))
    around: dict[Room, Around] = {}

    def settle(home: Home) -> None:
        if len(home.connection.subscriber) == 0:
            return
        room = home.room
        if room not in around:
            around[room] = state.around(room, now_ns)
        downlink = home.connection.downlink
        downlink.tick(now_ns)
        room.settle_pictures(home.peer, around[room])
        if home.connection.transport.state == "connected":
            downlink.probe(home.connection.subscriber.legs(), now_ns)
            if downlink.is_probing:
                state.probing[home.connection.transport.handle] = home

    _each_home(router, part, settle)
    for room, with_it in around.items():
        room.tell_layers(with_it.emit)
    state.key_frames.ask(now_ns)


def bitrate(router: Router, part: int | None = None) -> None:
    """Tell publishers that do not number their packets how much they may send."""

    def tell(home: Home) -> None:
        limit = home.connection.uplink.limit()
        if limit is not None:
            _send(router, home, limit)

    _each_home(router, part, tell)


def reports(router: Router, now_ns: int, part: int | None = None) -> None:
    """Sender and receiver reports; silence of streams."""
    offsets: dict[RoomId, dict[PeerId, int | None]] = {}
    losses: dict[RoomId, dict[StreamHandle, float]] = {}

    def report(home: Home) -> None:
        for stream in home.connection.publisher:
            packets = router.state.forwarder.stream_counters(stream.handle).packets
            stream.is_silent = packets == stream.packets_seen
            stream.packets_seen = packets
            stream.silent_reports = stream.silent_reports + 1 if stream.is_silent else 0
            if stream.silent_reports == _RELEASED_AFTER:
                router.state.forwarder.release(stream.handle, now_ns)
        room = home.room
        if room.id not in offsets:
            offsets[room.id] = room.clock_offsets()
            losses[room.id] = listening_losses(room.connections().values(), now_ns)
        _report(router, home, offsets[room.id], losses[room.id], now_ns)

    _each_home(router, part, report)


def flows(router: Router, now_ns: int, part: int | None = None) -> None:
    """What came from and went to each peer: also that nothing did, where somebody may be heard."""

    def read(room: Room) -> None:
        event = room.flows.read(room.id, room.connections(), now_ns)
        if any(peer.send or peer.receive for peer in room.peers.values()):
            router.state.emit(room.id, event)

    _each_room(router, part, read)


def housekeeping(router: Router, now_ns: int) -> None:
    """Which rooms carry packets; taps that were read to their end. Call once a second."""

    def look(room: Room) -> None:
        received = sum(
            router.state.forwarder.transport_counters(c.transport.handle).received_packets
            for c in room.connections().values()
        )
        if received != room.received_packets:
            room.received_packets = received
            room.active_ns = now_ns

    _each_room(router, None, look)
    router.taps.sweep(now_ns)


def _each_home(router: Router, part: int | None, work: Callable[[Home], None]) -> None:
    for home in router.state.homes(part):
        try:
            work(home)
        except Exception:
            router.state.faults.note(home.room.id, home.peer.id)


def _each_room(router: Router, part: int | None, work: Callable[[Room], None]) -> None:
    for room in router.state.rooms_of(part):
        try:
            work(room)
        except Exception:
            router.state.faults.note(room.id)


def _ask_again(router: Router, home: Home, stream: Stream, now_ns: int) -> None:
    """Ask a publisher for what is missing of one stream."""
    if stream.is_silent or not stream.permitted or "nack" not in stream.format.feedback:
        return
    state, connection = router.state, home.connection
    missing = state.forwarder.missing(stream.handle, now_ns, connection.round_trip_ns)
    for first in range(0, len(missing), _MAX_NACK):
        part = tuple(missing[first : first + _MAX_NACK])
        _send(router, home, Nack(connection.ssrc, stream.ssrc, part))
        stream.nack_sent += 1
        state.feedback.nack_sent += 1


def _keep_probing(router: Router, now_ns: int) -> None:
    state = router.state
    for handle, home in tuple(state.probing.items()):
        try:
            home.connection.downlink.probe(home.connection.subscriber.legs(), now_ns)
        except Exception:
            state.faults.note(home.room.id, home.peer.id)
        if not home.connection.downlink.is_probing:
            del state.probing[handle]


def _report(
    router: Router,
    home: Home,
    offsets: dict[PeerId, int | None],
    losses: dict[StreamHandle, float],
    now_ns: int,
) -> None:
    connection, forwarder = home.connection, router.state.forwarder
    if connection.transport.state not in ("connected", "disconnected"):
        return
    handle = connection.transport.handle
    legs = tuple(connection.subscriber.legs())
    datagrams = list(sender_reports(legs, offsets, forwarder, now_ns))
    received = receiver_report(connection, losses, forwarder, now_ns)
    # Behind the last of the others: another datagram costs more than all that is in it.
    datagrams.append(datagrams.pop() + received if datagrams else received)
    for datagram in datagrams:
        forwarder.send_rtcp(handle, datagram)


def _send(router: Router, home: Home, packet: RtcpPacket) -> None:
    router.state.forwarder.send_rtcp(
        home.connection.transport.handle, own_compound(home.connection.ssrc, packet)
    )

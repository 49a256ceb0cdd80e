"""What the router does by the clock. Each function is one tick; the server calls them."""

from __future__ import annotations

from collections.abc import Iterator

from sfu.ids import PeerId, RoomId
from sfu.router.reports import (
    bitrate_request,
    own_compound,
    receiver_report,
    sender_reports,
)
from sfu.router.router import Home, Router
from sfu.rtp.rtcp import Nack

#: How often each tick is due. A repair must be asked for soon to be of use; who speaks is drawn;
#: a bit rate is told twice a second (the estimator's own pace); reports once a second.
REPAIR_S = 0.02
SPEAKERS_S = 0.2
BITRATE_S = 0.5
REPORTS_S = 1.0
#: Bit rates and reports are worked out for this share of the connections at a time, so that no
#: packet waits for all of them.
PARTS = 10
#: Numbers in one NACK: each may take four bytes (RFC 4585 §6.2.1), and it must fit a datagram.
_MAX_NACK = 200


def repair(router: Router, now_ns: int) -> None:
    """Ask publishers for packets that are missing and key frames that are due."""
    for home, stream in router.streams():
        if "nack" not in stream.format.feedback or not stream.permitted:
            continue
        missing = router.forwarder.missing(stream.handle, now_ns)
        for first in range(0, len(missing), _MAX_NACK):
            part = tuple(missing[first : first + _MAX_NACK])
            _send(router, home, Nack(home.connection.ssrc, stream.ssrc, part))
            stream.nack_sent += 1
            router.feedback.nack_sent += 1
    router.settle(now_ns)


def speakers(router: Router, now_ns: int) -> None:
    """Who speaks; whoever begins to may take a seat."""
    for handle, level in router.forwarder.drain_levels():
        found = router.stream(handle)
        if found is not None and found[1].permitted:
            found[0].room.speakers.note(found[0].peer.id, level, now_ns)
    for room in tuple(router.rooms.values()):
        changed = room.hear(now_ns)
        if changed is not None:
            router.emit(room.id, changed)
            router.change(room)
    router.settle(now_ns)


def bitrate(router: Router, part: int = 0, parts: int = 1) -> None:
    """Tell publishers how much they may send."""
    for home in _part(router, part, parts):
        packet = bitrate_request(home.connection, router.forwarder)
        if packet is not None:
            router.forwarder.send_rtcp(home.connection.transport.handle, packet)


def reports(router: Router, now_ns: int, part: int = 0, parts: int = 1) -> None:
    """Sender and receiver reports; silence of streams and transports."""
    offsets: dict[RoomId, dict[PeerId, int | None]] = {}
    for home in _part(router, part, parts):
        for stream in home.connection.publisher:
            packets = router.forwarder.stream_counters(stream.handle).packets
            stream.is_silent = packets == stream.packets_seen
            stream.packets_seen = packets
        home.connection.transport.watch(now_ns)
        room = home.room
        if room.id not in offsets:
            offsets[room.id] = room.clock_offsets()
        _report(router, home, offsets[room.id], now_ns)


def housekeeping(router: Router, now_ns: int) -> None:
    """Which rooms carry packets; taps that were read to their end. Call once a second."""
    for room in router.rooms.values():
        received = sum(
            router.forwarder.transport_counters(peer.connection.transport.handle).received_packets
            for peer in room.peers.values()
            if peer.connection is not None
        )
        if received != room.received_packets:
            room.received_packets = received
            room.active_ns = now_ns
    router.taps.sweep(now_ns)


def _part(router: Router, part: int, parts: int) -> Iterator[Home]:
    """The connections whose turn it is, so that the work is spread over the period."""
    for home in router.homes():
        if home.connection.transport.handle % parts == part:
            yield home


def _report(router: Router, home: Home, offsets: dict[PeerId, int | None], now_ns: int) -> None:
    connection = home.connection
    if connection.transport.state != "connected":
        return
    handle = connection.transport.handle
    legs = tuple(connection.subscriber.legs())
    for sent in sender_reports(legs, offsets, router.forwarder, now_ns):
        router.forwarder.send_rtcp(handle, sent)
    received = receiver_report(connection, router.forwarder, now_ns)
    if received is not None:
        router.forwarder.send_rtcp(handle, received)


def _send(router: Router, home: Home, nack: Nack) -> None:
    router.forwarder.send_rtcp(
        home.connection.transport.handle, own_compound(home.connection.ssrc, nack)
    )

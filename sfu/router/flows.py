"""What arrived from and went to each peer in the last second, for the record of quality."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sfu.control.messages import Flows, PeerFlow
from sfu.forwarder.contract import Forwarder, StreamCounters, StreamHandle, TransportCounters
from sfu.ids import PeerId, RoomId
from sfu.router.peer import Connection
from sfu.router.stream import Stream

_NS_PER_S = 1_000_000_000


@dataclass(slots=True)
class _Before:
    """What the last reading of a connection was."""

    now_ns: int
    transport: TransportCounters
    streams: dict[StreamHandle, StreamCounters] = field(default_factory=dict)


@dataclass(slots=True)
class _Up:
    """Sums over what came from one peer."""

    expected: int = 0
    lost: int = 0
    jitter_s: float = 0.0
    audio_packets: int = 0
    camera_frames: int = 0
    screen_frames: int = 0


class FlowMeter:
    """Reads the flows of one room. Call `read` once a second."""

    def __init__(self, forwarder: Forwarder) -> None:
        self._forwarder = forwarder
        self._before: dict[Connection, _Before] = {}

    def read(self, room: RoomId, connections: dict[PeerId, Connection], now_ns: int) -> Flows:
        """One row for each connected peer that was there before."""
        self._before = {c: b for c, b in self._before.items() if c in connections.values()}
        rows = [
            row
            for peer, connection in connections.items()
            if connection.transport.state in ("connected", "disconnected")
            for row in self._row(peer, connection, now_ns)
        ]
        return Flows(room=room, peers=tuple(rows))

    def _row(self, peer: PeerId, connection: Connection, now_ns: int) -> Iterator[PeerFlow]:
        before = self._before.get(connection)
        transport = self._forwarder.transport_counters(connection.transport.handle)
        streams = {s: self._forwarder.stream_counters(s.handle) for s in connection.publisher}
        self._before[connection] = _Before(
            now_ns, transport, {stream.handle: counters for stream, counters in streams.items()}
        )
        if before is None or now_ns <= before.now_ns:
            return
        elapsed_s = (now_ns - before.now_ns) / _NS_PER_S
        up = _sum_up(streams, before.streams)
        downlink = connection.downlink
        received = transport.received_bytes - before.transport.received_bytes
        sent = transport.sent_bytes - before.transport.sent_bytes
        level, connection.loudest = connection.loudest, None
        yield PeerFlow(
            peer=peer,
            round_trip_ms=_round_trip_ms(connection),
            up_bps=int(received * 8 / elapsed_s),
            up_loss=round(up.lost / up.expected, 4) if up.expected else 0.0,
            up_jitter_ms=round(up.jitter_s * 1000, 1),
            audio_packets=up.audio_packets,
            level=level,
            video_frames=up.camera_frames,
            screen_frames=up.screen_frames,
            down_bps=int(sent * 8 / elapsed_s),
            down_packets=transport.rtp_sent_packets - before.transport.rtp_sent_packets,
            down_loss=round(min(1.0, downlink.loss()), 4),
            down_acknowledged=downlink.is_acknowledged(now_ns),
            estimate_bps=downlink.estimate_bps,
        )


def _sum_up(
    streams: dict[Stream, StreamCounters], before: dict[StreamHandle, StreamCounters]
) -> _Up:
    up = _Up()
    for stream, now in streams.items():
        then = before.get(stream.handle)
        packets = now.packets - (then.packets if then is not None else 0)
        lost = max(0, now.lost - (then.lost if then is not None else 0))
        up.expected += packets + lost
        up.lost += lost
        if packets:
            up.jitter_s = max(up.jitter_s, now.jitter / stream.format.clock_rate)
        frames = now.frames - (then.frames if then is not None else 0)
        if stream.kind == "audio":
            up.audio_packets += packets
        elif stream.screen:
            up.screen_frames = max(up.screen_frames, frames)
        else:
            up.camera_frames = max(up.camera_frames, frames)
    return up


def _round_trip_ms(connection: Connection) -> float | None:
    trip_ns = connection.downlink.round_trip_ns
    return connection.round_trip_ms if trip_ns is None else round(trip_ns / 1e6, 1)

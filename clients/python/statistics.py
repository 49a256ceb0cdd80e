"""What this client says of its own connection once a second (`Stats`), from aiortc's counters."""

from __future__ import annotations

from collections.abc import Sequence

from aiortc import RTCPeerConnection
from aiortc.stats import (
    RTCInboundRtpStreamStats,
    RTCRemoteInboundRtpStreamStats,
    RTCTransportStats,
)

from clients.python.seats import Seat
from signaling.protocol.messages import DeviceState, SeatStats, Stats

_AUDIO_CLOCK_HZ = 48_000


class Statistics:
    """Reads one PeerConnection at a time; losses are those since the reading before."""

    def __init__(self) -> None:
        self._received = 0
        self._lost = 0

    async def read(
        self,
        peer_connection: RTCPeerConnection,
        seats: Sequence[Seat],
        *,
        microphone: DeviceState,
        camera: DeviceState,
        camera_frames: int | None,
    ) -> Stats:
        """The report of now."""
        rows = list((await peer_connection.getStats()).values())
        inbound = [row for row in rows if isinstance(row, RTCInboundRtpStreamStats)]
        remote = [row for row in rows if isinstance(row, RTCRemoteInboundRtpStreamStats)]
        transports = [row for row in rows if isinstance(row, RTCTransportStats)]
        jitters = [row.jitter for row in inbound if row.kind == "audio"]
        times = [row.roundTripTime for row in remote if row.roundTripTime]
        return Stats(
            microphone=microphone,
            camera=camera,
            camera_frames=camera_frames,
            received_packets=sum(row.packetsReceived for row in transports),
            down_loss=self._loss(inbound),
            jitter_ms=1000 * max(jitters, default=0) / _AUDIO_CLOCK_HZ,
            round_trip_ms=1000 * max(times) if times else None,
            seats=tuple(
                SeatStats(
                    seat=seat.index,
                    frames_received=seat.video_frames,
                    frames_decoded=seat.video_frames,
                )
                for seat in seats
            ),
        )

    def _loss(self, inbound: Sequence[RTCInboundRtpStreamStats]) -> float:
        received = sum(row.packetsReceived for row in inbound)
        lost = sum(row.packetsLost for row in inbound)
        new, gone = received - self._received, lost - self._lost
        self._received, self._lost = received, lost
        return gone / (new + gone) if gone > 0 and new >= 0 else 0.0

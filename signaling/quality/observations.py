"""What is observed of one person: the SFU's seconds, the client's statistics, and what is due."""

from __future__ import annotations

import msgspec

from signaling.protocol.messages import SeatStats, Stats

#: What grew by more than this is no measurement: a client's word must not make nonsense of the
#: record. Sound is counted as it comes, and a report may have been on its way for some seconds; a
#: freeze is counted when it is over, however long.
_SAMPLES_PER_S = 48_000
_LATE_S = 10.0
_MOST_FREEZES = 100
_MOST_FREEZE_MS = 3_600_000.0


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """One second of a connected person at the SFU. `up` is from them, `down` to them.

    Losses are fractions; `level` is that of the loudest packet in -dBov (RFC 6464: 0 loud, 127
    digital silence), None without any; `acknowledged`: the person confirmed any of what was sent.
    """

    round_trip_ms: float | None
    up_bps: int
    up_loss: float
    up_jitter_ms: float
    audio_packets: int
    level: int | None
    video_frames: int
    down_bps: int
    down_packets: int
    down_loss: float
    acknowledged: bool


class Duty(msgspec.Struct, frozen=True, kw_only=True):
    """What should flow now: what the person has switched on and may send, and somebody takes.

    `receives`: somebody else sends. `pictures` are the seats whose picture the SFU sends to them.
    """

    audio: bool
    video: bool
    may_send_audio: bool
    may_send_video: bool
    receives: bool
    pictures: frozenset[int]


class SeatGrowth(msgspec.Struct, frozen=True, kw_only=True):
    """What one seat has received and shown from one report to the next."""

    concealed_samples: int
    audio_samples: int
    frames_received: int
    frames_decoded: int
    freezes: int
    freeze_ms: float


class Growth(msgspec.Struct, frozen=True, kw_only=True):
    """What a client's counters have grown by from one report to the next."""

    received_packets: int
    camera_frames: int | None
    seats: dict[int, SeatGrowth]


def growth(before: Stats, after: Stats, elapsed_s: float) -> Growth | None:
    """The difference of two reports that came `elapsed_s` apart; None when the counters began anew
    between them."""
    if after.received_packets < before.received_packets:
        return None
    earlier = {seat.seat: seat for seat in before.seats}
    seats = {
        seat.seat: grown
        for seat in after.seats
        if seat.seat in earlier
        and (grown := _seat(earlier[seat.seat], seat, elapsed_s)) is not None
    }
    camera = None
    if before.camera_frames is not None and after.camera_frames is not None:
        camera = after.camera_frames - before.camera_frames
    return Growth(
        received_packets=after.received_packets - before.received_packets,
        camera_frames=camera if camera is None or camera >= 0 else None,
        seats=seats,
    )


def _seat(before: SeatStats, after: SeatStats, elapsed_s: float) -> SeatGrowth | None:
    grown = SeatGrowth(
        concealed_samples=after.concealed_samples - before.concealed_samples,
        audio_samples=after.audio_samples - before.audio_samples,
        frames_received=after.frames_received - before.frames_received,
        frames_decoded=after.frames_decoded - before.frames_decoded,
        freezes=after.freezes - before.freezes,
        freeze_ms=after.freeze_ms - before.freeze_ms,
    )
    began_anew = any(each < 0 for each in msgspec.structs.astuple(grown))
    return None if began_anew or not _is_plausible(grown, elapsed_s) else grown


def _is_plausible(grown: SeatGrowth, elapsed_s: float) -> bool:
    most_samples = (elapsed_s + _LATE_S) * _SAMPLES_PER_S
    return (
        grown.concealed_samples <= most_samples
        and grown.audio_samples <= most_samples
        and grown.freezes <= _MOST_FREEZES
        and grown.freeze_ms <= _MOST_FREEZE_MS
    )

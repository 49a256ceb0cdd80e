"""Recognises within 5 s why somebody is not seen or heard, or does not see or hear. Pure.

One `Detector` for each person. Hand it each second of the SFU (`take_flow`) and each report of the
client (`take_stats`), and ask `judge` after each and once a second.
"""

from __future__ import annotations

from collections.abc import Iterator

from signaling.protocol.messages import FaultCode, Stats
from signaling.quality.observations import Duty, Flow, Growth, growth
from signaling.quality.onset import Onset
from signaling.rooms.room import Break

#: Signs come once a second and speak of the second before: three of them in a row.
_FAULT_AFTER_S = 2.5
#: A sign is old when the next one should be there.
_FRESH_S = 1.4
#: A device that was just switched on has not sent anything yet; nor has a call just set up.
_SETTLES_S = 3.0
#: How long setting up media may take: checks over UDP, then TCP, then a relay.
_CONNECTS_S = 10.0
#: The SFU waits so long for a confirmation before it says that there is none.
_UNCONFIRMED_S = 2.0
#: RFC 6464: no sample but zeros.
_DIGITAL_SILENCE = 127
#: Below one step of a 16-bit sample. A quiet room is louder; a good noise gate may not be, so this
#: alone must last longer, and the microphone's own level (0 to 1) must be as low.
_NEAR_SILENCE = 90
_NEAR_SILENCE_AFTER_S = 12.0
_SILENT_LEVEL = 4e-5
#: A decoder that waits for a key frame has a few pictures lying there.
_STALLED_FRAMES = 5
#: Fewer a second may well fall between two reports of the client.
_FEW_PACKETS = 3

#: What says nothing new when the one on the left is known.
_EXPLAINS: dict[FaultCode, tuple[FaultCode, ...]] = {
    "uplink_blocked": ("microphone_silent", "camera_frozen"),
    "microphone_muted": ("microphone_silent",),
    "camera_muted": ("camera_frozen",),
    "downlink_blocked": ("decoder_stalled",),
}


class Detector:
    """What is wrong with one person's devices and network. Times are Unix seconds."""

    def __init__(self, now: float) -> None:
        self._onsets: dict[FaultCode, Onset] = {
            "microphone_muted": Onset(_FAULT_AFTER_S),
            "microphone_silent": Onset(_FAULT_AFTER_S),
            "camera_muted": Onset(_FAULT_AFTER_S),
            "camera_frozen": Onset(_FAULT_AFTER_S),
            "uplink_blocked": Onset(_FAULT_AFTER_S),
            "downlink_blocked": Onset(_FAULT_AFTER_S),
            "decoder_stalled": Onset(_FAULT_AFTER_S),
        }
        self._near_silence = Onset(_NEAR_SILENCE_AFTER_S)
        self._stats: Stats | None = None
        self._growth: Growth | None = None
        self._stats_at = float("-inf")
        self.begin_anew(now)

    def begin_anew(self, now: float) -> None:
        """The person's media is being set up: what was seen of it counts no more."""
        self._began_at = now
        self._connected = False
        self._flow: Flow | None = None
        self._flow_at = float("-inf")
        self._audio_due_since: float | None = None
        self._video_due_since: float | None = None
        for onset in (*self._onsets.values(), self._near_silence):
            onset.clear()

    def take_flow(self, flow: Flow | None, now: float) -> None:
        """A second at the SFU; None when the person has no media connection there."""
        self._flow = flow
        self._flow_at = now
        self._connected = self._connected or flow is not None

    def take_stats(self, stats: Stats, now: float) -> Growth | None:
        """A report of the client; what its counters grew by since the one before, if there was.

        Late reports are no signs of now, but what they count has happened.
        """
        earlier, elapsed_s = self._stats, now - self._stats_at
        grown = growth(earlier, stats, elapsed_s) if earlier is not None else None
        self._growth = grown if elapsed_s < 2 * _FRESH_S else None
        self._stats, self._stats_at = stats, now
        return grown

    def fresh_stats(self, now: float) -> Stats | None:
        """The client's last report while it is new."""
        return self._stats if now - self._stats_at < _FRESH_S else None

    def fresh_growth(self, now: float) -> Growth | None:
        """What the client's counters grew by of late."""
        return self._growth if now - self._stats_at < _FRESH_S else None

    @property
    def connected_at(self) -> float | None:
        """When they were last seen at the SFU, if they were in its last second."""
        return self._flow_at if self._flow is not None else None

    def judge(self, duty: Duty, now: float) -> tuple[Break, ...]:
        """The faults now, each since when; `duty` is what should flow."""
        self._audio_due_since = _since(self._audio_due_since, duty.audio, now)
        self._video_due_since = _since(self._video_due_since, duty.video, now)
        for code, bad, began in self._signs(duty, now):
            self._onsets[code].look(bad, began, now)
        self._near_silence.look(self._is_near_silent(now), self._flow_at - 1.0, now)
        return tuple(self._faults())

    def _faults(self) -> Iterator[Break]:
        found = {code: onset.since for code, onset in self._onsets.items() if onset.is_fault}
        if self._near_silence.is_fault:
            found.setdefault("microphone_silent", self._near_silence.since)
        for code in tuple(found):
            for explained in _EXPLAINS.get(code, ()):
                found.pop(explained, None)
        for code, since in found.items():
            if since is not None:
                yield Break(reason=code, start=since)

    def _signs(self, duty: Duty, now: float) -> Iterator[tuple[FaultCode, bool | None, float]]:
        """Each fault's sign, and when the time that it speaks of began."""
        flow_began, stats_began = self._flow_at - 1.0, self._stats_at - 1.0
        yield "uplink_blocked", self._is_uplink_blocked(now), flow_began
        said = stats_began if self.fresh_stats(now) is not None else flow_began
        yield "microphone_muted", self._is_microphone_muted(duty, now), said
        yield "microphone_silent", self._is_silent(now), flow_began
        yield "camera_muted", self._is_camera_muted(duty, now), stats_began
        yield "camera_frozen", self._is_frozen(now), max(flow_began, stats_began)
        unheard = max(flow_began, stats_began)
        if self.fresh_stats(now) is None and self._flow is not None:
            # The client's last word, if any, was that it receives.
            unheard = max(self._flow_at - _UNCONFIRMED_S, self._stats_at)
        yield "downlink_blocked", self._is_downlink_blocked(duty, now), unheard
        yield "decoder_stalled", self._is_stalled(duty, now), stats_began

    def _flow_is_fresh(self, now: float) -> bool:
        return now - self._flow_at < _FRESH_S

    def _is_uplink_blocked(self, now: float) -> bool | None:
        if not self._flow_is_fresh(now):
            return None
        if not self._uplink_is_due(now):
            return False
        return self._is_cut_off(now) if self._flow is None else self._flow.up_bps == 0

    def _uplink_is_due(self, now: float) -> bool:
        return self._settled(self._audio_due_since, now) or self._settled(
            self._video_due_since, now
        )

    def _is_cut_off(self, now: float) -> bool:
        """Of one without a connection: it was there, or should be by now."""
        return self._connected or now - self._began_at >= _CONNECTS_S

    def _is_microphone_muted(self, duty: Duty, now: float) -> bool | None:
        stats = self.fresh_stats(now)
        if stats is not None:
            return duty.may_send_audio and stats.microphone == "muted"
        if self._stats is not None or not self._flow_is_fresh(now):
            return None
        # Of a client that tells nothing of its devices: only a switch gives nothing but zeros.
        return self._audio_is_due(now) and self._level() == _DIGITAL_SILENCE

    def _is_silent(self, now: float) -> bool | None:
        if not self._flow_is_fresh(now):
            return None
        flow, stats = self._flow, self.fresh_stats(now)
        if flow is None or not self._audio_is_due(now):
            return False
        if flow.audio_packets == 0:
            # Even of a microphone whose meter moves: it is not heard.
            return flow.up_bps > 0
        if self._microphone_lives(now):
            return False
        if flow.level is None:
            return stats is not None and stats.microphone_level == 0
        return stats is not None and flow.level >= _DIGITAL_SILENCE

    def _is_near_silent(self, now: float) -> bool | None:
        if not self._flow_is_fresh(now):
            return None
        level, meter = self._level(), self._meter(now)
        silent = level is not None and level >= _NEAR_SILENCE
        # Who listens, with a gate and without a meter, is not to be told from a dead microphone.
        at_the_client = meter is not None and meter <= _SILENT_LEVEL
        return silent and at_the_client and self._audio_is_due(now)

    def _is_camera_muted(self, duty: Duty, now: float) -> bool | None:
        stats = self.fresh_stats(now)
        return None if stats is None else duty.may_send_video and stats.camera == "muted"

    def _is_frozen(self, now: float) -> bool | None:
        stats, grown = self.fresh_stats(now), self.fresh_growth(now)
        if not self._settled(self._video_due_since, now):
            return False
        if stats is not None and stats.camera != "on":
            return False
        if grown is not None and grown.camera_frames is not None:
            # Pictures that the camera gives and the SFU does not see were lost after it, or held
            # back by the browser, whose network or processor is too weak for them.
            return grown.camera_frames == 0
        if not self._flow_is_fresh(now):
            return None
        return self._flow is not None and self._flow.video_frames == 0 and self._flow.up_bps > 0

    def _is_downlink_blocked(self, duty: Duty, now: float) -> bool | None:
        if not self._flow_is_fresh(now):
            return None
        if self._flow is None:
            # What keeps one who should send from connecting is named as their uplink's.
            return None if self._uplink_is_due(now) else duty.receives and self._is_cut_off(now)
        if self._flow.down_packets < _FEW_PACKETS:
            return None
        if self.fresh_stats(now) is not None:
            grown = self.fresh_growth(now)
            return None if grown is None else grown.received_packets == 0
        if self._flow.up_bps == 0 and self._uplink_is_due(now):
            # Confirmations come by the uplink: when that is dead they say nothing of the downlink.
            return False
        return not self._flow.acknowledged

    def _is_stalled(self, duty: Duty, now: float) -> bool | None:
        grown = self.fresh_growth(now)
        if grown is None:
            return None
        return any(
            seat.frames_received >= _STALLED_FRAMES and seat.frames_decoded == 0
            for number, seat in grown.seats.items()
            if number in duty.pictures
        )

    def _level(self) -> int | None:
        return self._flow.level if self._flow is not None else None

    def _audio_is_due(self, now: float) -> bool:
        stats = self.fresh_stats(now)
        is_on = stats is None or stats.microphone == "on"
        return is_on and self._settled(self._audio_due_since, now)

    def _microphone_lives(self, now: float) -> bool:
        """The client's own meter moves."""
        meter = self._meter(now)
        return meter is not None and meter > _SILENT_LEVEL

    def _meter(self, now: float) -> float | None:
        stats = self.fresh_stats(now)
        return stats.microphone_level if stats is not None else None

    @staticmethod
    def _settled(since: float | None, now: float) -> bool:
        return since is not None and now - since >= _SETTLES_S


def _since(since: float | None, is_due: bool, now: float) -> float | None:
    if not is_due:
        return None
    return now if since is None else since

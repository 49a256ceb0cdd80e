"""Who speaks, from the audio levels of packets (RFC 6464), steady enough to draw."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

_NS_PER_MS = 1_000_000

#: The level of digital silence, in -dBov.
SILENCE = 127
#: Louder than this for a while is speech; a quiet room stays below.
SPEECH_LEVEL = 50
#: How much of loudness each packet (20 ms as a rule) makes: about 0.3 s of talk is needed to count
#: as speech, so a cough or a knock is not. Packets, not time, so that batches weigh the same.
PACKET_WEIGHT = 0.1
#: A pause for breath does not end a turn.
HOLD_NS = 1_200 * _NS_PER_MS
#: A sender whose packets stop (discontinuous transmission) is silent from then on.
STALE_NS = 300 * _NS_PER_MS
#: Who overtakes a louder speaker in the order is louder by at least this, in dB.
OVERTAKE_DB = 6.0


class _Voice:
    """How loud one is: `loudness` is in dB above digital silence, smoothed."""

    __slots__ = ("heard_ns", "loudness", "spoke_ns")

    def __init__(self, now_ns: int) -> None:
        self.loudness = 0.0
        self.heard_ns = now_ns
        self.spoke_ns: int | None = None

    def follow(self, loudness: int, now_ns: int) -> None:
        self.loudness += (loudness - self.loudness) * PACKET_WEIGHT
        self.heard_ns = now_ns
        if self.loudness >= SILENCE - SPEECH_LEVEL:
            self.spoke_ns = now_ns

    def speaks(self, now_ns: int) -> bool:
        return self.spoke_ns is not None and now_ns - self.spoke_ns < HOLD_NS


class ActiveSpeakers(Generic[Key]):
    """The active speakers of one room; a key names who speaks."""

    def __init__(self) -> None:
        self._voices: dict[Key, _Voice] = {}
        self._order: list[Key] = []

    def note(self, key: Key, level: int, now_ns: int) -> None:
        """A packet of `key` had `level` (-dBov: 0 loudest, 127 silent)."""
        voice = self._voices.get(key)
        if voice is None:
            voice = self._voices[key] = _Voice(now_ns)
        voice.follow(SILENCE - max(0, min(level, SILENCE)), now_ns)

    def forget(self, key: Key) -> None:
        """`key` left, or is muted."""
        self._voices.pop(key, None)
        if key in self._order:
            self._order.remove(key)

    def current(self, now_ns: int) -> tuple[Key, ...]:
        """Who speaks now, loudest first; the order changes only for a clear difference."""
        for voice in self._voices.values():
            if now_ns - voice.heard_ns > STALE_NS:
                voice.loudness = 0.0
        speaking = [key for key in self._order if self._voices[key].speaks(now_ns)]
        newcomers = [
            key
            for key, voice in self._voices.items()
            if voice.speaks(now_ns) and key not in speaking
        ]
        newcomers.sort(key=lambda key: -self._voices[key].loudness)
        speaking.extend(newcomers)
        self._order = self._overtaken(speaking)
        return tuple(self._order)

    def _overtaken(self, order: list[Key]) -> list[Key]:
        for place in range(1, len(order)):
            at = place
            while at and self._loudness(order[at]) > self._loudness(order[at - 1]) + OVERTAKE_DB:
                order[at - 1], order[at] = order[at], order[at - 1]
                at -= 1
        return order

    def _loudness(self, key: Key) -> float:
        return self._voices[key].loudness

"""Sums up the seconds of one person for the consultation's quality record. Pure, of fixed size."""

from __future__ import annotations

from signaling.protocol.messages import Stats
from signaling.quality.observations import Flow, Growth
from signaling.quality.score import WORST_SCORE, score
from signaling.rooms.room import Measured, Spread


def with_value(spread: Spread, value: float) -> Spread:
    """The spread with one value more."""
    if not spread.count:
        return Spread(count=1, total=value, least=value, most=value)
    return Spread(
        count=spread.count + 1,
        total=spread.total + value,
        least=min(spread.least, value),
        most=max(spread.most, value),
    )


class Tally:
    """Everything that was measured of one person here: call `second` for each, then `measured`."""

    def __init__(self) -> None:
        self._spreads: dict[str, Spread] = {}
        self._freezes = 0
        self._freeze_ms = 0.0
        self._concealed_samples = 0
        self._audio_samples = 0
        #: Of the last second; None before the first.
        self.last_score: float | None = None

    def second(
        self, flow: Flow, stats: Stats | None, grown: Growth | None, *, broken: bool
    ) -> None:
        """One second of a connected person; `stats` when the client has told anything of late.

        A `broken` one, in which they were not heard or heard nothing, scores 1.
        """
        down_loss = stats.down_loss if stats is not None else flow.down_loss
        round_trip_ms = flow.round_trip_ms
        if round_trip_ms is None and stats is not None:
            round_trip_ms = stats.round_trip_ms
        down_jitter_ms = stats.jitter_ms if stats is not None else 0.0
        worst_loss, worst_jitter_ms = (
            max(flow.up_loss, down_loss),
            max(flow.up_jitter_ms, down_jitter_ms),
        )
        self.last_score = (
            WORST_SCORE if broken else score(worst_loss, round_trip_ms or 0.0, worst_jitter_ms)
        )
        self._add("up_loss", flow.up_loss)
        self._add("down_loss", down_loss)
        self._add("up_jitter_ms", flow.up_jitter_ms)
        if stats is not None:
            self._add("down_jitter_ms", stats.jitter_ms)
        if round_trip_ms is not None:
            self._add("round_trip_ms", round_trip_ms)
        self._add("up_bps", flow.up_bps)
        self._add("down_bps", flow.down_bps)
        self._add("score", self.last_score)
        if grown is not None:
            self._play(grown)

    def measured(self, observer: str) -> Measured | None:
        """The sum; None while there is nothing."""
        if not self._spreads:
            return None
        return Measured(
            observer=observer,
            freezes=self._freezes,
            freeze_ms=self._freeze_ms,
            concealed_samples=self._concealed_samples,
            audio_samples=self._audio_samples,
            **self._spreads,
        )

    def _add(self, name: str, value: float) -> None:
        self._spreads[name] = with_value(self._spreads.get(name, Spread()), value)

    def _play(self, grown: Growth) -> None:
        for seat in grown.seats.values():
            self._freezes += seat.freezes
            self._freeze_ms += seat.freeze_ms
            self._concealed_samples += seat.concealed_samples
            self._audio_samples += seat.audio_samples

"""Sums up the seconds of one person for the consultation's quality record. Pure, of fixed size."""

from __future__ import annotations

from signaling.protocol.messages import Stats
from signaling.quality.observations import Flow, Growth
from signaling.quality.score import WORST_SCORE, score
from signaling.rooms.room import Measured, Spread

#: No path is that slow: what is above is no measurement.
_LONGEST_MS = 60_000.0


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
    """Everything that was measured of one person here, then `measured`.

    Call `second` for each second with a connection or `second_without` for each broken one without,
    and `play` for what each report of the client adds.
    """

    def __init__(self) -> None:
        self._spreads: dict[str, Spread] = {}
        self._freezes = 0
        self._freeze_ms = 0.0
        self._concealed_samples = 0
        self._audio_samples = 0
        self._last_score: float | None = None

    def second(self, flow: Flow, stats: Stats | None, *, broken: bool) -> None:
        """One second of a connected person; `stats` when the client has told anything of late.

        A `broken` one, in which they were not heard or heard nothing, scores 1. Of the losses that
        SFU and client name the worse counts, and a client's times are bounded: its word must not
        make nonsense of the record.
        """
        down_loss = max(flow.down_loss, stats.down_loss) if stats is not None else flow.down_loss
        round_trip_ms = flow.round_trip_ms
        if round_trip_ms is None and stats is not None and stats.round_trip_ms is not None:
            round_trip_ms = min(stats.round_trip_ms, _LONGEST_MS)
        down_jitter_ms = min(stats.jitter_ms, _LONGEST_MS) if stats is not None else 0.0
        worst_loss, worst_jitter_ms = (
            max(flow.up_loss, down_loss),
            max(flow.up_jitter_ms, down_jitter_ms),
        )
        self._score(
            WORST_SCORE if broken else score(worst_loss, round_trip_ms or 0.0, worst_jitter_ms)
        )
        self._add("up_loss", flow.up_loss)
        self._add("down_loss", down_loss)
        self._add("up_jitter_ms", flow.up_jitter_ms)
        if stats is not None:
            self._add("down_jitter_ms", down_jitter_ms)
        if round_trip_ms is not None:
            self._add("round_trip_ms", round_trip_ms)
        self._add("up_bps", flow.up_bps)
        self._add("down_bps", flow.down_bps)

    def second_without(self) -> None:
        """One second of a person who has no connection and should have one."""
        self._score(WORST_SCORE)

    def play(self, grown: Growth) -> None:
        """What the client has received and shown since its report before."""
        for seat in grown.seats.values():
            self._freezes += seat.freezes
            self._freeze_ms += seat.freeze_ms
            self._concealed_samples += seat.concealed_samples
            self._audio_samples += seat.audio_samples

    def take_score(self) -> float | None:
        """The score of the last second; None when there was none since it was last taken."""
        taken, self._last_score = self._last_score, None
        return taken

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

    def _score(self, value: float) -> None:
        self._last_score = value
        self._add("score", value)

    def _add(self, name: str, value: float) -> None:
        self._spreads[name] = with_value(self._spreads.get(name, Spread()), value)

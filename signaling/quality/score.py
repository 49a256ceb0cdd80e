"""One number from 1 (bad) to 5 (excellent) for how well people can talk: an estimate.

The idea is the E-model of ITU-T G.107: a transmission rating R from 0 to 100, lowered by delay and
by loss, and its Annex B for the mean opinion score that goes with it. Nobody has measured the
impairment factors of Opus for it, so the two constants of loss below are ours: the score compares
calls with each other and shows trends; it is no measurement by ITU-T P.862 or P.863.
"""

from __future__ import annotations

from typing import Final

#: R with all defaults of G.107 and no impairment.
_BEST: Final = 93.2
#: A call in which nobody hears anything.
WORST_SCORE: Final = 1.0
#: One way besides the network: frame, packet, play-out.
_FIXED_DELAY_MS: Final = 50.0
#: Above this delay people begin to talk over each other (Cole and Rosenbluth's fit of G.107 Id).
_TALK_OVER_MS: Final = 177.3
#: Robustness against loss (Bpl): Opus with concealment and in-band FEC.
_LOSS_ROBUSTNESS: Final = 20.0


def rating(loss: float, round_trip_ms: float, jitter_ms: float) -> float:
    """R, from 0 to 93.2. `loss` is a fraction of packets, either way the worse."""
    # A play-out buffer holds about twice the jitter.
    delay_ms = round_trip_ms / 2 + 2 * jitter_ms + _FIXED_DELAY_MS
    talk_over_ms = max(0.0, delay_ms - _TALK_OVER_MS)
    by_delay = 0.024 * delay_ms + 0.11 * talk_over_ms
    loss_percent = 100 * min(max(loss, 0.0), 1.0)
    by_loss = 95 * loss_percent / (loss_percent + _LOSS_ROBUSTNESS)
    return max(0.0, _BEST - by_delay - by_loss)


def score(loss: float, round_trip_ms: float, jitter_ms: float) -> float:
    """The opinion score that goes with the rating (G.107 Annex B): from 1 to 4.4."""
    r = rating(loss, round_trip_ms, jitter_ms)
    return max(WORST_SCORE, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6)

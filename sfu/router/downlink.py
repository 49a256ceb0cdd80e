"""What the path to one viewer carries, and what is sent down it beyond need to find out."""

from __future__ import annotations

from collections.abc import Iterable

from sfu.forwarder.contract import Forwarder, TransportHandle
from sfu.router.allocation import Allocation, Allocator
from sfu.router.subscriber import Leg
from sfu.rtp.rtcp import TransportFeedback
from sfu.streams.congestion.estimator import CEILING_BPS, SendEstimator, Told

#: A receiver report counts as a confirmation for so long: browsers send them each second, and
#: those of a voice alone each five.
_CONFIRMED_NS = 6_000_000_000
#: A step up needs this much more than it costs.
_PROBE_MARGIN = 1.25
#: What is sent before anything is known, and what it turns out to cost, goes on up to this.
_UNPROVED_BPS = 6_000_000
#: A path on which nothing is sent, not even a voice, is tried with this much, so often.
_SIGN_BYTES = 200
_SIGN_NS = 1_000_000_000
#: What a probe showed is news for so long.
_PROVED_NS = 2_000_000_000
#: A viewer that reports for so long on packets with numbers, and tells nothing of the numbers,
#: will not.
_UNTOLD_NS = 5_000_000_000
#: A path that loses so much loses repeats, too. Browsers do not ask twice for frames that no
#: other builds on, and each other one that is asked for twice is late by another round trip.
_LOSSY = 0.02
#: A path has room for more when this share of it is enough for what is sent.
_ROOM = 0.8
#: So little is for voices alone.
_NARROW_BPS = 150_000


class Downlink:
    """One viewer's estimate, allocator and probes.

    `numbered`: it has agreed to tell what arrived, by number. One that does not do so after all is
    taken like those that did not agree, until it does.
    """

    def __init__(self, transport: TransportHandle, forwarder: Forwarder, now_ns: int) -> None:
        self.numbered = False
        self.allocator = Allocator()
        self.allocation: Allocation | None = None
        self.probes = 0
        self._transport = transport
        self._forwarder = forwarder
        self._estimator = SendEstimator(now_ns)
        self._heard = False
        self._untold_since_ns: int | None = None
        self._untold = False
        self._decided_at_bps = 0
        self._limited = False
        self._ever_congested = False
        self._reported_loss: float | None = None
        self._reported_ns: int | None = None
        self._sent_before = 0
        self._sent_ns = now_ns

    # -- what is heard

    def feedback(self, feedback: TransportFeedback, now_ns: int) -> Told | None:
        """The viewer tells what arrived; None when that cannot be."""
        if not self.numbered:
            return None
        self._heard = True
        self._untold = False
        sends = self._forwarder.sends(self._transport)
        told = self._estimator.feedback(feedback, sends, now_ns)
        self._note_congestion()
        return told

    def receiver_limit(self, bps: int, now_ns: int) -> None:
        """REMB of a viewer; one that also numbers arrivals is not asked."""
        if not self._tells:
            self._limited = True
            self._estimator.receiver_limit(bps, now_ns)

    def loss_report(self, fraction: float, now_ns: int) -> None:
        """The worst loss in a viewer's receiver report."""
        self._reported_loss, self._reported_ns = fraction, now_ns
        if self.numbered and not self._heard:
            self._note_untold(now_ns)
        if not self._tells:
            self._estimator.loss_report(fraction, now_ns)
            self._note_congestion()

    def tick(self, now_ns: int) -> None:
        """Time has passed; call every 50 to 200 ms."""
        if self._tells:
            self._estimator.tick(self._forwarder.sends(self._transport), now_ns)
            self._note_congestion()

    def decided(self, allocation: Allocation) -> None:
        """What is sent from now on."""
        self.allocation = allocation
        self._decided_at_bps = self._estimator.target_bps

    # -- what follows

    @property
    def estimate_bps(self) -> int | None:
        """What the path is thought to carry; None while nothing is known."""
        if self._tells:
            return self._estimator.target_bps if self._heard else None
        known = self._limited or self._ever_congested
        return self._estimator.target_bps if known else None

    def budget_bps(self, least_bps: int) -> int:
        """What may be sent in all.

        Where the viewer tells nothing, nothing is withheld. Until the path has shown that it is
        full, `least_bps` is granted whatever the estimate: the first picture, without which nothing
        could be learnt, and what is sent already, which nothing speaks against.
        """
        if not self._tells and not self._limited and not self._ever_congested:
            return CEILING_BPS
        target = self._estimator.target_bps
        if self._ever_congested or not self._tells:
            return target
        return max(target, min(least_bps, _UNPROVED_BPS))

    def proved(self, now_ns: int) -> bool:
        """Whether a probe has just shown that there is more room."""
        proved_ns = self._estimator.proved_ns
        return proved_ns is not None and now_ns - proved_ns < _PROVED_NS

    @property
    def is_narrow(self) -> bool:
        """Whether the path hardly carries a voice: whatever else is sent takes from that."""
        estimate_bps = self.estimate_bps
        return estimate_bps is not None and estimate_bps < _NARROW_BPS

    @property
    def is_probing(self) -> bool:
        """Whether `probe` is to be called each 20 ms, to keep a rate up."""
        return self._estimator.probing

    @property
    def is_short(self) -> bool:
        """Whether less fits than was decided last, because less does than did then."""
        decided = self.allocation
        return (
            decided is not None
            and self._estimator.target_bps < min(decided.used_bps, self._decided_at_bps)
            and (self._tells or self._limited or self._ever_congested)
        )

    def probe(self, legs: Iterable[Leg], now_ns: int) -> None:
        """Send more than is needed, when more is wanted than is known to fit."""
        if not self._tells or self.allocation is None:
            return
        sends = self._forwarder.sends(self._transport)
        first = sends.next_sequence
        if first != self._sent_before:
            self._sent_before, self._sent_ns = first, now_ns
        wanted_bps = self.allocation.wanted_bps
        probe = self._estimator.probe(now_ns, int(wanted_bps * _PROBE_MARGIN))
        if probe is not None:
            if self._send(legs, probe.size_bytes, now_ns):
                self._estimator.probe_sent(first, sends.next_sequence - 1, now_ns)
        elif wanted_bps > self.allocation.used_bps and now_ns - self._sent_ns >= _SIGN_NS:
            # Nothing at all is sent, so nothing would ever be heard.
            self._send(legs, _SIGN_BYTES, now_ns)

    def loss(self) -> float:
        """The share of packets that did not arrive lately, 0 to 1."""
        return self._estimator.loss if self._tells else self._reported_loss or 0.0

    def repeats(self) -> int:
        """How often to send what was lost: twice where loss is no sign of a full path."""
        decided = self.allocation
        has_room = decided is None or decided.used_bps < _ROOM * self._estimator.target_bps
        return 2 if has_room and self.loss() >= _LOSSY and not self._estimator.congested else 1

    def is_acknowledged(self, now_ns: int) -> bool:
        """Whether the viewer has confirmed lately that anything arrives."""
        if self.numbered and self._heard:
            return self._estimator.acknowledged
        return self._reported_ns is not None and now_ns - self._reported_ns < _CONFIRMED_NS

    @property
    def round_trip_ns(self) -> int | None:
        """As transport-wide feedback shows it; None without."""
        return self._estimator.round_trip_ns if self.numbered and self._heard else None

    def _send(self, legs: Iterable[Leg], size_bytes: int, now_ns: int) -> bool:
        """Send so much on the first leg that can repeat what it sent."""
        for leg in legs:
            if leg.kind == "video" and leg.rtx_ssrc and leg.handle is not None:
                sent_bytes = self._forwarder.probe(leg.handle, size_bytes, now_ns)
                self.probes += bool(sent_bytes)
                if sent_bytes:
                    return True
        return False

    @property
    def _tells(self) -> bool:
        return self.numbered and not self._untold

    def _note_untold(self, now_ns: int) -> None:
        if self._untold_since_ns is None:
            if self._forwarder.sends(self._transport).next_sequence:
                self._untold_since_ns = now_ns
        elif now_ns - self._untold_since_ns >= _UNTOLD_NS:
            self._untold = True

    def _note_congestion(self) -> None:
        self._ever_congested = self._ever_congested or self._estimator.congested

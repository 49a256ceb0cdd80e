"""What one stream carries, by layer, read off its counters at each tick. Pure."""

from __future__ import annotations

from collections.abc import Sequence

#: Headers of a packet that its payload is not counted with: RTP 12, extensions 12, SRTP 16.
_HEADER_BYTES = 40
#: Rates are taken over spans of this length: shorter ones see single key frames.
_SPAN_NS = 500_000_000
#: A rate that rises is believed at once, one that falls by this part a span: an encoder that was
#: told to begin or end another layer begins low again in all, and is back within some seconds.
_FALL = 0.15
_NS_PER_S = 1_000_000_000


class Meter:
    """Bit rates of the 16 layers of a stream (`4 * spatial + temporal`), and when it was heard.

    What it measured last stays when the stream falls silent: that is what it would cost again.
    """

    __slots__ = ("_bytes", "_packets", "_seen_packets", "_since_ns", "heard_ns", "rates_bps")

    def __init__(self) -> None:
        #: Empty until the first whole span.
        self.rates_bps: tuple[int, ...] = ()
        #: When packets were last seen to have come; 0 for never.
        self.heard_ns = 0
        self._since_ns = 0
        self._bytes: Sequence[int] = ()
        self._packets = 0
        self._seen_packets = 0

    def note(self, packets: int, layer_bytes: Sequence[int], now_ns: int) -> None:
        """Take in the stream's counters as they are now."""
        if packets != self._seen_packets:
            if self.heard_ns and now_ns - self.heard_ns > 2 * _SPAN_NS:
                self._since_ns = 0  # it begins again: the silence before says nothing
            self._seen_packets = packets
            self.heard_ns = now_ns
        elapsed_ns = now_ns - self._since_ns
        if self._since_ns and elapsed_ns < _SPAN_NS:
            return
        if self._since_ns and packets > self._packets and self.heard_ns == now_ns:
            self._measure(packets, layer_bytes, elapsed_ns)
        self._since_ns, self._bytes, self._packets = now_ns, list(layer_bytes), packets

    def temporals(self, spatial: int) -> int:
        """How many temporal layers a spatial layer was seen to have."""
        rates = self.rates_bps[4 * spatial : 4 * spatial + 4]
        return max((index + 1 for index, rate in enumerate(rates) if rate), default=0)

    def spatials(self) -> int:
        """How many spatial layers there are."""
        return max((index // 4 + 1 for index, rate in enumerate(self.rates_bps) if rate), default=0)

    def up_to_bps(self, spatial: int, temporal: int) -> int:
        """What the layers up to these carry together."""
        return sum(
            rate
            for index, rate in enumerate(self.rates_bps)
            if index // 4 <= spatial and index % 4 <= temporal
        )

    def total_bps(self) -> int:
        """What all layers carry together; 0 before the first span."""
        return sum(self.rates_bps)

    def _measure(self, packets: int, layer_bytes: Sequence[int], elapsed_ns: int) -> None:
        payload = max(1, sum(layer_bytes) - sum(self._bytes))
        share = 1 + (packets - self._packets) * _HEADER_BYTES / payload
        rates = [
            int((new - old) * share * 8 * _NS_PER_S / elapsed_ns)
            for new, old in zip(layer_bytes, self._bytes, strict=True)
        ]
        before = self.rates_bps or rates
        self.rates_bps = tuple(
            now if now >= old else int(old + (now - old) * _FALL)
            for now, old in zip(rates, before, strict=True)
        )

"""What each tap is fed with: one sink for each voice and each picture of a peer that it may have.

A sink is a leg without a transport. So a picture is one track through all its layers and through
new SSRCs; a codec that changes begins another. Selecting nothing cuts a track without ending it:
consent that was withdrawn may be given again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sfu.control.tap import SenderReport as TapReport
from sfu.control.tap import TrackOpened
from sfu.forwarder.contract import Codec, Forwarder, Kind, LegHandle
from sfu.ids import SourceId, TapId
from sfu.router.decoding import RECORDABLE
from sfu.router.keyframes import Waiting
from sfu.router.ladder import Ladder
from sfu.router.stream import Stream
from sfu.rtp.rtcp import SenderReport
from sfu.tap import Tap


@dataclass(slots=True, eq=False)
class Sink:
    """One track of one tap. `stream` is what it was told to take, `shown` what it takes."""

    handle: LegHandle
    tap: Tap
    track: tuple[SourceId, Kind]
    codec: Codec
    stream: Stream | None = None
    shown: Stream | None = None
    hurries: bool = False


class Recording:
    """The sinks of all taps of one room.

    `wait(sink, stream)` is called for each sink that begins to wait for a key frame, and
    `stop_waiting(sink)` for each that waits no more.
    """

    def __init__(
        self,
        forwarder: Forwarder,
        wait: Callable[[Waiting, Stream], None],
        stop_waiting: Callable[[Waiting], None],
    ) -> None:
        self._forwarder = forwarder
        self._wait = wait
        self._stop_waiting = stop_waiting
        self._sinks: dict[tuple[TapId, SourceId, Kind], Sink] = {}

    def settle(
        self,
        taps: Iterable[Tap],
        voices: Iterable[Stream],
        ladders: Iterable[Ladder],
        now_ns: int,
    ) -> None:
        """Give each tap what it may have, from the next packet on.

        `voices` and `ladders` are all that are there, permitted or not.
        """
        running = list(taps)
        if not running and not self._sinks:
            return
        found: dict[tuple[SourceId, Kind], Stream] = {}
        for voice in voices:
            found[voice.source, "audio"] = voice
        for ladder in ladders:
            if any(stream.codec in RECORDABLE for stream in ladder.streams()):
                found[ladder.source, "video"] = _picture(ladder)
        self._close(running, found, now_ns)
        for tap in running:
            for (source, kind), stream in found.items():
                self._feed(tap, source, kind, stream)
        for ladder in ladders:
            if any(ladder.peer in tap.peers for tap in running) and _permitted(ladder):
                _want(ladder, now_ns)
        self._hold(ladders, now_ns)

    def report(self, stream: Stream, report: SenderReport, now_ns: int) -> None:
        """A sender report of a stream, in the time of each track that it is in."""
        for sink in self._sinks.values():
            if sink.shown is not stream:
                continue
            rtp_time = self._forwarder.leg_time(sink.handle, report.rtp_time)
            if rtp_time is not None:
                mapped = TapReport(report.ntp_time, rtp_time & 0xFFFF_FFFF)
                sink.tap.report(sink.track, mapped, now_ns)

    def forget(self, stream: Stream) -> None:
        """The stream is no more; sinks that waited for it go on with what they take."""
        for sink in self._sinks.values():
            if sink.shown is stream:
                sink.shown = None
            if sink.stream is stream:
                self._select(sink, sink.shown)

    def close(self, now_ns: int) -> None:
        """End all tracks."""
        self._close([], {}, now_ns)

    def _feed(self, tap: Tap, source: SourceId, kind: Kind, stream: Stream) -> None:
        key = tap.id, source, kind
        sink = self._sinks.get(key)
        if not (stream.permitted and stream.peer in tap.peers):
            if sink is not None:
                self._select(sink, None)
            return
        if sink is None:
            sink = self._sinks[key] = self._open(tap, stream)
        self._select(sink, stream)

    def _hold(self, ladders: Iterable[Ladder], now_ns: int) -> None:
        """What a sink takes must go on until what it waits for comes."""
        by_source = {ladder.source: ladder for ladder in ladders}
        for sink in self._sinks.values():
            shown = sink.shown
            if shown is not None and shown is not sink.stream:
                by_source[shown.source].want(shown.layer, now_ns)

    def _open(self, tap: Tap, stream: Stream) -> Sink:
        track = stream.source, stream.kind
        deliver = tap.sink(track, track_of(stream))
        handle = self._forwarder.add_sink(stream.kind, (stream.codec,), deliver)
        return Sink(handle, tap, track, stream.codec)

    def _select(self, sink: Sink, stream: Stream | None) -> None:
        if sink.stream is stream:
            return
        sink.stream = stream
        self._forwarder.select(sink.handle, stream.handle if stream is not None else None)
        if stream is None or stream.kind == "audio":
            sink.shown = stream
            self._stop_waiting(sink)
        elif stream is not sink.shown:
            self._wait(sink, stream)
        else:
            self._stop_waiting(sink)

    def _close(
        self, taps: list[Tap], found: dict[tuple[SourceId, Kind], Stream], now_ns: int
    ) -> None:
        for key, sink in tuple(self._sinks.items()):
            stream = found.get(sink.track)
            if sink.tap not in taps or stream is None or stream.codec != sink.codec:
                del self._sinks[key]
                self._forwarder.remove_leg(sink.handle)
                self._stop_waiting(sink)
                sink.tap.close_track(sink.track, now_ns)


def _permitted(ladder: Ladder) -> bool:
    return all(stream.permitted for stream in ladder.streams())


def _picture(ladder: Ladder) -> Stream:
    """The best layer that comes now, the best there is when none does."""
    return ladder.best_flowing(ladder.top) or ladder.streams()[-1]


def _want(ladder: Ladder, now_ns: int) -> None:
    """Take the best layer that can be counted on, and what stands in for it until it comes."""
    best = max((rung.spatial for rung in ladder.rungs), default=0) if ladder.top else 0
    ladder.want(best, now_ns)
    comes = ladder.best_flowing(ladder.top)
    if comes is not None:
        ladder.want(comes.layer, now_ns)


def track_of(stream: Stream) -> TrackOpened:
    """What a tap is told of a track of one of the `RECORDABLE` codecs or of a voice."""
    codec = stream.codec
    assert codec != "VP9" and codec != "AV1"  # noqa: PT018
    return TrackOpened(
        peer=stream.peer,
        source=stream.source,
        kind=stream.kind,
        screen=stream.screen,
        codec=codec,
        clock_rate=stream.format.clock_rate,
        channels=stream.format.channels,
    )

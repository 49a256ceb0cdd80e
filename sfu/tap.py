"""Taps: what a recorder is to get, kept until the recorder says that it is on its disk.

`sfu.control.tap` is the wire format. A tap takes records in, numbers them, and forgets them when
they are acknowledged; it knows no socket. Its memory is bounded: a tap whose recorder stays away
too long ends, and says so, rather than take the whole process with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from sfu.control.tap import Record, RecordKind, SenderReport, TrackOpened, encode_track
from sfu.forwarder.contract import StreamHandle
from sfu.ids import PeerId, RoomId, TapId

#: A tap that is over stays readable until its END is acknowledged, at most so long.
KEEP_ENDED_NS = 600 * 1_000_000_000
#: Names of forgotten taps are remembered, so that none begins again at record 1.
_MAX_REMEMBERED = 10_000
_MAX_TRACK = 65_535

PacketSink = Callable[[bytes, int], None]


class Tap:
    """One recording's records, from the first until END is acknowledged."""

    def __init__(
        self, tap: TapId, room: RoomId, buffer_bytes: int, on_overflow: Callable[[Tap, int], None]
    ) -> None:
        self.id = tap
        self.room = room
        self.peers: frozenset[PeerId] = frozenset()
        self.version = -1
        self.acknowledged = 0
        self.backlog_bytes = 0
        self.ended_ns: int | None = None
        #: Called after each new record; the connection that reads sets it.
        self.wake: Callable[[], None] | None = None
        self._buffer_bytes = buffer_bytes
        self._on_overflow = on_overflow
        self._records: dict[int, bytes] = {}
        self._newest = 0
        self._tracks: dict[StreamHandle, int] = {}
        self._next_track = 1

    # -- taking in

    def sink(self, stream: StreamHandle, track: TrackOpened) -> PacketSink:
        """What to call with each of the stream's packets; the first one opens the track."""

        def take(packet: bytes, now_ns: int) -> None:
            number = self._tracks.get(stream)
            if number is None:
                number = self._open(stream, track, now_ns)
            self._append(RecordKind.RTP, number, packet, now_ns)

        return take

    def report(self, stream: StreamHandle, report: SenderReport, now_ns: int) -> None:
        """A sender report of a stream; ignored before the stream's first packet."""
        number = self._tracks.get(stream)
        if number is not None:
            self._append(RecordKind.REPORT, number, bytes(report), now_ns)

    def close_track(self, stream: StreamHandle, now_ns: int) -> None:
        """The stream is over; ignored when it had no packet."""
        number = self._tracks.pop(stream, None)
        if number is not None:
            self._append(RecordKind.CLOSE, number, b"", now_ns)

    def end(self, now_ns: int) -> None:
        """Take nothing more. Ending twice is ending once."""
        if self.ended_ns is None:
            self._append(RecordKind.END, 0, b"", now_ns)
            self.ended_ns = now_ns
            self._tracks.clear()

    # -- giving out

    @property
    def is_done(self) -> bool:
        """Whether END was acknowledged, so that nothing is left to read."""
        return self.ended_ns is not None and not self._records

    def holds(self, after: int) -> bool:
        """Whether a reader that has everything up to record `after` can go on."""
        return 0 <= after <= self._newest

    def read(self, after: int, most_bytes: int) -> tuple[bytes, int]:
        """Whole records after `after`, at least one if there is one, and the number of the last."""
        batch: list[bytes] = []
        size = 0
        last = max(after, self.acknowledged)
        while last < self._newest:
            record = self._records[last + 1]
            if batch and size + len(record) > most_bytes:
                break
            batch.append(record)
            size += len(record)
            last += 1
        return b"".join(batch), last

    def acknowledge(self, sequence: int) -> None:
        """Forget the records up to `sequence`: they are on a recorder's disk."""
        for number in range(self.acknowledged + 1, min(sequence, self._newest) + 1):
            self.backlog_bytes -= len(self._records.pop(number))
            self.acknowledged = number

    # -- inside

    def _open(self, stream: StreamHandle, track: TrackOpened, now_ns: int) -> int:
        number = self._next_track
        if number > _MAX_TRACK:  # the wire has 16 bits for it
            self._on_overflow(self, now_ns)
            return 0
        self._next_track += 1
        self._tracks[stream] = number
        self._append(RecordKind.OPEN, number, encode_track(track), now_ns)
        return number

    def _append(self, kind: RecordKind, track: int, body: bytes, now_ns: int) -> None:
        if self.ended_ns is not None:
            return
        if self.backlog_bytes + len(body) > self._buffer_bytes and kind is not RecordKind.END:
            self._on_overflow(self, now_ns)
            return
        self._newest += 1
        record = bytes(Record(self._newest, now_ns, kind, track, body))
        self._records[self._newest] = record
        self.backlog_bytes += len(record)
        if self.wake is not None:
            self.wake()


class Taps:
    """All taps of one process. `on_overflow(tap)` is told of a tap that ended by itself."""

    def __init__(self, buffer_bytes: int, on_overflow: Callable[[Tap], None]) -> None:
        self.overflows = 0
        self._buffer_bytes = buffer_bytes
        self._tell_overflow = on_overflow
        self._taps: dict[TapId, Tap] = {}
        self._forgotten: dict[TapId, None] = {}

    def __len__(self) -> int:
        return len(self._taps)

    def __iter__(self) -> Iterator[Tap]:
        return iter(self._taps.values())

    def get(self, tap: TapId) -> Tap | None:
        """The tap of that name, running or over."""
        return self._taps.get(tap)

    def of_room(self, room: RoomId) -> list[Tap]:
        """The room's running taps."""
        return [t for t in self._taps.values() if t.room == room and t.ended_ns is None]

    def start(self, room: RoomId, tap: TapId, version: int, peers: Sequence[PeerId]) -> Tap | None:
        """Start a tap or replace its peers; None when it is over, another room's or newer."""
        if tap in self._forgotten:
            return None
        found = self._taps.get(tap)
        if found is None:
            found = self._taps[tap] = Tap(tap, room, self._buffer_bytes, self._overflow)
        if found.room != room or found.ended_ns is not None or version < found.version:
            return None
        found.version = version
        found.peers = frozenset(peers)
        return found

    def stop(self, tap: TapId, now_ns: int) -> None:
        """End a tap. One that never started will not start either."""
        found = self._taps.get(tap)
        if found is None:
            self._remember(tap)
        else:
            found.end(now_ns)

    def sweep(self, now_ns: int) -> None:
        """Forget what is read to its end, or was not read for too long. Call once a second."""
        for tap in list(self._taps.values()):
            too_old = tap.ended_ns is not None and now_ns - tap.ended_ns > KEEP_ENDED_NS
            if tap.is_done or too_old:
                del self._taps[tap.id]
                self._remember(tap.id)

    def backlog_bytes(self) -> int:
        """Bytes not acknowledged, of all taps."""
        return sum(tap.backlog_bytes for tap in self._taps.values())

    def _overflow(self, tap: Tap, now_ns: int) -> None:
        self.overflows += 1
        tap.end(now_ns)
        self._tell_overflow(tap)

    def _remember(self, tap: TapId) -> None:
        self._forgotten[tap] = None
        if len(self._forgotten) > _MAX_REMEMBERED:
            del self._forgotten[next(iter(self._forgotten))]


def fan_out(sinks: Sequence[PacketSink]) -> PacketSink | None:
    """One sink for several; None for none."""
    if not sinks:
        return None
    if len(sinks) == 1:
        return sinks[0]

    def take(packet: bytes, now_ns: int) -> None:
        for sink in sinks:
            sink(packet, now_ns)

    return take

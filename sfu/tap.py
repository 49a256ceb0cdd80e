"""Taps: what a recorder is to get, kept until the recorder says that it is on its disk.

`sfu.control.tap` is the wire format. A tap takes records in, numbers them, and forgets them when
they are acknowledged; it knows no socket. The memory of all taps together is bounded: a tap whose
recorder stays away too long ends, and says so, rather than take the whole process with it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterator, Sequence

from sfu.control.tap import Record, RecordKind, SenderReport, TrackOpened, encode_track
from sfu.ids import PeerId, RoomId, TapId

log = logging.getLogger(__name__)

#: A tap that is over stays readable until its END is acknowledged, at most so long: a recorder
#: that is down in the evening is mended the next morning.
KEEP_ENDED_NS = 24 * 3600 * 1_000_000_000
#: What Python needs to keep a record, besides the record's bytes.
RECORD_OVERHEAD_BYTES = 100
#: Names of forgotten taps are remembered, so that none begins again at record 1.
_MAX_REMEMBERED = 10_000
_MAX_TRACK = 65_535

PacketSink = Callable[[bytes, int], None]


class Budget:
    """The memory that all taps of a process share.

    A tap may hold as much as is still free: so the tap with the largest backlog ends first, while
    there is room left for all others, and one recorder that is stuck ends no other recording.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.used_bytes = 0
        self._limit_bytes = limit_bytes

    def allows(self, backlog_bytes: int) -> bool:
        """Whether a tap that holds so much may take another record."""
        return backlog_bytes + self.used_bytes < self._limit_bytes


class Tap:
    """One recording's records, from the first until END is acknowledged.

    Records carry the time of the wall clock, as consents do: `wall_offset_ns`, taken when the tap
    begins, is added to all of them, so that a clock that is set meanwhile bends no recording.
    """

    def __init__(
        self,
        tap: TapId,
        room: RoomId,
        budget: Budget,
        on_overflow: Callable[[Tap, int], None],
        wall_offset_ns: int = 0,
    ) -> None:
        self.id = tap
        self.room = room
        self.peers: frozenset[PeerId] = frozenset()
        self.version = -1
        self.acknowledged = 0
        self.backlog_bytes = 0
        self.ended_ns: int | None = None
        #: Whether it ended because its memory was full.
        self.overflowed = False
        #: Called after each new record; the connection that reads sets it.
        self.wake: Callable[[], None] | None = None
        self._budget = budget
        self._on_overflow = on_overflow
        self._wall_offset_ns = wall_offset_ns
        self._records: dict[int, bytes] = {}
        self._newest = 0
        self._given_out = 0
        self._tracks: dict[Hashable, int] = {}
        self._next_track = 1

    # -- taking in

    def sink(self, key: Hashable, track: TrackOpened) -> PacketSink:
        """What to call with each of a track's packets; the first one opens it.

        `key` is what the caller knows the track by, until it closes it.
        """

        def take(packet: bytes, now_ns: int) -> None:
            number = self._tracks.get(key)
            if number is None:
                number = self._open(key, track, now_ns)
            self._append(RecordKind.RTP, number, packet, now_ns)

        return take

    def report(self, key: Hashable, report: SenderReport, now_ns: int) -> None:
        """A sender report of a track; ignored before the track's first packet."""
        number = self._tracks.get(key)
        if number is not None:
            self._append(RecordKind.REPORT, number, bytes(report), now_ns)

    def close_track(self, key: Hashable, now_ns: int) -> None:
        """The track is over; ignored when it had no packet."""
        number = self._tracks.pop(key, None)
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

    @property
    def is_unread(self) -> bool:
        """Whether anything but END is not acknowledged."""
        return len(self._records) > (self.ended_ns is not None)

    def holds(self, after: int) -> bool:
        """Whether a reader that has everything up to record `after` can go on.

        A record that was never given out is another tap's: of a process that ran before this one.
        """
        return 0 <= after <= self._given_out

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
        self._given_out = max(self._given_out, last)
        return b"".join(batch), last

    def acknowledge(self, sequence: int) -> None:
        """Forget the records up to `sequence`: they are on a recorder's disk."""
        for number in range(self.acknowledged + 1, min(sequence, self._newest) + 1):
            self._hold(-(len(self._records.pop(number)) + RECORD_OVERHEAD_BYTES))
            self.acknowledged = number

    def discard(self) -> None:
        """Forget everything, read or not."""
        self.acknowledge(self._newest)

    # -- inside

    def _open(self, key: Hashable, track: TrackOpened, now_ns: int) -> int:
        number = self._next_track
        if number > _MAX_TRACK:  # the wire has 16 bits for it
            self._on_overflow(self, now_ns)
            return 0
        self._next_track += 1
        self._tracks[key] = number
        self._append(RecordKind.OPEN, number, encode_track(track), now_ns)
        return number

    def _append(self, kind: RecordKind, track: int, body: bytes, now_ns: int) -> None:
        if self.ended_ns is not None:
            return
        if kind is not RecordKind.END and not self._budget.allows(self.backlog_bytes):
            self._on_overflow(self, now_ns)
            return
        self._newest += 1
        arrival_ns = now_ns + self._wall_offset_ns
        record = bytes(Record(self._newest, arrival_ns, kind, track, body))
        self._records[self._newest] = record
        self._hold(len(record) + RECORD_OVERHEAD_BYTES)
        if self.wake is not None:
            self.wake()

    def _hold(self, more_bytes: int) -> None:
        self.backlog_bytes += more_bytes
        self._budget.used_bytes += more_bytes


class Taps:
    """All taps of one process, which may hold `buffer_bytes` together.

    `on_overflow(tap)` is told of a tap that ended by itself. `wall_offset_ns()` is how far the
    wall clock is ahead of the times that the taps are given.
    """

    def __init__(
        self,
        buffer_bytes: int,
        on_overflow: Callable[[Tap], None],
        wall_offset_ns: Callable[[], int] = lambda: 0,
    ) -> None:
        self.overflows = 0
        self.discarded = 0
        self._budget = Budget(buffer_bytes)
        self._tell_overflow = on_overflow
        self._wall_offset_ns = wall_offset_ns
        self._taps: dict[TapId, Tap] = {}
        #: The room of each if it overflowed, else None.
        self._forgotten: dict[TapId, RoomId | None] = {}

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
            found = self._taps[tap] = Tap(
                tap, room, self._budget, self._overflow, self._wall_offset_ns()
            )
        if found.room != room or found.ended_ns is not None or version < found.version:
            return None
        found.version = version
        found.peers = frozenset(peers)
        return found

    def has_overflowed(self, room: RoomId, tap: TapId) -> bool:
        """Whether the room's tap ended by itself, as far as that is remembered."""
        found = self._taps.get(tap)
        if found is None:
            return self._forgotten.get(tap) == room
        return found.room == room and found.overflowed

    def stop(self, tap: TapId, now_ns: int) -> None:
        """End a tap. One that never started will not start either."""
        found = self._taps.get(tap)
        if found is None:
            self._remember(tap, None)
        else:
            found.end(now_ns)

    def sweep(self, now_ns: int) -> None:
        """Forget what is read to its end, or was not read for too long. Call once a second."""
        for tap in list(self._taps.values()):
            too_old = tap.ended_ns is not None and now_ns - tap.ended_ns > KEEP_ENDED_NS
            if not (tap.is_done or too_old):
                continue
            if tap.is_unread:
                self.discarded += 1
                log.error("tap %s of room %s discarded: nobody read it", tap.id, tap.room)
            tap.discard()
            del self._taps[tap.id]
            self._remember(tap.id, tap.room if tap.overflowed else None)

    def backlog_bytes(self) -> int:
        """Memory of what is not acknowledged, of all taps."""
        return self._budget.used_bytes

    def _overflow(self, tap: Tap, now_ns: int) -> None:
        self.overflows += 1
        tap.overflowed = True
        tap.end(now_ns)
        self._tell_overflow(tap)

    def _remember(self, tap: TapId, overflowed_in: RoomId | None) -> None:
        self._forgotten.setdefault(tap, overflowed_in)
        if len(self._forgotten) > _MAX_REMEMBERED:
            del self._forgotten[next(iter(self._forgotten))]

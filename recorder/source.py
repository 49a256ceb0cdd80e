"""Reads one tap of an SFU into one journal, over any loss of connection, until its END.

The tap's protocol is in `sfu.control.tap`. Records are gathered while the disk is busy, written and
synced together, and then acknowledged, so that the SFU forgets only what is on our disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from enum import Enum

import aiohttp

from recorder.errors import RecorderError, TapLostError
from recorder.journal import Journal
from recorder.metrics import Metrics
from sfu.control.tap import Record, RecordKind, TapFormatError, parse_records

log = logging.getLogger(__name__)

_FIRST_RETRY_S = 0.1
_LAST_RETRY_S = 2.0
_CONNECT_TIMEOUT_S = 5.0
_HEARTBEAT_S = 4.0
_CLOSE_TIMEOUT_S = 1.0
#: A batch is about 64 KiB; a message that is many times that is not from a tap.
_MAX_MESSAGE_BYTES = 4 << 20
#: What may wait for the disk; beyond it TCP holds the SFU back.
_MAX_WAITING_RECORDS = 16_384
#: Before the stop: an SFU that restarts knows its taps again within a few seconds.
_ABSENT_S = 10.0
#: After the stop, the SFU says that there is no such tap: nothing is left to fetch.
_ABSENT_STOPPED_S = 5.0
#: After the stop, everything from before it is here and no END comes: the SFU was not told.
_OVERRUN_S = 10.0
#: After the stop, the SFU cannot be reached: it keeps the rest for us while it lives.
_UNREACHABLE_S = 60.0
#: After the stop, in all. A full buffer of the SFU takes so long to a slow disk; and an SFU whose
#: clock is behind ours would not be seen to go on after the stop.
_DRAIN_S = 300.0
#: Clocks of two machines that are kept by NTP differ by less. What reached the SFU just before the
#: stop belongs to the recording and must not be lost to that difference.
_CLOCK_SLACK_NS = 1_000_000_000
_LOOK_S = 0.2
_NOT_FOUND = 404
_CONFLICT = 409


class Outcome(Enum):
    """How the reading of a tap ended."""

    ENDED = "ended"
    GAVE_UP = "gave_up"


class TapReader:
    """Reads the tap at `url`; call `run` once, and `stop` when no more will come.

    `on_records` is called after each batch that is on the disk.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        secret: str,
        journal: Journal,
        metrics: Metrics,
        on_records: Callable[[], None],
    ) -> None:
        self.url = url
        self.backlog_records = 0
        self._session = session
        self._headers = {"Authorization": f"Bearer {secret}"}
        self._journal = journal
        self._metrics = metrics
        self._on_records = on_records
        # The last record that was taken: in the journal, or left out for coming after the stop.
        self._sequence = journal.last_sequence
        self._connected = False
        self._heard_s = time.monotonic()
        self._absent_since_s: float | None = None
        self._stopped_s: float | None = None
        self._keep_until_ns: int | None = None
        self._overran = False

    def stop(self, stopped_ns: int) -> None:
        """The tap was told to end at `stopped_ns` (Unix time, our clock): fetch the rest.

        Packets that reach the SFU later are acknowledged and not kept, whatever the SFU was told:
        nobody is recorded after a withdrawal because a message to the SFU was late.
        """
        self._stopped_s = time.monotonic()
        self._keep_until_ns = stopped_ns + _CLOCK_SLACK_NS

    async def run(self) -> Outcome:
        """Read until END, or until nothing more of a stopped tap is to be had.

        Raises `DiskFullError`, `JournalError`, and `TapLostError` when a tap that was not stopped
        is gone. When cancelled, what is being written is still written before it returns.
        """
        following = asyncio.create_task(self._follow(), name="tap-follow")
        try:
            while not following.done():
                await asyncio.wait({following}, timeout=_LOOK_S)
                if not following.done() and self._is_over(time.monotonic()):
                    return Outcome.GAVE_UP
            await following
            return Outcome.ENDED
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    def _is_over(self, now_s: float) -> bool:
        """Whether to wait no longer for a stopped tap. Raises `TapLostError` before the stop."""
        absent_since_s, stopped_s = self._absent_since_s, self._stopped_s
        if stopped_s is None:
            if absent_since_s is not None and now_s - absent_since_s >= _ABSENT_S:
                raise TapLostError("the SFU knows no such tap")
            return False
        if absent_since_s is not None:
            return now_s - max(absent_since_s, stopped_s) >= _ABSENT_STOPPED_S
        draining_s = now_s - stopped_s
        silent_s = now_s - max(self._heard_s, stopped_s)
        has_all = self._connected and not self.backlog_records and silent_s >= _OVERRUN_S
        return (
            has_all
            or (self._overran and draining_s >= _OVERRUN_S)
            or silent_s >= _UNREACHABLE_S
            or draining_s >= _DRAIN_S
        )

    async def _follow(self) -> None:
        retry_s = _FIRST_RETRY_S
        while not self._journal.ended:
            before = self._sequence
            absent = False
            try:
                await self._read_connection()
            except TapFormatError as error:
                self._metrics.tap_errors.inc()
                log.warning("tap broken: %s", error)
            except aiohttp.WSServerHandshakeError as error:
                self._metrics.tap_connects.labels("refused").inc()
                log.debug("tap refused with HTTP %d", error.status)
                absent = error.status == _NOT_FOUND
                if error.status == _CONFLICT:
                    # The SFU started anew: its tap of this name never gave out what we have.
                    raise TapLostError("the tap is not the one that was begun") from error
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                self._metrics.tap_connects.labels("unreachable").inc()
                log.debug("tap not reached: %s", type(error).__name__)
            if not absent:
                self._absent_since_s = None
            elif self._absent_since_s is None:
                self._absent_since_s = time.monotonic()
            if self._sequence > before:
                retry_s = _FIRST_RETRY_S
            if not self._journal.ended:
                await asyncio.sleep(retry_s)
                retry_s = min(retry_s * 2, _LAST_RETRY_S)

    async def _read_connection(self) -> None:
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            socket = await self._session.ws_connect(
                self.url,
                params={"after": str(self._sequence)},
                headers=self._headers,
                heartbeat=_HEARTBEAT_S,
                max_msg_size=_MAX_MESSAGE_BYTES,
                timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_TIMEOUT_S),
            )
        self._metrics.tap_connects.labels("connected").inc()
        self._connected = True
        self._heard_s = time.monotonic()
        self._absent_since_s = None
        waiting = _Waiting()
        receiving = asyncio.create_task(self._receive(socket, waiting), name="tap-receive")
        try:
            await self._commit(socket, waiting)
            if not self._journal.ended:
                await receiving
        finally:
            self._connected = False
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)
            await socket.close()
            self.backlog_records = 0

    async def _receive(self, socket: aiohttp.ClientWebSocketResponse, waiting: _Waiting) -> None:
        """Gather records until the connection ends. Raises `TapFormatError`."""
        try:
            async for message in socket:
                if message.type is not aiohttp.WSMsgType.BINARY:
                    raise TapFormatError("a tap sends binary messages only")
                self._heard_s = time.monotonic()
                records = list(parse_records(message.data))
                self.backlog_records += len(records)
                await waiting.put(records)
        finally:
            waiting.end()

    async def _commit(self, socket: aiohttp.ClientWebSocketResponse, waiting: _Waiting) -> None:
        """Write what was gathered and acknowledge it, until END or the connection ends."""
        while not self._journal.ended:
            records = await waiting.take()
            if records is None:
                return
            if not self._sequence and records and records[0].sequence != 1:
                # What opened its tracks is gone: no file could be made of the rest.
                raise TapLostError("the tap does not begin with its first record")
            written = await self._write(self._to_keep(records))
            self.backlog_records -= len(records)
            self._advance(records)
            if written:
                self._on_records()
            # Also when all were known: the acknowledgement of them was lost.
            with contextlib.suppress(ConnectionError, aiohttp.ClientError):
                await socket.send_str(str(self._sequence))

    def _advance(self, records: list[Record]) -> None:
        """Count these as taken, and what the tap skipped before them as missing."""
        numbers = {record.sequence for record in records}
        if self._journal.ended:
            numbers = {number for number in numbers if number <= self._journal.last_sequence}
        fresh = {number for number in numbers if number > self._sequence}
        if fresh:
            newest = max(fresh)
            self._metrics.tap_gaps.inc(newest - self._sequence - len(fresh))
            self._sequence = newest

    def _to_keep(self, records: list[Record]) -> list[Record]:
        """Those records that may be kept: no packet that reached the SFU after the stop."""
        until_ns = self._keep_until_ns
        if until_ns is None:
            return records
        kept = [
            record
            for record in records
            if record.kind is not RecordKind.RTP or record.arrival_ns <= until_ns
        ]
        self._overran = self._overran or len(kept) < len(records)
        return kept

    async def _write(self, records: list[Record]) -> list[Record]:
        began = time.perf_counter()
        writing = asyncio.ensure_future(asyncio.to_thread(self._journal.append, records))
        try:
            written = await asyncio.shield(writing)
        except asyncio.CancelledError:
            # The thread cannot be stopped, and the journal must not be closed under it.
            with contextlib.suppress(RecorderError):
                await writing
            raise
        self._metrics.fsync.observe(time.perf_counter() - began)
        self._metrics.tap_repeats.inc(len(records) - len(written))
        self._metrics.journal_records.inc(len(written))
        self._metrics.journal_bytes.inc(sum(len(record.body) for record in written))
        return written


class _Waiting:
    """Records between the socket and the disk: bounded, taken all at once."""

    def __init__(self) -> None:
        self._records: list[Record] = []
        self._ended = False
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()

    async def put(self, records: list[Record]) -> None:
        """Add records; waits while there is no room."""
        while len(self._records) >= _MAX_WAITING_RECORDS:
            self._emptied.clear()
            await self._emptied.wait()
        self._records += records
        self._filled.set()

    def end(self) -> None:
        """No more will come."""
        self._ended = True
        self._filled.set()

    async def take(self) -> list[Record] | None:
        """All that waits; None when nothing will come any more."""
        await self._filled.wait()
        records, self._records = self._records, []
        if not self._ended:
            self._filled.clear()
        self._emptied.set()
        return records if records or not self._ended else None

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

from recorder.errors import RecorderError
from recorder.journal import Journal
from recorder.metrics import Metrics
from sfu.control.tap import Record, TapFormatError, parse_records

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
#: After the stop: how long to wait for a sign of the tap, and in all.
_SILENCE_S = 5.0
_DRAIN_S = 60.0


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
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """The tap was told to end: fetch the rest, and give up a tap that is gone."""
        self._stopping.set()

    async def run(self) -> Outcome:
        """Read until END, or until a stopped tap has been silent for 5 s.

        Raises `DiskFullError` and `JournalError`. When cancelled, what is being written is still
        written before it returns.
        """
        following = asyncio.create_task(self._follow(), name="tap-follow")
        stopping = asyncio.create_task(self._stopping.wait(), name="tap-stopping")
        try:
            await asyncio.wait({following, stopping}, return_when=asyncio.FIRST_COMPLETED)
            deadline = time.monotonic() + _DRAIN_S
            seen = -1
            while not following.done() and seen < self._journal.last_sequence:
                if time.monotonic() > deadline:
                    break
                seen = self._journal.last_sequence
                await asyncio.wait({following}, timeout=_SILENCE_S)
            if not following.done():
                return Outcome.GAVE_UP
            await following
            return Outcome.ENDED
        finally:
            for task in (following, stopping):
                task.cancel()
            await asyncio.gather(following, stopping, return_exceptions=True)

    async def _follow(self) -> None:
        retry_s = _FIRST_RETRY_S
        while not self._journal.ended:
            before = self._journal.last_sequence
            try:
                await self._read_connection()
            except TapFormatError as error:
                self._metrics.tap_errors.inc()
                log.warning("tap broken: %s", error)
            except aiohttp.WSServerHandshakeError as error:
                self._metrics.tap_connects.labels("refused").inc()
                log.debug("tap refused with HTTP %d", error.status)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                self._metrics.tap_connects.labels("unreachable").inc()
                log.debug("tap not reached: %s", type(error).__name__)
            if self._journal.last_sequence > before:
                retry_s = _FIRST_RETRY_S
            if not self._journal.ended:
                await asyncio.sleep(retry_s)
                retry_s = min(retry_s * 2, _LAST_RETRY_S)

    async def _read_connection(self) -> None:
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            socket = await self._session.ws_connect(
                self.url,
                params={"after": str(self._journal.last_sequence)},
                headers=self._headers,
                heartbeat=_HEARTBEAT_S,
                max_msg_size=_MAX_MESSAGE_BYTES,
                timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_TIMEOUT_S),
            )
        self._metrics.tap_connects.labels("connected").inc()
        waiting = _Waiting()
        receiving = asyncio.create_task(self._receive(socket, waiting), name="tap-receive")
        try:
            await self._commit(socket, waiting)
            if not self._journal.ended:
                await receiving
        finally:
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
            last = self._journal.last_sequence
            written = await self._write(records)
            self.backlog_records -= len(records)
            if written:
                missing = written[-1].sequence - last - len(written)
                self._metrics.tap_gaps.inc(missing)
                self._on_records()
            # Also when all were known: the acknowledgement of them was lost.
            with contextlib.suppress(ConnectionError, aiohttp.ClientError):
                await socket.send_str(str(self._journal.last_sequence))

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

"""A durable queue of bundles on disk: what is put here is delivered, or shown as rejected.

Layout under the directory, for each target::

    pending/<target>/<consultation>.json     to be delivered; oldest first
    rejected/<target>/<consultation>.json    refused by the server, with
    rejected/<target>/<consultation>.outcome what it answered, for a person to read

Nothing else is state: after a crash the directory says what is to be done. A file leaves `pending`
only after the server took it or refused its content, so a bundle may be sent twice and never zero
times; bundles are made so that a second delivery changes nothing. A later bundle of the same
consultation replaces the earlier one. To try a rejected bundle again, move it back to `pending`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from recorder.durable import PARTIAL_SUFFIX, make_directory, sync_directory, write_file
from recorder.record.targets import Refused, Target, TryLater

logger = logging.getLogger(__name__)

_SUFFIX: Final = ".json"
_OUTCOME_SUFFIX: Final = ".outcome"
#: Bounds a file name (255 bytes in most file systems) with room for the affixes.
_KEY_LIMIT_BYTES: Final = 200


#: Inode and modification time (ns) of a file; None when there is none.
_Stamp = tuple[int, int] | None


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Delay before the next attempt: doubling from `first_s` to `longest_s`, each ± `jitter`."""

    first_s: float = 1.0
    longest_s: float = 3600.0
    jitter: float = 0.2

    def delay_s(self, attempts: int, chance: float) -> float:
        """After `attempts` failures (1 or more); `chance` in [0, 1) spreads many senders."""
        doubled = self.first_s * 2.0 ** min(attempts - 1, 40)
        return min(doubled, self.longest_s) * (1 + self.jitter * (2 * chance - 1))


class OutboxMetrics:
    """What the outbox tells Prometheus; `target` is a configured name."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.pending = Gauge(
            "vtelehealth_recorder_outbox_pending_bundles",
            "Bundles that wait for delivery.",
            ["target"],
            registry=registry,
        )
        self.rejected = Gauge(
            "vtelehealth_recorder_outbox_rejected_bundles",
            "Bundles that the server refused and a person must look at.",
            ["target"],
            registry=registry,
        )
        self.oldest_age = Gauge(
            "vtelehealth_recorder_outbox_oldest_age_seconds",
            "Age of the oldest bundle that waits for delivery, 0 when none waits.",
            ["target"],
            registry=registry,
        )
        self.attempts = Counter(
            "vtelehealth_recorder_outbox_attempts",
            "Attempts at delivery by result: delivered, retried, rejected.",
            ["target", "result"],
            registry=registry,
        )
        self.lag = Histogram(
            "vtelehealth_recorder_outbox_delivery_lag_seconds",
            "Time from putting a bundle to its delivery.",
            ["target"],
            buckets=(1, 5, 15, 60, 300, 1800, 10800, 86400),
            registry=registry,
        )


class _Attempt(msgspec.Struct):
    """What is known of a pending file beyond the disk; forgotten at a restart on purpose."""

    failures: int = 0
    due_at: float = 0.0


class Outbox:
    """Delivers what was put, to every target, until `run` is cancelled.

    Owns its targets: `run` closes them. `clock` gives Unix seconds. Raises OSError when the
    directory cannot be made, ValueError when two targets have one name.
    """

    def __init__(
        self,
        directory: Path,
        targets: Sequence[Target],
        metrics: OutboxMetrics,
        *,
        retry: RetryPolicy | None = None,
        rescan_s: float = 30.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        names = [target.name for target in targets]
        if len(set(names)) != len(names):
            raise ValueError("two delivery targets have the same name")
        self._targets = tuple(targets)
        self._pending = directory / "pending"
        self._rejected = directory / "rejected"
        self._metrics = metrics
        self._retry = retry or RetryPolicy()
        self._rescan_s = rescan_s
        self._clock = clock
        #: Keeps a `put` out of "is it still the file that was sent? then remove it".
        self._replacing = threading.Lock()
        self._attempts: dict[tuple[str, str], _Attempt] = {}
        self._wake = {name: asyncio.Event() for name in names}
        for name in names:
            for parent in (self._pending, self._rejected):
                make_directory(parent / name)
                for left_by_a_crash in (parent / name).glob(f"*{PARTIAL_SUFFIX}"):
                    left_by_a_crash.unlink(missing_ok=True)
            self._bind_metrics(name)

    async def put(self, consultation: str, bundle: bytes) -> None:
        """Queue `bundle` for every target; it is on disk when this returns.

        Raises ValueError when the consultation's id is empty or longer than a file name may be, and
        OSError when the disk refuses.
        """
        key = _key(consultation)
        for target in self._targets:
            path = self._pending / target.name / (key + _SUFFIX)
            await asyncio.to_thread(self._write, path, bundle)
            self._attempts.pop((target.name, key), None)
            self._wake[target.name].set()

    async def run(self) -> None:
        """Deliver until cancelled; call once."""
        if not self._targets:
            await asyncio.get_running_loop().create_future()
        try:
            async with asyncio.TaskGroup() as group:
                for target in self._targets:
                    group.create_task(self._serve(target), name=f"outbox-{target.name}")
        finally:
            for target in self._targets:
                await target.close()

    def depth(self) -> int:
        """Bundles that wait, over all targets."""
        return sum(len(_listing(self._pending / target.name)) for target in self._targets)

    def rejected(self) -> int:
        """Bundles that a person must look at, over all targets."""
        return sum(len(_listing(self._rejected / target.name)) for target in self._targets)

    def oldest_age_s(self) -> float:
        """Age of the oldest bundle that waits; 0 when none does."""
        return max((self._oldest_age_s(target.name) for target in self._targets), default=0.0)

    def _oldest_age_s(self, name: str) -> float:
        put_at = min(_listing(self._pending / name).values(), default=None)
        return 0.0 if put_at is None else max(0.0, self._clock() - put_at)

    def _bind_metrics(self, name: str) -> None:
        pending, rejected = self._pending / name, self._rejected / name
        self._metrics.pending.labels(name).set_function(lambda: len(_listing(pending)))
        self._metrics.rejected.labels(name).set_function(lambda: len(_listing(rejected)))
        self._metrics.oldest_age.labels(name).set_function(lambda: self._oldest_age_s(name))
        for result in ("delivered", "retried", "rejected"):
            self._metrics.attempts.labels(name, result)

    async def _serve(self, target: Target) -> None:
        wake = self._wake[target.name]
        while True:
            wake.clear()
            try:
                wait_s = await self._deliver_due(target)
            except OSError as error:
                # A disk in trouble comes back or is replaced; the queue must outlive it.
                logger.error("outbox disk failed target=%s errno=%s", target.name, error.errno)
                wait_s = self._rescan_s
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await wake.wait()

    async def _deliver_due(self, target: Target) -> float:
        """Try each file that is due, oldest first; return the seconds to the next that will be."""
        listing = await asyncio.to_thread(_listing, self._pending / target.name)
        for owner, key in [known for known in self._attempts if known[0] == target.name]:
            if key not in listing:
                del self._attempts[owner, key]
        for key, put_at in sorted(listing.items(), key=lambda item: item[1]):
            attempt = self._attempts.setdefault((target.name, key), _Attempt())
            if attempt.due_at <= self._clock():
                await self._attempt(target, key, put_at)
        now = self._clock()
        waits = [a.due_at - now for (name, _), a in self._attempts.items() if name == target.name]
        return max(0.0, min([self._rescan_s, *waits]))

    async def _attempt(self, target: Target, key: str, put_at: float) -> None:
        """Try one file. Whatever goes wrong, it must not stand in the way of the others."""
        attempt = self._attempts[target.name, key]
        try:
            await self._deliver(target, key, put_at, attempt)
        except TryLater as failure:
            self._postpone(target.name, key, attempt, failure)
        except OSError as error:
            reason = f"disk_{errno.errorcode.get(error.errno or 0, 'error')}"
            self._postpone(target.name, key, attempt, TryLater(reason))
        except Exception as error:
            # Its text may quote the bundle or the answer: personal data.
            reason = f"fault_{type(error).__name__}"
            self._postpone(target.name, key, attempt, TryLater(reason))

    async def _deliver(self, target: Target, key: str, put_at: float, attempt: _Attempt) -> None:
        path = self._pending / target.name / (key + _SUFFIX)
        bundle, stamp = await asyncio.to_thread(_read, path)
        try:
            await target.send(bundle)
        except Refused as refusal:
            await asyncio.to_thread(self._reject, target.name, key, stamp, refusal)
            self._forget(target.name, key, attempt, "rejected")
            logger.error(
                "bundle rejected consultation=%s target=%s status=%d",
                unquote(key),
                target.name,
                refusal.status,
            )
            return
        await asyncio.to_thread(self._settle, target.name, key, stamp)
        self._forget(target.name, key, attempt, "delivered")
        self._metrics.lag.labels(target.name).observe(max(0.0, self._clock() - put_at))
        logger.info("bundle delivered consultation=%s target=%s", unquote(key), target.name)
        self._hurry(target.name)

    def _postpone(self, name: str, key: str, attempt: _Attempt, failure: TryLater) -> None:
        attempt.failures += 1
        delay_s = self._retry.delay_s(attempt.failures, random.random())  # noqa: S311 (spreading only)
        attempt.due_at = self._clock() + max(delay_s, failure.retry_after_s or 0.0)
        self._metrics.attempts.labels(name, "retried").inc()
        logger.warning(
            "delivery postponed consultation=%s target=%s reason=%s failures=%d",
            unquote(key),
            name,
            failure.reason,
            attempt.failures,
        )

    def _forget(self, name: str, key: str, attempt: _Attempt, result: str) -> None:
        self._metrics.attempts.labels(name, result).inc()
        # A newer bundle may have been put meanwhile, with a clean slate of its own.
        if self._attempts.get((name, key)) is attempt:
            del self._attempts[name, key]

    def _hurry(self, name: str) -> None:
        """The server is back: what an outage postponed for an hour need not wait for it."""
        for (owner, _), attempt in self._attempts.items():
            if owner == name and attempt.due_at > 0:
                attempt.due_at = 0.0
                self._wake[name].set()

    def _write(self, path: Path, bundle: bytes) -> None:
        with self._replacing:
            write_file(path, bundle)

    def _settle(self, name: str, key: str, stamp: _Stamp) -> None:
        path = self._pending / name / (key + _SUFFIX)
        with self._replacing:
            if _stamp(path) == stamp:
                path.unlink()
        for suffix in (_SUFFIX, _OUTCOME_SUFFIX):
            (self._rejected / name / (key + suffix)).unlink(missing_ok=True)
        sync_directory(path.parent)

    def _reject(self, name: str, key: str, stamp: _Stamp, refusal: Refused) -> None:
        path = self._pending / name / (key + _SUFFIX)
        outcome = self._rejected / name / (key + _OUTCOME_SUFFIX)
        said = f"HTTP {refusal.status}\n{refusal.outcome}\n".encode()
        with self._replacing:
            write_file(outcome, said)
            if _stamp(path) == stamp:
                path.rename(self._rejected / name / (key + _SUFFIX))
        sync_directory(outcome.parent)
        sync_directory(path.parent)


def _key(consultation: str) -> str:
    """A file name that holds any id, and from which a person can read it."""
    key = quote(consultation, safe="")
    if not key or len(key) > _KEY_LIMIT_BYTES:
        raise ValueError("the consultation's id is empty or too long")
    return key


def _listing(directory: Path) -> dict[str, float]:
    """Key → Unix seconds at which it was put, of the whole files in `directory`."""
    found: dict[str, float] = {}
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.endswith(_SUFFIX):
                with contextlib.suppress(FileNotFoundError):
                    found[entry.name.removesuffix(_SUFFIX)] = entry.stat().st_mtime
    return found


def _stamp(path: Path) -> _Stamp:
    """Tells a file from the one that replaced it (each `put` makes a new inode); None: no file."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns


def _read(path: Path) -> tuple[bytes, _Stamp]:
    stamp = _stamp(path)
    return path.read_bytes(), stamp

"""How long this machine did not run at all: time that counts against nobody."""

from __future__ import annotations

import threading
from time import monotonic
from types import TracebackType
from typing import Self

_BEAT_S = 0.02
#: Whoever sleeps wakes later than this only where nothing runs.
_LEAST_S = 0.05


class Standstill:
    """Sums it while it is open, by a thread that wants to wake every 20 ms."""

    def __init__(self) -> None:
        self.total_s = 0.0
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._over.clear()
        self._thread = threading.Thread(target=self._watch, name="standstill", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def woke(self, slept_s: float) -> None:
        """The thread woke, so long after it went to sleep."""
        late_s = slept_s - _BEAT_S
        if late_s > _LEAST_S:
            self.total_s += late_s

    def _watch(self) -> None:
        before_s = monotonic()
        while not self._over.wait(_BEAT_S):
            now_s = monotonic()
            self.woke(now_s - before_s)
            before_s = now_s


#: Of this process; it is open while tests run.
MACHINE = Standstill()

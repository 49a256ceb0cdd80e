"""Asking publishers for key frames: at once when a leg or a tap needs one, once a second at most,
and again until it has come. One serves all who wait, however many they are.

A browser that is asked on one layer makes a key frame of every layer. Each costs a low layer half a
second of what it may send, and an encoder that has spent that leaves frames out. So whoever only
waits for another size of what it shows waits until its source was left alone for a while.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from sfu.forwarder.contract import Forwarder, StreamHandle
from sfu.ids import SourceId
from sfu.router.feedback import FeedbackCounters
from sfu.router.peer import Connection
from sfu.router.reports import own_compound
from sfu.router.stream import Stream
from sfu.rtp.rtcp import FullIntraRequest, PictureLossIndication

#: After a request a browser takes no other, on any layer, for 300 ms.
_DEAF_NS = 320_000_000
#: How long a source is left alone by those who can wait.
_UNHURRIED_NS = 1_000_000_000


class Waiting(Protocol):
    """A leg or a sink: `stream` is what it was told to show, `shown` what it shows.

    `hurries`: what it shows is more than its path carries.
    """

    stream: Stream | None
    shown: Stream | None
    hurries: bool


class KeyFrameRequests:
    """The streams that somebody waits for. `need` notes, `ask` sends what the throttles let go."""

    def __init__(self, forwarder: Forwarder, counters: FeedbackCounters) -> None:
        self._forwarder = forwarder
        self._counters = counters
        self._connections: dict[StreamHandle, Connection] = {}
        self._wanting: dict[StreamHandle, Stream] = {}
        #: Those of them that somebody cannot decode without.
        self._broken: set[StreamHandle] = set()
        self._asked_ns: dict[SourceId, int] = {}
        self._waiting: dict[StreamHandle, set[Waiting]] = {}
        self._waits_for: dict[Waiting, StreamHandle] = {}
        #: Whether there is something to ask for since the last `ask`.
        self.is_due = False

    def add(self, stream: Stream, connection: Connection) -> None:
        """A stream that may be asked, and the connection to ask it through."""
        self._connections[stream.handle] = connection

    def remove(self, stream: Stream) -> None:
        """The stream is over."""
        self._connections.pop(stream.handle, None)
        self._arrived(stream.handle)
        self._asked_ns.pop(stream.source, None)
        self._take_waiting(stream.handle)

    def wait(self, leg: Waiting, stream: Stream) -> None:
        """A leg begins to show a stream with its next key frame; the next `ask` sees to it."""
        self.stop_waiting(leg)
        if stream.handle in self._connections:
            self._waiting.setdefault(stream.handle, set()).add(leg)
            self._waits_for[leg] = stream.handle
            self._want(stream)

    def stop_waiting(self, leg: Waiting) -> None:
        """The leg waits for another stream, or is no more."""
        handle = self._waits_for.pop(leg, None)
        if handle is not None:
            waiting = self._waiting[handle]
            waiting.discard(leg)
            if not waiting:
                del self._waiting[handle]

    def need(self, stream: Stream) -> None:
        """Somebody cannot decode what comes of a stream; the next `ask` sees to it."""
        if stream.handle in self._connections:
            self._broken.add(stream.handle)
            self._want(stream)

    def began(self, handle: StreamHandle) -> None:
        """A key frame began on a stream that a leg waited for: it shows it now."""
        for leg in self._take_waiting(handle):
            if leg.stream is not None and leg.stream.handle == handle:
                leg.shown = leg.stream
        self._arrived(handle)

    def ask(self, now_ns: int) -> None:
        """Ask every stream that is waited for and whose throttle allows; call at each tick, and
        between them when it `is_due`.
        """
        # Cameras that are off stay wanted, and would answer nothing.
        sending = [stream for stream in self._wanting.values() if not stream.is_silent]
        # Those who must not wait come first: requests of the others go out with theirs.
        for stream in sorted(sending, key=self._is_urgent, reverse=True):
            key_frames = self._forwarder.stream_counters(stream.handle).key_frames
            awaited = stream.awaits_key_frame_after
            if not (stream.permitted and self._is_needed(stream)):
                self._arrived(stream.handle)
            elif awaited is not None and key_frames > awaited:
                self._came(stream)
            elif self._may_ask(stream, now_ns):
                stream.asked_key_frame_after = key_frames
                self._send(stream)
        self.is_due = False

    def _want(self, stream: Stream) -> None:
        counters = self._forwarder.stream_counters(stream.handle)
        stream.awaits_key_frame_after = counters.key_frames
        self._wanting[stream.handle] = stream
        self.is_due = True

    def _is_needed(self, stream: Stream) -> bool:
        """Whether whoever wanted a key frame wants it still."""
        return stream.handle in self._broken or stream.handle in self._waiting

    def _came(self, stream: Stream) -> None:
        """A key frame came; for legs that are still not shown the stream, it came too late."""
        for leg in tuple(self._waiting.get(stream.handle, ())):
            if leg.stream is not stream or leg.shown is stream:
                self.stop_waiting(leg)
        self._arrived(stream.handle)
        if stream.handle in self._waiting:
            self._want(stream)

    def _may_ask(self, stream: Stream, now_ns: int) -> bool:
        """Whether the throttle allows and the source had its rest: a short one if it is urgent.

        Requests that go out together are answered by key frames that come together.
        """
        rest_ns = _DEAF_NS if self._is_urgent(stream) else _UNHURRIED_NS
        asked_ns = self._asked_ns.get(stream.source)
        if asked_ns is not None and 0 < now_ns - asked_ns < rest_ns:
            return False
        if not stream.throttle.request(now_ns):
            return False
        self._asked_ns[stream.source] = now_ns
        return True

    def _is_urgent(self, stream: Stream) -> bool:
        """Whether somebody sees nothing of the source, or what must not or does not go on."""
        return stream.handle in self._broken or any(
            leg.hurries
            or leg.shown is None
            or leg.shown.is_silent
            or leg.shown.source != stream.source
            for leg in self._waiting.get(stream.handle, ())
        )

    def _take_waiting(self, handle: StreamHandle) -> Collection[Waiting]:
        waiting = self._waiting.pop(handle, set())
        for leg in waiting:
            del self._waits_for[leg]
        return waiting

    def _arrived(self, handle: StreamHandle) -> None:
        self._broken.discard(handle)
        stream = self._wanting.pop(handle, None)
        if stream is not None:
            stream.awaits_key_frame_after = None

    def _send(self, stream: Stream) -> None:
        connection = self._connections[stream.handle]
        stream.pli_sent += 1
        self._counters.pli_sent += 1
        feedback = stream.format.feedback
        request: PictureLossIndication | FullIntraRequest
        if "ccm fir" in feedback and "nack pli" not in feedback:
            connection.fir_number = (connection.fir_number + 1) % 256  # RFC 5104 §4.3.1.1
            request = FullIntraRequest(connection.ssrc, ((stream.ssrc, connection.fir_number),))
        else:
            request = PictureLossIndication(connection.ssrc, stream.ssrc)
        self._forwarder.send_rtcp(
            connection.transport.handle, own_compound(connection.ssrc, request)
        )

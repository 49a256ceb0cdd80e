"""Asking publishers for key frames: at once when a leg or a tap needs one, once a second at most,
and again until it has come. One serves all who wait, however many they are.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from sfu.forwarder.contract import Forwarder, StreamHandle
from sfu.router.feedback import FeedbackCounters
from sfu.router.peer import Connection
from sfu.router.reports import own_compound
from sfu.router.stream import Stream
from sfu.rtp.rtcp import FullIntraRequest, PictureLossIndication


class Waiting(Protocol):
    """A leg or a sink: `stream` is what it was told to show, `shown` what it shows."""

    stream: Stream | None
    shown: Stream | None


class KeyFrameRequests:
    """The streams that somebody waits for. `need` notes, `ask` sends what the throttles let go."""

    def __init__(self, forwarder: Forwarder, counters: FeedbackCounters) -> None:
        self._forwarder = forwarder
        self._counters = counters
        self._connections: dict[StreamHandle, Connection] = {}
        self._wanting: dict[StreamHandle, Stream] = {}
        self._waiting: dict[StreamHandle, set[Waiting]] = {}
        self._waits_for: dict[Waiting, StreamHandle] = {}

    def add(self, stream: Stream, connection: Connection) -> None:
        """A stream that may be asked, and the connection to ask it through."""
        self._connections[stream.handle] = connection

    def remove(self, stream: Stream) -> None:
        """The stream is over."""
        self._connections.pop(stream.handle, None)
        self._wanting.pop(stream.handle, None)
        self._take_waiting(stream.handle)

    def wait(self, leg: Waiting, stream: Stream) -> None:
        """A leg begins to show a stream with its next key frame; `need` asks for one."""
        self.stop_waiting(leg)
        if stream.handle in self._connections:
            self._waiting.setdefault(stream.handle, set()).add(leg)
            self._waits_for[leg] = stream.handle

    def stop_waiting(self, leg: Waiting) -> None:
        """The leg waits for another stream, or is no more."""
        handle = self._waits_for.pop(leg, None)
        if handle is not None:
            waiting = self._waiting[handle]
            waiting.discard(leg)
            if not waiting:
                del self._waiting[handle]

    def need(self, stream: Stream) -> None:
        """Somebody waits for a key frame; the next `ask` sees to it."""
        if stream.handle in self._connections:
            counters = self._forwarder.stream_counters(stream.handle)
            stream.awaits_key_frame_after = counters.key_frames
            self._wanting[stream.handle] = stream

    def began(self, handle: StreamHandle) -> None:
        """A key frame began on a stream that a leg waited for: it shows it now."""
        for leg in self._take_waiting(handle):
            if leg.stream is not None and leg.stream.handle == handle:
                leg.shown = leg.stream
        self._arrived(handle)

    def ask(self, now_ns: int) -> None:
        """Ask every stream that is waited for and whose throttle allows; call at each tick."""
        for handle, stream in tuple(self._wanting.items()):
            counters = self._forwarder.stream_counters(handle)
            awaited = stream.awaits_key_frame_after
            if awaited is not None and counters.key_frames > awaited:
                self._arrived(handle)
            elif not stream.is_silent and stream.throttle.request(now_ns):
                self._send(stream)

    def _take_waiting(self, handle: StreamHandle) -> Collection[Waiting]:
        waiting = self._waiting.pop(handle, set())
        for leg in waiting:
            del self._waits_for[leg]
        return waiting

    def _arrived(self, handle: StreamHandle) -> None:
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

"""One WebSocket connection, without the WebSocket: texts in, intents out.

The edge calls `receive(text, now)` for each message and carries out the intent; `welcomed` or
`refused` after an `Enter` or `TakeUp`; `overdue(now)` about once a second; `close` when the
WebSocket is gone. The connection knows who it speaks for, never what they may do: that is the
room's to say.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from signaling.errors import InternalError, ProtocolError
from signaling.protocol import codec, replies
from signaling.protocol import messages as wire
from signaling.protocol.codes import CloseCode, ErrorCode
from signaling.rooms import commands as c
from signaling.session.intents import Change, Enter, Intent, Negotiate, Reply, Report, Show, TakeUp
from signaling.session.limits import (
    CHAT_BURST,
    CHAT_PER_S,
    MALFORMED_MAX,
    MESSAGES_BURST,
    MESSAGES_PER_S,
    REFUSALS_BURST,
    REFUSALS_PER_S,
    STATS_BURST,
    STATS_PER_S,
    TokenBucket,
)
from signaling.session.states import CONNECTION_STATES, ConnectionEvent, ConnectionState

#: A first message must come within this time, or the connection is closed.
FIRST_MESSAGE_S = 10.0
#: A connection silent for so many ping intervals is dead: two pings were lost, and some patience.
SILENT_INTERVALS = 2.5


class Connection:
    """The state of one connection. `new_id` makes ids for what the client asks to be made."""

    def __init__(self, now: float, ping_interval_s: float, new_id: Callable[[], str]) -> None:
        self.state: ConnectionState = "opened"
        self.participant = ""
        self.consultation = ""
        self._new_id = new_id
        self._opened_at = now
        self._heard_at = now
        self._silence_s = ping_interval_s * SILENT_INTERVALS
        self._messages = TokenBucket(MESSAGES_PER_S, MESSAGES_BURST, now)
        self._chat = TokenBucket(CHAT_PER_S, CHAT_BURST, now)
        self._stats = TokenBucket(STATS_PER_S, STATS_BURST, now)
        self._refusals = TokenBucket(REFUSALS_PER_S, REFUSALS_BURST, now)
        self._malformed = 0

    def receive(self, data: str | bytes, now: float) -> Intent:
        """Take a message as it came. What is wrong with it comes back as a `Reply`."""
        self._heard_at = now
        if not self._messages.take(now):
            return self._too_many(codec.ref_of(data), now)
        try:
            message = codec.decode(data)
        except ProtocolError as error:
            return self._bad(error)
        if isinstance(message, wire.Chat) and not self._chat.take(now):
            return self._too_many(message.ref, now)
        return self._intent(message, now)

    def heard(self, now: float) -> None:
        """A sign of life that is no message (a pong frame, RFC 6455 §5.5.3)."""
        self._heard_at = now

    def welcomed(self, consultation: str, participant: str) -> None:
        """The token or session was good: the connection speaks for this participant now."""
        self._move("welcomed")
        self.consultation = consultation
        self.participant = participant

    def refused(self, code: ErrorCode, ref: str) -> Reply:
        """The token or session was not good: what to send before closing."""
        self._move("refused")
        return Reply(message=replies.error(code, ref), close=CloseCode.REFUSED)

    def close(self) -> None:
        """The WebSocket is gone or going; nothing counts any more."""
        self._move("close")

    def overdue(self, now: float) -> CloseCode | None:
        """The code to close with when the client has been silent for too long, else None."""
        if self.state == "opened" and now - self._opened_at >= FIRST_MESSAGE_S:
            return CloseCode.REFUSED
        if now - self._heard_at >= self._silence_s:
            return CloseCode.GOING_AWAY
        return None

    def _move(self, event: ConnectionEvent) -> None:
        following = CONNECTION_STATES[self.state].get(event)
        if following is None:
            raise InternalError(f"{event} in connection state {self.state}")
        self.state = following

    def _intent(self, message: wire.ClientMessage, now: float) -> Intent:
        match message:
            case wire.Ping():
                return Reply(message=wire.Pong(ref=message.ref, at=now))
            case wire.Join() | wire.Resume() if self.state != "opened":
                return self._error(ErrorCode.BAD_MESSAGE, message.ref)
            case wire.Join():
                self._move("enter")
                return Enter(ref=message.ref, token=message.token, language=message.language)
            case wire.Resume():
                self._move("enter")
                return TakeUp(ref=message.ref, session=message.session)
        if self.state != "joined":
            return self._error(ErrorCode.JOIN_FIRST, message.ref)
        match message:
            case wire.Offer():
                return Negotiate(
                    ref=message.ref, sdp=message.sdp, fresh=message.fresh, saver=message.saver
                )
            case wire.Stats():
                return self._report(message, now)
            case wire.View():
                return Show(ref=message.ref, seats=message.seats, pinned=message.pinned)
        command = to_command(message, self.participant, self._new_id)
        return Change(ref=message.ref, command=command)

    def _report(self, message: wire.Stats, now: float) -> Report:
        if not self._stats.take(now):
            return Report(ref=message.ref, stats=None)
        self._messages.give_back()
        return Report(ref=message.ref, stats=message)

    def _bad(self, error: ProtocolError) -> Reply:
        self._malformed += 1
        close = CloseCode.BAD_MESSAGE if self._malformed >= MALFORMED_MAX else None
        return Reply(message=replies.error(error.code, error.ref), close=close)

    def _too_many(self, ref: str, now: float) -> Reply:
        close = None if self._refusals.take(now) else CloseCode.TOO_MANY
        return Reply(message=replies.error(ErrorCode.TOO_MANY, ref), close=close)

    def _error(self, code: ErrorCode, ref: str) -> Reply:
        return Reply(message=replies.error(code, ref))


def to_command(message: wire.ClientMessage, actor: str, new_id: Callable[[], str]) -> c.Command:
    """The room command that a message of `actor` asks for. Raises `InternalError` for messages
    that ask for none (`join`, `offer`, …)."""
    match message:
        case wire.Chat():
            return c.Chat(actor=actor, id=message.id, text=message.text)
        case wire.Consent():
            return c.GiveConsent(
                actor=actor,
                decision=message.decision,
                text_version=message.text_version,
                language=message.language,
            )
        case wire.Record(action="start"):
            return c.StartRecording(actor=actor, recording=new_id())
        case wire.Record():
            return c.StopRecording(actor=actor)
        case wire.MediaState():
            media = wire.Media(audio=message.audio, video=message.video, screen=message.screen)
            return c.SetMedia(actor=actor, media=media)
    same = _SAME_FIELDS.get(type(message))
    if same is None:
        raise InternalError(f"{type(message).__name__} asks for no command")
    fields = {name: getattr(message, name) for name in message.__struct_fields__ if name != "ref"}
    return same(actor=actor, **fields)


#: Messages whose fields are the command's own.
_SAME_FIELDS: dict[type[msgspec.Struct], type[c.Command]] = {
    wire.Ready: c.Ready,
    wire.Admit: c.Admit,
    wire.Hold: c.Hold,
    wire.Return: c.Return,
    wire.Remove: c.Remove,
    wire.Mute: c.Mute,
    wire.Unmute: c.Unmute,
    wire.RaiseHand: c.RaiseHand,
    wire.Promote: c.Promote,
    wire.Leave: c.Leave,
    wire.End: c.End,
}

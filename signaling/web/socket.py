"""One WebSocket: texts in → session → intent → consultation; what there is to tell → texts out."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import WSMsgType, web

from signaling.auth import turn
from signaling.auth.tokens import (
    InvitationTokens,
    SessionToken,
    hash_secret,
    new_session_secret,
)
from signaling.errors import RequestError, ServerError, SignalingError
from signaling.live.consultations import Consultations
from signaling.live.performer import new_id
from signaling.metrics import Metrics
from signaling.protocol import codec, replies
from signaling.protocol import messages as wire
from signaling.protocol.codes import CloseCode, ErrorCode
from signaling.protocol.replies import FAREWELL_CLOSES, Farewell
from signaling.rooms import commands as c
from signaling.rooms.consent import texts
from signaling.rooms.draft import find
from signaling.rooms.room import Room
from signaling.session import intents
from signaling.session.session import Connection
from signaling.web.outbox import Outbox

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What every WebSocket of this process stands on."""

    consultations: Consultations
    tokens: InvitationTokens
    metrics: Metrics
    grace_s: float
    ping_interval_s: float
    turn_urls: tuple[str, ...] = ()
    turn_secret: str = ""


class Socket:
    """A `Listener` of its consultation. `run` returns when the WebSocket is closed.

    `may_join` is asked when the client wants to come in by a link, `may_resume` when it wants to
    come back by its session; `abort` drops the TCP
    connection of a client that answers nothing any more.
    """

    def __init__(
        self,
        response: web.WebSocketResponse,
        desk: Desk,
        *,
        may_join: Callable[[], bool],
        may_resume: Callable[[], bool],
        abort: Callable[[], None],
    ) -> None:
        self.connection = new_id()
        self.participant = ""
        self._consultation = ""
        self._response = response
        self._desk = desk
        self._may_join = may_join
        self._may_resume = may_resume
        self._session = Connection(time.time(), desk.ping_interval_s, new_id)
        self._outbox = Outbox(response, abort)
        self._joined_at: float | None = None
        self._serving = False
        self._farewell: Farewell | None = None

    def send(self, message: wire.ServerMessage) -> None:
        """See `Listener`."""
        self._desk.metrics.messages_out.labels(_tag(message)).inc()
        if isinstance(message, wire.Error):
            self._desk.metrics.errors.labels(message.code.value).inc()
        if not self._outbox.put(codec.encode(message)):
            self.shut(CloseCode.SLOW, at_once=True)

    def finish(self, why: Farewell) -> None:
        """See `Listener`. What the client itself asked for is answered first."""
        if self._serving:
            self._farewell = why
            return
        self.send(replies.ended(why))
        self.shut(FAREWELL_CLOSES[why])

    def shut(self, code: CloseCode, *, at_once: bool = False) -> None:
        """Close the WebSocket, after what waits has been sent or at once."""
        if self._outbox.close_code is None:
            self._desk.metrics.closes.labels(str(code.value)).inc()
        self._outbox.close(code, at_once=at_once)

    def check(self, now: float) -> None:
        """Close when the client has been silent for too long."""
        code = self._session.overdue(now)
        if code is not None:
            self.shut(code, at_once=True)

    async def run(self) -> None:
        """Serve until either side closes; then the session is away."""
        writer = asyncio.create_task(self._outbox.run(), name="writer")
        reader = asyncio.create_task(self._read(), name="reader")
        try:
            await asyncio.wait((reader, writer), return_when=asyncio.FIRST_COMPLETED)
            if not self._serving:
                reader.cancel()  # else it stops when it has carried out what it is at
            await asyncio.wait((reader,))
            self._outbox.close(CloseCode.GOING_AWAY)
            await asyncio.wait((writer,))
            await self._outbox.shut()
            for task in (reader, writer):
                if not task.cancelled() and task.exception() is not None:
                    log.error("%s failed", task.get_name(), exc_info=task.exception())
        finally:
            reader.cancel()
            writer.cancel()
            self._session.close()
            await self._go_away()

    async def _read(self) -> None:
        async for message in self._response:
            if self._outbox.close_code is not None:
                return
            # The protocol is of texts; a binary message is taken as one that cannot be read.
            data = message.data if message.type is WSMsgType.TEXT else b""
            intent = self._session.receive(data, time.time())
            self._desk.metrics.messages_in.labels(_name(intent)).inc()
            await self._serve(intent)

    async def _serve(self, intent: intents.Intent) -> None:
        self._serving = True
        try:
            await self._answer(intent)
        finally:
            self._serving = False
        if self._farewell is not None:
            self.finish(self._farewell)

    async def _answer(self, intent: intents.Intent) -> None:
        try:
            await self._carry_out(intent)
        except SignalingError as error:
            log.info("refused: %s %s", error.code.value, error.detail)
            self._refuse(intent, error.code, ours=isinstance(error, ServerError))
        except Exception:
            log.exception("a message was not carried out")
            self._refuse(intent, ErrorCode.INTERNAL, ours=True)

    def _refuse(self, intent: intents.Intent, code: ErrorCode, *, ours: bool) -> None:
        ref = "" if isinstance(intent, intents.Reply) else intent.ref
        if not isinstance(intent, intents.Enter | intents.TakeUp):
            self.send(replies.error(code, ref))
            return
        counter = self._desk.metrics.joins
        if isinstance(intent, intents.TakeUp):
            counter = self._desk.metrics.resumes
        counter.labels(code.value).inc()
        if self._session.state == "entering":
            reply = self._session.refused(code, ref)
            self.send(reply.message)
        # Ours may be better in a moment, so the client should not think its link is bad.
        close = CloseCode.INTERNAL if ours else CloseCode.REFUSED
        self.shut(CloseCode.TOO_MANY if code is ErrorCode.TOO_MANY else close)

    async def _carry_out(self, intent: intents.Intent) -> None:
        consultations = self._desk.consultations
        match intent:
            case intents.Reply():
                self.send(intent.message)
                if intent.close is not None:
                    self.shut(intent.close)
            case intents.Enter():
                await self._enter(intent)
            case intents.TakeUp():
                await self._take_up(intent)
            case intents.Negotiate():
                offer = wire.Offer(
                    ref=intent.ref, sdp=intent.sdp, fresh=intent.fresh, saver=intent.saver
                )
                self.send(
                    await consultations.negotiate(self._consultation, self.participant, offer)
                )
                self._observe_answer()
            case intents.Show():
                view = wire.View(seats=intent.seats, pinned=intent.pinned)
                await consultations.show(self._consultation, self.participant, view)
                self.send(wire.Done(ref=intent.ref))
            case intents.Report():
                if intent.stats is not None:
                    consultations.report(self._consultation, self.participant, intent.stats)
                if intent.ref:
                    self.send(wire.Done(ref=intent.ref))
            case intents.Change(command=c.StartRecording() as command):
                await consultations.start_recording(self._consultation, command)
                self.send(wire.Done(ref=intent.ref))
            case intents.Change():
                await consultations.change(self._consultation, intent.command)
                self.send(wire.Done(ref=intent.ref))

    async def _enter(self, intent: intents.Enter) -> None:
        if not self._may_join():
            raise RequestError(ErrorCode.TOO_MANY, "joins")
        claims = self._desk.tokens.verify(intent.token, time.time())
        secret = new_session_secret()
        connect = c.Connect(
            invitation=claims.invitation,
            role=claims.role,
            session=new_id(),
            secret_sha256=hash_secret(secret),
            language=intent.language,
            node=self._desk.consultations.node,
            connection=self.connection,
        )
        token = SessionToken(claims.consultation, claims.participant, secret)
        await self._welcome(token, connect)
        self._joined_at = time.monotonic()
        self._desk.metrics.joins.labels("joined").inc()

    async def _take_up(self, intent: intents.TakeUp) -> None:
        if not self._may_resume():
            raise RequestError(ErrorCode.TOO_MANY, "resumes")
        token = SessionToken.parse(intent.session)
        reconnect = c.Reconnect(
            participant=token.participant,
            secret_sha256=hash_secret(token.secret),
            node=self._desk.consultations.node,
            connection=self.connection,
        )
        await self._welcome(token, reconnect)
        self._desk.metrics.resumes.labels("resumed").inc()

    async def _welcome(self, token: SessionToken, command: c.Connect | c.Reconnect) -> None:
        """Take the participant's place, say who they are, and tell them the room."""
        # Noted before it is done: should the WebSocket go meanwhile, the place is given back.
        self._consultation, self.participant = token.consultation, token.participant
        change = await self._desk.consultations.change(token.consultation, command)
        self._session.welcomed(token.consultation, token.participant)
        self.send(self._joined(token, change.after))
        await self._desk.consultations.attach(token.consultation, self)

    def _joined(self, token: SessionToken, room: Room) -> wire.Joined:
        return wire.Joined(
            session=str(token),
            consultation=room.id,
            participant=token.participant,
            role=find(room, token.participant).role,
            grace_s=self._desk.grace_s,
            ping_interval_s=self._desk.ping_interval_s,
            ice_servers=turn.ice_servers(
                self._desk.turn_urls, self._desk.turn_secret, token.participant, time.time()
            ),
            consent_texts=texts(room),
        )

    async def _go_away(self) -> None:
        if self.participant:
            await self._desk.consultations.detach(self._consultation, self)

    def _observe_answer(self) -> None:
        if self._joined_at is not None:
            elapsed_s = time.monotonic() - self._joined_at
            self._desk.metrics.first_answer_seconds.observe(elapsed_s)
            self._joined_at = None


def _tag(message: wire.ServerMessage) -> str:
    return str(message.__struct_config__.tag)


def _name(intent: intents.Intent) -> str:
    """What came in, as a metric's label: one of a bounded set."""
    match intent:
        case intents.Change():
            return type(intent.command).__name__
        case intents.Reply(message=wire.Error()):
            return "refused"
        case intents.Reply():
            return "Ping"
        case _:
            return type(intent).__name__

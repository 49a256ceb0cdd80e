"""Control servers that do what a test says: an SFU and a recorder that stay silent, refuse, forget,
or move. They keep what they are told; the real programs are tried elsewhere."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any, Self

import msgspec
from aiohttp import WSMsgType, web

from recorder.control import messages as recorder
from sfu.control import messages as sfu


class ControlServer(ABC):
    """Answers each command by `answer`; None is no answer. `told` is all that came, in order."""

    commands: Any

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.silent = False
        self.url = ""
        self._sockets: set[web.WebSocketResponse] = set()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/control", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"ws://127.0.0.1:{self._runner.addresses[0][1]}/control"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.hang_up()
        assert self._runner
        await self._runner.cleanup()

    @abstractmethod
    def answer(self, command: Any) -> msgspec.Struct | None:
        """What is answered to a command."""

    async def hang_up(self) -> None:
        """Break every connection; clients come again."""
        await asyncio.gather(*(socket.close() for socket in tuple(self._sockets)))

    async def emit(self, event: msgspec.Struct) -> None:
        """Send an event to every client."""
        for socket in tuple(self._sockets):
            await socket.send_str(msgspec.json.encode(event).decode())

    def heard(self, kind: type[Any]) -> list[Any]:
        """The commands of one kind, in order."""
        return [each for each in self.told if isinstance(each, kind)]

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._sockets.add(socket)
        try:
            async for message in socket:
                if message.type is not WSMsgType.TEXT:
                    break
                command = msgspec.json.decode(message.data, type=self.commands)
                self.told.append(command)
                answer = None if self.silent else self.answer(command)
                if answer is not None:
                    await socket.send_str(msgspec.json.encode(answer).decode())
        finally:
            self._sockets.discard(socket)
        return socket


class ScriptedSfu(ControlServer):
    """Knows the rooms that were opened, and that nobody has a transport there; takes no more when
    it is `busy`."""

    commands = sfu.Commands

    def __init__(self) -> None:
        super().__init__()
        self.rooms: set[str] = set()
        self.busy = False

    def answer(self, command: Any) -> msgspec.Struct | None:
        """See `ControlServer`."""
        match command:
            case sfu.OpenRoom() if self.busy and command.room not in self.rooms:
                return sfu.Failure(id=command.id, code="busy", detail="")
            case sfu.OpenRoom():
                self.rooms.add(command.room)
            case sfu.CloseRoom():
                self.rooms.discard(command.room)
            case sfu.ReadStatistics() if command.room in self.rooms:
                return sfu.Statistics(id=command.id, transports=(), streams=(), legs=())
            case sfu.ReadStatistics():
                return sfu.Failure(id=command.id, code="unknown_room", detail="")
            case _:
                pass
        return sfu.Reply(id=command.id)


class ScriptedRecorder(ControlServer):
    """Does all that it is asked, but refuses to archive the consultations in `refused`."""

    commands = recorder.Commands

    def __init__(self) -> None:
        super().__init__()
        self.refused: set[str] = set()

    def answer(self, command: Any) -> msgspec.Struct | None:
        """See `ControlServer`."""
        if (
            isinstance(command, recorder.ArchiveConsultation)
            and command.dossier.consultation in self.refused
        ):
            return recorder.Failed(id=command.id, code="bad_message", detail="refused")
        return recorder.Done(id=command.id)

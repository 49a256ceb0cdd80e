"""``python -m signaling``: config → children → store → consultations → HTTP; run, drain, stop."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from signaling.archive_spool import ArchiveSpool
from signaling.auth.tokens import InvitationTokens
from signaling.children import (
    Child,
    ChildError,
    Program,
    check_media_port_free,
    recorder_program,
    sfu_program,
)
from signaling.config import Config, read_config
from signaling.demo import demo_consultation, welcome
from signaling.errors import ConfigError
from signaling.live.consultations import Consultations
from signaling.live.upkeep import Upkeep
from signaling.metrics import Metrics
from signaling.release import version
from signaling.store.memory import MemoryStore
from signaling.store.port import Store
from signaling.store.redis import RedisStore
from signaling.web.app import make_app
from signaling.web.health import Health
from signaling.web.resources import CreatedConsultation
from signaling.web.rest import Rest
from signaling.web.socket import Desk
from signaling.web.websocket import WebSockets

log = logging.getLogger("signaling")

_ISSUER = "vtelehealth"
#: SFUs hold nothing durable; the recorder has journals to bring to the disk.
_SFU_STOPS_WITHIN_S = 2.0
_RECORDER_STOPS_WITHIN_S = 3.0
_EXIT_BAD_CONFIGURATION = 2


class ReadyLine(msgspec.Struct, frozen=True):
    """What is printed when the process serves, for programs that start it."""

    ready: bool
    http_port: int


class Server:
    """The whole process. `start` raises `ConfigError` or `ChildError`; `stop` in any case."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._stack = AsyncExitStack()
        self._metrics = Metrics()
        self.public_url = ""
        self.http_port = 0
        self.children: list[Child] = []
        self.consultations: Consultations

    async def start(self) -> Rest:
        """Start everything, from the bottom up."""
        config = self._config
        listener = _bind(config)
        self._stack.callback(listener.close)
        self.http_port = listener.getsockname()[1]
        self.public_url = config.public_url or _local_url(config.http_host, self.http_port)
        spool = ArchiveSpool(_directory(config.data_dir / "signaling" / "archives"))
        recorder, sfus = await self._start_children()
        store = self._store()
        self._stack.push_async_callback(store.close)
        consultations = self.consultations = Consultations(
            node=secrets.token_hex(8),
            store=store,
            metrics=self._metrics,
            control_secret=config.control_secret,
            spool=spool,
        )
        consultations.start()
        self._stack.push_async_callback(consultations.close)
        upkeep = Upkeep(
            consultations,
            store,
            grace_s=config.grace_s,
            version=version(),
            own_sfus=sfus,
            own_recorder=recorder,
            fixed_sfus=config.sfu_urls,
            fixed_recorder=config.recorder_url,
        )
        self._run(upkeep.run(), "upkeep")
        self._run(self._metrics.watch_loop(), "loop lag")
        return await self._serve(listener, consultations)

    async def stop(self) -> None:
        """Stop everything, from the top down; takes at most about 10 s."""
        await self._stack.aclose()

    async def _serve(self, listener: socket.socket, consultations: Consultations) -> Rest:
        config = self._config
        tokens = InvitationTokens(config.token_keys, _ISSUER)
        rest = Rest(consultations, tokens, config.api_keys, lambda: self.public_url)
        desk = Desk(
            consultations=consultations,
            tokens=tokens,
            metrics=self._metrics,
            grace_s=config.grace_s,
            ping_interval_s=config.ping_interval_s,
            turn_urls=config.turn_urls,
            turn_secret=config.turn_secret,
        )
        websockets = WebSockets(
            desk,
            max_open=config.max_websockets,
            max_open_per_address=config.max_websockets_per_address,
            joins_per_minute=config.joins_per_minute,
            allowed_origins=lambda: (self.public_url, *config.allowed_origins),
            trusted_proxies=config.trusted_proxies,
        )
        health = Health(consultations, self._metrics)
        app = make_app(
            rest=rest,
            health=health,
            websockets=websockets,
            metrics=self._metrics,
            only_https=config.public_url.startswith("https:"),
        )
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        site = web.SockSite(runner, listener)
        await site.start()
        websockets.start()
        self._stack.push_async_callback(websockets.close)
        self._stack.push_async_callback(site.stop)
        return rest

    async def _start_children(self) -> tuple[str, tuple[str, ...]]:
        """Start the children that the settings ask for; returns their control addresses."""
        config = self._config
        programs = [self._sfu_program(number) for number in range(config.own_sfus)]
        recorder = ""
        if config.own_recorder:
            program = recorder_program(
                secret=config.control_secret, directories=_recorder_directories(config)
            )
            recorder = await self._start_child(program, _RECORDER_STOPS_WITHIN_S)
        sfus = [await self._start_child(each, _SFU_STOPS_WITHIN_S) for each in programs]
        return recorder, tuple(sfus)

    def _sfu_program(self, number: int) -> Program:
        config = self._config
        port = config.sfu_udp_port + number if config.sfu_udp_port else 0
        if port:
            check_media_port_free(port, os.environ.get("SFU_UDP_HOST", "0.0.0.0"))  # noqa: S104
        return sfu_program(secret=config.control_secret, udp_port=port, log_level=config.log_level)

    async def _start_child(self, program: Program, stops_within_s: float) -> str:
        child = Child(program, lambda kind: self._metrics.child_restarts.labels(kind).inc())
        self.children.append(child)
        self._stack.push_async_callback(child.stop, stops_within_s)
        await child.start()
        log.info("%s runs as process %s", program.kind, child.pid)
        return child.control_url

    def _store(self) -> Store:
        redis_url = self._config.redis_url
        return RedisStore(redis_url) if redis_url else MemoryStore()

    def _run(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)

        async def cancel() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        self._stack.push_async_callback(cancel)


def _bind(config: Config) -> socket.socket:
    """Take the HTTP port first of all. Raises `ConfigError`."""
    host = config.http_host
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, config.http_port, type=socket.SOCK_STREAM
        )[0]
    except OSError as error:
        raise ConfigError("SIGNALING_HTTP_HOST is not an address of this machine.") from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(
                f"TCP port {config.http_port} is in use already: "
                "set SIGNALING_HTTP_PORT to another port."
            ) from error
        raise ConfigError(
            "SIGNALING_HTTP_HOST and SIGNALING_HTTP_PORT cannot be listened on: "
            f"{os.strerror(error.errno or 0)}."
        ) from error
    listener.setblocking(False)
    return listener


def _local_url(host: str, port: int) -> str:
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not listened on
        host = "localhost"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _directory(path: Path) -> Path:
    """Make a directory for our own eyes. Raises `ConfigError`."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise ConfigError(
            f"SIGNALING_DATA_DIR cannot be written to: {os.strerror(error.errno or 0)}."
        ) from error
    return path


def _recorder_directories(config: Config) -> dict[str, str]:
    base = config.data_dir.resolve() / "recorder"
    wanted = {"RECORDER_WORK_DIR": base / "work", "RECORDER_ARCHIVE_DIR": base / "archive"}
    return {name: os.environ.get(name) or str(path) for name, path in wanted.items()}


def _keep_api_key(config: Config) -> Path | None:
    """Put a key that was made at start where its owner, and nobody else, can read it."""
    if not config.generated_keys:
        return None
    path = config.data_dir / "signaling" / "api-key"
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w") as file:
        file.write(config.api_keys[0] + "\n")
    return path


async def _greet(config: Config, server: Server, rest: Rest) -> str:
    """What to print: words for a person when there is a demo, else one line for a program."""
    api_key_file = _keep_api_key(config)
    if not config.demo_consultation:
        return msgspec.json.encode(ReadyLine(True, server.http_port)).decode() + "\n"
    room, links = rest.new_consultation(demo_consultation(), time.time())
    await rest.consultations.create(room)
    created = CreatedConsultation(id=room.id, expires_at=room.expires_at, invitations=links)
    return welcome(server.public_url, created, api_key_file)


async def run(config: Config) -> None:
    """Serve until SIGTERM or SIGINT. Raises `ConfigError`, `ChildError`."""
    loop = asyncio.get_running_loop()
    this = asyncio.current_task()
    assert this is not None
    told_to_stop = False

    def stop() -> None:
        nonlocal told_to_stop
        if not told_to_stop:  # a second signal does not cut the draining short
            told_to_stop = True
            this.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    server = Server(config)
    try:
        rest = await server.start()
        sys.stdout.write(await _greet(config, server, rest))
        sys.stdout.flush()
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        if not told_to_stop:
            raise
        log.info("draining")
    finally:
        await server.stop()


def main() -> int:
    """Returns the exit code."""
    try:
        config = read_config(os.environ)
        logging.basicConfig(
            level=config.log_level,
            format="%(asctime)s %(levelname)s %(name)s %(message)s",
            stream=sys.stderr,
        )
        asyncio.run(run(config))
    except (ConfigError, ChildError) as error:
        sys.stderr.write(f"{error}\n")
        return _EXIT_BAD_CONFIGURATION
    return 0


if __name__ == "__main__":
    sys.exit(main())

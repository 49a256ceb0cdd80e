"""A real signalling server inside the test, on a port that the system picks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from signaling.__main__ import Server
from signaling.config import read_config

API_KEY = "api-key-of-the-tests-0123456789abcdef"
CONTROL_SECRET = "control-secret-of-the-tests-0123456789"
_NOWHERE = "ws://127.0.0.1:1/control"


def environment(
    directory: Path, *, media: bool = False, recorder: bool = False, **settings: str
) -> dict[str, str]:
    """The settings of a server of the tests; without `media` or `recorder` it finds none."""
    return {
        "SIGNALING_HTTP_PORT": "0",
        "SIGNALING_SFU_UDP_PORT": "0",
        "SIGNALING_SFU_PROCESSES": "1",
        "SIGNALING_API_KEYS": API_KEY,
        "SIGNALING_TOKEN_KEYS": "token-key-of-the-tests-0123456789abcdef",
        "SIGNALING_CONTROL_SECRET": CONTROL_SECRET,
        "SIGNALING_DATA_DIR": str(directory),
        "SIGNALING_JOINS_PER_MINUTE": "1000",
        **({} if media else {"SIGNALING_SFU_URLS": _NOWHERE}),
        **({} if recorder else {"SIGNALING_RECORDER_URL": _NOWHERE}),
        **settings,
    }


@asynccontextmanager
async def signaling_server(
    directory: Path, *, media: bool = False, recorder: bool = False, **settings: str
) -> AsyncIterator[Server]:
    """Serve until the block ends; the arguments are those of `environment`."""
    config = read_config(environment(directory, media=media, recorder=recorder, **settings))
    server = Server(config)
    try:
        await server.start()
        yield server
    finally:
        await server.stop()

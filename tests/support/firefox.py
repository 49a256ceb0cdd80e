"""Headless Firefox at a site of a test network, driven by WebDriver BiDi (W3C) without a driver.

Firefox gathers no candidates on the loopback interface, so it needs a network. Its own camera shows
moving colours, its own microphone sounds at `TONE_HZ`.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import re
import socket
from asyncio.subprocess import Process
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.netns import Site

FIREFOX = "/usr/bin/firefox-esr"
TONE_HZ = 1_000.0
_PREFERENCES: dict[str, bool | int | str] = {
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.navigator.audio.fake_frequency": int(TONE_HZ),
    "media.autoplay.default": 0,
    "media.autoplay.blocking_policy": 0,
    "media.peerconnection.ice.obfuscate_host_addresses": False,
    # Camera and microphone for a page without TLS: a test network has no name to certify.
    "media.devices.insecure.enabled": True,
    "media.getusermedia.insecure.enabled": True,
    "intl.accept_languages": "vi-VN, vi",
    "app.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "toolkit.telemetry.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
}
_LISTENS = re.compile(rb"WebDriver BiDi listening on ws://127\.0\.0\.1:(\d+)")
_CLONE_NEWNET = 0x40000000


def why_no_firefox() -> str:
    """Why there is no Firefox here, for a skip; empty when there is."""
    return "" if Path(FIREFOX).exists() else "firefox-esr is not installed"


class Firefox:
    """One browser with one page. `start`, later `close`."""

    def __init__(self, site: Site, directory: Path) -> None:
        self._site = site
        self._directory = directory
        self._process: Process | None = None
        self._session: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._context = ""
        self._ids = count(1)

    async def start(self) -> None:
        """Start it with a profile of its own."""
        profile = self._directory / "firefox"
        profile.mkdir()
        lines = [f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in _PREFERENCES.items()]
        (profile / "user.js").write_text("\n".join(lines))
        self._process = await asyncio.create_subprocess_exec(
            self._site.wrapper(FIREFOX, self._directory),
            *("--headless", "--no-remote", "--remote-debugging-port=0", "--profile", str(profile)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "HOME": str(self._directory), "MOZ_DISABLE_CONTENT_SANDBOX": "1"},
        )
        port = await self._listening()
        connector = aiohttp.TCPConnector(socket_factory=lambda address: self._socket_there(address))
        self._session = aiohttp.ClientSession(connector=connector)
        self._socket = await self._session.ws_connect(f"ws://127.0.0.1:{port}/session")
        await self._ask("session.new", {"capabilities": {}})
        tree = await self._ask("browsingContext.getTree", {})
        self._context = tree["contexts"][0]["context"]

    async def close(self) -> None:
        """End it."""
        if self._socket is not None:
            await self._socket.close()
        if self._session is not None:
            await self._session.close()
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(20):
            await process.communicate()

    async def open(self, url: str) -> None:
        """Go to a page and wait until it is loaded."""
        where: dict[str, object] = {"context": self._context, "url": url, "wait": "complete"}
        await self._ask("browsingContext.navigate", where)

    async def evaluate(self, function: str, argument: object = None) -> Any:
        """Call a JavaScript function, awaited, with an argument; what it returns, by JSON."""
        call = f"Promise.resolve(({function})({json.dumps(argument)}))"
        done = await self._ask(
            "script.evaluate",
            {
                "expression": f"{call}.then((it) => JSON.stringify(it ?? null))",
                "target": {"context": self._context},
                "awaitPromise": True,
                "userActivation": True,
            },
        )
        assert done["type"] == "success", done["exceptionDetails"]["text"]
        return json.loads(done["result"]["value"])

    async def _listening(self) -> int:
        assert self._process is not None
        assert self._process.stderr is not None
        async with asyncio.timeout(60):
            while line := await self._process.stderr.readline():
                found = _LISTENS.search(line)
                if found is not None:
                    return int(found[1])
        raise AssertionError("Firefox ended before it could be driven")

    async def _ask(self, method: str, parameters: dict[str, object]) -> dict[str, Any]:
        assert self._socket is not None
        number = next(self._ids)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(60):
            while True:
                answer = await self._socket.receive_json()
                if answer.get("id") == number:
                    assert answer["type"] == "success", f"{method}: {answer.get('message')}"
                    return dict(answer["result"])

    def _socket_there(self, address: Any) -> socket.socket:
        """A socket in the site's namespace, whose loopback address the browser listens on."""
        libc = ctypes.CDLL(None, use_errno=True)
        here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{self._site.namespace}", os.O_RDONLY)
        try:
            assert libc.setns(there, _CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            try:
                return socket.socket(address[0], socket.SOCK_STREAM)
            finally:
                assert libc.setns(here, _CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        finally:
            os.close(here)
            os.close(there)

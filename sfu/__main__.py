"""``python -m sfu``: one media engine, until SIGTERM or, if told so, until its parent dies."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import signal
import sys
import threading

from sfu.config import Config, read_config
from sfu.errors import ConfigError
from sfu.server import SfuProgram

_EXIT_BAD_CONFIG = 2
#: So many new objects before Python looks for cycles among them, and so many such rounds before it
#: looks among older ones: packets make no cycles, and looking for them takes 3 % of the time else.
_COLLECT_AFTER, _ROUNDS = 50_000, 20


async def run(config: Config) -> None:
    """Serve until told to stop. Raises `ConfigError` when a port cannot be had."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    program = SfuProgram(config)
    await program.start()
    gc.collect()
    gc.freeze()  # code and tables of the libraries: never looked at again
    gc.set_threshold(_COLLECT_AFTER, _ROUNDS, _ROUNDS)
    if config.exit_with_stdin:
        # A thread, because the loop cannot watch every kind of file; it holds no lock at exit.
        threading.Thread(target=_wait_for_stdin, args=(loop, stop), daemon=True).start()
    ready = {"ready": True, "control_port": program.control_port, "udp_port": program.udp_port}
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
    await stop.wait()
    await program.close()


def _wait_for_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    while os.read(0, 4096):
        pass
    loop.call_soon_threadsafe(stop.set)


def main() -> int:
    """The exit code: 0 after a stop, 2 for a bad setting."""
    try:
        config = read_config(os.environ)
        logging.basicConfig(
            level=config.log_level,
            stream=sys.stderr,
            format="%(asctime)s %(levelname)s %(name)s %(message)s",
        )
        # These libraries log addresses of people, and SDP, at their lower levels.
        for name in ("aioice", "aiortc", "aiohttp", "asyncio"):
            logging.getLogger(name).setLevel(logging.WARNING)
        asyncio.run(run(config))
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return _EXIT_BAD_CONFIG
    return 0


if __name__ == "__main__":
    sys.exit(main())

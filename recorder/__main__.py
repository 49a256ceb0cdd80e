"""``python -m recorder``: configuration → disk → outbox → recorder → server; run, close, exit."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import threading

from aiohttp import web

from recorder.archive import Archive
from recorder.config import Config
from recorder.errors import ConfigError
from recorder.metrics import Metrics, watch_loop
from recorder.record.outbox import Outbox
from recorder.record.targets import FhirTarget
from recorder.server import ControlServer
from recorder.service import Recorder
from recorder.workspace import Workspace

log = logging.getLogger("recorder")

_EXIT_FAULT, _EXIT_CONFIG = 1, 2
#: A disk that hangs must not keep the process: what was acknowledged is on it already.
_CLOSE_LIMIT_S = 4.5
_SHUTDOWN_TIMEOUT_S = 2.0


def _outbox(config: Config, workspace: Workspace, metrics: Metrics) -> Outbox:
    targets = []
    if config.fhir_url:
        try:
            targets.append(FhirTarget(config.fhir_url, config.fhir_token))
        except ValueError as error:
            raise ConfigError(f"RECORDER_FHIR_URL: {error}.") from error
    return Outbox(workspace.outbox, targets, metrics.outbox)


def _open_disk(config: Config) -> Workspace:
    try:
        return Workspace(config.work_dir)
    except OSError as error:
        raise ConfigError("RECORDER_WORK_DIR is not a directory we can write in.") from error


async def _listen(config: Config, app: web.Application) -> tuple[web.AppRunner, int]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_TIMEOUT_S)
    await runner.setup()
    site = web.TCPSite(runner, config.control_host, config.control_port)
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        raise ConfigError(
            "RECORDER_CONTROL_HOST and RECORDER_CONTROL_PORT cannot be listened on."
        ) from error
    port: int = runner.addresses[0][1]
    return runner, port


async def _run(config: Config) -> int:
    """Serve until told to stop; returns the exit status."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    workspace = _open_disk(config)
    async with contextlib.AsyncExitStack() as closing:
        closing.callback(workspace.close)
        metrics = Metrics()
        outbox = _outbox(config, workspace, metrics)
        try:
            archive = Archive(config.archive_dir, workspace, outbox, config.systems(), metrics)
        except OSError as error:
            raise ConfigError("RECORDER_ARCHIVE_DIR is not a directory we can write in.") from error
        server = ControlServer(config.control_secret, metrics)
        recorder = Recorder(config, workspace, archive, metrics, server.emit)
        metrics.observe(recorder)
        delivering = asyncio.create_task(outbox.run(), name="outbox")
        # Records that nobody delivers any more must not pass unseen: without it, we end.
        delivering.add_done_callback(lambda _: stop.set())
        for task in (delivering, asyncio.create_task(watch_loop(metrics.loop_lag))):
            closing.push_async_callback(_end, task)
        closing.push_async_callback(recorder.close)
        await recorder.start()
        runner, port = await _listen(config, server.app(recorder))
        closing.push_async_callback(runner.cleanup)
        if config.exit_with_stdin:
            _watch_stdin(loop, stop)
        sys.stdout.write(json.dumps({"ready": True, "control_port": port}) + "\n")
        sys.stdout.flush()
        await stop.wait()
        status = _status_of(delivering)
        log.info("closing")
        threading.Thread(target=_exit_late, args=(status,), daemon=True).start()
    return status


def _status_of(delivering: asyncio.Task[None]) -> int:
    if not delivering.done():
        return 0
    error = None if delivering.cancelled() else delivering.exception()
    # The text of an error may quote a bundle.
    log.error("the outbox ended by itself: %s", type(error).__name__)
    return _EXIT_FAULT


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _exit_late(status: int) -> None:
    threading.Event().wait(_CLOSE_LIMIT_S)
    log.error("the disk did not answer in time; exit without waiting for it")
    os._exit(status)


def _watch_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Set `stop` at the end of standard input: whoever started us is gone."""

    def read() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=read, daemon=True).start()


def main() -> int:
    """Run until SIGTERM, SIGINT or the end of standard input.

    2 when misconfigured, 1 when a part without which we do not serve has ended.
    """
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    try:
        return asyncio.run(_run(Config.from_environment()))
    except ConfigError as error:
        sys.stderr.write(f"recorder: {error}\n")
        return _EXIT_CONFIG


if __name__ == "__main__":
    sys.exit(main())

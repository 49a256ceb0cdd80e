from __future__ import annotations

from asyncio import create_subprocess_exec
from asyncio.subprocess import PIPE

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from sfu.control.messages import OpenRoom, Permit, RemovePeer, StartTap
from sfu.ids import PeerId, RoomId, TapId
from sfu.metrics import Metrics, WireCounters
from tests.sfu.routing import ROOM as STAGE_ROOM
from tests.sfu.routing import Stage, voice
from tests.support.caller import running_sfu
from tests.support.scrape import scrape

ROOM = RoomId("room-1")
PEERS = ("an-who-must-not-appear", "binh-who-must-not-appear")


def value(text: str, name: str, **labels: str) -> float:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == f"vtelehealth_sfu_{name}" and sample.labels == labels:
                return float(sample.value)
    raise AssertionError(f"no {name} {labels} in\n{text}")


async def test_metrics__show_the_call_and_no_person() -> None:
    async with running_sfu() as sfu:
        await sfu.client.request(OpenRoom(room=ROOM))
        callers = [sfu.caller(ROOM, peer) for peer in PEERS]
        for caller in callers:
            await sfu.client.request(
                Permit(
                    room=ROOM,
                    peer=caller.peer,
                    send=("audio", "video"),
                    receive=True,
                )
            )
            await caller.call()
        tap = StartTap(room=ROOM, tap=TapId("t"), peers=(PeerId(PEERS[0]),))
        await sfu.client.request(tap)
        await callers[0].hears_and_sees()
        text = await scrape(f"http://127.0.0.1:{sfu.program.control_port}")
        assert value(text, "transports", state="connected") == 2
        assert value(text, "rooms") == 1
        assert value(text, "streams", kind="video") == 2
        assert value(text, "legs", kind="audio") == 2
        assert value(text, "received_packets_total", kind="audio") > 5
        assert value(text, "sent_bytes_total", kind="video") > 5
        assert value(text, "tap_backlog_bytes") > 0
        assert value(text, "pli_sent_total") > 0
        assert value(text, "seats_by_picture", picture="shown") == 2
        assert value(text, "legs_by_layer", layer="0") > 0
        assert value(text, "protection", level="normal") == 1
        assert value(text, "tcp_connections") == 0
        assert value(text, "forwarding_seconds_count") > 0
        assert value(text, "loop_lag_seconds_count") > 0
        assert "must-not-appear" not in text
        assert ROOM not in text


async def test_lost_packets__that_come_late__do_not_make_the_counter_fall() -> None:
    stage = Stage()
    metrics = Metrics(stage.router, stage.transports, lambda: WireCounters(0, 0, 0, 0, 0, 0))

    def lost() -> float:
        return value(generate_latest(metrics.registry).decode(), "lost_packets_total", kind="audio")

    try:
        an = await stage.peer("an", "mic").connected()
        for sequence in (1, 4):
            an.send(voice(sequence))
        assert lost() == 2
        for sequence in (2, 3):
            an.send(voice(sequence))
        assert stage.statistics().streams[0].lost == 0
        assert lost() == 2
        stage.do(RemovePeer(room=STAGE_ROOM, peer=an.name))
        assert lost() == 2
    finally:
        await stage.close()


async def test_discarded_taps__are_counted() -> None:
    stage = Stage()
    metrics = Metrics(stage.router, stage.transports, lambda: WireCounters(0, 0, 0, 0, 0, 0))
    stage.router.taps.discarded = 3
    assert value(generate_latest(metrics.registry).decode(), "taps_discarded_total") == 3
    await stage.close()


async def test_promtool__has_no_complaint() -> None:
    async with running_sfu() as sfu:
        text = await scrape(f"http://127.0.0.1:{sfu.program.control_port}")
    promtool = await create_subprocess_exec(
        "promtool", "check", "metrics", stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    assert await promtool.communicate(text.encode()) == (b"", b"")
    assert promtool.returncode == 0

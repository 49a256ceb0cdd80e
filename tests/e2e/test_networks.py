"""Calls over networks that people have: firewalls, and addresses that change in mid-call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aioice.stun import TransactionFailed
from aioice.turn import TurnClientUdpProtocol
from playwright.async_api import Playwright

from signaling.auth.turn import ice_servers
from tests.e2e.gathering import Gathering
from tests.e2e.person import Person
from tests.e2e.stack import stack
from tests.e2e.watching import Watching
from tests.support.browser import CITIZEN, CLINICIAN, Place, chromium_at
from tests.support.eventually import eventually
from tests.support.netns import Networks
from tests.support.turn import TurnServer, why_no_turn

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

MEDIA_BACK_S = 3.0


@asynccontextmanager
async def meeting(
    networks: Networks,
    driver: Playwright,
    devices: Path,
    directory: Path,
    turn: TurnServer | None = None,
) -> AsyncIterator[Gathering]:
    """The programs at the servers' address, and a consultation."""
    async with (
        stack(directory, address=networks.server_address, turn=turn) as running,
        AsyncExitStack() as owned,
    ):
        gathering = Gathering(running, driver, devices, owned)
        await gathering.call()
        yield gathering


def beside(gathering: Gathering) -> Place:
    """Where the servers are, for a page at their address on the test network."""
    url = gathering.stack.urls[0]
    return Place(flags=(f"--unsafely-treat-insecure-origin-as-secure={url}",))


async def in_call(
    gathering: Gathering, networks: Networks, directory: Path
) -> tuple[Person, Person]:
    """The clinician beside the servers and the citizen at the first site, both in the call."""
    clinician = await gathering.clinician(place=beside(gathering))
    there = chromium_at(networks.sites[0], gathering.stack.urls[0], directory)
    citizen = await gathering.waiting_citizen(place=there)
    await gathering.admit(clinician, citizen)
    return clinician, citizen


async def see_and_hear_each_other(clinician: Person, citizen: Person) -> None:
    await clinician.picture_moves()
    await citizen.picture_moves()
    assert await clinician.hears(CITIZEN.tone_hz) > 0.5
    assert await citizen.hears(CLINICIAN.tone_hz) > 0.5


async def test_udp_blocked__the_call_goes_over_tcp_to_the_sfu(
    networks: Networks, driver: Playwright, devices: Path, tmp_path: Path
) -> None:
    networks.site().block_udp()
    async with meeting(networks, driver, devices, tmp_path) as gathering:
        clinician, citizen = await in_call(gathering, networks, tmp_path)
        await see_and_hear_each_other(clinician, citizen)
        assert await citizen.path() == ("prflx", "tcp")
        assert (await clinician.path())[1] == "udp"


async def test_only_web_and_turn_ports_open__the_call_goes_over_turn_in_tls(
    networks: Networks, driver: Playwright, devices: Path, tmp_path: Path
) -> None:
    if reason := why_no_turn():
        pytest.skip(reason)
    turn = TurnServer(networks.server_address, tmp_path)
    await turn.start()
    try:
        async with meeting(networks, driver, devices, tmp_path, turn) as gathering:
            web = urlsplit(gathering.stack.urls[0]).port
            assert web is not None
            networks.site().allow_only_tcp([web, turn.tls_port])
            clinician, citizen = await in_call(gathering, networks, tmp_path)
            await see_and_hear_each_other(clinician, citizen)
            assert await citizen.path() == ("relay", "tls")
    finally:
        await turn.stop()


async def test_turn__relays_to_the_sfu_and_to_no_other_address(
    networks: Networks, tmp_path: Path
) -> None:
    if reason := why_no_turn():
        pytest.skip(reason)
    turn = TurnServer(networks.server_address, tmp_path)
    await turn.start()
    try:
        (server,) = ice_servers((turn.url,), turn.secret, "an", time.time())
        transport, client = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: TurnClientUdpProtocol(
                (turn.address, turn.port),
                username=server.username,
                password=server.credential,
                lifetime=600,
                channel_refresh_time=500,
            ),
            local_addr=(networks.server_address, 0),
            remote_addr=(turn.address, turn.port),
        )
        await client.connect()
        await client.send_data(b"to the SFU", (networks.server_address, 9))
        for elsewhere in ("192.0.2.1", "10.1.2.3"):
            with pytest.raises(TransactionFailed):
                await client.send_data(b"elsewhere", (elsewhere, 9))
        await client.delete()
        transport.close()
    finally:
        await turn.stop()


async def test_address_changes__media_is_back_on_the_same_connection(
    networks: Networks, driver: Playwright, devices: Path, tmp_path: Path
) -> None:
    site = networks.site()
    async with meeting(networks, driver, devices, tmp_path) as gathering:
        clinician, citizen = await in_call(gathering, networks, tmp_path)
        await citizen.mark_connection()
        watched = [await Watching.begin(clinician, citizen)]
        watched += [await Watching.begin(citizen, clinician)]
        site.change_address()
        # After those that were on their way.
        for person in (clinician, citizen):
            await person.frames_go_on(more=20, within_s=30)
        for watching in watched:
            assert (await watching.read()).still_ms < MEDIA_BACK_S * 1_000
        assert await citizen.has_the_marked_connection()
        await see_and_hear_each_other(clinician, citizen)


async def test_browser_says_the_network_changed__ice_restarts_on_the_same_connection(
    networks: Networks, driver: Playwright, devices: Path, tmp_path: Path
) -> None:
    networks.site()
    async with meeting(networks, driver, devices, tmp_path) as gathering:
        clinician, citizen = await in_call(gathering, networks, tmp_path)
        await citizen.mark_connection()
        before = await gathering.transport(gathering.citizen_id)
        ufrag = await citizen.page.evaluate(_REMOTE_UFRAG)
        await citizen.page.evaluate("() => window.dispatchEvent(new Event('online'))")

        async def not_restarted() -> str | None:
            now = await citizen.page.evaluate(_REMOTE_UFRAG)
            return "the ufrag is the old one" if now == ufrag else None

        await eventually(not_restarted)
        await citizen.frames_go_on(within_s=MEDIA_BACK_S)
        await clinician.frames_go_on(within_s=MEDIA_BACK_S)
        assert await citizen.has_the_marked_connection()
        after = await gathering.transport(gathering.citizen_id)
        assert before is not None
        assert after is not None
        assert after.received_packets > before.received_packets
        assert after.sent_packets > before.sent_packets


_REMOTE_UFRAG = """() => {
  const sdp = window.vtelehealth.pc().remoteDescription.sdp;
  return /a=ice-ufrag:(.+)/.exec(sdp)[1].trim();
}"""

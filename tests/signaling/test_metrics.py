"""What a signalling process counts, after a visit; no label names anybody."""

from __future__ import annotations

import asyncio
import re
import shutil
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import aiohttp

from signaling.protocol import messages as wire
from tests.support.rest_consultation import Consultation
from tests.support.signaling_server import signaling_server
from tests.support.wire_client import WireClient, both_inside


async def scrape_after_a_visit(directory: Path) -> tuple[str, Consultation]:
    async with signaling_server(directory) as server, aiohttp.ClientSession() as session:
        visit = await Consultation.create(
            session, server.public_url, "treating_clinician", "patient"
        )
        clinician, patient = await both_inside(session, visit.links)
        await patient.ask(wire.Record(ref="r", action="start"))
        assert patient.joined is not None
        again = await WireClient.resume(session, server.public_url, patient.joined.session)
        await again.next(wire.Room)
        async with session.get(f"{server.public_url}/metrics") as response:
            assert response.status == 200
            text = await response.text()
        await clinician.close()
        return text, visit


async def test_a_visit_is_counted(tmp_path: Path) -> None:
    text, visit = await scrape_after_a_visit(tmp_path)
    for line in (
        'vtelehealth_signaling_consultations{state="active"} 1.0',
        'vtelehealth_signaling_participants{role="patient"} 1.0',
        'vtelehealth_signaling_joins_total{result="joined"} 2.0',
        'vtelehealth_signaling_resumes_total{result="resumed"} 1.0',
        'vtelehealth_signaling_errors_total{code="not_allowed"} 1.0',
        'vtelehealth_signaling_messages_in_total{type="Ready"} 2.0',
        'vtelehealth_signaling_messages_out_total{type="joined"} 3.0',
        "vtelehealth_signaling_waiting_to_admitted_seconds_count 1.0",
        'vtelehealth_signaling_requests_total{route="/v1/consultations",status="201"} 1.0',
    ):
        assert line in text, line
    labels = " ".join(re.findall(r"\{[^}]*\}", text))
    for hidden in (visit.id, *visit.participants, "Người", "127.0.0.1"):
        assert hidden not in labels


async def test_promtool_has_no_complaint(tmp_path: Path) -> None:
    program = shutil.which("promtool")
    assert program, "promtool is not installed: deploy/setup/system.sh installs it"
    text, _ = await scrape_after_a_visit(tmp_path)
    checking = await asyncio.create_subprocess_exec(
        program, "check", "metrics", stdin=PIPE, stdout=PIPE, stderr=STDOUT
    )
    said, _ = await checking.communicate(text.encode())
    assert checking.returncode == 0, said.decode()

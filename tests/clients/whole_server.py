"""`python -m signaling` with its children on free loopback ports, and people to meet in it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from clients.python.rest import Created, NewConsultation, NewParticipant, Rest
from signaling.protocol.messages import Facility
from tests.support.servers import Program

HOSPITAL = Facility(code="01001", name="Bệnh viện A")


@dataclass
class WholeServer:
    """A running server."""

    program: Program
    url: str
    api_key: str

    async def visit(self) -> Created:
        """A consultation of a treating clinician and a patient, in this order."""
        async with Rest(self.url, self.api_key) as rest:
            return await rest.create(
                NewConsultation(
                    mode="DIRECT_TO_PATIENT",
                    title="Khám từ xa",
                    facility=HOSPITAL,
                    recording_policy="patient",
                    participants=(
                        NewParticipant(
                            name="Nguyễn Thị Ánh",
                            role="treating_clinician",
                            title="BS.",
                            licence="001234/BYT-CCHN",
                            facility=HOSPITAL,
                        ),
                        NewParticipant(name="Trần Văn Ước", role="patient"),
                    ),
                )
            )


@asynccontextmanager
async def whole_server(directory: Path) -> AsyncIterator[WholeServer]:
    """Start it; stop it at the end."""
    api_key = secrets.token_urlsafe(32)
    program = Program(
        "signaling",
        {
            "SIGNALING_HTTP_HOST": "127.0.0.1",
            "SIGNALING_HTTP_PORT": "0",
            "SIGNALING_API_KEYS": api_key,
            "SIGNALING_TOKEN_KEYS": secrets.token_urlsafe(32),
            "SIGNALING_DATA_DIR": str(directory),
            "SIGNALING_SFU_UDP_PORT": "0",
            "SIGNALING_JOINS_PER_MINUTE": "1000",
            "SFU_UDP_HOST": "127.0.0.1",
            "SFU_ANNOUNCED_ADDRESSES": "127.0.0.1",
        },
        directory / "signaling.log",
    )
    await program.start()
    try:
        yield WholeServer(program, f"http://127.0.0.1:{program.ready['http_port']}", api_key)
    finally:
        await program.stop()

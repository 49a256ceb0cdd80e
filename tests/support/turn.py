"""A real coturn with the configuration that we ship and a certificate of its own."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import secrets
import shutil
from asyncio.subprocess import Process
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.eventually import eventually
from tests.support.servers import ROOT, free_port

CONFIGURATION = ROOT / "deploy/coturn/turnserver.conf"


def why_no_turn() -> str:
    """Why there is no TURN server here, for a skip; empty when there is."""
    return "" if shutil.which("turnserver") else "coturn is not installed"


class TurnServer:
    """coturn on one address, TLS on `tls_port`; it may relay to that address only."""

    def __init__(self, address: str, directory: Path) -> None:
        self.address = address
        self.port = free_port()
        self.tls_port = free_port()
        self.secret = secrets.token_urlsafe(32)
        self._directory = directory
        self._process: Process | None = None

    @property
    def url(self) -> str:
        """For `SIGNALING_TURN_URLS`."""
        return f"turns:{self.address}:{self.tls_port}?transport=tcp"

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return (self._directory / "coturn.log").read_text()

    async def start(self) -> None:
        """Start it and wait until it accepts connections."""
        write_certificate(self.address, self._directory)
        with (self._directory / "coturn.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                "turnserver",
                "-c",
                str(CONFIGURATION),
                f"--listening-ip={self.address}",
                f"--relay-ip={self.address}",
                f"--listening-port={self.port}",
                f"--tls-listening-port={self.tls_port}",
                f"--cert={self._directory / 'turn.crt'}",
                f"--pkey={self._directory / 'turn.key'}",
                f"--static-auth-secret={self.secret}",
                "--realm=test",
                f"--allowed-peer-ip={self.address}",
                f"--pidfile={self._directory / 'coturn.pid'}",
                f"--userdb={self._directory / 'coturn.db'}",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        await eventually(self._complaint, within_s=20)

    async def stop(self) -> None:
        """End it."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(20):
            await process.wait()

    async def _complaint(self) -> str | None:
        assert self._process is not None
        assert self._process.returncode is None, f"coturn ended:\n{self.log}"
        try:
            _, writer = await asyncio.open_connection(self.address, self.tls_port)
        except OSError as error:
            return f"coturn does not accept: {error}"
        writer.close()
        await writer.wait_closed()
        return None


def write_certificate(address: str, directory: Path) -> None:
    """A self-signed certificate for an IP address: `turn.crt` and `turn.key`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, address)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    (directory / "turn.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (directory / "turn.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )

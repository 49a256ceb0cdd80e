"""Medplum's FHIR R4 server and npm's `fhir` validator, run in Node as judges that are not ours."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_SCRIPT = Path(__file__).with_name("server.mjs")


class FhirServer:
    """Speaks to a running server; blocking, for the assertions of tests."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.base_url = f"http://127.0.0.1:{port}"

    def call(self, path: str, body: bytes | None = None, method: str = "") -> tuple[int, Any]:
        """HTTP status and decoded answer (None when there is none)."""
        request = urllib.request.Request(
            f"{self.base_url}/{path}",
            body,
            {"Content-Type": "application/fhir+json"},
            method=method or ("GET" if body is None else "POST"),
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                status, answer = response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                status, answer = error.code, error.read()
        return status, json.loads(answer) if answer else None

    def all(self, resource_type: str, query: str = "") -> list[dict[str, Any]]:
        """Every resource of the type that matches the query."""
        _, found = self.call(f"{resource_type}?_count=1000&{query}")
        return [entry["resource"] for entry in found.get("entry", [])]

    def complaints(self, resource: bytes) -> list[str]:
        """What the second judge holds for an error in `resource`."""
        _, verdict = self.call("judge", resource)
        return [
            f"{message['location']}: {message['message']}"
            for message in verdict["messages"]
            if message["severity"] in ("error", "fatal")
        ]

    def forget(self) -> None:
        """Remove every resource."""
        self.call("", method="DELETE")


@contextmanager
def fhir_server(port: int = 0) -> Iterator[FhirServer]:
    """A server on `port` (0: any) that is stopped at the end."""
    node = Path(sys.executable).with_name("node")
    with subprocess.Popen(
        [node, _SCRIPT, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            listening = process.stdout.readline().strip()
            assert listening.isdigit(), "the FHIR server did not start: is `npm ci` done?"
            yield FhirServer(int(listening))
        finally:
            # `node` may be a wrapper around the real one: a signal would reach only the wrapper.
            process.stdin.close()
            process.wait(timeout=10)

"""Delivery to a FHIR server: what counts as taken, as "try later" and as refused."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest
from aiohttp import web

from recorder.record.fhir import bundle
from recorder.record.targets import FhirTarget, Refused, TryLater
from tests.recorder.consultation import DOSSIER, FILES
from tests.support.fhir_server import fhir_server

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
OUTCOME = '{"resourceType":"OperationOutcome","issue":[{"diagnostics":"Encounter.class"}]}'


@asynccontextmanager
async def target_of(
    handler: Handler, *, scheme: str = "http", token: str = "", timeout_s: float = 10.0
) -> AsyncIterator[FhirTarget]:
    """A target whose server answers with `handler`."""
    application = web.Application(client_max_size=2**26)
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(application)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listener).start()
    port = listener.getsockname()[1]
    target = FhirTarget(f"{scheme}://127.0.0.1:{port}/fhir/", token, timeout_s=timeout_s)
    try:
        yield target
    finally:
        await target.close()
        await runner.cleanup()


def answering(status: int, text: str = "", headers: dict[str, str] | None = None) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=status, text=text, headers=headers)

    return handler


def response_bundle(*statuses: str) -> str:
    entries = [{"response": {"status": status}} for status in statuses]
    return json.dumps({"resourceType": "Bundle", "type": "transaction-response", "entry": entries})


async def test_real_server__takes_it() -> None:
    with fhir_server() as server:
        target = FhirTarget(server.base_url)
        try:
            await target.send(msgspec.json.encode(bundle(DOSSIER, FILES)))
        finally:
            await target.close()
        assert len(server.all("Encounter")) == 1


async def test_real_server__missing_class__refused_with_its_words() -> None:
    broken = msgspec.json.encode(bundle(DOSSIER, [])).replace(b'"class":{', b'"klass":{')
    with fhir_server() as server:
        target = FhirTarget(server.base_url)
        try:
            with pytest.raises(Refused) as refusal:
                await target.send(broken)
        finally:
            await target.close()
    assert refusal.value.status in (400, 422)
    assert "class" in refusal.value.outcome
    assert refusal.value.outcome not in str(refusal.value)


async def test_request__is_a_transaction_with_token_at_the_base() -> None:
    seen: list[tuple[str, str, str, str, bytes]] = []

    async def handler(request: web.Request) -> web.Response:
        headers = request.headers
        seen.append(
            (
                f"{request.method} {request.path}",
                headers["Authorization"],
                headers["Content-Type"],
                headers["Prefer"],
                await request.read(),
            )
        )
        return web.Response(text=response_bundle("201 Created", "200"))

    async with target_of(handler, token="mật".encode().hex()) as target:
        await target.send(b"{}")
    assert seen == [
        ("POST /fhir", "Bearer 6de1baad74", "application/fhir+json", "return=minimal", b"{}")
    ]


@pytest.mark.parametrize("status", [400, 412, 413, 422])
async def test_content_status__refused(status: int) -> None:
    async with target_of(answering(status, OUTCOME)) as target:
        with pytest.raises(Refused) as refusal:
            await target.send(b"{}")
    assert (refusal.value.status, refusal.value.outcome) == (status, OUTCOME)


@pytest.mark.parametrize("status", [302, 401, 403, 404, 408, 409, 429, 500, 502, 503, 504])
async def test_other_status__try_later(status: int) -> None:
    headers = {"Location": "/elsewhere"} if status == 302 else None
    async with target_of(answering(status, OUTCOME, headers)) as target:
        with pytest.raises(TryLater) as failure:
            await target.send(b"{}")
    assert failure.value.reason == str(status)


@pytest.mark.parametrize(
    ("header", "expected"),
    [("120", 120.0), ("999999", 3600.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("-1", None)],
)
async def test_retry_after(header: str, expected: float | None) -> None:
    async with target_of(answering(503, headers={"Retry-After": header})) as target:
        with pytest.raises(TryLater) as failure:
            await target.send(b"{}")
    assert failure.value.retry_after_s == expected


@pytest.mark.parametrize(
    "text",
    ["", "<html>Đăng nhập</html>", "[]", '{"resourceType":"OperationOutcome"}', '{"entry":[]}'],
)
async def test_success_that_is_no_bundle__try_later(text: str) -> None:
    async with target_of(answering(200, text)) as target:
        with pytest.raises(TryLater, match="not_fhir"):
            await target.send(b"{}")


async def test_entry_refused_inside_a_success__refused() -> None:
    answer = response_bundle("201", "503 Busy", "422 Unprocessable")
    async with target_of(answering(200, answer)) as target:
        with pytest.raises(Refused) as refusal:
            await target.send(b"{}")
    assert refusal.value.status == 422


@pytest.mark.parametrize(
    ("status", "reason"), [("503", "503"), ("", "not_fhir"), ("²01", "not_fhir")]
)
async def test_entry_failed_inside_a_success__try_later(status: str, reason: str) -> None:
    async with target_of(answering(200, response_bundle("201", status))) as target:
        with pytest.raises(TryLater) as failure:
            await target.send(b"{}")
    assert failure.value.reason == reason


async def test_endless_answer__try_later() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(17 * 16):
            await response.write(b" " * 65536)
        return response

    async with target_of(handler) as target:
        with pytest.raises(TryLater, match="answer_too_large"):
            await target.send(b"{}")


async def test_silent_server__timeout() -> None:
    released = asyncio.Event()

    async def handler(request: web.Request) -> web.Response:
        await released.wait()
        return web.Response()

    async with target_of(handler, timeout_s=0.1) as target:
        with pytest.raises(TryLater, match="timeout"):
            await target.send(b"{}")
        released.set()


async def test_nobody_there__network() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    target = FhirTarget(f"http://127.0.0.1:{port}/fhir")
    try:
        with pytest.raises(TryLater, match="network"):
            await target.send(b"{}")
    finally:
        await target.close()


async def test_no_tls_where_there_should_be__tls() -> None:
    async with target_of(answering(200), scheme="https") as target:
        with pytest.raises(TryLater, match="tls"):
            await target.send(b"{}")


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ehr.example.vn/fhir",
        "ftp://x/fhir",
        "https:///fhir",
        "https://x/fhir?a=b",
        "https://x:99999/fhir",
        "https://[::1/fhir",
        "https://user:secret@x/fhir",
    ],
)
def test_unusable_address__one_sentence(address: str) -> None:
    with pytest.raises(ValueError, match="must look like https://host/fhir") as error:
        FhirTarget(address)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "mật"])
def test_unusable_token__one_sentence_without_it(token: str) -> None:
    with pytest.raises(ValueError, match="FHIR token must be") as error:
        FhirTarget("https://x/fhir", token)
    assert token not in str(error.value)

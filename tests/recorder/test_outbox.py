"""The outbox: nothing that was put is ever lost, and nothing refused is hidden."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from recorder.record.fhir import bundle
from recorder.record.outbox import Outbox, OutboxMetrics, RetryPolicy
from recorder.record.targets import DeliveryError, FhirTarget, Refused, TryLater
from tests.recorder.consultation import DOSSIER, FILES
from tests.support.eventually import eventually
from tests.support.fhir_server import fhir_server

AT_ONCE = RetryPolicy(first_s=0.01, longest_s=0.05)
SECRET_WORDS = "Nguyễn Văn Ấn"


class ScriptedTarget:
    """Keeps what it was sent; fails as often as `failures` says, then takes everything."""

    def __init__(self, *failures: DeliveryError, name: str = "fhir") -> None:
        self.name = name
        self.failures = list(failures)
        self.attempts: list[bytes] = []
        self.taken: list[bytes] = []
        self.closed = False
        self.before_answer: Callable[[], None] = lambda: None

    async def send(self, bundle: bytes) -> None:
        self.attempts.append(bundle)
        self.before_answer()
        if self.failures:
            raise self.failures.pop(0)
        self.taken.append(bundle)

    async def close(self) -> None:
        self.closed = True


class Fixture:
    """An outbox with its registry and directory."""

    def __init__(self, directory: Path, *targets: ScriptedTarget | FhirTarget) -> None:
        self.directory = directory
        self.registry = CollectorRegistry()
        self.outbox = Outbox(
            directory, targets, OutboxMetrics(self.registry), retry=AT_ONCE, rescan_s=0.05
        )

    def metric(self, name: str, **labels: str) -> float | None:
        full = f"vtelehealth_recorder_outbox_{name}"
        return self.registry.get_sample_value(full, {"target": "fhir", **labels})

    def files(self, state: str, target: str = "fhir") -> set[str]:
        return {path.name for path in (self.directory / state / target).iterdir()}

    def siblings(self) -> list[str]:
        return [path.name for path in self.directory.parent.iterdir()]


@asynccontextmanager
async def running(outbox: Outbox) -> AsyncIterator[None]:
    task = asyncio.create_task(outbox.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_put__delivered_and_gone(tmp_path: Path) -> None:
    target = ScriptedTarget()
    box = Fixture(tmp_path, target)
    async with running(box.outbox):
        await box.outbox.put("c1", b"one")
        await eventually(lambda: None if box.outbox.depth() == 0 else "still waits")
    assert target.taken == [b"one"]
    assert box.files("pending") == set()
    assert box.metric("attempts_total", result="delivered") == 1
    assert box.metric("delivery_lag_seconds_count") == 1
    assert target.closed


async def test_put__on_disk_before_anyone_delivers(tmp_path: Path) -> None:
    box = Fixture(tmp_path, ScriptedTarget())
    await box.outbox.put("c1", b"one")
    path = tmp_path / "pending" / "fhir" / "c1.json"
    assert path.read_bytes() == b"one"
    assert path.stat().st_mode & 0o077 == 0
    assert box.metric("pending_bundles") == 1


async def test_crash__the_next_outbox_delivers(tmp_path: Path) -> None:
    await Fixture(tmp_path, ScriptedTarget()).outbox.put("c1", b"one")
    half_written = tmp_path / "pending" / "fhir" / "c2.json.partial"
    half_written.write_bytes(b"tw")
    target = ScriptedTarget()
    box = Fixture(tmp_path, target)
    async with running(box.outbox):
        await eventually(lambda: None if target.taken == [b"one"] else f"taken {target.taken}")
        await eventually(lambda: None if not box.files("pending") else "files are left")
    assert not half_written.exists()


async def test_try_later__tried_again_until_taken(tmp_path: Path) -> None:
    target = ScriptedTarget(TryLater("network"), TryLater("503"), TryLater("429", 0.01))
    box = Fixture(tmp_path, target)
    async with running(box.outbox):
        await box.outbox.put("c1", b"one")
        await eventually(lambda: None if target.taken else "not taken")
        await eventually(lambda: None if box.outbox.depth() == 0 else "still waits")
    assert target.attempts == [b"one"] * 4
    assert box.metric("attempts_total", result="retried") == 3


async def test_try_later__does_not_stand_in_the_way_of_others(tmp_path: Path) -> None:
    target = ScriptedTarget(TryLater("500", 3600.0))
    box = Fixture(tmp_path, target)
    async with running(box.outbox):
        await box.outbox.put("c1", b"poison")
        await eventually(lambda: None if target.attempts else "not tried")
        await box.outbox.put("c2", b"good")
        await eventually(lambda: None if b"good" in target.taken else "not taken")


async def test_success__what_an_outage_postponed_for_long_goes_at_once(tmp_path: Path) -> None:
    target = ScriptedTarget(TryLater("network", 3600.0))
    box = Fixture(tmp_path, target)
    async with running(box.outbox):
        await box.outbox.put("c1", b"one")
        await eventually(lambda: None if not target.failures else "not tried")
        await box.outbox.put("c2", b"two")
        await eventually(lambda: None if box.outbox.depth() == 0 else "still waits")
    assert target.taken == [b"two", b"one"]


async def test_refused__moved_aside_with_the_servers_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    target = ScriptedTarget(Refused(422, f"class missing for {SECRET_WORDS}"))
    box = Fixture(tmp_path, target)
    async with running(box.outbox):
        await box.outbox.put("c1", SECRET_WORDS.encode())
        await eventually(lambda: None if box.outbox.rejected() == 1 else "not rejected")
    assert box.files("rejected") == {"c1.json", "c1.outcome"}
    assert box.files("pending") == set()
    outcome = (tmp_path / "rejected" / "fhir" / "c1.outcome").read_text()
    assert outcome == f"HTTP 422\nclass missing for {SECRET_WORDS}\n"
    assert box.metric("attempts_total", result="rejected") == 1
    assert box.metric("rejected_bundles") == 1
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "c1" in record.getMessage()
    assert SECRET_WORDS not in caplog.text


async def test_refused_then_put_again__delivered_and_no_longer_rejected(tmp_path: Path) -> None:
    target = ScriptedTarget(Refused(422, ""))
    box = Fixture(tmp_path, target)
    async with running(box.outbox):
        await box.outbox.put("c1", b"wrong")
        await eventually(lambda: None if box.outbox.rejected() == 1 else "not rejected")
        await box.outbox.put("c1", b"right")
        await eventually(lambda: None if box.outbox.rejected() == 0 else "still rejected")
    assert target.taken == [b"right"]
    assert box.files("rejected") == set()


async def test_rejected_file_moved_back_by_hand__tried_again(tmp_path: Path) -> None:
    target = ScriptedTarget(Refused(422, ""))
    box = Fixture(tmp_path, target)
    rejected = tmp_path / "rejected" / "fhir" / "c1.json"
    async with running(box.outbox):
        await box.outbox.put("c1", b"one")
        await eventually(lambda: None if rejected.exists() else "not rejected")
        rejected.rename(tmp_path / "pending" / "fhir" / "c1.json")
        await eventually(lambda: None if target.taken == [b"one"] else "not taken")


@pytest.mark.parametrize(
    "answer", [None, TryLater("503"), Refused(422, "")], ids=["taken", "later", "refused"]
)
async def test_replaced_while_being_sent__the_newer_is_delivered_too(
    tmp_path: Path, answer: DeliveryError | None
) -> None:
    target = ScriptedTarget(*([answer] if answer else []))
    box = Fixture(tmp_path, target)
    pending = tmp_path / "pending" / "fhir" / "c1.json"

    def replace() -> None:
        newer = tmp_path / "newer"
        newer.write_bytes(b"newer")
        newer.rename(pending)
        target.before_answer = lambda: None

    target.before_answer = replace
    async with running(box.outbox):
        await box.outbox.put("c1", b"older")
        await eventually(lambda: None if b"newer" in target.taken else f"{target.taken}")
        await eventually(lambda: None if box.outbox.depth() == 0 else "still waits")


async def test_put_twice__the_later_replaces_the_earlier(tmp_path: Path) -> None:
    target = ScriptedTarget()
    box = Fixture(tmp_path, target)
    await box.outbox.put("c1", b"older")
    await box.outbox.put("c1", b"newer")
    async with running(box.outbox):
        await eventually(lambda: None if box.outbox.depth() == 0 else "still waits")
    assert target.taken == [b"newer"]


async def test_two_targets__one_down__the_other_has_it(tmp_path: Path) -> None:
    up = ScriptedTarget(name="facility")
    down = ScriptedTarget(TryLater("network", 3600.0), name="province")
    box = Fixture(tmp_path, up, down)
    async with running(box.outbox):
        await box.outbox.put("c1", b"one")
        await eventually(lambda: None if up.taken else "not taken")
        await eventually(lambda: None if not down.failures else "not tried")
        await eventually(lambda: None if not box.files("pending", "facility") else "waits")
    assert box.files("pending", "province") == {"c1.json"}
    assert box.outbox.depth() == 1


async def test_no_target__runs_until_cancelled_and_keeps_nothing(tmp_path: Path) -> None:
    box = Fixture(tmp_path)
    task = asyncio.create_task(box.outbox.run())
    await box.outbox.put("c1", b"one")
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert box.outbox.depth() == 0


async def test_unreadable_file__others_are_delivered(tmp_path: Path) -> None:
    target = ScriptedTarget()
    box = Fixture(tmp_path, target)
    (tmp_path / "pending" / "fhir" / "bad.json").mkdir()  # reading it is an OSError
    async with running(box.outbox):
        await box.outbox.put("c1", b"one")
        await eventually(lambda: None if target.taken == [b"one"] else "not taken")
    assert (tmp_path / "pending" / "fhir" / "bad.json").exists()


async def test_fault_in_an_attempt__postponed_and_only_its_type_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class FaultyTarget(ScriptedTarget):
        async def send(self, bundle: bytes) -> None:
            if bundle == b"bad" and len(self.attempts) < 3:
                self.attempts.append(bundle)
                raise RecursionError(SECRET_WORDS)
            self.taken.append(bundle)

    target = FaultyTarget()
    box = Fixture(tmp_path, target)
    await box.outbox.put("c1", b"bad")
    await box.outbox.put("c2", b"good")
    async with running(box.outbox):
        await eventually(lambda: None if len(target.taken) == 2 else f"taken {target.taken}")
    assert target.taken == [b"good", b"bad"]
    assert "reason=fault_RecursionError" in caplog.text
    assert SECRET_WORDS not in caplog.text


async def test_oldest_age(tmp_path: Path) -> None:
    now = 0.0
    registry = CollectorRegistry()
    outbox = Outbox(tmp_path, [ScriptedTarget()], OutboxMetrics(registry), clock=lambda: now)
    assert outbox.oldest_age_s() == 0.0
    await outbox.put("c1", b"one")
    now = (tmp_path / "pending" / "fhir" / "c1.json").stat().st_mtime + 90.0
    assert outbox.oldest_age_s() == pytest.approx(90.0)
    name = "vtelehealth_recorder_outbox_oldest_age_seconds"
    assert registry.get_sample_value(name, {"target": "fhir"}) == pytest.approx(90.0)


@pytest.mark.parametrize("consultation", ["../../x", "a/b", ".", "hội chẩn", "c.json"])
async def test_any_id__is_one_file_inside(tmp_path: Path, consultation: str) -> None:
    target = ScriptedTarget()
    box = Fixture(tmp_path / "outbox", target)
    await box.outbox.put(consultation, b"one")
    assert len(box.files("pending")) == 1
    assert box.siblings() == ["outbox"]
    async with running(box.outbox):
        await eventually(lambda: None if target.taken == [b"one"] else "not taken")


@pytest.mark.parametrize("consultation", ["", "x" * 300])
async def test_id_that_is_no_file_name__value_error(tmp_path: Path, consultation: str) -> None:
    with pytest.raises(ValueError, match="empty or too long"):
        await Fixture(tmp_path, ScriptedTarget()).outbox.put(consultation, b"one")


def test_two_targets_of_one_name__value_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="same name"):
        Fixture(tmp_path, ScriptedTarget(), ScriptedTarget())


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_retry_policy__grows_to_its_limit_and_never_overflows(n: int, chance: float) -> None:
    policy = RetryPolicy()
    assert 0.8 <= policy.delay_s(n, chance) <= 3600 * 1.2
    assert policy.delay_s(n, 0.5) <= policy.delay_s(n + 1, 0.5)


async def test_server_down_then_up__delivered_once_in_effect(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    box = Fixture(tmp_path, FhirTarget(f"http://127.0.0.1:{port}"))
    async with running(box.outbox):
        await box.outbox.put(DOSSIER.consultation, msgspec.json.encode(bundle(DOSSIER, FILES)))
        await eventually(
            lambda: None if box.metric("attempts_total", result="retried") else "not tried"
        )
        with fhir_server(port) as server:
            await eventually(lambda: None if box.outbox.depth() == 0 else "still waits")
            assert len(server.all("Encounter")) == 1


async def test_real_server__missing_class__is_in_rejected_with_its_outcome(
    tmp_path: Path,
) -> None:
    with fhir_server() as server:
        box = Fixture(tmp_path, FhirTarget(server.base_url))
        broken = msgspec.json.encode(bundle(DOSSIER, [])).replace(b'"class":{', b'"klass":{')
        async with running(box.outbox):
            await box.outbox.put("c1", broken)
            await eventually(lambda: None if box.outbox.rejected() else "not rejected")
    first, outcome = (tmp_path / "rejected" / "fhir" / "c1.outcome").read_text().split("\n", 1)
    assert first.startswith("HTTP 4")
    assert json.loads(outcome)["resourceType"] == "OperationOutcome"

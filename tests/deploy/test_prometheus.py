"""The alerts and the dashboard: sound for Prometheus, about metrics that exist, in the runbook."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from prometheus_client import generate_latest

from signaling.metrics import Metrics as SignalingMetrics
from tests.support.servers import ROOT, Program

PROMETHEUS = ROOT / "deploy/prometheus"
DASHBOARD = ROOT / "deploy/grafana/dashboards/vtelehealth.json"
RUNBOOK = ROOT / "deploy/README.md"
SECRET = "a secret of the tests, 32 or more".replace(" ", "-")
ENVIRONMENTS = {
    "sfu": {
        "SFU_CONTROL_SECRET": SECRET,
        "SFU_CONTROL_PORT": "0",
        "SFU_UDP_PORT": "0",
        "SFU_UDP_HOST": "127.0.0.1",
    },
    "recorder": {
        "RECORDER_CONTROL_SECRET": SECRET,
        "RECORDER_SFU_SECRET": SECRET,
        "RECORDER_CONTROL_PORT": "0",
        "RECORDER_FHIR_URL": "http://127.0.0.1:9/fhir",
    },
}


def promtool(*arguments: str | Path, text: str = "") -> str:
    """What promtool complains of; empty when it is content."""
    done = subprocess.run(
        ["promtool", *arguments], input=text, capture_output=True, text=True, check=False
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def alerts() -> list[str]:
    rules = (PROMETHEUS / "alerts.yml").read_text(encoding="utf-8")
    return re.findall(r"^      - alert: (\w+)$", rules, re.MULTILINE)


def dashboard_expressions() -> list[str]:
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", ())]


def metrics_in(text: str) -> set[str]:
    return set(re.findall(r"\bvtelehealth_[a-z0-9_]+", text))


def series_of(exposition: str) -> Iterator[str]:
    """The names of all series that the metrics of this text may have."""
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", exposition, re.MULTILINE):
        parts = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        yield from (name + part for part in parts)


async def scraped(program: str, directory: Path) -> str:
    """What the real program serves at /metrics."""
    environment = dict(ENVIRONMENTS[program])
    if program == "recorder":
        environment["RECORDER_WORK_DIR"] = str(directory / "work")
        environment["RECORDER_ARCHIVE_DIR"] = str(directory / "archive")
    process = Program(program, environment, directory / "log")
    await process.start()
    try:
        url = f"http://127.0.0.1:{process.ready['control_port']}/metrics"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return await response.text()
    finally:
        await process.stop()


def of_signaling() -> str:
    metrics = SignalingMetrics()
    metrics.follow_rooms(list)
    metrics.follow_sfus(lambda: (2, 1))
    return generate_latest(metrics.registry).decode()


async def exposition(program: str, directory: Path) -> str:
    return of_signaling() if program == "signaling" else await scraped(program, directory)


def test_configuration_and_rules__are_valid() -> None:
    assert promtool("check", "config", PROMETHEUS / "prometheus.yml") == ""


def test_rules__fire_when_they_should() -> None:
    assert promtool("test", "rules", Path(__file__).with_name("alerts_test.yml")) == ""


def test_dashboard__every_expression_is_promql(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": expression}
        for number, expression in enumerate(dashboard_expressions())
    ]
    file = tmp_path / "rules.yml"  # JSON is YAML
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert promtool("check", "rules", file) == ""


async def test_alerts_and_dashboard__name_only_metrics_that_exist(tmp_path: Path) -> None:
    existing: set[str] = set()
    for program in ("signaling", "sfu", "recorder"):
        directory = tmp_path / program
        directory.mkdir()
        existing.update(series_of(await exposition(program, directory)))
    named = metrics_in((PROMETHEUS / "alerts.yml").read_text(encoding="utf-8"))
    named |= metrics_in(" ".join(dashboard_expressions()))
    assert len(named) > 30
    assert sorted(named - existing) == []


@pytest.mark.parametrize("program", ["signaling", "sfu", "recorder"])
async def test_metrics__promtool_has_no_complaint(program: str, tmp_path: Path) -> None:
    assert promtool("check", "metrics", text=await exposition(program, tmp_path)) == ""


def test_runbook__has_a_section_for_each_alert_and_for_no_other() -> None:
    text = RUNBOOK.read_text(encoding="utf-8").split("\n## Alerts\n")[1]
    sections = re.findall(r"^#### (\w+)$", text, re.MULTILINE)
    assert sections == alerts()


def test_alerts__link_to_their_section_and_speak_both_languages() -> None:
    rules = (PROMETHEUS / "alerts.yml").read_text(encoding="utf-8")
    links = re.findall(r'runbook: "deploy/README.md#(\w+)"', rules)
    assert links == [alert.lower() for alert in alerts()]
    assert rules.count("summary:") == rules.count("description:") == len(alerts())

"""compose.yaml: what README says may be set in the env file is not fixed here."""

from __future__ import annotations

import re

from tests.support.servers import ROOT

COMPOSE = (ROOT / "deploy/compose.yaml").read_text(encoding="utf-8")


def value(name: str) -> str:
    (found,) = re.findall(rf"^ +- {name}=(.*)$", COMPOSE, re.MULTILINE)
    return str(found)


def test_sfus__can_be_added_in_the_env_file() -> None:
    assert value("SIGNALING_SFU_URLS") == "${SIGNALING_SFU_URLS:-ws://sfu:8090/control}"


def test_systems_file__is_where_the_recorder_is_told_it_is() -> None:
    inside = re.fullmatch(
        r"\$\{RECORDER_FHIR_SYSTEMS_FILE:\+(\S+)\}", value("RECORDER_FHIR_SYSTEMS_FILE")
    )
    assert inside is not None
    mount = f"- ${{RECORDER_FHIR_SYSTEMS_FILE:-/dev/null}}:{inside[1]}:ro"
    assert mount in COMPOSE

"""`deploy/env.example` and `deploy/compose.yaml` say what the configuration classes say."""

from __future__ import annotations

import re

import pytest

from deploy.env_example import COMPOSE, PATH, PROGRAMS, settings, text

_COMPOSE_FILE = PATH.with_name("compose.yaml")
#: Of children that signalling starts itself, and of one machine without compose.
_NOT_FOR_COMPOSE = {
    "SIGNALING_SFU_PROCESSES",
    "SIGNALING_SFU_UDP_PORT",
    "SIGNALING_DEMO_CONSULTATION",
    "SFU_UDP_HOST",
    "SFU_EXIT_WITH_STDIN",
    "RECORDER_EXIT_WITH_STDIN",
}


def service(name: str) -> str:
    """The lines of one service."""
    services = _COMPOSE_FILE.read_text(encoding="utf-8").split("\nservices:\n")[1]
    (block,) = re.findall(rf"^  {name}:\n((?:    .*\n|\n)+)", services, re.MULTILINE)
    return str(block)


def test_env_example__is_what_the_configuration_says() -> None:
    assert PATH.read_text(encoding="utf-8") == text(), "run: python deploy/env_example.py"


@pytest.mark.parametrize("program", PROGRAMS)
def test_settings__carry_their_programs_prefix_and_a_meaning(program: str) -> None:
    found = list(settings(program))
    assert found
    assert all(setting.name.startswith(f"{program.upper()}_") for setting in found)
    assert all(setting.meaning.endswith((".", ")")) for setting in found)


@pytest.mark.parametrize("program", PROGRAMS)
def test_compose__gives_each_program_its_own_settings_and_no_other(program: str) -> None:
    given = set(re.findall(r"^      - ([A-Z_]+)(?:=.*)?$", service(program), re.MULTILINE))
    expected = {setting.name for setting in settings(program)} - _NOT_FOR_COMPOSE
    assert given == expected


def test_compose__asks_only_for_what_the_example_names() -> None:
    asked = set(re.findall(r"\$\{([A-Z_]+)", _COMPOSE_FILE.read_text(encoding="utf-8")))
    named = {setting.name for program in PROGRAMS for setting in settings(program)}
    assert asked <= named | {setting.name for setting in COMPOSE}

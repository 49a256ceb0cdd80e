"""Writes `deploy/env.example` from the three programs' configuration classes.

Run ``python deploy/env_example.py`` after a setting was added or changed; a test compares.
"""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import recorder.config
import sfu.config
import signaling.config

PATH = Path(__file__).with_name("env.example")
PROGRAMS: dict[str, type[Any]] = {
    "signaling": signaling.config.Config,
    "sfu": sfu.config.Config,
    "recorder": recorder.config.Config,
}
_WIDTH = 96
_HEADING = """\
Settings of the three programs, with their defaults. Generated: change the configuration
classes and run `python deploy/env_example.py`.

`python -m signaling` alone on one machine needs none of them. For `deploy/compose.yaml` copy this
file to `deploy/.env`, fill in what has no default, and remove the `#` of what you change.
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """One environment variable; `default` is its text, None when it must be set."""

    name: str
    meaning: str
    default: str | None


#: What only `compose.yaml` asks for.
COMPOSE = (
    Setting(name="TURN_EXTERNAL_IP", meaning="Public IP address of the TURN server.", default=None),
    Setting(
        name="TURN_PEER_IP",
        meaning="IP address that the TURN server relays to, and no other: the SFU's, one of "
        "SFU_ANNOUNCED_ADDRESSES.",
        default=None,
    ),
    Setting(name="TURN_REALM", meaning="Realm that the TURN server names.", default="vtelehealth"),
    Setting(
        name="GRAFANA_ADMIN_PASSWORD",
        meaning="Password of Grafana's user `admin`.",
        default=None,
    ),
)


def settings(program: str) -> Iterator[Setting]:
    """Every setting of `program` that comes from the environment."""
    for field in dataclasses.fields(PROGRAMS[program]):
        meaning = field.metadata.get("meaning") or field.metadata.get("help")
        if meaning is None:
            continue
        yield Setting(
            name=field.metadata.get("env", f"{program.upper()}_{field.name.upper()}"),
            meaning=meaning,
            default=_text(field.default),
        )


def _text(default: object) -> str | None:
    if default is dataclasses.MISSING or default is None:
        return None
    if isinstance(default, bool):
        return str(int(default))
    if isinstance(default, tuple):
        return ",".join(map(str, default))
    return f"{default:g}" if isinstance(default, float) else str(default)


def text() -> str:
    """The whole file."""
    lines = [f"# {line}".rstrip() for line in _HEADING.splitlines()]
    for program in PROGRAMS:
        lines += _section(program, settings(program))
    lines += _section("compose.yaml", COMPOSE)
    return "\n".join(lines) + "\n"


def _section(title: str, of: Iterable[Setting]) -> Iterator[str]:
    yield from ("", f"### {title}")
    for setting in of:
        yield ""
        yield from (f"# {line}" for line in textwrap.wrap(setting.meaning, _WIDTH))
        commented_out = "" if setting.default is None else "#"
        yield f"{commented_out}{setting.name}={setting.default or ''}"


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")

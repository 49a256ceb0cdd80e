"""The settings of one SFU process, read once from the environment."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from sfu.errors import ConfigError

_SHORTEST_SECRET = 32
#: Media comes from anywhere; every packet is authenticated.
_ANY_ADDRESS = "0.0.0.0"  # noqa: S104


def _setting(name: str, meaning: str, read: Callable[[str], Any], default: Any = None) -> Any:
    metadata = {"env": name, "meaning": meaning, "read": read}
    if default is None:
        return field(metadata=metadata, repr=False)  # what has no default is a secret
    return field(default=default, metadata=metadata)


def _text(value: str) -> str:
    if not value:
        raise ValueError("must not be empty")
    return value


def _secret(value: str) -> str:
    if len(value) < _SHORTEST_SECRET:
        raise ValueError(f"must have at least {_SHORTEST_SECRET} characters")
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("must be printable ASCII without blanks")
    return value


def _port(value: str) -> int:
    if not (value.isascii() and value.isdigit() and int(value) <= 65_535):
        raise ValueError("must be a port number from 0 to 65535")
    return int(value)


def _size(value: str) -> int:
    if not (value.isascii() and value.isdigit() and int(value) >= 1_048_576):
        raise ValueError("must be a number of bytes, at least 1048576")
    return int(value)


def _address(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value.strip()))
    except ValueError as error:
        raise ValueError("must be an IP address") from error


def _addresses(value: str) -> tuple[str, ...]:
    try:
        return tuple(_address(part) for part in value.split(",") if part.strip())
    except ValueError as error:
        raise ValueError("must be IP addresses with commas between") from error


def _level(value: str) -> str:
    level = value.upper()
    if level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ValueError("must be DEBUG, INFO, WARNING or ERROR")
    return level


def _yes(value: str) -> bool:
    if value not in ("0", "1"):
        raise ValueError("must be 0 or 1")
    return value == "1"


@dataclass(frozen=True, kw_only=True)
class Config:
    """All settings; each field's metadata has `env` (its variable) and `meaning` (for people)."""

    control_secret: str = _setting(
        "SFU_CONTROL_SECRET",
        "Shared secret of the control and tap connections, at least 32 characters. Required.",
        _secret,
    )
    control_host: str = _setting(
        "SFU_CONTROL_HOST", "Address that control, taps and metrics listen on.", _text, "127.0.0.1"
    )
    control_port: int = _setting(
        "SFU_CONTROL_PORT", "TCP port of control, taps and metrics; 0 takes any.", _port, 8090
    )
    udp_host: str = _setting(
        "SFU_UDP_HOST",
        "IP address that media comes in by, over UDP and TCP.",
        _address,
        _ANY_ADDRESS,
    )
    udp_port: int = _setting(
        "SFU_UDP_PORT", "Port of media, the same for UDP and TCP; 0 takes any.", _port, 40_000
    )
    announced_addresses: tuple[str, ...] = _setting(
        "SFU_ANNOUNCED_ADDRESSES",
        "IP addresses told to clients, with commas between; empty: those of this machine.",
        _addresses,
        (),
    )
    tap_buffer_bytes: int = _setting(
        "SFU_TAP_BUFFER_BYTES",
        "Memory in bytes for what recorders have not acknowledged, of all recordings of this "
        "process together. One recording may take as much as is still free, at most half.",
        _size,
        1_073_741_824,
    )
    log_level: str = _setting("SFU_LOG_LEVEL", "DEBUG, INFO, WARNING or ERROR.", _level, "INFO")
    exit_with_stdin: bool = _setting(
        "SFU_EXIT_WITH_STDIN", "1: exit when standard input ends (the parent died).", _yes, False
    )


def read_config(environment: Mapping[str, str]) -> Config:
    """Read the settings. Raises `ConfigError` with one plain sentence."""
    values: dict[str, Any] = {}
    for setting in fields(Config):
        name = setting.metadata["env"]
        text = environment.get(name)
        if text is None or (text == "" and name != "SFU_CONTROL_SECRET"):
            if name == "SFU_CONTROL_SECRET":
                raise ConfigError(f"{name} must be set: a secret of 32 characters or more.")
            continue
        try:
            values[setting.name] = setting.metadata["read"](text)
        except ValueError as error:
            raise ConfigError(f"{name} {error}.") from error
    return Config(**values)

"""The settings of one signalling process, read once from the environment."""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from redis.asyncio import BlockingConnectionPool
from redis.asyncio.connection import parse_url
from redis.exceptions import RedisError

from signaling.errors import ConfigError

_SHORTEST_SECRET = 32
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_ONLY_ON_LOOPBACK = (
    "{name} must be set when SIGNALING_HTTP_HOST is not a loopback address: "
    "one or more secrets of 32 characters or more, with commas between."
)


def _metadata(name: str, meaning: str, read: Callable[[str], Any]) -> dict[str, Any]:
    return {"env": name, "meaning": meaning, "read": read}


def _setting(name: str, meaning: str, read: Callable[[str], Any], default: Any) -> Any:
    return field(default=default, metadata=_metadata(name, meaning, read))


def _text(value: str) -> str:
    return value


def _secret(value: str) -> str:
    if len(value) < _SHORTEST_SECRET:
        raise ValueError(f"must have at least {_SHORTEST_SECRET} characters")
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("must be printable ASCII without blanks")
    return value


def _parts(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _secrets(value: str) -> tuple[str, ...]:
    parts = _parts(value)
    if any(len(part) < _SHORTEST_SECRET for part in parts):
        raise ValueError(f"must hold secrets of at least {_SHORTEST_SECRET} characters each")
    return tuple(_secret(part) for part in parts)


def _port(value: str) -> int:
    if not (value.isascii() and value.isdigit() and int(value) <= 65_535):
        raise ValueError("must be a port number from 0 to 65535")
    return int(value)


def _whole(value: str, lowest: int, highest: int) -> int:
    if not (value.isascii() and value.isdigit() and lowest <= int(value[:9]) <= highest):
        raise ValueError(f"must be a whole number from {lowest} to {highest}")
    return int(value)


def _processes(value: str) -> int:
    return _whole(value, 0, 256)


def _joins(value: str) -> int:
    return _whole(value, 1, 1_000_000)


def _sockets(value: str) -> int:
    return _whole(value, 1, 1_000_000)


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0.1 <= seconds <= 3_600:
        raise ValueError("must be a number of seconds from 0.1 to 3600")
    return seconds


def _url(value: str, *schemes: str) -> SplitResult | None:
    """The parts of an address with a host and, if any, a port that is one; else None."""
    try:
        parts = urlsplit(value)
        _ = parts.port  # looked at only when asked for
    except ValueError:
        return None
    return parts if parts.scheme in schemes and parts.hostname else None


def _origin(value: str) -> str:
    parts = _url(value, "http", "https")
    if parts is None or parts.path.strip("/"):
        raise ValueError("must be an address such as https://kham.example.vn, without a path")
    return f"{parts.scheme}://{parts.netloc}".lower()


def _origins(value: str) -> tuple[str, ...]:
    return tuple(_origin(part) for part in _parts(value))


def _control_url(value: str) -> str:
    parts = _url(value, "ws", "wss")
    if parts is None or parts.path != "/control":
        raise ValueError("must be a control address such as ws://10.0.0.5:8090/control")
    return value


def _control_urls(value: str) -> tuple[str, ...]:
    return tuple(_control_url(part) for part in _parts(value))


def _redis_url(value: str) -> str:
    try:
        # Makes the object, connects nowhere: the driver itself says whether it can use it.
        pool = BlockingConnectionPool.from_url(value)
        pool.make_connection()  # type: ignore[no-untyped-call] # the package leaves it untyped
    except (ValueError, TypeError, AttributeError, RedisError) as error:
        raise ValueError("must be an address such as redis://10.0.0.5:6379/0") from error
    return value


def _turn_urls(value: str) -> tuple[str, ...]:
    parts = _parts(value)
    if not all(
        re.match(r"^turns?:[^\s/]+$", part) and _url("turn://" + part.partition(":")[2], "turn")
        for part in parts
    ):
        raise ValueError("must be TURN addresses such as turns:turn.example.vn:443?transport=tcp")
    return parts


def _networks(value: str) -> tuple[_Network, ...]:
    try:
        return tuple(ipaddress.ip_network(part) for part in _parts(value))
    except ValueError as error:
        raise ValueError("must be IP addresses or networks with commas between") from error


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
    """All settings; each field's metadata has `env` (its variable) and `meaning` (for people).

    `generated_keys` tells that token and API keys were made at start (loopback only).
    """

    http_host: str = _setting(
        "SIGNALING_HTTP_HOST", "Address that HTTP and WebSocket listen on.", _text, "127.0.0.1"
    )
    http_port: int = _setting(
        "SIGNALING_HTTP_PORT", "TCP port of HTTP and WebSocket; 0 takes any.", _port, 8_080
    )
    public_url: str = _setting(
        "SIGNALING_PUBLIC_URL",
        "Address that people open, for links; empty: host and port of this process.",
        _origin,
        "",
    )
    allowed_origins: tuple[str, ...] = _setting(
        "SIGNALING_ALLOWED_ORIGINS",
        "Other web addresses whose pages may open the WebSocket, with commas between.",
        _origins,
        (),
    )
    trusted_proxies: tuple[_Network, ...] = _setting(
        "SIGNALING_TRUSTED_PROXIES",
        "Proxies whose X-Forwarded-For is believed: IP addresses or networks.",
        _networks,
        (),
    )
    token_keys: tuple[str, ...] = _setting(
        "SIGNALING_TOKEN_KEYS",
        "Secrets that sign invitations: the first signs, all verify. Made at start on loopback.",
        _secrets,
        (),
    )
    api_keys: tuple[str, ...] = _setting(
        "SIGNALING_API_KEYS",
        "Bearer secrets of the REST API. Made at start on loopback.",
        _secrets,
        (),
    )
    redis_url: str = _setting(
        "SIGNALING_REDIS_URL", "Redis that keeps rooms; empty: in memory.", _redis_url, ""
    )
    sfu_urls: tuple[str, ...] = _setting(
        "SIGNALING_SFU_URLS",
        "Control addresses of SFUs; empty: SFUs are started as children.",
        _control_urls,
        (),
    )
    recorder_url: str = _setting(
        "SIGNALING_RECORDER_URL",
        "Control address of the recorder; empty: one is started as a child.",
        _control_url,
        "",
    )
    control_secret: str = _setting(
        "SIGNALING_CONTROL_SECRET",
        "Secret shared with SFUs and recorder. Made at start when all are our own children.",
        _secret,
        "",
    )
    sfu_processes: int = _setting(
        "SIGNALING_SFU_PROCESSES",
        "SFU children; 0: one for each core but one, at least one.",
        _processes,
        0,
    )
    sfu_udp_port: int = _setting(
        "SIGNALING_SFU_UDP_PORT",
        "Media port, UDP and TCP, of the first SFU child, the next for each further; 0 takes any.",
        _port,
        40_000,
    )
    data_dir: Path = field(
        default=Path("var"),
        metadata=_metadata(
            "SIGNALING_DATA_DIR",
            "Directory for what must outlive a restart, and for the recorder child.",
            Path,
        ),
    )
    grace_s: float = _setting(
        "SIGNALING_GRACE_S",
        "Seconds that a person may be away before the others see them as lost.",
        _seconds,
        30.0,
    )
    ping_interval_s: float = _setting(
        "SIGNALING_PING_INTERVAL_S", "Seconds between the pings of a client.", _seconds, 15.0
    )
    max_websockets: int = _setting(
        "SIGNALING_MAX_WEBSOCKETS", "Most WebSockets of this process.", _sockets, 12_000
    )
    max_websockets_per_address: int = _setting(
        "SIGNALING_MAX_WEBSOCKETS_PER_ADDRESS",
        "Most WebSockets of this process from one address; a hospital may stand behind one.",
        _sockets,
        2_000,
    )
    joins_per_minute: int = _setting(
        "SIGNALING_JOINS_PER_MINUTE",
        "Joins a minute from one address, also as one burst; resumes: ten times as many.",
        _joins,
        30,
    )
    turn_urls: tuple[str, ...] = _setting(
        "SIGNALING_TURN_URLS", "TURN servers told to clients.", _turn_urls, ()
    )
    turn_secret: str = _setting(
        "SIGNALING_TURN_SECRET", "Secret shared with the TURN servers.", _secret, ""
    )
    demo_consultation: bool = _setting(
        "SIGNALING_DEMO_CONSULTATION",
        "1: make a consultation at start and print its links. Default 1 on loopback without keys.",
        _yes,
        False,
    )
    log_level: str = _setting(
        "SIGNALING_LOG_LEVEL", "DEBUG, INFO, WARNING or ERROR.", _level, "INFO"
    )
    generated_keys: bool = False

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the HTTP port."""
        return is_loopback(self.http_host)

    @property
    def own_sfus(self) -> int:
        """How many SFU children to start."""
        if self.sfu_urls:
            return 0
        return self.sfu_processes or max(1, (os.cpu_count() or 1) - 1)

    @property
    def own_recorder(self) -> bool:
        """Whether to start a recorder child."""
        return not self.recorder_url


def is_loopback(host: str) -> bool:
    """Whether a host to listen on is this machine's own, by name or address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_elsewhere(redis_url: str) -> bool:
    """Whether nodes on other machines may share this Redis."""
    if not redis_url:
        return False
    target = parse_url(redis_url)
    return "path" not in target and not is_loopback(target.get("host", "localhost"))


def read_config(environment: Mapping[str, str]) -> Config:
    """Read the settings, make what may be made. Raises `ConfigError` with one plain sentence."""
    values: dict[str, Any] = {}
    for setting in fields(Config):
        name = setting.metadata.get("env", "")
        text = environment.get(name, "").strip()
        if not text:
            continue
        try:
            values[setting.name] = setting.metadata["read"](text)
        except ValueError as error:
            raise ConfigError(f"{name} {error}.") from error
    _check(Config(**values))
    return Config(**_completed(values))


def _check(config: Config) -> None:
    if not config.loopback:
        for keys, name in (
            (config.token_keys, "SIGNALING_TOKEN_KEYS"),
            (config.api_keys, "SIGNALING_API_KEYS"),
        ):
            if not keys:
                raise ConfigError(_ONLY_ON_LOOPBACK.format(name=name))
    if config.redis_url and not config.token_keys:
        raise ConfigError(
            "SIGNALING_TOKEN_KEYS must be set with SIGNALING_REDIS_URL: every node needs the same."
        )
    foreign = config.redis_url or config.sfu_urls or config.recorder_url
    if foreign and not config.control_secret:
        raise ConfigError(
            "SIGNALING_CONTROL_SECRET must be set with SIGNALING_REDIS_URL, SIGNALING_SFU_URLS or "
            "SIGNALING_RECORDER_URL: a secret of 32 characters or more that all of them share."
        )
    if _is_elsewhere(config.redis_url) and (config.own_sfus or config.own_recorder):
        raise ConfigError(
            "SIGNALING_SFU_URLS and SIGNALING_RECORDER_URL must be set when SIGNALING_REDIS_URL is "
            "on another machine: the nodes that share it cannot reach each other's children."
        )
    if bool(config.turn_urls) != bool(config.turn_secret):
        raise ConfigError("SIGNALING_TURN_URLS and SIGNALING_TURN_SECRET must be set together.")
    last_port = config.sfu_udp_port + config.own_sfus - 1
    if config.sfu_udp_port and last_port > 65_535:
        raise ConfigError("SIGNALING_SFU_UDP_PORT leaves no room for all SFUs below port 65536.")


def _completed(values: dict[str, Any]) -> dict[str, Any]:
    """Make the keys that were left out, where `_check` let them be."""
    made = dict(values)
    without_keys = "token_keys" not in values and "api_keys" not in values
    made.setdefault("token_keys", (secrets.token_urlsafe(32),))
    made.setdefault("api_keys", (secrets.token_urlsafe(32),))
    made.setdefault("control_secret", secrets.token_urlsafe(32))
    made.setdefault("demo_consultation", without_keys)
    made["generated_keys"] = "api_keys" not in values
    return made

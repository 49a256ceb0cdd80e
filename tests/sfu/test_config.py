from __future__ import annotations

import pytest

from sfu.config import Config, read_config
from sfu.errors import ConfigError

SECRET = {"SFU_CONTROL_SECRET": "s" * 32}


def test_defaults__need_only_the_secret() -> None:
    assert read_config(SECRET) == Config(control_secret="s" * 32)


def test_every_setting__is_read() -> None:
    config = read_config(
        {
            **SECRET,
            "SFU_CONTROL_HOST": "0.0.0.0",
            "SFU_CONTROL_PORT": "1",
            "SFU_UDP_HOST": "192.0.2.1",
            "SFU_UDP_PORT": "2",
            "SFU_ANNOUNCED_ADDRESSES": "192.0.2.2, 2001:db8::1",
            "SFU_TAP_BUFFER_BYTES": "1048576",
            "SFU_LOG_LEVEL": "debug",
            "SFU_EXIT_WITH_STDIN": "1",
        }
    )
    assert config == Config(
        control_secret="s" * 32,
        control_host="0.0.0.0",
        control_port=1,
        udp_host="192.0.2.1",
        udp_port=2,
        announced_addresses=("192.0.2.2", "2001:db8::1"),
        tap_buffer_bytes=1_048_576,
        log_level="DEBUG",
        exit_with_stdin=True,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SFU_CONTROL_SECRET", ""),
        ("SFU_CONTROL_SECRET", "short"),
        ("SFU_CONTROL_SECRET", "with blanks in it, thirty-two and more"),
        ("SFU_CONTROL_PORT", "65536"),
        ("SFU_UDP_PORT", "-1"),
        ("SFU_UDP_PORT", "x"),
        ("SFU_UDP_HOST", "localhost"),
        ("SFU_ANNOUNCED_ADDRESSES", "192.0.2.1,nowhere"),
        ("SFU_TAP_BUFFER_BYTES", "1"),
        ("SFU_LOG_LEVEL", "LOUD"),
        ("SFU_EXIT_WITH_STDIN", "yes"),
    ],
)
def test_bad_setting__is_one_sentence_that_names_it(name: str, value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config({**SECRET, name: value})
    text = str(caught.value)
    assert text.startswith(name)
    assert text.endswith(".")
    assert "\n" not in text
    if name == "SFU_CONTROL_SECRET" and value:
        assert value not in text


def test_secret__is_not_shown() -> None:
    assert "s" * 32 not in repr(read_config(SECRET))

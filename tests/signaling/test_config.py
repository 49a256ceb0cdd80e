"""Settings: defaults, what is made at start, and one plain sentence for each mistake."""

from __future__ import annotations

from dataclasses import fields

import pytest

from signaling.config import Config, is_loopback, read_config
from signaling.errors import ConfigError

KEY = "k" * 32
FOREIGN = {"SIGNALING_HTTP_HOST": "192.0.2.1"}
ELSEWHERE = {
    "SIGNALING_REDIS_URL": "redis://192.0.2.9:6379/0",
    "SIGNALING_TOKEN_KEYS": KEY,
    "SIGNALING_CONTROL_SECRET": KEY,
}


def test_nothing_set_is_the_whole_product_on_loopback() -> None:
    config = read_config({})
    assert (config.http_host, config.http_port, config.sfu_udp_port) == ("127.0.0.1", 8080, 40_000)
    assert config.own_sfus >= 1
    assert config.own_recorder
    assert config.demo_consultation
    assert config.generated_keys


def test_keys_made_at_start_are_long_and_new_each_time() -> None:
    one, other = read_config({}), read_config({})
    for name in ("token_keys", "api_keys"):
        (made,) = getattr(one, name)
        assert len(made) >= 32
        assert getattr(other, name) != (made,)
    assert one.control_secret != other.control_secret


def test_given_keys_are_kept_and_there_is_no_demo() -> None:
    config = read_config({"SIGNALING_API_KEYS": f"{KEY}1, {KEY}2", "SIGNALING_TOKEN_KEYS": KEY})
    assert config.api_keys == (f"{KEY}1", f"{KEY}2")
    assert not config.demo_consultation
    assert not config.generated_keys


@pytest.mark.parametrize(
    ("environment", "word"),
    [
        (FOREIGN, "SIGNALING_TOKEN_KEYS"),
        ({**FOREIGN, "SIGNALING_TOKEN_KEYS": KEY}, "SIGNALING_API_KEYS"),
        ({"SIGNALING_TOKEN_KEYS": "short"}, "SIGNALING_TOKEN_KEYS"),
        ({"SIGNALING_CONTROL_SECRET": "short"}, "SIGNALING_CONTROL_SECRET"),
        ({"SIGNALING_HTTP_PORT": "70000"}, "SIGNALING_HTTP_PORT"),
        ({"SIGNALING_HTTP_PORT": "-1"}, "SIGNALING_HTTP_PORT"),
        ({"SIGNALING_HTTP_PORT": "٣"}, "SIGNALING_HTTP_PORT"),
        ({"SIGNALING_GRACE_S": "soon"}, "SIGNALING_GRACE_S"),
        ({"SIGNALING_GRACE_S": "nan"}, "SIGNALING_GRACE_S"),
        ({"SIGNALING_PUBLIC_URL": "kham.example.vn"}, "SIGNALING_PUBLIC_URL"),
        ({"SIGNALING_ALLOWED_ORIGINS": "https://a.vn/path"}, "SIGNALING_ALLOWED_ORIGINS"),
        ({"SIGNALING_SFU_URLS": "http://a:1/control"}, "SIGNALING_SFU_URLS"),
        ({"SIGNALING_SFU_URLS": "ws://a:1/control"}, "SIGNALING_CONTROL_SECRET"),
        ({"SIGNALING_RECORDER_URL": "ws://a:1/control"}, "SIGNALING_CONTROL_SECRET"),
        ({"SIGNALING_REDIS_URL": "http://a"}, "SIGNALING_REDIS_URL"),
        ({"SIGNALING_REDIS_URL": "redis://a"}, "SIGNALING_TOKEN_KEYS"),
        (
            {"SIGNALING_REDIS_URL": "redis://a", "SIGNALING_TOKEN_KEYS": KEY},
            "SIGNALING_CONTROL_SECRET",
        ),
        (ELSEWHERE, "SIGNALING_SFU_URLS and SIGNALING_RECORDER_URL"),
        ({**ELSEWHERE, "SIGNALING_SFU_URLS": "ws://a:1/control"}, "SIGNALING_RECORDER_URL"),
        ({**ELSEWHERE, "SIGNALING_RECORDER_URL": "ws://a:1/control"}, "SIGNALING_SFU_URLS"),
        ({**ELSEWHERE, "SIGNALING_REDIS_URL": "redis://?host=192.0.2.9"}, "SIGNALING_SFU_URLS"),
        ({"SIGNALING_REDIS_URL": "redis://a:99999"}, "SIGNALING_REDIS_URL must be"),
        ({"SIGNALING_REDIS_URL": "redis://[::1"}, "SIGNALING_REDIS_URL must be"),
        ({"SIGNALING_REDIS_URL": "redis://a?socket_timeout=soon"}, "SIGNALING_REDIS_URL must be"),
        ({"SIGNALING_REDIS_URL": "redis://a?colour=red"}, "SIGNALING_REDIS_URL must be"),
        ({"SIGNALING_REDIS_URL": "rediss://a?ssl_cert_reqs=maybe"}, "SIGNALING_REDIS_URL must be"),
        ({"SIGNALING_REDIS_URL": "redis://a?retry=3"}, "SIGNALING_REDIS_URL must be"),
        ({"SIGNALING_PUBLIC_URL": "https://a.vn:99999"}, "SIGNALING_PUBLIC_URL must be"),
        ({"SIGNALING_PUBLIC_URL": "https://[::1"}, "SIGNALING_PUBLIC_URL must be"),
        ({"SIGNALING_PUBLIC_URL": "https://:443"}, "SIGNALING_PUBLIC_URL must be"),
        ({"SIGNALING_ALLOWED_ORIGINS": "https://a.vn:x"}, "SIGNALING_ALLOWED_ORIGINS must be"),
        ({"SIGNALING_SFU_URLS": "ws://a:99999/control"}, "SIGNALING_SFU_URLS must be"),
        ({"SIGNALING_RECORDER_URL": "ws://a:b/control"}, "SIGNALING_RECORDER_URL must be"),
        ({"SIGNALING_TURN_URLS": "turn:a:99999"}, "SIGNALING_TURN_URLS must be"),
        ({"SIGNALING_TURN_URLS": "turn:a"}, "SIGNALING_TURN_SECRET"),
        ({"SIGNALING_TURN_URLS": "stun:a", "SIGNALING_TURN_SECRET": KEY}, "SIGNALING_TURN_URLS"),
        ({"SIGNALING_TRUSTED_PROXIES": "10.0.0.0/99"}, "SIGNALING_TRUSTED_PROXIES"),
        ({"SIGNALING_SFU_PROCESSES": "1e3"}, "SIGNALING_SFU_PROCESSES"),
        (
            {"SIGNALING_SFU_UDP_PORT": "65535", "SIGNALING_SFU_PROCESSES": "2"},
            "SIGNALING_SFU_UDP_PORT",
        ),
        ({"SIGNALING_DEMO_CONSULTATION": "maybe"}, "SIGNALING_DEMO_CONSULTATION"),
        ({"SIGNALING_LOG_LEVEL": "LOUD"}, "SIGNALING_LOG_LEVEL"),
    ],
)
def test_mistake_is_one_sentence_that_names_the_setting(
    environment: dict[str, str], word: str
) -> None:
    with pytest.raises(ConfigError) as told:
        read_config(environment)
    sentence = str(told.value)
    assert word in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:6379/0", "redis://localhost", "unix:///run/redis.sock?db=1"]
)
def test_redis_of_this_machine_goes_with_children(url: str) -> None:
    config = read_config({**ELSEWHERE, "SIGNALING_REDIS_URL": url})
    assert (config.redis_url, config.own_recorder) == (url, True)


def test_redis_of_another_machine_goes_with_sfus_and_recorder_that_all_reach() -> None:
    apart = {
        "SIGNALING_SFU_URLS": "ws://192.0.2.5:8090/control",
        "SIGNALING_RECORDER_URL": "ws://192.0.2.6:8095/control",
    }
    config = read_config({**ELSEWHERE, **apart})
    assert (config.own_sfus, config.own_recorder) == (0, False)


def test_turn_servers_are_taken_as_they_are() -> None:
    urls = ("turn:192.0.2.7", "turns:[2001:db8::1]:443?transport=tcp")
    settings = {"SIGNALING_TURN_URLS": ", ".join(urls), "SIGNALING_TURN_SECRET": KEY}
    assert read_config(settings).turn_urls == urls


def test_no_mistake_shows_a_secret() -> None:
    secret = "secret with a blank in it, 0123456789"
    with pytest.raises(ConfigError) as told:
        read_config({"SIGNALING_CONTROL_SECRET": secret})
    assert secret not in str(told.value)


def test_every_setting_is_described() -> None:
    described = [each.metadata for each in fields(Config) if each.name != "generated_keys"]
    assert all(each["env"].startswith("SIGNALING_") and each["meaning"] for each in described)
    assert len({each["env"] for each in described}) == len(described)


@pytest.mark.parametrize(
    ("host", "is_it"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.1", False),
        ("localhost.example.vn", False),
    ],
)
def test_loopback(host: str, is_it: bool) -> None:
    assert is_loopback(host) is is_it

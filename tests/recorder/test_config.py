"""Settings: read by their types, refused with one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from recorder.config import Config
from recorder.errors import ConfigError
from recorder.record.systems import Systems

SECRETS = {"RECORDER_CONTROL_SECRET": "c" * 32, "RECORDER_SFU_SECRET": "s" * 32}


def test_defaults__need_only_the_secrets() -> None:
    config = Config.from_environment(SECRETS)
    assert (config.control_host, config.control_port) == ("127.0.0.1", 8095)
    assert config.min_free_bytes == 1 << 30
    assert config.systems() == Systems()


def test_environment__is_read_by_type() -> None:
    config = Config.from_environment(
        SECRETS
        | {
            "RECORDER_CONTROL_PORT": "0",
            "RECORDER_WORK_DIR": "/srv/work",
            "RECORDER_ORPHAN_S": "2.5",
            "RECORDER_EXIT_WITH_STDIN": "1",
            "UNRELATED": "x",
        }
    )
    assert config.control_port == 0
    assert config.work_dir == Path("/srv/work")
    assert config.orphan_s == 2.5
    assert config.exit_with_stdin


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RECORDER_CONTROL_SECRET", "short"),
        ("RECORDER_SFU_SECRET", ""),
        ("RECORDER_CONTROL_PORT", "http"),
        ("RECORDER_CONTROL_PORT", "70000"),
        ("RECORDER_MIN_FREE_BYTES", "-1"),
        ("RECORDER_ORPHAN_S", "nan"),
        ("RECORDER_ORPHAN_S", "inf"),
        ("RECORDER_EXIT_WITH_STDIN", "maybe"),
        ("RECORDER_WORK_DIR", ""),
    ],
)
def test_wrong_value__one_sentence_that_names_it(name: str, value: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Config.from_environment(SECRETS | {name: value})
    sentence = str(refused.value)
    assert name in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence


@pytest.mark.parametrize("missing", list(SECRETS))
def test_missing_secret__is_refused(missing: str) -> None:
    with pytest.raises(ConfigError, match=f"{missing} is not set"):
        Config.from_environment({k: v for k, v in SECRETS.items() if k != missing})


def test_repr__shows_no_secret() -> None:
    config = Config.from_environment(SECRETS | {"RECORDER_FHIR_TOKEN": "hush-hush"})
    assert "cccc" not in repr(config)
    assert "hush" not in repr(config)


def test_systems_file__replaces_what_it_names(tmp_path: Path) -> None:
    path = tmp_path / "systems.json"
    path.write_text('{"facility": "urn:oid:1.2.3"}')
    config = Config.from_environment(SECRETS | {"RECORDER_FHIR_SYSTEMS_FILE": str(path)})
    assert config.systems() == Systems(facility="urn:oid:1.2.3")
    path.write_text("[]")
    with pytest.raises(ConfigError):
        config.systems()
    path.unlink()
    with pytest.raises(ConfigError):
        config.systems()

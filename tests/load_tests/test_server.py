from __future__ import annotations

from load_tests.server import without_settings


def test_without_settings__leaves_what_is_not_ours() -> None:
    environment = {
        "PATH": "/bin",
        "SIGNALING_REDIS_URL": "redis://elsewhere",
        "SFU_UDP_PORT": "40000",
        "RECORDER_FHIR_URL": "https://elsewhere",
        "MY_SFU_NOTE": "kept",
    }
    assert without_settings(environment) == {"PATH": "/bin", "MY_SFU_NOTE": "kept"}

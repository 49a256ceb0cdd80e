"""Settings of the recorder, frozen, from the environment; units are in the names."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from recorder.errors import ConfigError
from recorder.record.systems import Systems

_PREFIX = "RECORDER_"
_LEAST_SECRET_CHARACTERS = 32
_TRUE, _FALSE = {"1", "true", "yes"}, {"0", "false", "no", ""}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Each field is read from the environment as RECORDER_ and its name in capitals."""

    control_host: str = field(
        default="127.0.0.1",
        metadata={"help": "Address on which signalling and Prometheus reach the recorder."},
    )
    control_port: int = field(
        default=8095, metadata={"help": "TCP port of control, metrics and health; 0 picks one."}
    )
    control_secret: str = field(
        metadata={"help": "Shared with signalling; at least 32 characters."}, repr=False
    )
    sfu_secret: str = field(
        metadata={
            "help": "The control secret of the SFUs, for their taps; at least 32 characters."
        },
        repr=False,
    )
    work_dir: Path = field(
        default=Path("var/recorder/work"),
        metadata={"help": "Journals and bundles until they are archived; must survive restarts."},
    )
    archive_dir: Path = field(
        default=Path("var/recorder/archive"),
        metadata={"help": "Finished consultations, one directory each."},
    )
    min_free_bytes: int = field(
        default=1 << 30,
        metadata={"help": "No recording starts or goes on with less than this free on the disk."},
    )
    orphan_s: float = field(
        default=120.0,
        metadata={
            "help": "Recordings found at the start that nobody claims for so long are archived."
        },
    )
    fhir_url: str = field(
        default="",
        metadata={"help": "Base address of the FHIR R4 server for bundles; empty: none is sent."},
    )
    fhir_token: str = field(
        default="", metadata={"help": "Bearer token for the FHIR server."}, repr=False
    )
    fhir_systems_file: str = field(
        default="",
        metadata={"help": "JSON file with identifier and code systems that replace the defaults."},
    )
    exit_with_stdin: bool = field(
        default=False, metadata={"help": "1: exit when standard input ends (child of signalling)."}
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Config:
        """Read and check all settings. Raises `ConfigError` with one plain sentence."""
        environment = os.environ if environment is None else environment
        values: dict[str, object] = {}
        for one in dataclasses.fields(cls):
            name = _PREFIX + one.name.upper()
            text = environment.get(name)
            if text is not None:
                values[one.name] = _read(name, str(one.type), text)
            elif one.default is dataclasses.MISSING:
                raise ConfigError(f"{name} is not set.")
        config = cls(**values)  # type: ignore[arg-type]  # each was read by its field's type
        config._check()
        return config

    def systems(self) -> Systems:
        """The identifier and code systems of the health record. Raises `ConfigError`."""
        if not self.fhir_systems_file:
            return Systems()
        try:
            return msgspec.json.decode(Path(self.fhir_systems_file).read_bytes(), type=Systems)
        except OSError as error:
            raise ConfigError("RECORDER_FHIR_SYSTEMS_FILE names no readable file.") from error
        except msgspec.MsgspecError as error:
            raise ConfigError(
                "RECORDER_FHIR_SYSTEMS_FILE is not a JSON object of addresses."
            ) from error

    def _check(self) -> None:
        for name, secret in (
            ("CONTROL_SECRET", self.control_secret),
            ("SFU_SECRET", self.sfu_secret),
        ):
            if len(secret) < _LEAST_SECRET_CHARACTERS:
                raise ConfigError(f"{_PREFIX}{name} must have at least 32 characters.")
        if not 0 <= self.control_port <= 65_535:
            raise ConfigError("RECORDER_CONTROL_PORT must be between 0 and 65535.")
        if self.min_free_bytes < 0 or not 0 <= self.orphan_s < float("inf"):
            raise ConfigError("RECORDER_MIN_FREE_BYTES and RECORDER_ORPHAN_S must not be negative.")


def _read(name: str, kind: str, text: str) -> object:
    try:
        if kind == "int":
            return int(text)
        if kind == "float":
            return float(text)
    except ValueError as error:
        raise ConfigError(f"{name} must be a number.") from error
    if kind == "Path":
        if not text:
            raise ConfigError(f"{name} must name a directory.")
        return Path(text)
    if kind == "bool":
        if text.lower() not in _TRUE | _FALSE:
            raise ConfigError(f"{name} must be 1 or 0.")
        return text.lower() in _TRUE
    return text

"""Everything the media engine raises on purpose. Each error that crosses the wire has a code."""

from __future__ import annotations

from typing import Literal

from sfu.control.messages import FailureCode

#: What is wrong with an offer; the first word of a failure's detail, a label in the metrics.
OfferCode = Literal[
    "too_large",
    "not_sdp",
    "no_sections",
    "too_many_sections",
    "no_audio",
    "no_bundle",
    "no_rtcp_mux",
    "bad_mid",
    "bad_ice",
    "bad_fingerprint",
    "bad_setup",
    "no_codec",
    "bad_seats",
    "bad_simulcast",
    "sections_changed",
]


class SfuError(Exception):
    """Base of all errors of the media engine."""


class ConfigError(SfuError):
    """A setting is missing or wrong; the text is one plain sentence for the operator."""


class CommandError(SfuError):
    """A control command that was not done. `detail` is for logs: ids only, no SDP, no address."""

    def __init__(self, code: FailureCode, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class OfferError(CommandError):
    """An offer that cannot be accepted (theirs); `reason` is stable."""

    def __init__(self, reason: OfferCode, text: str) -> None:
        super().__init__("bad_offer", f"{reason}: {text}")
        self.reason = reason


class SfuFailure(SfuError):
    """The SFU answered a command with `Failure`."""

    def __init__(self, code: FailureCode, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class SfuUnavailable(SfuError):
    """No connection, or it was lost or silent before the answer: the command may have been done.

    Commands are harmless when repeated, so the caller asks again when `on_state(True)` comes.
    """

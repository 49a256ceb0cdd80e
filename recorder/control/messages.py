"""The control protocol of the recorder: JSON texts over a WebSocket at ``/control``.

The caller shows the shared secret as ``Authorization: Bearer <secret>`` on the upgrade. Each
`Command` is answered by a `Done` or `Failed` with its `id`; `Event` messages come to every control
connection. Commands that say what is so already are harmless and are repeated after a reconnect.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from recorder.record.dossier import Dossier


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all control messages; `type` is the wire tag."""


class Command(Message, frozen=True, kw_only=True):
    """A request; answered with the same `id`, which `RecorderClient` sets afresh."""

    id: int = 0


class StartRecording(Command, frozen=True, kw_only=True, tag="start_recording"):
    """Read the tap of this name (the recording's id) at `tap_url` until its END.

    `tap_url` is the WebSocket address ``ws://host:port/tap/<recording>``; the secret for it is
    the recorder's own configuration. The dossier is stored first. `Failed` with ``disk_full``
    when there is not room enough: then nothing was started.
    """

    recording: str
    tap_url: str
    dossier: Dossier


class StopRecording(Command, frozen=True, kw_only=True, tag="stop_recording"):
    """No more of this recording will come: the tap was told to end; give up a tap that is gone."""

    recording: str


class PutDossier(Command, frozen=True, kw_only=True, tag="put_dossier"):
    """Replace the consultation's dossier on disk, unless a newer one or its archive is there."""

    dossier: Dossier


class ArchiveConsultation(Command, frozen=True, kw_only=True, tag="archive"):
    """The consultation is over: write tracks, manifest and health-record bundle, and deliver it.

    Answered when the command is on disk; `Archived` follows when the archive is complete.
    """

    dossier: Dossier


Commands = StartRecording | StopRecording | PutDossier | ArchiveConsultation


class Done(Message, frozen=True, kw_only=True, tag="done"):
    """The command was done."""

    id: int


class Failed(Message, frozen=True, kw_only=True, tag="failed"):
    """The command was not done; `code` is stable, `detail` is for logs."""

    id: int
    code: Literal["bad_message", "disk_full", "internal"]
    detail: str


class RecordingState(Message, frozen=True, kw_only=True, tag="recording_state"):
    """A recording began to arrive (`recording`), its tap ended (`stopped`) or it failed."""

    recording: str
    state: Literal["recording", "stopped", "failed"]
    detail: str = ""


class Archived(Message, frozen=True, kw_only=True, tag="archived"):
    """The consultation's archive is complete on disk; `directory` is relative to the archive."""

    consultation: str
    directory: str


Answers = Done | Failed
Events = RecordingState | Archived

"""What other packages may import of the recorder: its control protocol and a client of it.

`dossier` is the module of the types that its commands carry.
"""

from __future__ import annotations

from recorder.control.client import RecorderClient, RecorderFailure, RecorderUnavailable
from recorder.control.messages import (
    Answers,
    ArchiveConsultation,
    Archived,
    Command,
    Commands,
    Done,
    Events,
    Failed,
    PutDossier,
    RecordingState,
    StartRecording,
    StopRecording,
)
from recorder.record import dossier

__all__ = [
    "Answers",
    "ArchiveConsultation",
    "Archived",
    "Command",
    "Commands",
    "Done",
    "Events",
    "Failed",
    "PutDossier",
    "RecorderClient",
    "RecorderFailure",
    "RecorderUnavailable",
    "RecordingState",
    "StartRecording",
    "StopRecording",
    "dossier",
]

"""Consent decisions, and the start and stop of recordings that follow from them."""

from __future__ import annotations

import msgspec

from signaling.errors import RoomError
from signaling.protocol.codes import ErrorCode
from signaling.protocol.messages import Decision
from signaling.rooms import commands as c
from signaling.rooms import consent
from signaling.rooms.draft import Draft
from signaling.rooms.room import Consent, Recording

#: A mind may be changed often; a program in a loop may not fill the room.
MAX_DECISIONS_EACH = 100
MAX_RECORDINGS = 100


def give_consent(draft: Draft, command: c.GiveConsent) -> None:
    """Keep a person's own decision. Raises `RoomError`.

    The same decision again changes nothing, nor does withdrawing what is not given.
    """
    if draft.room.recording_policy == "none":
        raise RoomError(ErrorCode.RECORDING_FORBIDDEN)
    before = consent.latest(draft.room, command.actor)
    if _changes_nothing(before, command.decision):
        return
    made = sum(1 for each in draft.room.consents if each.participant == command.actor)
    # Stopping one's own recording is never refused for being asked too often.
    if made >= MAX_DECISIONS_EACH and command.decision == "given":
        raise RoomError(ErrorCode.TOO_MANY, "consents")
    draft.set_room(consents=(*draft.room.consents, _row(draft, command, before)))
    draft.note(f"consent_{command.decision}", command.actor)


def _row(draft: Draft, command: c.GiveConsent, before: Consent | None) -> Consent:
    version = command.text_version
    if command.decision == "withdrawn" and before:
        # What is withdrawn is what was given, whatever text the page shows by now.
        version, sha256 = before.text_version, before.text_sha256
    else:
        sha256 = consent.text_sha256(draft.room, version, command.language)
    return Consent(
        participant=command.actor,
        purpose="recording",
        decision=command.decision,
        at=draft.now,
        text_version=version,
        text_sha256=sha256,
        language=command.language,
    )


def _changes_nothing(before: Consent | None, decision: Decision) -> bool:
    if decision == "withdrawn":
        return before is None or before.decision != "given"
    return before is not None and before.decision == decision


def start_recording(draft: Draft, command: c.StartRecording) -> None:
    """Begin; all that the policy asks for must be given. Raises `RoomError`."""
    room = draft.room
    if room.recording_policy == "none":
        raise RoomError(ErrorCode.RECORDING_FORBIDDEN)
    if room.state != "active" or consent.running(room):
        raise RoomError(ErrorCode.WRONG_STATE, "recording")
    if any(each.id == command.recording for each in room.recordings):
        raise RoomError(ErrorCode.WRONG_STATE, "recording is there already")
    if not consent.startable(room):
        raise RoomError(ErrorCode.CONSENT_MISSING)
    if len(room.recordings) >= MAX_RECORDINGS:
        raise RoomError(ErrorCode.TOO_MANY, "recordings")
    recording = Recording(id=command.recording, started_at=draft.now, started_by=command.actor)
    draft.set_room(recordings=(*room.recordings, recording))
    draft.note("recording_started", command.actor)


def stop_recording(draft: Draft, command: c.StopRecording) -> None:
    """Stop on purpose, or (the server only) because it failed. Raises `RoomError`."""
    if command.reason == "failed" and command.actor != c.SYSTEM:
        raise RoomError(ErrorCode.NOT_ALLOWED, "failed")
    if consent.running(draft.room) is None:
        if command.actor == c.SYSTEM:
            return
        raise RoomError(ErrorCode.WRONG_STATE, "no recording")
    _stop(draft, command.reason, command.actor)


def stop_at_end(draft: Draft) -> None:
    """The consultation is over."""
    _stop(draft, "consultation_ended", c.SYSTEM)


def stop_on_objection(draft: Draft) -> None:
    """After every change: nobody on whom it depends may have said no while it runs."""
    if consent.running(draft.room) and consent.objected(draft.room):
        _stop(draft, "consent_withdrawn", c.SYSTEM)


def _stop(draft: Draft, reason: str, actor: str) -> None:
    recording = consent.running(draft.room)
    if recording is None:
        return
    stopped = msgspec.structs.replace(recording, stopped_at=draft.now, stop_reason=reason)
    draft.set_room(
        recordings=tuple(stopped if each is recording else each for each in draft.room.recordings)
    )
    draft.note("recording_stopped", actor)

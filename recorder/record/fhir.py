"""A finished consultation as one FHIR R4 (4.0.1) transaction Bundle. PURE and deterministic.

The same dossier and files give the same bytes: identifiers come from the consultation's id, times
from the dossier, nothing from a clock. Delivering a bundle again, or a repaired one, therefore has
the effect of one delivery (`elements.Entries` says how). No profile is claimed: VN Core's Encounter
asks for a diagnosis, and a call that only advises has none.
"""

from __future__ import annotations

from collections.abc import Sequence

from recorder.record.consents import add_consents
from recorder.record.documents import ArchivedFile, Documents, complete_at_s
from recorder.record.dossier import ChatLine, Dossier, Mode
from recorder.record.elements import (
    DossierError,
    Entries,
    Json,
    coding,
    concept,
    identifier,
    instant,
    period,
    pruned,
    text,
)
from recorder.record.people import People
from recorder.record.systems import Systems

__all__ = ["ArchivedFile", "DossierError", "Systems", "bundle"]

_MODE_DISPLAY: dict[Mode, str] = {
    "DIRECT_TO_PATIENT": "Tư vấn, khám trực tiếp cho người bệnh",
    "VIA_RECEIVING_FACILITY": "Khám qua cơ sở tiếp nhận",
    "INTER_FACILITY_SUPPORT": "Hỗ trợ giữa các cơ sở",
    "TELECONSULT_MDT": "Hội chẩn từ xa",
}


def bundle(
    dossier: Dossier, files: Sequence[ArchivedFile], systems: Systems | None = None
) -> dict[str, object]:
    """The transaction that files `dossier` and its `files` in a health record.

    `files` must be whole on disk: a reference to a file that is not there is worse than none.
    Raises `DossierError` when a value fits no FHIR resource.
    """
    systems = systems or Systems()
    entries = Entries()
    people = People(dossier, systems, entries)
    device = _add_device(dossier, systems, entries, people)
    encounter = _add_encounter(dossier, systems, entries, people)
    consents = add_consents(dossier, systems, entries, people)
    documents = Documents(dossier, systems, entries, people, device)
    for file in files:
        documents.add(file, encounter, consents)
    chat = _add_chat(dossier, systems, entries, people, encounter)
    written = [encounter, *consents, *chat]
    _add_session_provenance(dossier, systems, entries, people, device, written)
    whole = pruned(
        {
            "resourceType": "Bundle",
            "type": "transaction",
            "timestamp": instant(complete_at_s(dossier)),
            "entry": entries.as_list(),
        }
    )
    assert isinstance(whole, dict)
    return whole


def _add_device(dossier: Dossier, systems: Systems, entries: Entries, people: People) -> Json:
    """Whose word the archive's hashes are: one recorder for each facility."""
    owner = text(dossier.facility.code) or dossier.consultation
    return entries.put(
        "Device",
        owner,
        "recorder",
        resource={
            "identifier": [identifier(systems.device, f"recorder/{owner}")],
            "status": "active",
            "deviceName": [{"name": "VTelehealth recorder", "type": "model-name"}],
            "owner": people.facility,
        },
        display="VTelehealth recorder",
    )


def _add_encounter(dossier: Dossier, systems: Systems, entries: Entries, people: People) -> Json:
    mode = coding(systems.mode, dossier.mode, _MODE_DISPLAY[dossier.mode])
    return entries.put(
        "Encounter",
        dossier.consultation,
        resource={
            "identifier": [identifier(systems.consultation, dossier.consultation)],
            "status": _status(dossier),
            "statusHistory": _status_history(dossier),
            "class": coding(systems.act_code, "VR", "virtual"),
            "type": [concept(mode, says=_MODE_DISPLAY[dossier.mode])],
            "subject": people.patient,
            "participant": people.encounter_participants(),
            "period": period(dossier.started_at, dossier.ended_at),
            "length": _length(dossier, systems),
            "reasonCode": [concept(says=dossier.title)],
            "serviceProvider": people.facility,
        },
    )


def _status(dossier: Dossier) -> str:
    if dossier.ended_at is None:
        return "planned" if dossier.started_at is None else "in-progress"
    return "cancelled" if dossier.started_at is None else "finished"


def _status_history(dossier: Dossier) -> list[Json]:
    """What it was before: planned, arrived when the patient's side came, then in progress."""
    started_at, ended_at = dossier.started_at, dossier.ended_at
    until = started_at if started_at is not None else ended_at
    arrived_at = _arrived_at(dossier, until)
    steps = [
        ("planned", dossier.created_at, arrived_at if arrived_at is not None else until),
        ("arrived", arrived_at, until),
        ("in-progress", started_at, ended_at),
    ]
    return [
        {"status": status, "period": period(start, end)}
        for status, start, end in steps
        if start is not None and end is not None
    ]


def _arrived_at(dossier: Dossier, until: float | None) -> float | None:
    patient_side = {p.id for p in dossier.participants if p.role in ("patient", "guardian")}
    return min(
        (
            entry.at
            for entry in dossier.timeline
            if entry.participant in patient_side and until is not None and entry.at < until
        ),
        default=None,
    )


def _length(dossier: Dossier, systems: Systems) -> Json | None:
    if dossier.started_at is None or dossier.ended_at is None:
        return None
    minutes = max(0.0, dossier.ended_at - dossier.started_at) / 60
    return {"value": round(minutes, 2), "unit": "min", "system": systems.ucum, "code": "min"}


def _add_chat(
    dossier: Dossier, systems: Systems, entries: Entries, people: People, encounter: Json
) -> list[Json]:
    """The whole chat as one Communication: a line is a payload that says when and from whom."""
    lines = [line for line in dossier.chat if text(line.text)]
    if not lines:
        return []
    times = [line.at for line in lines]
    payload = [_chat_payload(line, systems, people) for line in lines]
    communication = entries.put(
        "Communication",
        dossier.consultation,
        "chat",
        resource={
            "identifier": [identifier(systems.consultation, f"{dossier.consultation}/chat")],
            "status": "completed",
            "medium": [concept(coding(systems.participation_mode, "ONLINEWRIT"))],
            "subject": people.patient,
            "encounter": encounter,
            "sent": instant(min(times)),
            "received": instant(max(times)),
            "recipient": people.present(),
            "payload": payload,
        },
    )
    return [communication]


def _chat_payload(line: ChatLine, systems: Systems, people: People) -> Json:
    parts: list[Json] = [{"url": "sent", "valueDateTime": instant(line.at)}]
    sender = people.actor(line.participant)
    if sender is not None:
        parts.append({"url": "sender", "valueReference": sender})
    return {
        "extension": [{"url": systems.chat_line, "extension": parts}],
        "contentString": f"{people.name(line.participant) or '?'}: {text(line.text)}",
    }


def _add_session_provenance(
    dossier: Dossier,
    systems: Systems,
    entries: Entries,
    people: People,
    device: Json,
    written: list[Json],
) -> None:
    """The recorder wrote the encounter, consents and chat down from what signalling told it."""
    agents: list[Json] = [
        {"type": concept(coding(systems.provenance_agent, kind)), "who": who}
        for kind, who in (("assembler", device), ("custodian", people.facility))
    ]
    source = identifier(systems.consultation, dossier.consultation)
    entries.put(
        "Provenance",
        dossier.consultation,
        "session",
        resource={
            "target": written,
            "occurredPeriod": period(dossier.started_at, dossier.ended_at),
            "recorded": instant(complete_at_s(dossier)),
            "activity": concept(coding(systems.data_operation, "CREATE")),
            "agent": agents,
            "entity": [{"role": "source", "what": {"identifier": source}}],
        },
    )

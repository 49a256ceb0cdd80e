"""The consent ledger as FHIR R4 Consent: one for each person and purpose. PURE.

The newest decision is the base rule; every earlier stretch of time in which the opposite held is an
exception inside it (R4 Consent.provision.provision), so the resource shows on what each second of a
recording rested, even after a withdrawal. R5 reshapes Consent: only this file would change.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from recorder.record.dossier import ConsentRow, Dossier
from recorder.record.elements import (
    Entries,
    Json,
    coding,
    concept,
    content_identifier,
    identifier,
    instant,
    period,
    text,
)
from recorder.record.people import People
from recorder.record.systems import Systems

_PURPOSE_DISPLAY = {"recording": "Ghi âm, ghi hình buổi khám từ xa"}


def add_consents(
    dossier: Dossier, systems: Systems, entries: Entries, people: People
) -> list[Json]:
    """Add a Consent for each person and purpose, and the texts they decided on; returns them."""
    ledgers: dict[tuple[str, str], list[ConsentRow]] = {}
    for row in sorted(dossier.consents, key=lambda row: row.at):
        ledgers.setdefault((row.participant, row.purpose), []).append(row)
    return [_add(dossier, systems, entries, people, rows) for rows in ledgers.values()]


def _add(
    dossier: Dossier,
    systems: Systems,
    entries: Entries,
    people: People,
    rows: Sequence[ConsentRow],
) -> Json:
    newest = rows[-1]
    key = (dossier.consultation, newest.participant, newest.purpose)
    patient = people.patient if people.is_patient_side(newest.participant) else None
    performer = people.actor(newest.participant)
    return entries.put(
        "Consent",
        *key,
        resource={
            "identifier": [identifier(systems.consultation, "/".join(key))],
            # A refusal is a rule to be followed, too: "active" with type deny.
            "status": "active",
            "scope": _scope(systems, patient),
            "category": [concept(coding(systems.loinc, "59284-0"))],
            "patient": patient,
            "dateTime": instant(newest.at),
            "performer": [performer] if performer is not None else [],
            "organization": [people.facility],
            "sourceReference": _text_reference(systems, entries, newest),
            "policy": [{"uri": systems.consent_policy}],
            "provision": _provision(systems, rows),
        },
    )


def _scope(systems: Systems, patient: Json | None) -> Json:
    """Patient privacy asks for a patient (invariant ppc-2); a clinician's own picture is not it."""
    if patient is not None:
        return concept(coding(systems.consent_scope, "patient-privacy"))
    return concept(coding(systems.purpose, "participant-recording"))


def _provision(systems: Systems, rows: Sequence[ConsentRow]) -> Json:
    newest = rows[-1]
    base = _rule(newest)
    exceptions: list[Json] = [
        {"type": _rule(row), "period": period(row.at, after.at)}
        for row, after in pairwise(rows)
        if _rule(row) != base
    ]
    return {
        "type": base,
        "period": period(rows[0].at, None),
        "action": [concept(coding(systems.consent_action, "collect"))],
        "code": [
            concept(coding(systems.purpose, newest.purpose), says=_PURPOSE_DISPLAY[newest.purpose])
        ],
        "provision": exceptions,
    }


def _rule(row: ConsentRow) -> str:
    return "permit" if row.decision == "given" else "deny"


def _text_reference(systems: Systems, entries: Entries, row: ConsentRow) -> Json:
    """The exact text that was shown, named by version, language and SHA-256.

    The same text is the same resource in every consultation.
    """
    version = identifier(systems.consent_text, f"{row.text_version}/{row.language}")
    content = content_identifier(row.text_sha256)
    return entries.put(
        "DocumentReference",
        "consent-text",
        row.text_version,
        row.language,
        row.text_sha256,
        resource={
            "identifier": [version, content],
            "status": "current",
            "type": concept(coding(systems.loinc, "59284-0")),
            "content": [
                {
                    "attachment": {
                        "contentType": "text/plain; charset=utf-8",
                        "language": row.language,
                        "url": content["value"] if content is not None else None,
                        "title": text(row.text_version),
                    }
                }
            ],
        },
    )

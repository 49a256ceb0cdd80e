"""The people and facilities of a consultation as FHIR R4 resources. PURE.

Patients, facilities and licensed people belong to registers that others keep: they are found by
identifier and never overwritten. Somebody of whom we know only a name is put as ours, for this
consultation alone, because two people may have one name.
"""

from __future__ import annotations

from recorder.record.dossier import Dossier, Facility, Participant, Role
from recorder.record.elements import Entries, Json, coding, concept, identifier, period, text
from recorder.record.systems import Systems

#: How each role takes part: v3 ParticipationType, but HL7's own table for the translator.
_PARTICIPATION: dict[Role, tuple[str, str]] = {
    "treating_clinician": ("ATND", "attender"),
    "consulting_clinician": ("CON", "consultant"),
    "nurse": ("SPRF", "secondary performer"),
    "patient": ("PART", "Participation"),
    "guardian": ("PART", "Participation"),
    "interpreter": ("translator", "Translator"),
    "observer": ("PART", "Participation"),
    "admin": ("PART", "Participation"),
}


class People:
    """References to everybody in `dossier`, whose resources are added to `entries`."""

    def __init__(self, dossier: Dossier, systems: Systems, entries: Entries) -> None:
        self._dossier = dossier
        self._systems = systems
        self._entries = entries
        self.facility = self._organization(dossier.facility)
        self.patient = self._patient()
        self._actors = {p.id: self._actor(p) for p in dossier.participants}
        # Tracks are named by peer where they come from, and by participant where they are known.
        self._by_any_id = {p.peer: p for p in dossier.participants}
        self._by_any_id |= {p.id: p for p in dossier.participants}

    def actor(self, participant_id: str) -> Json | None:
        """Who that was: Patient, RelatedPerson, PractitionerRole or Practitioner; by id or peer."""
        participant = self._by_any_id.get(participant_id)
        return None if participant is None else self._actors[participant.id]

    def name(self, participant_id: str) -> str:
        """The name shown in the call; empty when nobody has this id."""
        participant = self._by_any_id.get(participant_id)
        return "" if participant is None else text(participant.name)

    def is_patient_side(self, participant_id: str) -> bool:
        """Whether this person decides for the patient: the patient or a guardian."""
        participant = self._by_any_id.get(participant_id)
        return participant is not None and participant.role in ("patient", "guardian")

    def present(self) -> list[Json]:
        """Everybody who was in the call, once each."""
        return [self._actors[p.id] for p in self._dossier.participants if p.presences]

    def encounter_participants(self) -> list[Json]:
        """`Encounter.participant`, one for each stay; the patient is the subject and not here."""
        ended_at = self._dossier.ended_at
        return [
            {
                "type": self._role(participant),
                "period": period(stay.start, ended_at if stay.end is None else stay.end),
                "individual": self._actors[participant.id],
            }
            for participant in self._dossier.participants
            if participant.role != "patient"
            for stay in participant.presences
        ]

    def _role(self, participant: Participant) -> list[Json]:
        value, display = _PARTICIPATION[participant.role]
        translates = participant.role == "interpreter"
        system = self._systems.participant_type if translates else self._systems.participation_type
        ours = coding(self._systems.role, participant.role)
        return [concept(coding(system, value, display), ours)]

    def _organization(self, facility: Facility) -> Json:
        named: Json = {"name": text(facility.name) or text(facility.code), "active": True}
        if text(facility.code):
            return self._entries.find(
                "Organization",
                self._systems.facility,
                facility.code,
                resource=named,
                display=facility.name,
            )
        return self._entries.put(
            "Organization",
            self._dossier.consultation,
            facility.name,
            resource=named,
            display=facility.name,
        )

    def _patient(self) -> Json | None:
        """The subject: the dossier's patient, else the first who took part as one."""
        patient = self._dossier.patient
        if patient is not None and text(patient.identifier):
            facility_scoped = self._systems.patient.replace(
                "{facility}", text(self._dossier.facility.code)
            )
            return self._entries.find(
                "Patient",
                patient.system or facility_scoped,
                patient.identifier,
                resource={"name": _names(patient.name)},
                display=patient.name,
            )
        for participant in self._dossier.participants:
            if participant.role == "patient":
                return self._own("Patient", participant, {})
        return None

    def _actor(self, participant: Participant) -> Json:
        if participant.role == "patient":
            # A referenced patient is one person, on however many devices.
            if self._dossier.patient is not None and self.patient is not None:
                return self.patient
            return self._own("Patient", participant, {})
        if participant.role == "guardian":
            if self.patient is None:  # RelatedPerson.patient is 1..1
                return {"type": "RelatedPerson", "display": text(participant.name)}
            return self._own("RelatedPerson", participant, {"patient": self.patient})
        return self._professional(participant)

    def _professional(self, participant: Participant) -> Json:
        """A Practitioner; when a facility is known, in the role that they had for it here."""
        if text(participant.licence):
            practitioner = self._entries.find(
                "Practitioner",
                self._systems.licence,
                participant.licence,
                resource={"name": _names(participant.name)},
                display=participant.name,
            )
        else:
            practitioner = self._own("Practitioner", participant, {})
        if participant.facility is None:
            return practitioner
        start = min((stay.start for stay in participant.presences), default=None)
        return self._entries.put(
            "PractitionerRole",
            self._dossier.consultation,
            participant.id,
            resource={
                "identifier": [self._own_identifier(participant)],
                "period": period(start, self._dossier.ended_at) if start is not None else None,
                "practitioner": practitioner,
                "organization": self._organization(participant.facility),
                "code": [concept(coding(self._systems.role, participant.role))],
            },
            display=participant.name,
        )

    def _own(self, resource_type: str, participant: Participant, more: Json) -> Json:
        return self._entries.put(
            resource_type,
            self._dossier.consultation,
            participant.id,
            resource={
                "identifier": [self._own_identifier(participant)],
                "name": _names(participant.name),
                **more,
            },
            display=participant.name,
        )

    def _own_identifier(self, participant: Participant) -> Json:
        # A participant's id is only sure to be unique within its consultation.
        value = f"{self._dossier.consultation}/{participant.id}"
        return identifier(self._systems.participant, value)


def _names(name: str) -> list[Json]:
    return [{"text": text(name)}]

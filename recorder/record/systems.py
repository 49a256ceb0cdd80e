"""Every identifier system, code system and address that the health record uses, as settings.

The Ministry's draft guide (VN Core R4, canonical ``http://fhir.ehealth.gov.vn/core/``) names some;
facilities and provinces have others, so none of them is fixed in code.
"""

from __future__ import annotations

import msgspec


class Systems(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """URIs, each replaceable by configuration.

    `{facility}` in `patient` is replaced by the code of the facility that owns the consultation.
    """

    #: Of a patient whose dossier names no system. A number that a facility gave means nothing
    #: elsewhere: without the facility in it, two people of two hospitals become one.
    patient: str = "http://fhir.ehealth.gov.vn/core/sid/patient-internal-id/{facility}"
    #: Facility codes. The draft's naming system for them carries the URI of the licence number by
    #: mistake; this is the URI that its file name promises.
    facility: str = "http://fhir.ehealth.gov.vn/core/sid/provider-code"
    #: Practice licences (giấy phép hành nghề); the draft has none.
    licence: str = "urn:vtelehealth:sid:practice-licence"
    #: Our own numbers.
    consultation: str = "urn:vtelehealth:sid:consultation"
    participant: str = "urn:vtelehealth:sid:participant"
    recording: str = "urn:vtelehealth:sid:recording"
    document: str = "urn:vtelehealth:sid:document"
    device: str = "urn:vtelehealth:sid:device"
    consent_text: str = "urn:vtelehealth:sid:consent-text"
    #: Our own codes.
    mode: str = "urn:vtelehealth:code:mode"
    role: str = "urn:vtelehealth:code:role"
    purpose: str = "urn:vtelehealth:code:consent-purpose"
    document_kind: str = "urn:vtelehealth:code:document-kind"
    #: What a consent to be recorded rests on (R4 Consent needs a policy: invariant ppc-1).
    consent_policy: str = "urn:vtelehealth:policy:recording-consent"
    #: Extensions; the first is HL7's, for an element that R5 has and R4 lacks.
    attachment_duration: str = (
        "http://hl7.org/fhir/5.0/StructureDefinition/extension-Attachment.duration"
    )
    attachment_size: str = "urn:vtelehealth:extension:attachment-size"
    chat_line: str = "urn:vtelehealth:extension:chat-line"
    #: Published systems.
    loinc: str = "http://loinc.org"
    ucum: str = "http://unitsofmeasure.org"
    act_code: str = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
    participation_type: str = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
    participation_mode: str = "http://terminology.hl7.org/CodeSystem/v3-ParticipationMode"
    participant_type: str = "http://terminology.hl7.org/CodeSystem/participant-type"
    confidentiality: str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
    consent_scope: str = "http://terminology.hl7.org/CodeSystem/consentscope"
    consent_action: str = "http://terminology.hl7.org/CodeSystem/consentaction"
    provenance_agent: str = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
    data_operation: str = "http://terminology.hl7.org/CodeSystem/v3-DataOperation"
    #: Where the archive is read from: ``<archive>/<consultation>/<path>`` is a document's address.
    archive: str = "urn:vtelehealth:archive"

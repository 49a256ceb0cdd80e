"""The bundle: what it says of a consultation, and that it says the same each time."""

from __future__ import annotations

import base64
import hashlib
from typing import Any, cast

import msgspec
import pytest
from fhir.resources.R4B.bundle import Bundle
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.record.dossier import ChatLine, Dossier, Participant, Patient, Presence
from recorder.record.fhir import ArchivedFile, DossierError, Systems, bundle
from tests.recorder.consultation import DOSSIER, FILES, TEXT_SHA256, T, archived, consent


def made(dossier: Dossier = DOSSIER, files: tuple[ArchivedFile, ...] = FILES) -> dict[str, Any]:
    return bundle(dossier, files)


def of_type(whole: dict[str, Any], resource_type: str) -> list[dict[str, Any]]:
    resources = [entry["resource"] for entry in whole["entry"]]
    return [r for r in resources if r["resourceType"] == resource_type]


def only(whole: dict[str, Any], resource_type: str) -> dict[str, Any]:
    (resource,) = of_type(whole, resource_type)
    return resource


def consent_of(whole: dict[str, Any], participant: str) -> dict[str, Any]:
    (found,) = [
        c
        for c in of_type(whole, "Consent")
        if c["identifier"][0]["value"] == f"c-7Q2/{participant}/recording"
    ]
    return found


def document_of(whole: dict[str, Any], path: str) -> dict[str, Any]:
    (found,) = [
        d
        for d in of_type(whole, "DocumentReference")
        if d.get("masterIdentifier", {}).get("value") == f"c-7Q2/{path}"
    ]
    return found


def referenced(value: object) -> set[str]:
    if isinstance(value, dict):
        found = {value["reference"]} if "reference" in value else set()
        return found.union(*(referenced(part) for part in value.values()))
    if isinstance(value, list):
        return set().union(*map(referenced, value))
    return set()


def assert_is_r4b(whole: dict[str, Any]) -> None:
    Bundle.model_validate_json(msgspec.json.encode(whole))


def test_whole_consultation__passes_the_r4b_models() -> None:
    assert_is_r4b(made())


def test_same_input__same_bytes() -> None:
    assert msgspec.json.encode(made()) == msgspec.json.encode(made())


def test_every_reference_is_to_an_entry_and_no_entry_is_twice() -> None:
    whole = made()
    full_urls = [entry["fullUrl"] for entry in whole["entry"]]
    assert len(full_urls) == len(set(full_urls))
    assert referenced(whole) <= set(full_urls)


def test_ours_is_put_and_what_others_own_is_created_only_if_missing() -> None:
    methods: dict[str, set[str]] = {}
    for entry in made()["entry"]:
        request = entry["request"]
        kind = "conditional create" if "ifNoneExist" in request else request["method"]
        methods.setdefault(entry["resource"]["resourceType"], set()).add(kind)
    assert methods.pop("Practitioner") == {"conditional create", "PUT"}  # with and without licence
    found = {name for name, kinds in methods.items() if kinds == {"conditional create"}}
    assert found == {"Patient", "Organization"}
    assert all(kinds == {"PUT"} for name, kinds in methods.items() if name not in found)


def test_encounter() -> None:
    whole = made()
    encounter = only(whole, "Encounter")
    assert encounter["class"]["code"] == "VR"
    assert encounter["status"] == "finished"
    assert [step["status"] for step in encounter["statusHistory"]] == [
        "planned",
        "arrived",
        "in-progress",
    ]
    assert encounter["length"] == {
        "value": 10.0,
        "unit": "min",
        "system": "http://unitsofmeasure.org",
        "code": "min",
    }
    assert encounter["period"]["start"] == "2026-05-28T20:26:40.000Z"
    assert encounter["subject"]["type"] == "Patient"
    assert "meta" not in encounter  # no profile is claimed without a diagnosis


def test_encounter__patient_is_subject_and_never_participant() -> None:
    participants = only(made(), "Encounter")["participant"]
    types = {p["individual"]["type"] for p in participants}
    assert types == {"PractitionerRole", "Practitioner", "RelatedPerson"}
    assert len(participants) == len(DOSSIER.participants) - 1


def test_encounter__one_participant_for_each_stay() -> None:
    stays = (Presence(start=T, end=T + 100), Presence(start=T + 200, end=None))
    doctor = msgspec.structs.replace(DOSSIER.participants[0], presences=stays)
    dossier = msgspec.structs.replace(DOSSIER, participants=(doctor,))
    periods = [p["period"] for p in only(made(dossier), "Encounter")["participant"]]
    assert [p["end"][14:19] for p in periods] == ["28:20", "36:40"]  # the open one ends with it


@pytest.mark.parametrize(
    ("started_at", "ended_at", "status"),
    [
        (None, None, "planned"),
        (T, None, "in-progress"),
        (T, T + 1, "finished"),
        (None, T + 1, "cancelled"),
    ],
)
def test_encounter_status(started_at: float | None, ended_at: float | None, status: str) -> None:
    dossier = msgspec.structs.replace(DOSSIER, started_at=started_at, ended_at=ended_at)
    whole = made(dossier)
    assert only(whole, "Encounter")["status"] == status
    assert_is_r4b(whole)


def test_consent__given_then_withdrawn__deny_with_the_permitted_stretch() -> None:
    consent = consent_of(made(), "p2")
    assert consent["provision"]["type"] == "deny"
    assert consent["provision"]["provision"] == [
        {
            "type": "permit",
            "period": {"start": "2026-05-28T20:26:10.000Z", "end": "2026-05-28T20:31:40.000Z"},
        }
    ]
    assert consent["dateTime"] == "2026-05-28T20:31:40.000Z"
    assert consent["patient"]["type"] == "Patient"


@pytest.mark.parametrize(
    ("decisions", "base", "exceptions"),
    [
        (("given",), "permit", []),
        (("refused",), "deny", []),
        (("refused", "given"), "permit", ["deny"]),
        (("given", "withdrawn", "given"), "permit", ["deny"]),
        (("refused", "given", "withdrawn"), "deny", ["permit"]),
        (("refused", "withdrawn"), "deny", []),
    ],
)
def test_consent_ledger(decisions: tuple[str, ...], base: str, exceptions: list[str]) -> None:
    rows = tuple(consent("p2", decision, T + n) for n, decision in enumerate(decisions))
    # The order of arrival is not the order of decisions.
    dossier = msgspec.structs.replace(DOSSIER, consents=rows[::-1])
    provision = consent_of(made(dossier), "p2")["provision"]
    assert provision["type"] == base
    assert [e["type"] for e in provision.get("provision", [])] == exceptions


def test_consent__clinicians_own_is_not_about_the_patient() -> None:
    consent = consent_of(made(), "p1")
    assert "patient" not in consent
    assert consent["scope"]["coding"][0]["code"] == "participant-recording"
    assert consent["performer"][0]["type"] == "PractitionerRole"


def test_consent__names_the_exact_text() -> None:
    whole = made()
    source = consent_of(whole, "p2")["sourceReference"]["reference"]
    (text,) = [e["resource"] for e in whole["entry"] if e["fullUrl"] == source]
    digest = base64.urlsafe_b64encode(bytes.fromhex(TEXT_SHA256)).decode().rstrip("=")
    assert text["identifier"][1]["value"] == f"ni:///sha-256;{digest}"
    assert text["content"][0]["attachment"]["language"] == "vi"


def test_document__hashes_size_type_and_time() -> None:
    whole = made()
    document = document_of(whole, "tracks/rec1-peer2-video.webm")
    attachment = document["content"][0]["attachment"]
    sha1 = hashlib.sha1(b"video", usedforsecurity=False).digest()
    assert base64.b64decode(attachment["hash"]) == sha1
    assert attachment["size"] == 5
    assert attachment["contentType"] == 'video/webm;codecs="vp8"'
    assert attachment["url"] == "urn:vtelehealth:archive/c-7Q2/tracks/rec1-peer2-video.webm"
    assert document["context"]["period"] == {
        "start": "2026-05-28T20:26:45.250Z",
        "end": "2026-05-28T20:31:39.750Z",
    }
    assert {r["type"] for r in document["context"]["related"]} == {"Patient", "Consent"}
    assert document["date"] == "2026-05-28T20:36:40.000Z"  # filed when the visit was complete


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("tracks/rec1-peer1-video.mkv", 'video/x-matroska;codecs="avc1"'),
        ("manifest.json", "application/json"),
    ],
)
def test_document__content_type(path: str, content_type: str) -> None:
    attachment = document_of(made(), path)["content"][0]["attachment"]
    assert attachment["contentType"] == content_type


def test_document__over_two_gibibytes__size_goes_into_an_extension() -> None:
    large = archived("big.webm", b"", size_bytes=2**31)
    whole = made(files=(large,))
    attachment = document_of(whole, "big.webm")["content"][0]["attachment"]
    assert "size" not in attachment
    assert attachment["extension"] == [
        {"url": "urn:vtelehealth:extension:attachment-size", "valueDecimal": 2**31}
    ]
    assert_is_r4b(whole)


def test_document__just_under_two_gibibytes__size_is_a_size() -> None:
    whole = made(files=(archived("big.webm", b"", size_bytes=2**31 - 1),))
    assert document_of(whole, "big.webm")["content"][0]["attachment"]["size"] == 2**31 - 1
    assert_is_r4b(whole)


def test_document__address_comes_from_the_settings() -> None:
    systems = Systems(archive="https://luu.example.vn/a/")
    whole = bundle(DOSSIER, [archived("ghi chú.json", b"")], systems)
    attachment = document_of(whole, "ghi chú.json")["content"][0]["attachment"]
    assert attachment["url"] == "https://luu.example.vn/a/c-7Q2/ghi%20ch%C3%BA.json"


def test_provenance__names_the_bytes_the_device_and_the_source() -> None:
    whole = made()
    document = document_of(whole, "tracks/rec1-peer2-video.webm")
    (provenance,) = [
        p
        for p in of_type(whole, "Provenance")
        if p["target"][0]["reference"] == f"urn:uuid:{document['id']}"
    ]
    digest = base64.urlsafe_b64encode(hashlib.sha256(b"video").digest()).decode().rstrip("=")
    assert provenance["target"][0]["identifier"]["value"] == f"ni:///sha-256;{digest}"
    assert [a["who"]["type"] for a in provenance["agent"]] == [
        "Device",
        "Organization",
        "PractitionerRole",
    ]
    assert provenance["entity"][0]["what"]["identifier"]["value"] == "rec1"


def test_chat__one_communication_that_says_who_and_when() -> None:
    communication = only(made(), "Communication")
    first, second = communication["payload"]
    assert first["contentString"] == "Nguyễn Văn Ấn: Chào bác sĩ ạ \U0001f64f"
    assert second["contentString"] == "BS. Trần Thị Bình: Chào anh <b>Ấn</b>"
    sent, sender = first["extension"][0]["extension"]
    assert sent["valueDateTime"] == "2026-05-28T20:26:50.000Z"
    assert sender["valueReference"]["type"] == "Patient"
    assert len(communication["recipient"]) == len(DOSSIER.participants)


def test_no_chat__no_communication() -> None:
    assert of_type(made(msgspec.structs.replace(DOSSIER, chat=())), "Communication") == []


def test_patient__number_without_a_system_is_scoped_to_the_facility() -> None:
    identifier = only(made(), "Patient")["identifier"][0]
    assert identifier["system"].endswith("/patient-internal-id/60123")


def test_patient__own_system_is_kept() -> None:
    patient = Patient(identifier="079200001234", system="http://x.vn/national_id")
    whole = made(msgspec.structs.replace(DOSSIER, patient=patient))
    assert only(whole, "Patient")["identifier"][0]["system"] == "http://x.vn/national_id"


def test_no_patient_reference__who_took_part_as_patient_is_the_subject() -> None:
    whole = made(msgspec.structs.replace(DOSSIER, patient=None))
    patient = only(whole, "Patient")
    assert patient["identifier"][0]["value"] == "c-7Q2/p2"
    assert only(whole, "Encounter")["subject"]["reference"] == f"urn:uuid:{patient['id']}"


def test_guardian_without_any_patient__is_named_but_has_no_resource() -> None:
    guardian = DOSSIER.participants[2]
    whole = made(
        msgspec.structs.replace(DOSSIER, patient=None, participants=(guardian,), consents=())
    )
    assert of_type(whole, "RelatedPerson") == []
    (participant,) = only(whole, "Encounter")["participant"]
    assert participant["individual"] == {"type": "RelatedPerson", "display": "Lê Thị Cúc"}
    assert_is_r4b(whole)


def test_same_licence_twice__one_practitioner() -> None:
    doctor = DOSSIER.participants[0]
    again = msgspec.structs.replace(doctor, id="p8", peer="peer8")
    whole = made(msgspec.structs.replace(DOSSIER, participants=(doctor, again)))
    assert len(of_type(whole, "Practitioner")) == 1
    assert len(of_type(whole, "PractitionerRole")) == 2


@pytest.mark.parametrize("identifier", ["a|b", "a,b", "a$b", "a\\b"])
def test_identifier_with_search_syntax__is_put_and_not_searched(identifier: str) -> None:
    whole = made(msgspec.structs.replace(DOSSIER, patient=Patient(identifier=identifier)))
    (entry,) = [e for e in whole["entry"] if e["resource"]["resourceType"] == "Patient"]
    assert entry["request"]["method"] == "PUT"


def test_identifier_that_looks_like_a_query__stays_one_value() -> None:
    patient = Patient(identifier="1&_count=0#x", system="http://x.vn/?a=b&c")
    whole = made(msgspec.structs.replace(DOSSIER, patient=patient))
    (entry,) = [e for e in whole["entry"] if e["resource"]["resourceType"] == "Patient"]
    assert entry["request"]["ifNoneExist"] == (
        "identifier=http%3A%2F%2Fx.vn%2F%3Fa%3Db%26c%7C1%26_count%3D0%23x"
    )


@pytest.mark.parametrize("time", [-1.0, 1e12, float("inf"), float("nan")])
def test_time_that_no_date_can_name__is_a_dossier_error(time: float) -> None:
    with pytest.raises(DossierError):
        made(msgspec.structs.replace(DOSSIER, created_at=time))


words = st.text(max_size=20)
times = st.floats(min_value=0, max_value=4e9)
people = st.builds(
    Participant,
    id=st.uuids().map(str),
    peer=st.uuids().map(str),
    role=st.sampled_from([p.role for p in DOSSIER.participants]),
    name=words,
    licence=words,
    facility=st.none() | st.builds(type(DOSSIER.facility), code=words, name=words),
    presences=st.lists(st.builds(Presence, start=times, end=st.none() | times), max_size=2).map(
        tuple
    ),
)
dossiers = st.builds(
    Dossier,
    consultation=st.uuids().map(str),
    mode=st.just(DOSSIER.mode),
    title=words,
    facility=st.builds(type(DOSSIER.facility), code=words, name=words),
    patient=st.none() | st.builds(Patient, identifier=words, system=words, name=words),
    created_at=times,
    started_at=st.none() | times,
    ended_at=st.none() | times,
    participants=st.lists(people, max_size=3).map(tuple),
    consents=st.just(DOSSIER.consents),
    chat=st.lists(
        st.builds(ChatLine, id=words, participant=words, at=times, text=words), max_size=2
    ).map(tuple),
)


@settings(max_examples=60, deadline=None)
@given(dossiers)
def test_whatever_people_are_called_and_write__the_bundle_is_r4b(dossier: Dossier) -> None:
    whole = made(dossier)
    assert_is_r4b(whole)
    full_urls = {entry["fullUrl"] for entry in whole["entry"]}
    assert referenced(whole) <= full_urls
    assert not empty_parts(whole)


def empty_parts(value: object) -> bool:
    if isinstance(value, dict):
        return not value or any(map(empty_parts, cast("dict[str, object]", value).values()))
    if isinstance(value, list):
        return not value or any(map(empty_parts, value))
    return value is None or value == ""

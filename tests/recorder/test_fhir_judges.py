"""The bundle before two judges that are not ours: Medplum's R4 server and npm's `fhir`."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator

import msgspec
import pytest

from recorder.record.dossier import Patient
from recorder.record.fhir import bundle
from tests.recorder.consultation import DOSSIER, FILES, VIDEO_CONTENT
from tests.support.fhir_server import FhirServer, fhir_server

BUNDLE = bundle(DOSSIER, FILES)
ENCODED = msgspec.json.encode(BUNDLE)
TYPES = (
    "Patient",
    "Organization",
    "Practitioner",
    "PractitionerRole",
    "RelatedPerson",
    "Device",
    "Encounter",
    "DocumentReference",
    "Consent",
    "Communication",
    "Provenance",
)


@pytest.fixture(scope="module")
def shared_server() -> Iterator[FhirServer]:
    with fhir_server() as running:
        yield running


@pytest.fixture
def server(shared_server: FhirServer) -> FhirServer:
    shared_server.forget()
    return shared_server


def counts(server: FhirServer) -> dict[str, int]:
    return {resource_type: len(server.all(resource_type)) for resource_type in TYPES}


def test_validator__has_no_complaint(server: FhirServer) -> None:
    assert server.complaints(ENCODED) == []


def test_validator__would_complain_of_a_wrong_code(server: FhirServer) -> None:
    assert server.complaints(ENCODED.replace(b'"finished"', b'"done"')) != []


def test_server__takes_the_transaction_whole(server: FhirServer) -> None:
    status, answer = server.call("", ENCODED)
    assert status == 200
    assert {entry["response"]["status"] for entry in answer["entry"]} == {"200", "201"}
    assert sum(counts(server).values()) == len(answer["entry"])


def test_server__replay_gives_no_duplicate(server: FhirServer) -> None:
    server.call("", ENCODED)
    before = counts(server)
    status, _ = server.call("", ENCODED)
    assert status == 200
    assert counts(server) == before


def test_server__repaired_archive_replaces_the_first(server: FhirServer) -> None:
    server.call("", msgspec.json.encode(bundle(DOSSIER, FILES[:1])))
    server.call("", ENCODED)
    assert len(server.all("Encounter")) == 1
    assert len(server.all("DocumentReference")) == len(FILES) + 1  # and the consent's text


def test_server__two_visits_of_one_patient__one_patient(server: FhirServer) -> None:
    server.call("", ENCODED)
    other = msgspec.structs.replace(DOSSIER, consultation="c-2")
    server.call("", msgspec.json.encode(bundle(other, [])))
    assert len(server.all("Patient")) == 1
    assert len(server.all("Encounter")) == 2
    (patient,) = server.all("Patient")
    assert {e["subject"]["reference"] for e in server.all("Encounter")} == {
        f"Patient/{patient['id']}"
    }


def test_server__patient_that_is_there_is_not_overwritten(server: FhirServer) -> None:
    theirs = {
        "resourceType": "Patient",
        "identifier": [{"system": "http://x.vn/id", "value": "1"}],
        "name": [{"text": "NGUYỄN VĂN ẤN"}],
        "gender": "male",
    }
    server.call("Patient", msgspec.json.encode(theirs))
    patient = Patient(identifier="1", system="http://x.vn/id", name="An")
    dossier = msgspec.structs.replace(DOSSIER, patient=patient)
    status, _ = server.call("", msgspec.json.encode(bundle(dossier, FILES)))
    assert status == 200
    (kept,) = server.all("Patient")
    assert kept["name"] == theirs["name"]
    assert kept["gender"] == "male"


@pytest.mark.parametrize("identifier", ["a|b,c$d\\e", "1&_count=0", "x y", "Đ-01"])
def test_server__odd_patient_number__still_one_patient(server: FhirServer, identifier: str) -> None:
    dossier = msgspec.structs.replace(DOSSIER, patient=Patient(identifier=identifier))
    encoded = msgspec.json.encode(bundle(dossier, FILES))
    for _ in range(2):
        status, _ = server.call("", encoded)
        assert status == 200
    (patient,) = server.all("Patient")
    assert patient["identifier"][0]["value"] == identifier


def test_server__finds_the_visit_by_class_and_its_documents_by_patient(
    server: FhirServer,
) -> None:
    server.call("", ENCODED)
    (encounter,) = server.all("Encounter", "class=VR")
    documents = server.all("DocumentReference", f"subject={encounter['subject']['reference']}")
    assert len(documents) == len(FILES)


def test_server__holds_the_hashes_of_the_bytes(server: FhirServer) -> None:
    server.call("", ENCODED)
    sha256 = base64.urlsafe_b64encode(hashlib.sha256(VIDEO_CONTENT).digest()).decode().rstrip("=")
    (document,) = server.all("DocumentReference", f"identifier=ni:///sha-256;{sha256}")
    attachment = document["content"][0]["attachment"]
    sha1 = hashlib.sha1(VIDEO_CONTENT, usedforsecurity=False).digest()
    assert (attachment["size"], base64.b64decode(attachment["hash"])) == (5, sha1)


def test_server__missing_class__refuses_everything(server: FhirServer) -> None:
    status, outcome = server.call("", ENCODED.replace(b'"class":{', b'"klass":{'))
    assert 400 <= status < 500
    assert outcome["resourceType"] == "OperationOutcome"
    assert sum(counts(server).values()) == 0

"""What a person sees who starts the product for the first time: two links that work."""

from __future__ import annotations

from pathlib import Path

from signaling.web.resources import (
    CreatedConsultation,
    FacilityBody,
    NewConsultation,
    ParticipantBody,
)

#: A working day, and the evening before it.
_LIFETIME_S = 86_400.0


def demo_consultation() -> NewConsultation:
    """A clinician and a citizen, recorded if the citizen agrees."""
    facility = FacilityBody(code="DEMO", name="Phòng khám dùng thử")
    return NewConsultation(
        mode="DIRECT_TO_PATIENT",
        title="Tư vấn sức khỏe từ xa (dùng thử)",
        facility=facility,
        recording_policy="patient",
        expires_in_s=_LIFETIME_S,
        participants=(
            ParticipantBody(
                name="Trần Thị Bình",
                role="treating_clinician",
                title="BS. CKI",
                licence="DEMO-0001",
                facility=facility,
            ),
            ParticipantBody(name="Nguyễn Văn An", role="patient"),
        ),
    )


def welcome(public_url: str, created: CreatedConsultation | None, api_key_file: Path | None) -> str:
    """The text for the terminal: links, and where the API key is. It never goes through a log."""
    lines = ["", f"vtelehealth: {public_url}", ""]
    if created is not None:
        clinician, citizen = created.invitations
        lines += [
            "Buổi tư vấn dùng thử đã sẵn sàng. Mở mỗi đường link ở một cửa sổ riêng.",
            "A demo consultation is ready. Open each link in a window of its own.",
            "",
            f"  Bác sĩ / Clinician:     {clinician.link}",
            "",
            f"  Người bệnh / Citizen:   {citizen.link}",
            "",
        ]
    if api_key_file is not None:
        lines += [f"Khóa API / API key:       {api_key_file}"]
    lines += ["Nhấn Ctrl+C để dừng.      Press Ctrl+C to stop.", ""]
    return "\n".join(lines)

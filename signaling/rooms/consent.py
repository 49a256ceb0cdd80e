"""Consent to be recorded: what is asked, of whom, and what follows for a recording.

The text says what Luật 91/2025/QH15 on personal data asks to be said: the purpose, that health data
is sensitive, who sees it, where and how long it is kept, that refusing costs nothing, and how to
withdraw. It is asked with two equal answers, nothing chosen beforehand. Each decision is kept with
the version and hash of the text that was shown.
"""

from __future__ import annotations

import hashlib

from signaling.errors import RoomError
from signaling.protocol import messages as wire
from signaling.protocol.codes import ErrorCode
from signaling.protocol.messages import Decision, Language
from signaling.rooms.room import Consent, Participant, Recording, Room
from signaling.rooms.states import PRESENT

#: The version that is asked now. A changed text is a new version; an old one is never edited.
TEXT_VERSION = "recording-2"

_VI = (
    "Chúng tôi xin phép ghi lại hình ảnh và tiếng nói của bạn trong buổi tư vấn này.\n"
    "• Để làm gì: để lưu vào hồ sơ bệnh án, giúp việc khám, chữa bệnh của bạn được liên tục và có"
    " căn cứ. Không dùng vào việc khác nếu bạn chưa đồng ý riêng.\n"
    "• Đây là dữ liệu sức khỏe, thuộc loại dữ liệu cá nhân nhạy cảm.\n"
    "• Lưu ở đâu, bao lâu: tại cơ sở y tế tổ chức buổi tư vấn, cùng hồ sơ bệnh án, ít nhất 10"
    " năm.\n"
    "• Ai được xem: nhân viên y tế có trách nhiệm với bạn và người được pháp luật cho phép. Bạn có"
    " quyền xin xem và xin bản sao.\n"
    "• Máy chủ của cơ sở y tế giải mã hình ảnh và tiếng nói để chuyển cho người trong cuộc gọi và"
    " để ghi lại.\n"
    "• Tin nhắn, tên người tham gia và giờ vào, ra luôn được lưu vào hồ sơ tư vấn, dù bạn có đồng ý"
    " ghi hình hay không. Điều gì không muốn lưu thì bạn đừng nhắn, hãy nói.\n"
    "• Bạn có thể không đồng ý ghi hình ảnh và tiếng nói: buổi tư vấn vẫn diễn ra như thường, quyền"
    " lợi của bạn không thay đổi.\n"
    "• Bạn có thể rút lại sự đồng ý bất cứ lúc nào trong cuộc gọi: việc ghi hình bạn dừng ngay."
    " Phần đã ghi trước đó được giữ theo quy định về hồ sơ bệnh án.\n"
    "Bạn có đồng ý cho ghi lại không?"
)
_EN = (
    "We ask to record your picture and your voice in this consultation.\n"
    "• What for: to keep it in your medical record, so that your care is continuous and well"
    " founded. It is used for nothing else unless you agree to that separately.\n"
    "• This is health data, which is sensitive personal data.\n"
    "• Where and how long: at the clinic that holds this consultation, with your medical record,"
    " for at least 10 years.\n"
    "• Who may see it: the health workers responsible for you, and those whom the law allows. You"
    " have the right to see it and to ask for a copy.\n"
    "• The clinic's server decrypts picture and sound in order to pass them to the people in the"
    " call and to record them.\n"
    "• Chat messages, the names of those who take part and the times when they come and go are"
    " always kept in the record of the visit, whether you agree to be recorded or not. What you do"
    " not want kept, say rather than write.\n"
    "• You may say no to the recording of your picture and voice: the consultation takes place all"
    " the same, and you lose nothing by it.\n"
    "• You may withdraw at any time during the call: recording you stops at once. What was recorded"
    " before is kept as the rules for medical records require.\n"
    "Do you agree to be recorded?"
)

_VI_1 = (
    "Chúng tôi xin phép ghi lại hình ảnh, tiếng nói và tin nhắn của bạn trong buổi tư vấn này.\n"
    "• Để làm gì: để lưu vào hồ sơ bệnh án, giúp việc khám, chữa bệnh của bạn được liên tục và có"
    " căn cứ. Không dùng vào việc khác nếu bạn chưa đồng ý riêng.\n"
    "• Đây là dữ liệu sức khỏe, thuộc loại dữ liệu cá nhân nhạy cảm.\n"
    "• Lưu ở đâu, bao lâu: tại cơ sở y tế tổ chức buổi tư vấn, cùng hồ sơ bệnh án, ít nhất 10"
    " năm.\n"
    "• Ai được xem: nhân viên y tế có trách nhiệm với bạn và người được pháp luật cho phép. Bạn có"
    " quyền xin xem và xin bản sao.\n"
    "• Máy chủ của cơ sở y tế giải mã hình ảnh và tiếng nói để chuyển cho người trong cuộc gọi và"
    " để ghi lại.\n"
    "• Bạn có thể không đồng ý: buổi tư vấn vẫn diễn ra như thường, quyền lợi của bạn không thay"
    " đổi.\n"
    "• Bạn có thể rút lại sự đồng ý bất cứ lúc nào trong cuộc gọi: việc ghi hình bạn dừng ngay."
    " Phần đã ghi trước đó được giữ theo quy định về hồ sơ bệnh án.\n"
    "Bạn có đồng ý cho ghi lại không?"
)
_EN_1 = (
    "We ask to record your picture, your voice and your messages in this consultation.\n"
    "• What for: to keep it in your medical record, so that your care is continuous and well"
    " founded. It is used for nothing else unless you agree to that separately.\n"
    "• This is health data, which is sensitive personal data.\n"
    "• Where and how long: at the clinic that holds this consultation, with your medical record,"
    " for at least 10 years.\n"
    "• Who may see it: the health workers responsible for you, and those whom the law allows. You"
    " have the right to see it and to ask for a copy.\n"
    "• The clinic's server decrypts picture and sound in order to pass them to the people in the"
    " call and to record them.\n"
    "• You may say no: the consultation takes place all the same, and you lose nothing by it.\n"
    "• You may withdraw at any time during the call: recording you stops at once. What was recorded"
    " before is kept as the rules for medical records require.\n"
    "Do you agree to be recorded?"
)


def _text(version: str, vi: str, en: str) -> wire.ConsentText:
    return wire.ConsentText(
        purpose="recording",
        version=version,
        text=wire.Text(vi=vi, en=en),
        sha256=wire.Text(vi=_sha256(vi), en=_sha256(en)),
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


TEXT = _text(TEXT_VERSION, _VI, _EN)
#: Every text that was ever asked, by version: what a kept decision was about can be shown by it.
TEXTS: dict[str, wire.ConsentText] = {
    "recording-1": _text("recording-1", _VI_1, _EN_1),
    TEXT_VERSION: TEXT,
}


def texts(room: Room) -> tuple[wire.ConsentText, ...]:
    """What a person who joins is asked: nothing when the consultation is never recorded."""
    return () if room.recording_policy == "none" else (TEXT,)


def text_sha256(room: Room, version: str, language: Language) -> str:
    """The hash of the text that was shown. Raises `RoomError` for a version that we don't ask.

    An earlier text counts in a consultation that began with it: somebody has decided on it there.
    """
    known = version == TEXT_VERSION or any(row.text_version == version for row in room.consents)
    if not known or version not in TEXTS:
        raise RoomError(ErrorCode.BAD_MESSAGE, "unknown consent text")
    sha256 = TEXTS[version].sha256
    return sha256.vi if language == "vi" else sha256.en


def decisions(room: Room) -> dict[str, Decision]:
    """Everybody's last decision on recording, by participant."""
    return {row.participant: row.decision for row in room.consents if row.purpose == "recording"}


def latest(room: Room, participant_id: str) -> Consent | None:
    """A person's last decision on recording."""
    for row in reversed(room.consents):
        if row.participant == participant_id and row.purpose == "recording":
            return row
    return None


def decision(room: Room, participant_id: str) -> Decision | None:
    """What a person decided last; None when they have not yet."""
    row = latest(room, participant_id)
    return row.decision if row else None


def running(room: Room) -> Recording | None:
    """The recording that runs now."""
    for recording in room.recordings:
        if recording.stopped_at is None:
            return recording
    return None


def is_required(room: Room, person: Participant) -> bool:
    """Whether the policy makes recording depend on this person."""
    if room.recording_policy == "everyone":
        return True
    return room.recording_policy == "patient" and person.role in ("patient", "guardian")


def required(room: Room) -> tuple[str, ...]:
    """The people in the call whose consent a recording needs."""
    return tuple(
        person.id
        for person in room.participants
        if person.state == "admitted" and is_required(room, person)
    )


def missing(room: Room) -> tuple[str, ...]:
    """Those of `required` who have not given it; empty does not yet mean `startable`."""
    decided = decisions(room)
    return tuple(each for each in required(room) if decided.get(each) != "given")


def startable(room: Room) -> bool:
    """Whether a recording may start now: somebody is asked for, and all of them have agreed."""
    return room.recording_policy != "none" and bool(required(room)) and not missing(room)


def recordable(room: Room) -> tuple[str, ...]:
    """The people whose media a recording may hold now."""
    return tuple(person.id for person in room.participants if _is_recordable(room, person))


def _is_recordable(room: Room, person: Participant) -> bool:
    if person.state != "admitted" or room.recording_policy == "none":
        return False
    decided = decision(room, person.id)
    return decided == "given" or (decided is None and not is_required(room, person))


def objected(room: Room) -> bool:
    """Whether somebody on whom the recording depends has refused or withdrawn.

    A person on hold counts too: they belong to the call, and come back to it.
    """
    return any(
        person.state in ("admitted", "held")
        and is_required(room, person)
        and decision(room, person.id) in ("refused", "withdrawn")
        for person in room.participants
    )


def may_decide(person: Participant) -> bool:
    """From the lobby on, a person may decide at any time."""
    return person.state in PRESENT

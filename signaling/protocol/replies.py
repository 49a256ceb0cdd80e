"""Server messages that carry words for people: errors and farewells."""

from __future__ import annotations

from typing import Literal

from signaling.protocol.codes import TEXTS, CloseCode, ErrorCode
from signaling.protocol.messages import Ended, Error, Text

Farewell = Literal["ended", "removed", "left", "replaced", "expired"]

FAREWELLS: dict[Farewell, tuple[str, str]] = {
    "ended": (
        "Buổi tư vấn đã kết thúc. Cảm ơn bạn. Cần thêm hỗ trợ, hãy liên hệ cơ sở y tế.",
        "The consultation has ended. Thank you. If you need more help, please contact the clinic.",
    ),
    "removed": (
        "Bạn đã được mời ra khỏi buổi tư vấn. Nếu đây là nhầm lẫn, hãy liên hệ cơ sở y tế.",
        "You were put out of the consultation. If this is a mistake, please contact the clinic.",
    ),
    "left": (
        "Bạn đã rời buổi tư vấn. Muốn quay lại, hãy mở lại đường link mời.",
        "You have left the consultation. To come back, open your invitation link again.",
    ),
    "replaced": (
        "Cuộc gọi đã được mở ở một cửa sổ khác. Hãy tiếp tục ở cửa sổ đó.",
        "The call was opened in another window. Please go on there.",
    ),
    "expired": (
        "Buổi tư vấn đã quá giờ hẹn và đã đóng. Hãy liên hệ cơ sở y tế để hẹn lại.",
        "The time of this consultation has passed and it was closed. Please ask the clinic for a"
        " new appointment.",
    ),
}

#: How the connection closes after each farewell.
FAREWELL_CLOSES: dict[Farewell, CloseCode] = {
    "ended": CloseCode.ENDED,
    "removed": CloseCode.ENDED,
    "left": CloseCode.ENDED,
    "replaced": CloseCode.REPLACED,
    "expired": CloseCode.ENDED,
}


def error(code: ErrorCode, ref: str = "") -> Error:
    """What tells a client that the message with `ref` was not done."""
    vi, en = TEXTS[code]
    return Error(ref=ref, code=code, text=Text(vi=vi, en=en))


def ended(reason: Farewell) -> Ended:
    """The last message of a connection."""
    vi, en = FAREWELLS[reason]
    return Ended(reason=reason, text=Text(vi=vi, en=en))

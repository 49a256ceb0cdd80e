"""Error codes and WebSocket close codes of ``vtelehealth.v1``, with the words shown to people."""

from __future__ import annotations

import enum


class ErrorCode(enum.Enum):
    """Stable codes; never renamed, never used again for something else."""

    BAD_MESSAGE = "bad_message"
    TOO_LARGE = "too_large"
    TOO_MANY = "too_many"
    JOIN_FIRST = "join_first"
    TOKEN_INVALID = "token_invalid"  # noqa: S105 - a code, not a secret
    TOKEN_EXPIRED = "token_expired"  # noqa: S105
    INVITATION_REVOKED = "invitation_revoked"
    INVITATION_IN_USE = "invitation_in_use"
    SESSION_UNKNOWN = "session_unknown"
    CONSULTATION_UNKNOWN = "consultation_unknown"
    CONSULTATION_ENDED = "consultation_ended"
    NOT_ALLOWED = "not_allowed"
    NOT_ADMITTED = "not_admitted"
    WRONG_STATE = "wrong_state"
    PARTICIPANT_UNKNOWN = "participant_unknown"
    ROOM_FULL = "room_full"
    CONSENT_MISSING = "consent_missing"
    RECORDING_FORBIDDEN = "recording_forbidden"
    RECORDER_UNAVAILABLE = "recorder_unavailable"
    RECORDER_FULL = "recorder_full"
    BAD_OFFER = "bad_offer"
    MEDIA_UNAVAILABLE = "media_unavailable"
    MEDIA_BUSY = "media_busy"
    STORE_UNAVAILABLE = "store_unavailable"
    INTERNAL = "internal"


class CloseCode(enum.IntEnum):
    """Why the server closes the WebSocket (RFC 6455 §7.4; 4000-4999 are ours)."""

    GOING_AWAY = 1001
    TOO_LARGE = 1009
    INTERNAL = 1011
    BAD_MESSAGE = 4400
    REFUSED = 4401
    ENDED = 4410
    REPLACED = 4409
    SLOW = 4408
    TOO_MANY = 4429


#: What a person reads: Vietnamese, English. What happened, and what to do now.
TEXTS: dict[ErrorCode, tuple[str, str]] = {
    ErrorCode.BAD_MESSAGE: (
        "Ứng dụng gửi dữ liệu không hợp lệ. Hãy tải lại trang.",
        "The app sent something we cannot read. Please reload the page.",
    ),
    ErrorCode.TOO_LARGE: (
        "Nội dung quá dài. Hãy gửi ngắn hơn.",
        "That is too long. Please send something shorter.",
    ),
    ErrorCode.TOO_MANY: (
        "Bạn thao tác quá nhanh. Hãy đợi vài giây rồi thử lại.",
        "That was too fast. Please wait a few seconds and try again.",
    ),
    ErrorCode.JOIN_FIRST: (
        "Kết nối chưa bắt đầu đúng cách. Hãy mở lại đường link mời.",
        "The connection did not start properly. Please open your invitation link again.",
    ),
    ErrorCode.TOKEN_INVALID: (
        "Đường link mời không đúng. Hãy mở lại link trong tin nhắn, hoặc xin cơ sở y tế gửi link mới.",
        "This invitation link is not valid. Open the link in your message again, or ask the clinic for a new one.",
    ),
    ErrorCode.TOKEN_EXPIRED: (
        "Đường link mời đã hết hạn. Hãy xin cơ sở y tế gửi link mới.",
        "This invitation link has expired. Please ask the clinic for a new one.",
    ),
    ErrorCode.INVITATION_REVOKED: (
        "Lời mời này đã bị thu hồi. Hãy liên hệ cơ sở y tế.",
        "This invitation was withdrawn. Please contact the clinic.",
    ),
    ErrorCode.INVITATION_IN_USE: (
        "Đường link này đang được dùng trên một thiết bị khác. Hãy tắt cuộc gọi ở thiết bị kia, hoặc xin link mới.",
        "This link is in use on another device. Close the call there, or ask for a new link.",
    ),
    ErrorCode.SESSION_UNKNOWN: (
        "Phiên gọi không còn nữa. Hãy mở lại đường link mời.",
        "This call session no longer exists. Please open your invitation link again.",
    ),
    ErrorCode.CONSULTATION_UNKNOWN: (
        "Không tìm thấy buổi tư vấn. Hãy kiểm tra lại đường link mời.",
        "The consultation was not found. Please check your invitation link.",
    ),
    ErrorCode.CONSULTATION_ENDED: (
        "Buổi tư vấn đã kết thúc. Cần thêm hỗ trợ, hãy liên hệ cơ sở y tế.",
        "The consultation has ended. If you need more help, please contact the clinic.",
    ),
    ErrorCode.NOT_ALLOWED: (
        "Vai trò của bạn không được làm việc này.",
        "Your role does not allow this.",
    ),
    ErrorCode.NOT_ADMITTED: (
        "Bạn chưa được mời vào phòng khám. Hãy đợi trong phòng chờ.",
        "You have not been admitted yet. Please wait in the waiting room.",
    ),
    ErrorCode.WRONG_STATE: (
        "Việc này không làm được lúc này.",
        "This cannot be done right now.",
    ),
    ErrorCode.PARTICIPANT_UNKNOWN: (
        "Không tìm thấy người này trong buổi tư vấn.",
        "This person is not in the consultation.",
    ),
    ErrorCode.ROOM_FULL: (
        "Buổi tư vấn đã đủ người. Hãy liên hệ người mời bạn.",
        "The consultation is full. Please contact the person who invited you.",
    ),
    ErrorCode.CONSENT_MISSING: (
        "Chưa ghi hình được vì còn người chưa đồng ý.",
        "Recording cannot start: somebody has not agreed yet.",
    ),
    ErrorCode.RECORDING_FORBIDDEN: (
        "Buổi tư vấn này không được ghi hình.",
        "This consultation may not be recorded.",
    ),
    ErrorCode.RECORDER_UNAVAILABLE: (
        "Máy ghi hình đang không sẵn sàng. Cuộc gọi vẫn tiếp tục; hãy thử ghi lại sau ít phút.",
        "The recorder is not available. The call goes on; try recording again in a few minutes.",
    ),
    ErrorCode.RECORDER_FULL: (
        "Máy ghi hình đã hết chỗ lưu. Cuộc gọi vẫn tiếp tục; hãy báo bộ phận công nghệ thông tin.",
        "The recorder has run out of space. The call goes on; please tell your IT team.",
    ),
    ErrorCode.BAD_OFFER: (
        "Trình duyệt này chưa gọi được. Hãy cập nhật trình duyệt hoặc dùng Chrome, Firefox, Safari mới.",
        "This browser could not start the call. Please update it, or use a recent Chrome, Firefox or Safari.",
    ),
    ErrorCode.MEDIA_UNAVAILABLE: (
        "Máy chủ hình ảnh và âm thanh đang gián đoạn. Ứng dụng sẽ tự thử lại.",
        "The media server is interrupted. The app will try again by itself.",
    ),
    ErrorCode.MEDIA_BUSY: (
        "Máy chủ đang quá tải, chưa mở được cuộc gọi mới. Ứng dụng sẽ tự thử lại; nếu chưa được, vui lòng thử lại sau ít phút.",
        "The server has too much to do and cannot begin another call now. The app will try again by itself; if it does not help, please try again in a few minutes.",
    ),
    ErrorCode.STORE_UNAVAILABLE: (
        "Hệ thống đang gián đoạn ngắn. Ứng dụng sẽ tự thử lại, bạn không cần làm gì.",
        "The system is interrupted for a moment. The app will try again by itself.",
    ),
    ErrorCode.INTERNAL: (
        "Có lỗi phía máy chủ. Hãy thử lại; nếu vẫn lỗi, hãy báo cơ sở y tế.",
        "Something went wrong on the server. Try again; if it stays, please tell the clinic.",
    ),
}

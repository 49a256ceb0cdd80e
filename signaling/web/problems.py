"""Errors of the HTTP side: which status and which words each one has."""

from __future__ import annotations

from http import HTTPStatus

from signaling.errors import SignalingError
from signaling.protocol.codes import TEXTS, ErrorCode
from signaling.protocol.messages import Text
from signaling.web.resources import Problem

_STATUS: dict[ErrorCode, HTTPStatus] = {
    ErrorCode.BAD_MESSAGE: HTTPStatus.BAD_REQUEST,
    ErrorCode.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    ErrorCode.TOO_MANY: HTTPStatus.TOO_MANY_REQUESTS,
    ErrorCode.CONSULTATION_UNKNOWN: HTTPStatus.NOT_FOUND,
    ErrorCode.PARTICIPANT_UNKNOWN: HTTPStatus.NOT_FOUND,
    ErrorCode.NOT_ALLOWED: HTTPStatus.FORBIDDEN,
    ErrorCode.MEDIA_UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.MEDIA_BUSY: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.STORE_UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
}

#: What only HTTP can say, beside the codes of the wire protocol.
_HTTP_TEXTS: dict[str, tuple[HTTPStatus, str, str]] = {
    "bad_request": (
        HTTPStatus.BAD_REQUEST,
        "Yêu cầu không đúng định dạng. Hãy xem tài liệu API.",
        "The request is not as the API document says.",
    ),
    "unauthorized": (
        HTTPStatus.UNAUTHORIZED,
        "Thiếu khóa API hoặc khóa không đúng.",
        "The API key is missing or wrong.",
    ),
    "forbidden_origin": (
        HTTPStatus.FORBIDDEN,
        "Trang web này không được phép kết nối. Hãy mở đường link mời.",
        "This web page may not connect. Please open your invitation link.",
    ),
    "not_found": (
        HTTPStatus.NOT_FOUND,
        "Không có trang này. Hãy kiểm tra lại địa chỉ.",
        "There is no such page. Please check the address.",
    ),
    "invitation_unknown": (
        HTTPStatus.NOT_FOUND,
        "Không tìm thấy lời mời này.",
        "There is no such invitation.",
    ),
    "method_not_allowed": (
        HTTPStatus.METHOD_NOT_ALLOWED,
        "Địa chỉ này không nhận yêu cầu kiểu đó.",
        "This address does not take that kind of request.",
    ),
    "busy": (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Máy chủ đang quá tải. Ứng dụng sẽ tự thử lại.",
        "The server is at its limit. The app will try again by itself.",
    ),
}


class HttpProblem(Exception):
    """A request that is answered with a `Problem`; `code` is a row of the table above."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail


def problem_of(error: Exception) -> tuple[HTTPStatus, Problem] | None:
    """Status and body for an error that a request met; None for one that is ours."""
    match error:
        case HttpProblem():
            status, vi, en = _HTTP_TEXTS[error.code]
            return status, Problem(code=error.code, text=Text(vi=vi, en=en), detail=error.detail)
        case SignalingError():
            return _coded(error.code)
        case _:
            return None


def internal_problem() -> tuple[HTTPStatus, Problem]:
    """Status and body for an error of ours."""
    return _coded(ErrorCode.INTERNAL)


def too_large_problem() -> tuple[HTTPStatus, Problem]:
    """Status and body for a request that is too long."""
    return _coded(ErrorCode.TOO_LARGE)


def _coded(code: ErrorCode) -> tuple[HTTPStatus, Problem]:
    vi, en = TEXTS[code]
    return _STATUS.get(code, HTTPStatus.CONFLICT), Problem(code=code.value, text=Text(vi=vi, en=en))

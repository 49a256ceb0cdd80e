"""Who is told of which fault, in which words: what is wrong, and what to do. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from signaling.protocol.messages import Fault, FaultCode, Text
from signaling.rooms.roles import Permission, may
from signaling.rooms.room import Break, Participant

#: To the person at whose end it is.
OWN: dict[FaultCode, Text] = {
    "microphone_muted": Text(
        vi="Micro của bạn đang bị tắt bởi hệ thống hoặc nút trên thiết bị, người khác không nghe"
        " thấy bạn. Hãy bật lại micro trên thiết bị hoặc tai nghe.",
        en="Your microphone is switched off by the system or by a switch on the device: nobody"
        " hears you. Please switch it on at the device or headset.",
    ),
    "microphone_silent": Text(
        vi="Micro của bạn không có tiếng. Hãy kiểm tra nút tắt tiếng trên tai nghe, cắm lại tai"
        " nghe hoặc chọn micro khác.",
        en="No sound comes from your microphone. Check the mute switch of the headset, plug it in"
        " again, or choose another microphone.",
    ),
    "camera_muted": Text(
        vi="Camera của bạn đang bị tắt bởi hệ thống hoặc nắp che. Hãy mở nắp che, đóng ứng dụng"
        " khác đang dùng camera, rồi bật lại camera.",
        en="Your camera is switched off by the system or its cover. Open the cover, close other"
        " apps that use the camera, then switch it on again.",
    ),
    "camera_frozen": Text(
        vi="Hình từ camera của bạn bị đứng. Hãy tắt camera rồi bật lại; nếu chưa được, hãy chọn"
        " camera khác.",
        en="The picture of your camera stands still. Switch the camera off and on again; if that"
        " does not help, choose another camera.",
    ),
    "uplink_blocked": Text(
        vi="Tiếng và hình của bạn không đến được máy chủ. Hãy kiểm tra mạng, đến gần bộ phát Wi-Fi"
        " hoặc chuyển sang 4G. Ứng dụng đang tự kết nối lại.",
        en="Your sound and picture do not reach the server. Check your network, move closer to the"
        " Wi-Fi, or change to mobile data. The app is connecting again.",
    ),
    "downlink_blocked": Text(
        vi="Bạn không nhận được tiếng và hình của người khác. Hãy kiểm tra mạng, đến gần bộ phát"
        " Wi-Fi hoặc chuyển sang 4G.",
        en="You do not receive the sound and picture of the others. Check your network, move closer"
        " to the Wi-Fi, or change to mobile data.",
    ),
    "decoder_stalled": Text(
        vi="Thiết bị của bạn không mở được hình đang nhận. Hãy đóng bớt ứng dụng khác; nếu chưa"
        " được, hãy tải lại trang.",
        en="Your device cannot show the picture that it receives. Close other apps; if that does"
        " not help, reload the page.",
    ),
}

#: To the others in the call.
OTHERS: dict[FaultCode, Text] = {
    "microphone_muted": Text(
        vi="Không nghe thấy người này: micro bên đó đang bị hệ thống tắt. Hãy nhắn họ bật lại"
        " micro trên thiết bị.",
        en="You cannot hear this person: their microphone is switched off by their system. Write to"
        " them to switch it on at the device.",
    ),
    "microphone_silent": Text(
        vi="Không nghe thấy người này: micro bên đó im lặng. Hãy nhắn họ kiểm tra micro.",
        en="You cannot hear this person: their microphone is silent. Write to them to check it.",
    ),
    "camera_muted": Text(
        vi="Không thấy hình người này: camera bên đó đang bị tắt hoặc bị che. Vẫn nghe và nói"
        " bình thường.",
        en="You cannot see this person: their camera is switched off or covered. You can go on"
        " talking.",
    ),
    "camera_frozen": Text(
        vi="Hình của người này bị đứng từ camera bên đó. Vẫn nghe và nói bình thường.",
        en="This person's picture stands still at their camera. You can go on talking.",
    ),
    "uplink_blocked": Text(
        vi="Không nhận được tiếng và hình của người này: mạng bên đó đang bị nghẽn. Hãy đợi họ"
        " kết nối lại.",
        en="Nothing arrives from this person: their network is blocked. Please wait until they are"
        " connected again.",
    ),
    "downlink_blocked": Text(
        vi="Người này đang không nghe và không thấy bạn: mạng bên đó bị nghẽn. Hãy đợi rồi nhắc"
        " lại điều vừa nói.",
        en="This person does not hear or see you now: their network is blocked. Please wait, then"
        " say again what you said.",
    ),
    "decoder_stalled": Text(
        vi="Người này nghe được nhưng không thấy hình: thiết bị bên đó không mở được hình.",
        en="This person hears you but sees no picture: their device cannot show it.",
    ),
}


def running(person: Participant) -> tuple[Break, ...]:
    """What is wrong with a person's media now, as the room has it."""
    return tuple(
        each for each in person.breaks if each.end is None and each.reason != "connection_lost"
    )


def told(
    participant: str, people: Iterable[tuple[Participant, tuple[Break, ...]]]
) -> tuple[Fault, ...]:
    """What `participant` is told, of the faults of people in the call.

    One's own, and those of whoever may speak: an observer's are of no concern to others.
    """
    return tuple(
        Fault(
            participant=person.id,
            code=code,
            since=each.start,
            text=(OWN if person.id == participant else OTHERS)[code],
        )
        for person, breaks in people
        if person.id == participant or may(person.role, Permission.SPEAK)
        for each in breaks
        if (code := fault_code(each)) is not None
    )


def fault_code(each: Break) -> FaultCode | None:
    """Of what people are told as a fault; None of a break that they learn of in another way."""
    if each.reason == "media_lost" or each.reason == "connection_lost":
        return None
    return each.reason

"""Who may do what: one table, read row by row (design §6).

Speaking is sending a microphone and a camera. An observer is a listening site (điểm cầu dự thính):
it receives, may raise a hand, and is promoted to speak.
"""

from __future__ import annotations

import enum

from signaling.protocol.messages import MediaKind, Role


class Permission(enum.Enum):
    """One thing that a role may do; the values are on the wire (`Participant.permissions`)."""

    ENTER = "enter"  # without waiting to be admitted
    ADMIT = "admit"
    HOLD = "hold"
    REMOVE = "remove"
    MUTE = "mute"
    PROMOTE = "promote"
    RECORD = "record"
    END = "end"
    INVITE = "invite"
    SPEAK = "speak"
    SHARE_SCREEN = "share_screen"
    CHAT = "chat"


_P = Permission

ROLES: dict[Role, frozenset[Permission]] = {
    "treating_clinician": frozenset(Permission),
    "consulting_clinician": frozenset({_P.ENTER, _P.SPEAK, _P.SHARE_SCREEN, _P.CHAT}),
    "nurse": frozenset({_P.ENTER, _P.ADMIT, _P.HOLD, _P.MUTE, _P.SPEAK, _P.SHARE_SCREEN, _P.CHAT}),
    "patient": frozenset({_P.SPEAK, _P.SHARE_SCREEN, _P.CHAT}),
    "guardian": frozenset({_P.SPEAK, _P.CHAT}),
    "interpreter": frozenset({_P.SPEAK, _P.CHAT}),
    "observer": frozenset(),
    # Runs the session for the clinicians; decides nothing clinical: no recording, no end.
    "admin": frozenset(
        {
            _P.ENTER,
            _P.ADMIT,
            _P.HOLD,
            _P.REMOVE,
            _P.MUTE,
            _P.PROMOTE,
            _P.INVITE,
            _P.SPEAK,
            _P.CHAT,
        }
    ),
}

#: Who leads: only another chair may hold, remove, mute or re-role them.
CHAIR: Role = "treating_clinician"

#: Whom a person not yet admitted may see: the clinicians they will meet.
CLINICIANS: frozenset[Role] = frozenset({"treating_clinician", "consulting_clinician"})

#: Which role may become which. Nobody becomes or stops being a patient, an administrator likewise:
#: those are who a person is, not what they do in this call.
PROMOTIONS: dict[Role, frozenset[Role]] = {
    "treating_clinician": frozenset({"consulting_clinician"}),
    "consulting_clinician": frozenset({"treating_clinician", "observer"}),
    "nurse": frozenset({"observer"}),
    "patient": frozenset(),
    "guardian": frozenset({"observer"}),
    "interpreter": frozenset({"observer"}),
    "observer": frozenset({"consulting_clinician", "nurse", "guardian", "interpreter"}),
    "admin": frozenset(),
}


def may(role: Role, permission: Permission) -> bool:
    """Whether `role` has `permission`."""
    return permission in ROLES[role]


def permissions(role: Role) -> tuple[str, ...]:
    """What `Participant.permissions` says of a role, in the order of `Permission`."""
    return tuple(each.value for each in Permission if each in ROLES[role])


def sends(role: Role) -> tuple[MediaKind, ...]:
    """The kinds of media that a role may send into the call."""
    speaking: tuple[MediaKind, ...] = ("audio", "video") if may(role, Permission.SPEAK) else ()
    screen: tuple[MediaKind, ...] = ("screen",) if may(role, Permission.SHARE_SCREEN) else ()
    return speaking + screen

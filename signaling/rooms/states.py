"""The two state machines of a consultation, as tables `{state: {event: next state}}`.

An event is the type of a command. What is not in a table is refused with `wrong_state`. The
diagrams in PROTOCOL.md are generated from these tables.
"""

from __future__ import annotations

from signaling.protocol.messages import ConsultationState, ParticipantState
from signaling.rooms import commands as c


class Met(c.Command, frozen=True, kw_only=True):
    """The room's own event: somebody who may admit and somebody else are in the call."""


#: `Admit` from `waiting` is done by the room itself right after `Ready` for roles that may enter.
#: `Connect` is a new session: it never inherits an admission, so it leads back to `knocking`.
#: `Revoke` counts for whoever came by that invitation; only a new invitation undoes `removed`.
PARTICIPANT_STATES: dict[ParticipantState, dict[type[c.Command], ParticipantState]] = {
    "invited": {c.Connect: "knocking", c.Remove: "removed"},
    "knocking": {
        c.Connect: "knocking",
        c.Ready: "waiting",
        c.Leave: "left",
        c.Remove: "removed",
        c.Revoke: "removed",
    },
    "waiting": {
        c.Connect: "knocking",
        c.Admit: "admitted",
        c.Leave: "left",
        c.Remove: "removed",
        c.Revoke: "removed",
    },
    "admitted": {
        c.Connect: "knocking",
        c.Hold: "held",
        c.Leave: "left",
        c.Remove: "removed",
        c.Revoke: "removed",
    },
    "held": {
        c.Connect: "knocking",
        c.Return: "admitted",
        c.Leave: "left",
        c.Remove: "removed",
        c.Revoke: "removed",
    },
    "left": {c.Connect: "knocking", c.Remove: "removed"},
    "removed": {c.Invite: "invited"},
}

CONSULTATION_STATES: dict[ConsultationState, dict[type[c.Command], ConsultationState]] = {
    "scheduled": {c.Ready: "waiting", c.End: "ended", c.Expire: "ended"},
    "waiting": {Met: "active", c.End: "ended", c.Expire: "ended"},
    "active": {c.End: "ended", c.Expire: "ended"},
    "ended": {},
}

#: States of a person who is in the room by a session: only they can ask for anything.
PRESENT: frozenset[ParticipantState] = frozenset({"knocking", "waiting", "admitted", "held"})

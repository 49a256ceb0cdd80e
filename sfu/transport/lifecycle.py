"""The states of a transport as a table. Pure.

    event →       keyed     quiet     silent    heard   broken   flooded   closed
    new           up        ·         new_lost  ·       broken   broken    closed
    up            ·         up_quiet  up_lost   ·       ·        broken    closed
    up_quiet      ·         ·         up_lost   up      ·        broken    closed
    new_lost      up_lost   ·         ·         new     broken   broken    closed
    up_lost       ·         ·         ·         up      ·        broken    closed
    broken        ·         ·         ·         ·       ·        ·         closed
    closed        ·         ·         ·         ·       ·        ·         ·

`keyed`: the DTLS handshake is done and the fingerprint is right. `quiet`: nothing was heard for
`QUIET_NS`. `silent`: nothing was heard for `SILENCE_NS`. `heard`: a valid check came, or a packet
where packets are still taken. `broken`: the handshake failed or the fingerprint is another's.
`flooded`: the peer sent more than anybody has use for. A dot changes nothing: these events may
come late.
"""

from __future__ import annotations

from typing import Literal

from sfu.control.messages import TransportState

State = Literal["new", "up", "up_quiet", "new_lost", "up_lost", "broken", "closed"]
Event = Literal["keyed", "quiet", "silent", "heard", "broken", "flooded", "closed"]

#: Two of a browser's checks (one every 2.5 s) did not come: the path is likely dead, and its owner
#: should look for another. We go on sending: a check may only be late (RFC 7675 §5.1).
QUIET_NS = 5_000_000_000
#: Browsers give a path up after 15 s to 30 s; RFC 7675 §5.1 allows us to send for 30 s.
SILENCE_NS = 15_000_000_000

TABLE: dict[State, dict[Event, State]] = {
    "new": {
        "keyed": "up",
        "silent": "new_lost",
        "broken": "broken",
        "flooded": "broken",
        "closed": "closed",
    },
    "up": {"quiet": "up_quiet", "silent": "up_lost", "flooded": "broken", "closed": "closed"},
    "up_quiet": {"silent": "up_lost", "heard": "up", "flooded": "broken", "closed": "closed"},
    "new_lost": {
        "keyed": "up_lost",
        "heard": "new",
        "broken": "broken",
        "flooded": "broken",
        "closed": "closed",
    },
    "up_lost": {"heard": "up", "flooded": "broken", "closed": "closed"},
    "broken": {"closed": "closed"},
    "closed": {},
}

#: What the control protocol calls each state.
WIRE: dict[State, TransportState] = {
    "new": "connecting",
    "up": "connected",
    "up_quiet": "disconnected",
    "new_lost": "failed",
    "up_lost": "failed",
    "broken": "failed",
    "closed": "closed",
}


def after(state: State, event: Event) -> State:
    """The state after `event`."""
    return TABLE[state].get(event, state)

"""The states of a transport as a table. Pure.

    event →       keyed    silent      heard   broken   flooded   closed
    new           up       new_lost    ·       broken   broken    closed
    up            ·        up_lost     ·       ·        broken    closed
    new_lost      up_lost  ·           new     broken   broken    closed
    up_lost       ·        ·           up      ·        broken    closed
    broken        ·        ·           ·       ·        ·         closed
    closed        ·        ·           ·       ·        ·         ·

`keyed`: the DTLS handshake is done and the fingerprint is right. `silent`: nothing was heard for
`SILENCE_NS`. `heard`: a valid check came. `broken`: the handshake failed or the fingerprint is
another's. `flooded`: the peer sent more than anybody has use for. A dot changes nothing: these
events may come late.
"""

from __future__ import annotations

from typing import Literal

from sfu.control.messages import TransportState

State = Literal["new", "up", "new_lost", "up_lost", "broken", "closed"]
Event = Literal["keyed", "silent", "heard", "broken", "flooded", "closed"]

#: Browsers check their path every 2.5 s and give it up after 15 s to 30 s (RFC 7675 §5.1: 30 s).
SILENCE_NS = 15_000_000_000

TABLE: dict[State, dict[Event, State]] = {
    "new": {
        "keyed": "up",
        "silent": "new_lost",
        "broken": "broken",
        "flooded": "broken",
        "closed": "closed",
    },
    "up": {"silent": "up_lost", "flooded": "broken", "closed": "closed"},
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
    "new_lost": "failed",
    "up_lost": "failed",
    "broken": "failed",
    "closed": "closed",
}


def after(state: State, event: Event) -> State:
    """The state after `event`."""
    return TABLE[state].get(event, state)

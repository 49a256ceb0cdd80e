"""The states of one connection, as a table `{state: {event: next state}}`."""

from __future__ import annotations

from typing import Literal

ConnectionState = Literal["opened", "entering", "joined", "closed"]
ConnectionEvent = Literal["enter", "refused", "welcomed", "close"]

#: `entering` is while the server looks at the token or session that the first message brought.
#: A refused one may not try again on the same connection: it is closed.
CONNECTION_STATES: dict[ConnectionState, dict[ConnectionEvent, ConnectionState]] = {
    "opened": {"enter": "entering", "close": "closed"},
    "entering": {"welcomed": "joined", "refused": "closed", "close": "closed"},
    "joined": {"close": "closed"},
    "closed": {"close": "closed"},
}

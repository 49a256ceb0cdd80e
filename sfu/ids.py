"""Names of what the media engine handles. They are opaque: no person can be read from them."""

from __future__ import annotations

from typing import NewType

RoomId = NewType("RoomId", str)
PeerId = NewType("PeerId", str)
TapId = NewType("TapId", str)
#: What a seat can show: a peer's camera (with its microphone) or a peer's screen.
SourceId = NewType("SourceId", str)

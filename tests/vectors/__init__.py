"""Offers and RTP packets of real browsers, and how to read them. See README.md."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent
OFFERS = tuple(sorted(path.stem for path in (_HERE / "offers").glob("*.sdp")))


def offer(name: str) -> str:
    """The text of a browser's offer."""
    return (_HERE / "offers" / f"{name}.sdp").read_bytes().decode("ascii")


def packets(name: str) -> list[bytes]:
    """Decrypted RTP packets in the order of their arrival; their payloads are cut."""
    data = (_HERE / "rtp" / f"{name}.rtp").read_bytes()
    found = []
    position = 0
    while position < len(data):
        start = position + 2
        position = start + int.from_bytes(data[position:start], "big")
        found.append(data[start:position])
    return found

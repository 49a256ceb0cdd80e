"""The one thing that aiortc cannot say in an offer: which of its pictures is a screen. Pure."""

from __future__ import annotations


def mark_slides(sdp: str, mid: str) -> str:
    """Mark the section `mid` as a shared screen (``a=content:slides``, RFC 4796 §5)."""
    lines = sdp.split("\r\n")
    return "\r\n".join(
        marked
        for line in lines
        for marked in ((line, "a=content:slides") if line == f"a=mid:{mid}" else (line,))
    )

"""SDP offers as a browser makes them, with the parts that tests vary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sfu.transport.description import ABS_SEND_TIME_URI, AUDIO_LEVEL_URI, MID_URI

FINGERPRINT = ":".join(["AB"] * 32)
UFRAG = "Theirs"
PASSWORD = "their-password-of-22".replace("-", "x") + "0123"

OPUS = ("a=rtpmap:111 opus/48000/2", "a=fmtp:111 minptime=10;useinbandfec=1")
VP8 = (
    "a=rtpmap:96 VP8/90000",
    "a=rtcp-fb:96 goog-remb",
    "a=rtcp-fb:96 transport-cc",
    "a=rtcp-fb:96 ccm fir",
    "a=rtcp-fb:96 nack",
    "a=rtcp-fb:96 nack pli",
    "a=rtpmap:97 rtx/90000",
    "a=fmtp:97 apt=96",
)
H264 = (
    "a=rtpmap:102 H264/90000",
    "a=rtcp-fb:102 nack pli",
    "a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f",
    "a=rtpmap:106 H264/90000",
    "a=rtcp-fb:106 nack",
    "a=rtcp-fb:106 nack pli",
    "a=fmtp:106 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
)
SSRCS = {"mic": 11, "cam": 21, "screen": 31}
MID_ID, LEVEL_ID, SEND_TIME_ID = 4, 1, 2


@dataclass(frozen=True)
class Line:
    """One media section: what it is, and lines put in the place of the usual ones."""

    what: str
    codecs: Sequence[str] | None = None
    port: int = 9
    extra: Sequence[str] = ()
    without: Sequence[str] = ()
    ssrc: int | None = None


def section(line: Line, mid: str, fingerprint: str, ufrag: str, setup: str) -> list[str]:
    """The lines of one section."""
    if line.what == "data":
        return [
            f"m=application {line.port} UDP/DTLS/SCTP webrtc-datachannel",
            f"a=mid:{mid}",
            "a=sctp-port:5000",
            f"a=ice-ufrag:{ufrag}",
            f"a=ice-pwd:{PASSWORD}",
            f"a=fingerprint:sha-256 {fingerprint}",
            f"a=setup:{setup}",
        ]
    audio = line.what in ("mic", "hear", "idle")
    formats = "111 63" if audio else "96 97 102 106"
    codecs = line.codecs if line.codecs is not None else (OPUS if audio else (*VP8, *H264))
    direction = {"hear": "recvonly", "see": "recvonly", "idle": "inactive"}.get(
        line.what, "sendonly"
    )
    lines = [
        f"m={'audio' if audio else 'video'} {line.port} UDP/TLS/RTP/SAVPF {formats}",
        "c=IN IP4 0.0.0.0",
        f"a=ice-ufrag:{ufrag}",
        f"a=ice-pwd:{PASSWORD}",
        f"a=fingerprint:sha-256 {fingerprint}",
        f"a=setup:{setup}",
        f"a=mid:{mid}",
        f"a=extmap:{MID_ID} {MID_URI}",
        f"a=extmap:{SEND_TIME_ID} {ABS_SEND_TIME_URI}",
        f"a={direction}",
        "a=rtcp-mux",
        *codecs,
        *line.extra,
    ]
    if audio:
        lines.append(f"a=extmap:{LEVEL_ID} {AUDIO_LEVEL_URI}")
    if line.what == "screen":
        lines.append("a=content:slides")
    if line.what in SSRCS:
        ssrc = line.ssrc or SSRCS[line.what]
        lines += [f"a=ssrc:{ssrc} cname:x", f"a=ssrc:{ssrc} msid:a b"]
    return [text for text in lines if not text.startswith(tuple(line.without) or ("\0",))]


def offer(
    *lines: str | Line,
    fingerprint: str = FINGERPRINT,
    ufrag: str = UFRAG,
    setup: str = "actpass",
    bundle: str | None = None,
) -> str:
    """An offer with these sections; mids are 0, 1, 2 …"""
    sections = [line if isinstance(line, Line) else Line(line) for line in lines]
    mids = [str(index) for index in range(len(sections))]
    group = bundle if bundle is not None else "BUNDLE " + " ".join(mids)
    text = ["v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", f"a=group:{group}"]
    for mid, line in zip(mids, sections, strict=True):
        text += section(line, mid, fingerprint, ufrag, setup)
    return "\r\n".join(text) + "\r\n"

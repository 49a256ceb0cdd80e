"""Reading a client's SDP offer (RFC 8866, 8829) into typed sections. Pure.

The client offers what it sends as `sendonly` sections and what it wants to see as pairs of
`recvonly` sections, the seats. Everything in an offer is hostile: sizes, counts, tokens and numbers
are checked here, and nothing that was not checked reaches an answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from sfu.errors import OfferError
from sfu.forwarder.contract import Kind
from sfu.transport.codecs import OfferedCodec, choose_codecs

#: A browser's offer with 16 seats has some 40 KiB.
MAX_OFFER_BYTES = 65_536
#: Three sent sections and 16 pairs are 35; the rest is room for sections that were stopped.
MAX_SECTIONS = 64
#: Seats a peer may have; more pictures than this are not legible on one screen.
MAX_SEATS = 16
#: Simulcast and repair would name more; one stream needs one.
_MAX_SSRCS = 8

MID_URI = "urn:ietf:params:rtp-hdrext:sdes:mid"
AUDIO_LEVEL_URI = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
ABS_SEND_TIME_URI = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"

Role = Literal["microphone", "camera", "screen", "seat", "inactive", "rejected"]
Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]

_M_LINE = re.compile(r"(audio|video|application|text|image|message) (\d{1,5}) ([A-Z/]{3,32}) (.+)")
_FORMAT = re.compile(r"[A-Za-z0-9._+-]{1,32}( [A-Za-z0-9._+-]{1,32}){0,127}")
# RFC 8866 §9 token; 16 bytes is what a one-byte header extension carries (RFC 8285 §4.2).
_MID = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]{1,16}")
# RFC 8839 §5.4: ice-char, 4 to 256 and 22 to 256 of them.
_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,256}")
_PASSWORD = re.compile(r"[A-Za-z0-9+/]{22,256}")
_SHA_256 = re.compile(r"[0-9A-F]{2}(:[0-9A-F]{2}){31}")
_EXTMAP = re.compile(r"(\d{1,5})(?:/(?:sendrecv|sendonly|recvonly|inactive))? (\S{1,255})(?: .*)?")
_SSRC = re.compile(r"(\d{1,10}) \S.*")
_SSRC_GROUP = re.compile(r"(FID|FEC-FR) (\d{1,10})((?: \d{1,10}){1,7})")
_DIRECTIONS: tuple[Direction, ...] = ("sendrecv", "sendonly", "recvonly", "inactive")


@dataclass(frozen=True, slots=True)
class Section:
    """One media section of an offer, with what of it we accept.

    `formats` and `protocol` are as offered, for a section that is turned down. `extensions` maps a
    URI that we know to the offer's id. `seat` is the seat's index when `role` is ``seat``.
    """

    mid: str
    media: str
    protocol: str
    formats: str
    role: Role
    direction: Direction
    codecs: tuple[OfferedCodec, ...] = ()
    extensions: dict[str, int] = field(default_factory=dict)
    ssrcs: tuple[int, ...] = ()
    seat: int = -1

    @property
    def kind(self) -> Kind:
        """Audio or video; only sections that were not rejected have a kind."""
        return "audio" if self.media == "audio" else "video"


@dataclass(frozen=True, slots=True)
class Offer:
    """A whole offer: the bundled transport's credentials and the sections in their order."""

    ufrag: str
    password: str
    fingerprint: str
    sections: tuple[Section, ...]

    def of_role(self, role: Role) -> Section | None:
        """The first section of that role."""
        return next((section for section in self.sections if section.role == role), None)

    def seats(self) -> tuple[tuple[Section, Section | None], ...]:
        """The pairs of sections of each seat: audio and, where it has one, video."""
        audio = [s for s in self.sections if s.role == "seat" and s.media == "audio"]
        video = {s.seat: s for s in self.sections if s.role == "seat" and s.media == "video"}
        return tuple((section, video.get(section.seat)) for section in audio)


@dataclass(slots=True)
class _Block:
    """The lines of the session or of one section, by attribute name."""

    media: str = ""
    port: int = 0
    protocol: str = ""
    formats: str = ""
    attributes: dict[str, list[str]] = field(default_factory=dict)

    def all(self, name: str) -> list[str]:
        return self.attributes.get(name, [])

    def first(self, name: str) -> str | None:
        values = self.attributes.get(name)
        return values[0] if values else None


def parse_offer(sdp: str) -> Offer:
    """Read an offer strictly. Raises `OfferError` with a stable reason."""
    session, blocks = _split(sdp)
    mids = _mids(blocks)
    bundle = _bundle(session)
    sections: list[Section] = []
    roles = _Roles()
    for mid, block in zip(mids, blocks, strict=True):
        sections.append(_section(mid, block, bundle, roles))
    roles.check_seats()
    if not any(s.media == "audio" and s.role != "rejected" for s in sections):
        if any(block.media == "audio" for block in blocks):
            raise OfferError("no_codec", "no audio section has Opus")
        raise OfferError("no_audio", "there is no audio section")
    tagged = _tagged_block(bundle, mids, blocks, sections)
    ufrag, password = _ice(session, tagged)
    return Offer(ufrag, password, _fingerprint(session, tagged), tuple(sections))


def check_continues(before: Offer, after: Offer) -> None:
    """A further offer of the same connection keeps its sections and may append some.

    Raises `OfferError` otherwise (RFC 8829 §5.2.2, RFC 3264 §8).
    """
    if len(after.sections) < len(before.sections):
        raise OfferError("sections_changed", "there are fewer sections than before")
    for old, new in zip(before.sections, after.sections, strict=False):
        # A section that was turned down may be used anew under another mid (RFC 8829 §5.2.2).
        if old.role != "rejected" and (old.mid, old.media) != (new.mid, new.media):
            raise OfferError("sections_changed", "a section has another mid or kind than before")


def _split(sdp: str) -> tuple[_Block, list[_Block]]:
    if len(sdp) > MAX_OFFER_BYTES:  # each character is at least one byte
        raise OfferError("too_large", f"more than {MAX_OFFER_BYTES} bytes")
    if not sdp.startswith("v=0") or not sdp.isascii():
        raise OfferError("not_sdp", "the text is not a session description")
    session = _Block()
    blocks: list[_Block] = []
    block = session
    for line in sdp.replace("\r\n", "\n").split("\n"):
        if line.startswith("m="):
            if len(blocks) == MAX_SECTIONS:
                raise OfferError("too_many_sections", f"more than {MAX_SECTIONS} sections")
            block = _media_block(line[2:])
            blocks.append(block)
        elif line.startswith("a="):
            name, _, value = line[2:].partition(":")
            block.attributes.setdefault(name, []).append(value)
        elif line and (len(line) < 2 or line[1] != "="):
            raise OfferError("not_sdp", "a line is not of the form x=...")
    if not blocks:
        raise OfferError("no_sections", "there are no media sections")
    return session, blocks


def _media_block(text: str) -> _Block:
    match = _M_LINE.fullmatch(text)
    if match is None or not _FORMAT.fullmatch(match[4]):
        raise OfferError("not_sdp", "a media line is malformed")
    return _Block(match[1], int(match[2]), match[3], match[4])


def _mids(blocks: list[_Block]) -> list[str]:
    mids = [block.first("mid") or "" for block in blocks]
    if not all(_MID.fullmatch(mid) for mid in mids) or len(set(mids)) != len(mids):
        raise OfferError("bad_mid", "each section needs its own mid of 1 to 16 characters")
    return mids


def _bundle(session: _Block) -> list[str]:
    for value in session.all("group"):
        semantics, *mids = value.split(" ")
        if semantics == "BUNDLE" and mids:
            return mids
    raise OfferError("no_bundle", "all sections must be bundled on one transport")


def _tagged_block(
    bundle: list[str], mids: list[str], blocks: list[_Block], sections: list[Section]
) -> _Block:
    """The section whose transport the bundle uses: the first that we accept (RFC 8843 §7.3.1)."""
    accepted = {s.mid for s in sections if s.role != "rejected"}
    for mid in bundle:
        if mid in accepted:
            return blocks[mids.index(mid)]
    raise OfferError("no_bundle", "no accepted section is bundled")


def _ice(session: _Block, block: _Block) -> tuple[str, str]:
    ufrag = block.first("ice-ufrag") or session.first("ice-ufrag") or ""
    password = block.first("ice-pwd") or session.first("ice-pwd") or ""
    if not _UFRAG.fullmatch(ufrag) or not _PASSWORD.fullmatch(password):
        raise OfferError("bad_ice", "ice-ufrag or ice-pwd is missing or malformed")
    return ufrag, password


def _fingerprint(session: _Block, block: _Block) -> str:
    setup = block.first("setup") or session.first("setup")
    if setup not in ("actpass", "active"):  # RFC 8842 §5.2: an offer says actpass; we are passive
        raise OfferError("bad_setup", "setup must be actpass or active")
    for value in block.all("fingerprint") + session.all("fingerprint"):
        algorithm, _, digest = value.partition(" ")
        if algorithm.lower() == "sha-256":
            if not _SHA_256.fullmatch(digest.upper()):
                raise OfferError("bad_fingerprint", "the SHA-256 fingerprint is malformed")
            return digest.upper()
    raise OfferError("bad_fingerprint", "there is no SHA-256 fingerprint")


class _Roles:
    """Gives out roles in the order of the sections."""

    def __init__(self) -> None:
        self._taken: set[Role] = set()
        self._seats = {"audio": 0, "video": 0}

    def give(self, media: str, direction: Direction, *, slides: bool) -> tuple[Role, int]:
        if direction == "inactive":
            return "inactive", -1
        if direction == "recvonly":
            seat = self._seats[media]
            if seat == MAX_SEATS:
                return "inactive", -1
            self._seats[media] += 1
            return "seat", seat
        # A section that also wants to receive is taken as one that sends: what a peer receives
        # comes to its seats.
        role: Role = "microphone" if media == "audio" else "screen" if slides else "camera"
        if role in self._taken:
            return "inactive", -1
        self._taken.add(role)
        return role, -1

    def check_seats(self) -> None:
        if self._seats["video"] > self._seats["audio"]:
            raise OfferError("bad_seats", "a seat has a video section and no audio section")


def _section(mid: str, block: _Block, bundle: list[str], roles: _Roles) -> Section:
    direction: Direction = next((d for d in _DIRECTIONS if d in block.attributes), "sendrecv")
    turned_down = Section(mid, block.media, block.protocol, block.formats, "rejected", direction)
    # Port 0 turns a section down (RFC 3264 §8.2) unless it is there for the bundle only
    # (RFC 8843 §6).
    if block.port == 0 and "bundle-only" not in block.attributes:
        return turned_down
    if block.media not in ("audio", "video") or block.protocol not in (
        "UDP/TLS/RTP/SAVPF",
        "TCP/TLS/RTP/SAVPF",
    ):
        return turned_down
    if mid not in bundle:
        raise OfferError("no_bundle", "a section is not bundled")
    if "rtcp-mux" not in block.attributes:
        raise OfferError("no_rtcp_mux", "a section has no rtcp-mux")
    kind: Kind = "audio" if block.media == "audio" else "video"
    codecs = choose_codecs(kind, block.formats.split(" "), block.attributes)
    if not codecs:
        return turned_down
    slides = "slides" in (block.first("content") or "").split(",")  # RFC 4796 §5
    role, seat = roles.give(block.media, direction, slides=slides)
    if role != "seat":
        # One codec for what a peer sends, the one it likes best: so a stream never changes its
        # codec between two offers. A seat takes all, as its sources come and go.
        codecs = codecs[:1]
    return Section(
        mid,
        block.media,
        block.protocol,
        block.formats,
        role,
        direction,
        codecs,
        _extensions(block),
        tuple(_ssrcs(block)),
        seat,
    )


def _extensions(block: _Block) -> dict[str, int]:
    """The extensions that we know; ids of the one-byte form only (RFC 8285 §4.2)."""
    extensions: dict[str, int] = {}
    for value in block.all("extmap"):
        match = _EXTMAP.fullmatch(value)
        if match is None or not 1 <= int(match[1]) <= 14:
            continue
        if match[2] in (MID_URI, AUDIO_LEVEL_URI, ABS_SEND_TIME_URI):
            extensions.setdefault(match[2], int(match[1]))
    return extensions


def _ssrcs(block: _Block) -> Iterator[int]:
    """The media SSRCs that the section names (RFC 5576), without those of repair streams."""
    repair: set[int] = set()
    for value in block.all("ssrc-group"):
        group = _SSRC_GROUP.fullmatch(value)
        if group is not None:
            repair.update(int(ssrc) for ssrc in group[3].split())
    seen: set[int] = set()
    for value in block.all("ssrc"):
        match = _SSRC.fullmatch(value)
        if match is None or int(match[1]) > 0xFFFFFFFF:
            continue
        ssrc = int(match[1])
        if ssrc not in seen and ssrc not in repair and len(seen) < _MAX_SSRCS:
            seen.add(ssrc)
            yield ssrc

"""Reading a client's SDP offer (RFC 8866, 8829) into typed sections. Pure.

The client offers what it sends as `sendonly` sections and what it wants to see as pairs of
`recvonly` sections, the seats. Everything in an offer is hostile: sizes, counts, tokens and numbers
are checked here, and nothing that was not checked reaches an answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Literal

from sfu.errors import OfferError
from sfu.forwarder.contract import Kind
from sfu.transport.codecs import OfferedCodec, choose_codecs
from sfu.transport.layers import named_streams, simulcast
from sfu.transport.sections import Block, split

#: Seats a peer may have; more pictures than this are not legible on one screen.
MAX_SEATS = 16

MID_URI = "urn:ietf:params:rtp-hdrext:sdes:mid"
AUDIO_LEVEL_URI = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
ABS_SEND_TIME_URI = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
RID_URI = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
REPAIRED_RID_URI = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
TRANSPORT_CC_URI = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
DEPENDENCY_URI = (
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
)
_KNOWN_EXTENSIONS = frozenset(
    (
        MID_URI,
        AUDIO_LEVEL_URI,
        ABS_SEND_TIME_URI,
        RID_URI,
        REPAIRED_RID_URI,
        TRANSPORT_CC_URI,
        DEPENDENCY_URI,
    )
)

Role = Literal["microphone", "camera", "screen", "seat", "inactive", "rejected"]
Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]

# RFC 8866 §9 token; 16 bytes is what a one-byte header extension carries (RFC 8285 §4.2).
_MID = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]{1,16}")
# RFC 8839 §5.4: ice-char, 4 to 256 and 22 to 256 of them.
_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,256}")
_PASSWORD = re.compile(r"[A-Za-z0-9+/]{22,256}")
_SHA_256 = re.compile(r"[0-9A-F]{2}(:[0-9A-F]{2}){31}")
_EXTMAP = re.compile(r"(\d{1,5})(?:/(sendrecv|sendonly|recvonly|inactive))? (\S{1,255})(?: .*)?")
_PROTOCOLS = ("UDP/TLS/RTP/SAVPF", "TCP/TLS/RTP/SAVPF")
_DIRECTIONS: tuple[Direction, ...] = ("sendrecv", "sendonly", "recvonly", "inactive")


@dataclass(frozen=True, slots=True)
class Section:
    """One media section of an offer, with what of it we accept.

    `formats` and `protocol` are as offered, for a section that is turned down. `codecs` are all
    that we have in common, in the offer's order. `extensions` maps a URI that we know to the
    offer's id. `ssrcs` are those that it names, without repair streams; `layer_ssrcs` those of its
    SIM group and `rids` its simulcast encodings, lowest first, empty without simulcast; `repairs`
    maps the SSRC of a retransmission stream to that of the stream it repairs. `mixed_extensions`:
    headers of the one-byte and of the two-byte form may alternate (RFC 8285 §6). `seat` is the
    seat's index when `role` is ``seat``.
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
    layer_ssrcs: tuple[int, ...] = ()
    repairs: dict[int, int] = field(default_factory=dict)
    rids: tuple[str, ...] = ()
    mixed_extensions: bool = False
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


def parse_offer(sdp: str) -> Offer:
    """Read an offer strictly. Raises `OfferError` with a stable reason."""
    session, blocks = split(sdp)
    mids = _mids(blocks)
    bundle = _bundle(session)
    sections: list[Section] = []
    roles = _Roles()
    session_mixes = _mixes(session)
    for mid, block in zip(mids, blocks, strict=True):
        sections.append(_section(mid, block, bundle, roles, mixed=session_mixes or _mixes(block)))
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


def _mids(blocks: list[Block]) -> list[str]:
    mids = [block.first("mid") or "" for block in blocks]
    if not all(_MID.fullmatch(mid) for mid in mids) or len(set(mids)) != len(mids):
        raise OfferError("bad_mid", "each section needs its own mid of 1 to 16 characters")
    return mids


def _bundle(session: Block) -> list[str]:
    for value in session.all("group"):
        semantics, *mids = value.split(" ")
        if semantics == "BUNDLE" and mids:
            return mids
    raise OfferError("no_bundle", "all sections must be bundled on one transport")


def _tagged_block(
    bundle: list[str], mids: list[str], blocks: list[Block], sections: list[Section]
) -> Block:
    """The section whose transport the bundle uses: the first that we accept (RFC 8843 §7.3.1)."""
    accepted = {s.mid for s in sections if s.role != "rejected"}
    for mid in bundle:
        if mid in accepted:
            return blocks[mids.index(mid)]
    raise OfferError("no_bundle", "no accepted section is bundled")


def _ice(session: Block, block: Block) -> tuple[str, str]:
    ufrag = block.first("ice-ufrag") or session.first("ice-ufrag") or ""
    password = block.first("ice-pwd") or session.first("ice-pwd") or ""
    if not _UFRAG.fullmatch(ufrag) or not _PASSWORD.fullmatch(password):
        raise OfferError("bad_ice", "ice-ufrag or ice-pwd is missing or malformed")
    return ufrag, password


def _fingerprint(session: Block, block: Block) -> str:
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


def _section(mid: str, block: Block, bundle: list[str], roles: _Roles, *, mixed: bool) -> Section:
    direction: Direction = next((d for d in _DIRECTIONS if d in block.attributes), "sendrecv")
    turned_down = Section(mid, block.media, block.protocol, block.formats, "rejected", direction)
    if not _is_wanted(block):
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
    section = replace(
        turned_down,
        role=role,
        seat=seat,
        codecs=codecs,
        extensions=_extensions(block, codecs, sends=role != "seat", mixed=mixed),
        mixed_extensions=mixed,
    )
    if role not in ("microphone", "camera", "screen"):
        return section
    streams = named_streams(block)
    return replace(
        section,
        ssrcs=streams.media,
        layer_ssrcs=streams.layers if kind == "video" else (),
        repairs=streams.repairs,
        rids=simulcast(block) if kind == "video" else (),
    )


def _is_wanted(block: Block) -> bool:
    # Port 0 turns a section down (RFC 3264 §8.2) unless it is there for the bundle only
    # (RFC 8843 §6).
    if block.port == 0 and "bundle-only" not in block.attributes:
        return False
    return block.media in ("audio", "video") and block.protocol in _PROTOCOLS


def _mixes(block: Block) -> bool:
    return "extmap-allow-mixed" in block.attributes


def _extensions(
    block: Block, codecs: tuple[OfferedCodec, ...], *, sends: bool, mixed: bool
) -> dict[str, int]:
    """The extensions that we know, in the direction in which the section `sends` or receives.

    Ids of the one-byte form only (RFC 8285 §4.2).
    """
    directions = (None, "sendrecv", "sendonly" if sends else "recvonly")
    extensions: dict[str, int] = {}
    for value in block.all("extmap"):
        match = _EXTMAP.fullmatch(value)
        if match is None or not 1 <= int(match[1]) <= 14 or match[2] not in directions:
            continue
        if match[3] in _KNOWN_EXTENSIONS:
            extensions.setdefault(match[3], int(match[1]))
    if not mixed:
        # A key frame's descriptor is longer than the one-byte form's 16 bytes.
        extensions.pop(DEPENDENCY_URI, None)
    if not any("transport-cc" in codec.feedback for codec in codecs):
        # Numbers for a feedback that nobody sends or reads.
        extensions.pop(TRANSPORT_CC_URI, None)
    return extensions

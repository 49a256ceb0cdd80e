"""The control protocol of the SFU: JSON texts over a WebSocket at ``/control``.

The caller shows the shared secret as ``Authorization: Bearer <secret>`` on the upgrade. It sends
`Command` messages, each with an `id` of its own choosing; the SFU answers each with `Reply` (same
`id`) or `Failure` (same `id`), in any order, and sends `Event` messages for each room that this
connection has named in an `OpenRoom`. Several signalling nodes may hold a connection each and
open the same room; each gets all of the room's events. Commands that say what is so already are
harmless, so a caller repeats them freely after a reconnect.

The SFU knows rooms and peers, not people: what a peer may send and receive is told by `Permit`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from sfu.ids import PeerId, RoomId, SourceId, TapId

SendKind = Literal["audio", "video", "screen"]
#: `disconnected`: nothing was heard for 5 s (RFC 7675); it may mend by itself. `failed`: for 15 s.
TransportState = Literal["connecting", "connected", "disconnected", "failed", "closed"]
#: Of a seat's picture: sent; not drawn by the viewer; the source sends none; stopped because the
#: viewer's network carries sound only; stopped because this node is too busy.
PictureState = Literal["shown", "hidden", "off", "network", "busy"]
FailureCode = Literal[
    "bad_message", "bad_offer", "unknown_room", "unknown_peer", "too_many", "busy", "internal"
]


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all control messages; `type` is the wire tag."""


# ------------------------------------------------------------------ commands


class Command(Message, frozen=True, kw_only=True):
    """A request; answered with the same `id`, which `SfuClient` sets afresh."""

    id: int = 0


class OpenRoom(Command, frozen=True, kw_only=True, tag="open_room"):
    """Make the room when it does not exist, and send this connection its events from now on.

    A node that is too busy refuses to make one: ``busy``.
    """

    room: RoomId


class CloseRoom(Command, frozen=True, kw_only=True, tag="close_room"):
    """End the room: every peer's transport closes, every tap ends. Unknown rooms are fine."""

    room: RoomId


class Permit(Command, frozen=True, kw_only=True, tag="permit"):
    """What a peer may send and whether it may receive; the peer is made when it does not exist.

    What is not permitted has no leg: a peer with ``send=()`` and ``receive=False`` (a person in
    the waiting room or on hold) neither reaches anyone nor is reached. Takes effect at once.

    `version` orders permits of several signalling nodes: one with a lower version than the peer's
    last is answered and changes nothing, so a late admission never undoes a hold.
    """

    room: RoomId
    peer: PeerId
    version: int = 0
    send: tuple[SendKind, ...] = ()
    receive: bool = False


class Negotiate(Command, frozen=True, kw_only=True, tag="negotiate"):
    """A client's SDP offer for its one PeerConnection; the peer must have been permitted.

    Answered by `Negotiated`. A `Failure` has code ``bad_offer`` when the SDP cannot be accepted.
    A further offer of the same peer renegotiates, or restarts ICE when its ufrag changed. An
    offer whose fingerprint or a `fresh` flag differs replaces the peer's transport (page refresh).
    `saver` asks for an answer that makes the client's voice as small as it can be (long frames,
    no packets in silence): ten minutes of talk in 5 MB both ways.
    """

    room: RoomId
    peer: PeerId
    sdp: str
    fresh: bool = False
    saver: bool = False


class View(Command, frozen=True, kw_only=True, tag="view"):
    """How a peer shows its seats now, by seat index; seats left out are as they were."""

    room: RoomId
    peer: PeerId
    seats: tuple[SeatView, ...] = ()
    pinned: tuple[SourceId, ...] = ()


class SeatView(Message, frozen=True, kw_only=True):
    """One seat as drawn: `height_px` of the picture, 0 when hidden."""

    seat: int
    height_px: int


class MediaState(Command, frozen=True, kw_only=True, tag="media_state"):
    """What the client says it sends now: a muted microphone or camera gives up no seat."""

    room: RoomId
    peer: PeerId
    audio: bool
    video: bool
    screen: bool


class RemovePeer(Command, frozen=True, kw_only=True, tag="remove_peer"):
    """Close the peer's transport and forget it. Unknown peers are fine."""

    room: RoomId
    peer: PeerId


class StartTap(Command, frozen=True, kw_only=True, tag="start_tap"):
    """Open a tap that recorders read at ``/tap/<tap>``; it carries the `peers` named and no other.

    Sent again it replaces the list of peers at once: a peer left out has no packet in the tap from
    now on. A tap that was stopped stays stopped. `version` as in `Permit`.
    """

    room: RoomId
    tap: TapId
    version: int = 0
    peers: tuple[PeerId, ...]


class StopTap(Command, frozen=True, kw_only=True, tag="stop_tap"):
    """Take no more packets into the tap and end it. Unknown taps are fine."""

    tap: TapId


class ReadStatistics(Command, frozen=True, kw_only=True, tag="read_statistics"):
    """Ask for a room's `Statistics`."""

    room: RoomId


Commands = (
    OpenRoom
    | CloseRoom
    | Permit
    | Negotiate
    | View
    | MediaState
    | RemovePeer
    | StartTap
    | StopTap
    | ReadStatistics
)


# ------------------------------------------------------------------- answers


class Reply(Message, frozen=True, kw_only=True, tag="reply"):
    """The command was done."""

    id: int


class Negotiated(Message, frozen=True, kw_only=True, tag="negotiated"):
    """The SDP answer to a `Negotiate`, and how many seats it has."""

    id: int
    sdp: str
    seats: int


class Statistics(Message, frozen=True, kw_only=True, tag="statistics"):
    """A room's counters, one row for each transport, stream and leg."""

    id: int
    transports: tuple[TransportRow, ...]
    streams: tuple[StreamRow, ...]
    legs: tuple[LegRow, ...]


class TransportRow(Message, frozen=True, kw_only=True):
    """One peer's transport; counters of what crossed the wire since it was made."""

    peer: PeerId
    state: TransportState
    received_packets: int
    received_bytes: int
    sent_packets: int
    sent_bytes: int
    rtp_sent_packets: int
    round_trip_ms: float | None
    #: What the path to the peer is thought to carry; None before the first feedback.
    estimate_bps: int | None = None


class StreamRow(Message, frozen=True, kw_only=True):
    """One incoming stream."""

    peer: PeerId
    source: SourceId
    kind: Literal["audio", "video"]
    codec: str
    packets: int
    bytes: int
    lost: int
    jitter_ms: float
    key_frames: int
    pli_sent: int
    nack_sent: int
    rid: str = ""
    repaired: int = 0


class LegRow(Message, frozen=True, kw_only=True):
    """One outgoing leg: what `peer` is sent at `seat`; `source` is None for an empty seat."""

    peer: PeerId
    seat: int
    kind: Literal["audio", "video"]
    source: SourceId | None
    packets: int
    bytes: int
    resent: int
    fraction_lost: float
    rid: str = ""


class Failure(Message, frozen=True, kw_only=True, tag="failure"):
    """The command was not done; `code` is stable, `detail` is for logs (no SDP, no address)."""

    id: int
    code: FailureCode
    detail: str


# -------------------------------------------------------------------- events


class PeerTransport(Message, frozen=True, kw_only=True, tag="peer_transport"):
    """A peer's transport changed state."""

    room: RoomId
    peer: PeerId
    state: TransportState


class Seating(Message, frozen=True, kw_only=True, tag="seating"):
    """Who sits where for one peer: `seats[i]` is the source on seat i, or None.

    `wanted` is how many seats the peer should offer to see everyone it may.
    """

    room: RoomId
    peer: PeerId
    seats: tuple[SeatedSource | None, ...]
    wanted: int


class SeatedSource(Message, frozen=True, kw_only=True):
    """A source and the peer and kind of picture it is."""

    source: SourceId
    peer: PeerId
    screen: bool


class Speakers(Message, frozen=True, kw_only=True, tag="speakers"):
    """The peers who speak now, loudest first; sent on change."""

    room: RoomId
    peers: tuple[PeerId, ...]


class Layers(Message, frozen=True, kw_only=True, tag="layers"):
    """Which layers of its source a peer should send from now on: those that somebody takes.

    One entry for each encoding, lowest first; a source without simulcast has one, of rid "".
    """

    room: RoomId
    peer: PeerId
    source: SourceId
    layers: tuple[Layer, ...]


class Layer(Message, frozen=True, kw_only=True):
    """One encoding (RFC 8851) and whether to send it."""

    rid: str
    active: bool


class Pictures(Message, frozen=True, kw_only=True, tag="pictures"):
    """What becomes of the picture of each of a peer's seats; sent on change."""

    room: RoomId
    peer: PeerId
    seats: tuple[PictureState, ...]


class OfferWanted(Message, frozen=True, kw_only=True, tag="offer_wanted"):
    """The peer should offer again, on the same connection: it will get another answer.

    `codec`: somebody in the room cannot decode what it sends.
    """

    room: RoomId
    peer: PeerId
    reason: Literal["codec"]


class Flows(Message, frozen=True, kw_only=True, tag="flows"):
    """What arrived from and went to each connected peer of a room in the last second."""

    room: RoomId
    peers: tuple[PeerFlow, ...]


class PeerFlow(Message, frozen=True, kw_only=True):
    """One peer's second. `up` is from it, `down` is to it; loss is a fraction, 0 to 1.

    `level` is the loudest audio packet in -dBov (0 loud, 127 digital silence), None without any;
    `video_frames` and `screen_frames` count pictures (of the busiest layer).
    `down_acknowledged` says whether the peer has confirmed any of what was sent to it.
    """

    peer: PeerId
    round_trip_ms: float | None
    up_bps: int
    up_loss: float
    up_jitter_ms: float
    audio_packets: int
    level: int | None
    video_frames: int
    screen_frames: int
    down_bps: int
    down_packets: int
    down_loss: float
    down_acknowledged: bool
    estimate_bps: int | None


class TapEnded(Message, frozen=True, kw_only=True, tag="tap_ended"):
    """The tap stopped without being told to: its buffer overflowed. A recording has a hole."""

    room: RoomId
    tap: TapId


class Load(Message, frozen=True, kw_only=True, tag="load"):
    """Sent to every control connection once a second; also a sign of life."""

    rooms: int
    peers: int
    cpu: float
    packets_per_s: float
    #: Refuses new rooms; those it has go on.
    busy: bool = False


Answers = Reply | Negotiated | Statistics | Failure
Events = (
    PeerTransport | Seating | Speakers | Layers | Pictures | OfferWanted | Flows | TapEnded | Load
)

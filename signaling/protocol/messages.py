"""The messages of subprotocol ``vtelehealth.v1``: JSON texts over one WebSocket, tagged by `type`.

A client sends `Join` or `Resume` first. It is answered by `Joined`, then by `Room`: all that this
person may see now. `Room` comes again, whole, whenever what they may see changes at once (they are
admitted, held, brought back); between two `Room` messages the others tell what changed. A client
that holds the newest of each is right, whatever it missed before.

Any client message may carry a `ref`; it comes back in the `Done`, `Answer` or `Error` that answers
it. Times are Unix seconds (UTC). PROTOCOL.md is the text for people; this file is its source.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from signaling.protocol.codes import ErrorCode

Id = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Ref = Annotated[str, msgspec.Meta(max_length=64)]
Sdp = Annotated[str, msgspec.Meta(min_length=1, max_length=114_688)]
#: Without control characters, of which JSON makes six bytes each and no screen makes anything.
ChatText = Annotated[
    str,
    msgspec.Meta(min_length=1, max_length=2_000, pattern=r"^[^\x00-\x08\x0b-\x1f]*$"),
]
Language = Literal["vi", "en"]
Role = Literal[
    "treating_clinician",
    "consulting_clinician",
    "nurse",
    "patient",
    "guardian",
    "interpreter",
    "observer",
    "admin",
]
Mode = Literal[
    "DIRECT_TO_PATIENT", "VIA_RECEIVING_FACILITY", "INTER_FACILITY_SUPPORT", "TELECONSULT_MDT"
]
MediaKind = Literal["audio", "video", "screen"]
ConsultationState = Literal["scheduled", "waiting", "active", "ended"]
ParticipantState = Literal["invited", "knocking", "waiting", "admitted", "held", "left", "removed"]
Connection = Literal["connected", "away", "lost"]
Decision = Literal["given", "refused", "withdrawn"]
RecordingPolicy = Literal["none", "patient", "everyone"]
#: Of a device: switched off by the person; on; on, but silenced by the system or a hardware switch.
DeviceState = Literal["off", "on", "muted"]
#: See `Pictures`.
PictureState = Literal["shown", "hidden", "off", "network", "busy"]
FaultCode = Literal[
    "microphone_muted",
    "microphone_silent",
    "camera_muted",
    "camera_frozen",
    "uplink_blocked",
    "downlink_blocked",
    "decoder_stalled",
]
Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Milliseconds = Annotated[float, msgspec.Meta(ge=0, le=1e9)]


class Wire(msgspec.Struct, frozen=True, kw_only=True):
    """Base of everything on the wire.

    Clients ignore fields that they do not know: a newer server may send more (PROTOCOL.md §13).
    """


# --------------------------------------------------------------- client → server


class FromClient(Wire, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message of the client; a field that the server does not know is an error."""

    ref: Ref = ""


class Join(FromClient, frozen=True, kw_only=True, tag="join"):
    """Enter with an invitation's token. First message of a new session."""

    token: Annotated[str, msgspec.Meta(min_length=1, max_length=4_096)]
    language: Language = "vi"


class Resume(FromClient, frozen=True, kw_only=True, tag="resume"):
    """Take up a session again, on any node, with `Joined.session`. First message."""

    session: Annotated[str, msgspec.Meta(min_length=1, max_length=512)]


class Ready(FromClient, frozen=True, kw_only=True, tag="ready"):
    """The lobby is done (consent asked, devices checked): wait to be admitted, or enter."""


class Admit(FromClient, frozen=True, kw_only=True, tag="admit"):
    """Let a waiting person into the call."""

    participant: Id


class Hold(FromClient, frozen=True, kw_only=True, tag="hold"):
    """Take a person out of the call for a while; nothing reaches them, they keep their place."""

    participant: Id


class Return(FromClient, frozen=True, kw_only=True, tag="return"):
    """Bring a held person back into the call."""

    participant: Id


class Remove(FromClient, frozen=True, kw_only=True, tag="remove"):
    """Put a person out of the consultation; their invitation is void."""

    participant: Id


class Mute(FromClient, frozen=True, kw_only=True, tag="mute"):
    """Stop what a person sends, at the SFU. They may lift it themselves with `Unmute`."""

    participant: Id
    kinds: Annotated[tuple[MediaKind, ...], msgspec.Meta(min_length=1, max_length=3)] = ("audio",)


class Unmute(FromClient, frozen=True, kw_only=True, tag="unmute"):
    """Lift what `Mute` put on oneself."""


class RaiseHand(FromClient, frozen=True, kw_only=True, tag="raise_hand"):
    """Raise or lower one's hand."""

    raised: bool


class Promote(FromClient, frozen=True, kw_only=True, tag="promote"):
    """Give a person another role; an observer becomes a speaker so. See the table of roles."""

    participant: Id
    role: Role


class Chat(FromClient, frozen=True, kw_only=True, tag="chat"):
    """A line to everyone in the call. `id` (client's choice): the same one twice is one line."""

    id: Id
    text: ChatText


class Consent(FromClient, frozen=True, kw_only=True, tag="consent"):
    """One's own decision on a purpose, on the text of that version, in that language."""

    purpose: Literal["recording"]
    decision: Decision
    text_version: Id
    language: Language


class Record(FromClient, frozen=True, kw_only=True, tag="record"):
    """Start or stop the recording."""

    action: Literal["start", "stop"]


class SeatView(Wire, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One seat as drawn: height of the picture in pixels, 0 when hidden."""

    seat: Annotated[int, msgspec.Meta(ge=0, lt=64)]
    height_px: Annotated[int, msgspec.Meta(ge=0, le=8_192)]


class View(FromClient, frozen=True, kw_only=True, tag="view"):
    """How the client shows its seats now, and which sources it has pinned."""

    seats: Annotated[tuple[SeatView, ...], msgspec.Meta(max_length=64)] = ()
    pinned: Annotated[
        tuple[Annotated[str, msgspec.Meta(max_length=160)], ...], msgspec.Meta(max_length=4)
    ] = ()


class Offer(FromClient, frozen=True, kw_only=True, tag="offer"):
    """The SDP offer of the client's PeerConnection; `fresh` when that PeerConnection is new.

    With `saver` the answer makes one's own voice as small as it can be (long frames, nothing in
    silence): ten minutes of talk in 5 MB both ways.
    """

    sdp: Sdp
    fresh: bool = False
    saver: bool = False


class SeatStats(Wire, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one seat has received and shown since the PeerConnection began; counters only grow."""

    seat: Annotated[int, msgspec.Meta(ge=0, lt=64)]
    concealed_samples: Count = 0
    audio_samples: Count = 0
    frames_received: Count = 0
    frames_decoded: Count = 0
    freezes: Count = 0
    freeze_ms: Milliseconds = 0


class Stats(FromClient, frozen=True, kw_only=True, tag="stats"):
    """How the client's own devices and its connection do; send it once a second while in the call.

    From it and from what the SFU sees come `Faults` and the consultation's quality record.
    `microphone_level` is the loudest since the last message, 0 to 1; `camera_frames` counts the
    frames that the camera gave; `down_loss` is a fraction since the last message.
    """

    microphone: DeviceState
    camera: DeviceState
    microphone_level: Share | None = None
    camera_frames: Count | None = None
    received_packets: Count = 0
    down_loss: Share = 0
    jitter_ms: Milliseconds = 0
    round_trip_ms: Milliseconds | None = None
    seats: Annotated[tuple[SeatStats, ...], msgspec.Meta(max_length=64)] = ()


class MediaState(FromClient, frozen=True, kw_only=True, tag="media_state"):
    """What the client sends now, for the others to see: a microphone switched off is False."""

    audio: bool
    video: bool
    screen: bool = False


class Leave(FromClient, frozen=True, kw_only=True, tag="leave"):
    """Go, on purpose. The consultation goes on; the same link leads back to the waiting room."""


class End(FromClient, frozen=True, kw_only=True, tag="end"):
    """End the consultation for everyone."""


class Ping(FromClient, frozen=True, kw_only=True, tag="ping"):
    """Sign of life; answered by `Pong`."""


ClientMessage = (
    Join
    | Resume
    | Ready
    | Admit
    | Hold
    | Return
    | Remove
    | Mute
    | Unmute
    | RaiseHand
    | Promote
    | Chat
    | Consent
    | Record
    | View
    | Offer
    | MediaState
    | Stats
    | Leave
    | End
    | Ping
)


# --------------------------------------------------------------- server → client


class Text(Wire, frozen=True, kw_only=True):
    """A text for people, in both languages."""

    vi: str
    en: str


class ConsentText(Wire, frozen=True, kw_only=True):
    """What is asked before recording: version and SHA-256 (hex, of the UTF-8 text) of each."""

    purpose: Literal["recording"]
    version: str
    text: Text
    sha256: Text


class IceServer(Wire, frozen=True, kw_only=True):
    """As in RTCIceServer."""

    urls: tuple[str, ...]
    username: str = ""
    credential: str = ""


class Joined(Wire, frozen=True, kw_only=True, tag="joined"):
    """Who you are here. Keep `session`: it is the secret with which you resume."""

    session: str
    consultation: str
    participant: str
    role: Role
    grace_s: float
    ping_interval_s: float
    ice_servers: tuple[IceServer, ...]
    consent_texts: tuple[ConsentText, ...]


class Facility(Wire, frozen=True, kw_only=True):
    """A licensed facility."""

    code: str
    name: str = ""


class Media(Wire, frozen=True, kw_only=True):
    """What a person sends, by their own word."""

    audio: bool = False
    video: bool = False
    screen: bool = False


class Participant(Wire, frozen=True, kw_only=True, tag="participant"):
    """One person as you may see them; replaces what you had of the same `id`.

    `permissions` lists what you may do, in your own row; those of others are not told. `muted` is
    what the chair stopped. `consent` is their decision on recording, told only to those
    who may record and to the person. `place` in the queue (from 1) is told while they wait, to
    the person and to those who may admit.
    """

    id: str
    name: str
    role: Role
    state: ParticipantState
    connection: Connection
    title: str = ""
    licence: str = ""
    facility: Facility | None = None
    permissions: tuple[str, ...] = ()
    media: Media = Media()
    muted: tuple[MediaKind, ...] = ()
    hand_raised: bool = False
    consent: Decision | None = None
    place: int | None = None
    waiting_since: float | None = None


class ParticipantHidden(Wire, frozen=True, kw_only=True, tag="participant_hidden"):
    """You may no longer see this person: forget them."""

    id: str


class ChatLine(Wire, frozen=True, kw_only=True, tag="chat_line"):
    """One line of the chat."""

    id: str
    participant: str
    name: str
    at: float
    text: str


class Recording(Wire, frozen=True, kw_only=True, tag="recording"):
    """Whether the consultation is being recorded, since when, and whether it may be.

    `missing_consents` names the participants whose consent the policy still asks for; told only to
    those who may record. `stop_reason` says why the last one stopped.
    """

    state: Literal["off", "on"]
    policy: RecordingPolicy
    since: float | None = None
    missing_consents: tuple[str, ...] = ()
    stop_reason: Literal["", "stopped", "consent_withdrawn", "consultation_ended", "failed"] = ""


class Consultation(Wire, frozen=True, kw_only=True, tag="consultation"):
    """The consultation itself."""

    id: str
    state: ConsultationState
    mode: Mode
    title: str
    facility: Facility
    started_at: float | None = None
    ended_at: float | None = None


class Room(Wire, frozen=True, kw_only=True, tag="room"):
    """All that you may see now; replaces everything you had. Your own row is among the people."""

    consultation: Consultation
    participants: tuple[Participant, ...]
    chat: tuple[ChatLine, ...]
    recording: Recording


class Answer(Wire, frozen=True, kw_only=True, tag="answer"):
    """The SDP answer to an `Offer`, and how many seats it has."""

    ref: str
    sdp: str
    seats: int


class Seated(Wire, frozen=True, kw_only=True):
    """A source on a seat: whose, and whether it is their screen."""

    source: str
    participant: str
    screen: bool


class Seating(Wire, frozen=True, kw_only=True, tag="seating"):
    """Who sits on which of your seats; `wanted` is how many seats you should offer to see all."""

    seats: tuple[Seated | None, ...]
    wanted: int


class Speakers(Wire, frozen=True, kw_only=True, tag="speakers"):
    """Who speaks now, loudest first."""

    participants: tuple[str, ...]


class MediaConnection(Wire, frozen=True, kw_only=True, tag="media_connection"):
    """Your media transport as the SFU sees it.

    `disconnected`: nothing was heard from you for 5 s; it may mend by itself, an ICE restart
    mends it sooner. After `failed`, `closed` or `renegotiate` offer on a new PeerConnection.
    """

    state: Literal["connecting", "connected", "disconnected", "failed", "closed", "renegotiate"]


class Layer(Wire, frozen=True, kw_only=True):
    """One encoding, by its RID ("" for the only one)."""

    rid: str
    active: bool


class Layers(Wire, frozen=True, kw_only=True, tag="layers"):
    """Which encodings of your camera or screen to send from now on: those that somebody takes.

    Stop the others (`RTCRtpSender.setParameters`, `active`); they are asked for again before they
    are needed.
    """

    kind: Literal["camera", "screen"]
    layers: tuple[Layer, ...]


class Pictures(Wire, frozen=True, kw_only=True, tag="pictures"):
    """What becomes of the picture on each of your seats.

    `shown`: sent. `hidden`: you said that you do not draw it. `off`: its source sends none.
    `network`: stopped, your network now carries sound only. `busy`: stopped, the server has more
    to do than it can. The last two come back by themselves; say so in the place of the picture.
    """

    seats: tuple[PictureState, ...]


class OfferWanted(Wire, frozen=True, kw_only=True, tag="offer_wanted"):
    """Offer again on the same PeerConnection: the answer will be another.

    `codec`: somebody in the call cannot decode what you send.
    """

    reason: Literal["codec"]


class Fault(Wire, frozen=True, kw_only=True):
    """Something that keeps two people from seeing or hearing each other.

    `participant` is at whose end it is; `text` says to you what is wrong and what to do.
    """

    participant: str
    code: FaultCode
    since: float
    text: Text


class Faults(Wire, frozen=True, kw_only=True, tag="faults"):
    """All faults that concern you now, of your own end and of those you hear; replaces the last."""

    faults: tuple[Fault, ...]


class Ended(Wire, frozen=True, kw_only=True, tag="ended"):
    """The consultation is over, or is over for you; the connection closes after this."""

    reason: Literal["ended", "removed", "left", "replaced", "expired"]
    text: Text


class Pong(Wire, frozen=True, kw_only=True, tag="pong"):
    """Answer to `Ping`; `at` is the server's time."""

    ref: str
    at: float


class Done(Wire, frozen=True, kw_only=True, tag="done"):
    """What the message with this `ref` asked for was done."""

    ref: str


class Error(Wire, frozen=True, kw_only=True, tag="error"):
    """What `ref` asked for was not done; `code` is stable, `text` is to show."""

    ref: str
    code: ErrorCode
    text: Text


ServerMessage = (
    Joined
    | Room
    | Participant
    | ParticipantHidden
    | ChatLine
    | Recording
    | Consultation
    | Answer
    | Seating
    | Speakers
    | MediaConnection
    | Layers
    | Pictures
    | OfferWanted
    | Faults
    | Ended
    | Pong
    | Done
    | Error
)

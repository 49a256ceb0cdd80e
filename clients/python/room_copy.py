"""What this person may see of the consultation, kept up to date by the server's messages. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from signaling.protocol.messages import (
    ChatLine,
    Consultation,
    Ended,
    Fault,
    Faults,
    Joined,
    Layer,
    Layers,
    MediaConnection,
    Participant,
    ParticipantHidden,
    ParticipantState,
    Pictures,
    PictureState,
    Recording,
    Room,
    Seating,
    ServerMessage,
    Speakers,
)


@dataclass
class RoomCopy:
    """The newest of everything. `apply` each message in the order in which it came."""

    joined: Joined
    consultation: Consultation | None = None
    participants: dict[str, Participant] = field(default_factory=dict)
    chat: list[ChatLine] = field(default_factory=list)
    recording: Recording | None = None
    seating: Seating | None = None
    speakers: tuple[str, ...] = ()
    media: MediaConnection | None = None
    #: By source, ``camera`` or ``screen``: which encodings to send.
    layers: dict[str, tuple[Layer, ...]] = field(default_factory=dict)
    #: By seat: what becomes of its picture.
    pictures: tuple[PictureState, ...] = ()
    faults: tuple[Fault, ...] = ()
    ended: Ended | None = None

    @property
    def me(self) -> Participant | None:
        """One's own row, None before the first `Room`."""
        return self.participants.get(self.joined.participant)

    @property
    def my_state(self) -> ParticipantState:
        """One's own state; ``invited`` before the first `Room`."""
        return self.me.state if self.me is not None else "invited"

    @property
    def over(self) -> bool:
        """Whether the consultation has ended, for everyone or for this person."""
        return self.ended is not None or (
            self.consultation is not None and self.consultation.state == "ended"
        )

    def apply(self, message: ServerMessage) -> None:
        """Take a message in; those that answer a request change nothing here."""
        match message:
            case Joined():
                self.joined = message
                self.faults = ()  # told again when there are any
            case Room():
                self._replace(message)
            case Participant():
                self.participants[message.id] = message
            case ParticipantHidden():
                self.participants.pop(message.id, None)
            case ChatLine():
                self.chat.append(message)
            case Recording():
                self.recording = message
            case Consultation():
                self.consultation = message
            case Seating():
                self.seating = message
            case Speakers():
                self.speakers = message.participants
            case MediaConnection():
                self.media = message
            case Layers():
                self.layers[message.kind] = message.layers
            case Pictures():
                self.pictures = message.seats
            case Faults():
                self.faults = message.faults
            case Ended():
                self.ended = message

    def _replace(self, room: Room) -> None:
        self.consultation = room.consultation
        self.participants = {one.id: one for one in room.participants}
        self.chat = list(room.chat)
        if self.my_state != "admitted":
            self.faults = ()  # out of the call there are none
        self.recording = room.recording

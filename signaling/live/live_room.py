"""One consultation as this process sees it: the newest room, and whom to tell about it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Literal, Protocol

from sfu.control import messages as sfu
from signaling.protocol import messages as wire
from signaling.protocol.replies import Farewell
from signaling.quality.telling import running, told
from signaling.rooms.draft import find
from signaling.rooms.room import Break, Participant, Room
from signaling.rooms.view import Sight, diff, farewell

log = logging.getLogger(__name__)

#: Above this, changes that come in a burst are told together: a view costs time for each person.
_TOLD_AT_ONCE = 16
_TOLD_TOGETHER_S = 0.1

#: What the SFU says of a room or of one peer; `Flows` are for the watch over quality.
Heard = sfu.PeerTransport | sfu.Seating | sfu.Speakers | sfu.Layers | sfu.Pictures | sfu.OfferWanted
SourceKind = Literal["camera", "screen"]


class Listener(Protocol):
    """One WebSocket of this process. Both methods only queue; they never fail or wait."""

    participant: str
    connection: str

    def send(self, message: wire.ServerMessage) -> None:
        """Tell it something."""

    def finish(self, why: Farewell) -> None:
        """Say farewell and close."""


class _Guest:
    """A listener, and the view and the faults that it has; `joined` had it forget older ones.

    `state` is the person's own, as last told.
    """

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.seen: wire.Room | None = None
        self.state: wire.ParticipantState | None = None
        self.faults: tuple[wire.Fault, ...] = ()


class LiveRoom:
    """Holds the newest `room`; whoever changes or follows it calls `take`.

    The SFU's last word on each matter is kept for one who comes back. Faults of people whom this
    process watches over (`set_faults`) are its own to know; those of others are in the room.
    """

    def __init__(self, room: Room) -> None:
        self.room = room
        self._sight = Sight(room)
        self._guests: dict[str, _Guest] = {}
        self._later: asyncio.TimerHandle | None = None
        self._seatings: dict[str, wire.Seating] = {}
        self._transports: dict[str, wire.MediaConnection] = {}
        self._pictures: dict[str, wire.Pictures] = {}
        self._layers: dict[tuple[str, SourceKind], wire.Layers] = {}
        self._offers_wanted: dict[str, wire.OfferWanted] = {}
        self._speakers: wire.Speakers | None = None
        self._faults: dict[str, tuple[Break, ...]] = {}

    def __len__(self) -> int:
        return len(self._guests)

    def attach(self, listener: Listener) -> None:
        """Tell a new WebSocket all that its person may see, and everything from now on."""
        guest = _Guest(listener)
        self._guests[listener.connection] = guest
        self._tell(guest, self._people_with_faults())

    def detach(self, connection: str) -> None:
        """The WebSocket is gone."""
        self._guests.pop(connection, None)

    def hears(self, connection: str) -> bool:
        """Whether that WebSocket is attached."""
        return connection in self._guests

    def close(self) -> None:
        """Nobody is here any more."""
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def take(self, room: Room, *, even_older: bool = False) -> bool:
        """Make `room` the newest unless a newer one is known; tells everyone what changed.

        `even_older`: the store itself went back, so whatever it has is the newest; or it is away,
        and we know more than it.
        """
        if room.version <= self.room.version and not even_older:
            return False
        self.room = room
        self._tell_soon()
        return True

    def admitted(self) -> Iterator[Listener]:
        """The WebSockets here of people who are in the call."""
        for guest in tuple(self._guests.values()):
            if self._admitted(guest.listener.participant):
                yield guest.listener

    def hear(self, event: Heard) -> None:
        """Pass on an event of the room's SFU to those in the call whom it concerns."""
        match event:
            case sfu.PeerTransport():
                connection = wire.MediaConnection(state=event.state)
                self._transports[event.peer] = connection
                self._send(connection, event.peer)
            case sfu.Seating():
                seating = wire.Seating(
                    seats=tuple(_seated(seat) for seat in event.seats), wanted=event.wanted
                )
                self._seatings[event.peer] = seating
                self._send(seating, event.peer)
            case sfu.Pictures():
                pictures = wire.Pictures(seats=event.seats)
                self._pictures[event.peer] = pictures
                self._send(pictures, event.peer)
            case sfu.Layers():
                layers = _layers(event)
                self._layers[event.peer, layers.kind] = layers
                self._send(layers, event.peer)
            case sfu.OfferWanted():
                wanted = wire.OfferWanted(reason=event.reason)
                self._offers_wanted[event.peer] = wanted
                self._send(wanted, event.peer)
            case sfu.Speakers():
                self._speakers = wire.Speakers(participants=tuple(event.peers))
                self._send(self._speakers)

    def offered(self, participant: str) -> None:
        """They have offered, as the SFU may have wanted."""
        self._offers_wanted.pop(participant, None)

    def wants(self, participant: str, kind: SourceKind) -> bool:
        """Whether the SFU takes any layer of that source; it does until it says otherwise."""
        layers = self._layers.get((participant, kind))
        return layers is None or any(layer.active for layer in layers.layers)

    def pictures(self, participant: str) -> frozenset[int]:
        """The seats whose pictures are sent to that person."""
        pictures = self._pictures.get(participant)
        seats = pictures.seats if pictures is not None else ()
        return frozenset(seat for seat, state in enumerate(seats) if state == "shown")

    def lost_media(self, participants: frozenset[str]) -> None:
        """The SFU knows nothing of these people's media any more: they must set it up anew. Told at
        once, or when they come back, until the SFU says something newer."""
        for participant in participants:
            self._seatings.pop(participant, None)
            self._pictures.pop(participant, None)
            self._layers.pop((participant, "camera"), None)
            self._layers.pop((participant, "screen"), None)
            self._offers_wanted.pop(participant, None)
            renegotiate = wire.MediaConnection(state="renegotiate")
            self._transports[participant] = renegotiate
            self._send(renegotiate, participant)

    def set_faults(self, participant: str, faults: tuple[Break, ...] | None) -> None:
        """The faults of a person whom this process watches over; None when it does not any more."""
        if faults == self._faults.get(participant):
            return
        if faults is None:
            del self._faults[participant]
        else:
            self._faults[participant] = faults
        self._tell_soon()

    def forget_media(self) -> None:
        """What the SFU said is void: it has another one now, or knows nothing any more."""
        self._seatings.clear()
        self._transports.clear()
        self._pictures.clear()
        self._layers.clear()
        self._offers_wanted.clear()
        self._speakers = None

    def _send(self, message: wire.ServerMessage, participant: str = "") -> None:
        for listener in self.admitted():
            if participant in ("", listener.participant):
                listener.send(message)

    def _admitted(self, participant: str) -> bool:
        return any(
            person.id == participant and person.state == "admitted"
            for person in self.room.participants
        )

    def _tell_soon(self) -> None:
        if len(self._guests) <= _TOLD_AT_ONCE:
            self._tell_all()
        elif self._later is None:
            loop = asyncio.get_running_loop()
            self._later = loop.call_later(_TOLD_TOGETHER_S, self._tell_all)

    def _tell_all(self) -> None:
        self._later = None
        people = self._people_with_faults()
        for guest in tuple(self._guests.values()):
            try:
                self._tell(guest, people)
            except Exception:  # a fault of ours with one person must not cost the others
                log.exception("a person of room %s was not told", self.room.id)

    def _people_with_faults(self) -> _Faulty:
        """Who in the call has any fault, and which."""
        found = (
            (person, self._faults.get(person.id, running(person)))
            for person in self.room.participants
            if person.state == "admitted"
        )
        return tuple((person, faults) for person, faults in found if faults)

    def _tell_media(self, listener: Listener) -> None:
        """What the SFU said last, to one who was not there to hear it."""
        me = listener.participant
        for message in (
            self._transports.get(me),
            self._seatings.get(me),
            self._pictures.get(me),
            self._layers.get((me, "camera")),
            self._layers.get((me, "screen")),
            self._offers_wanted.get(me),
            self._speakers,
        ):
            if message is not None:
                listener.send(message)

    def _tell_faults(self, guest: _Guest, people: _Faulty) -> None:
        listener = guest.listener
        if not self._admitted(listener.participant):
            guest.faults = ()  # out of the call there are none
            return
        faults = told(listener.participant, people)
        if faults != guest.faults:
            guest.faults = faults
            listener.send(wire.Faults(faults=faults))

    def _tell(self, guest: _Guest, people: _Faulty) -> None:
        listener = guest.listener
        why = farewell(self.room, listener.participant, listener.connection)
        if why is not None and why not in ("ended", "expired"):
            self._finish(listener, why)
            return
        person = find(self.room, listener.participant)
        if person.session is not None and person.session.connection == listener.connection:
            if self._sight.room is not self.room:
                self._sight = Sight(self.room, self._sight)
            now_seen = self._sight.of(listener.participant)
            for message in diff(guest.seen, now_seen, listener.participant):
                listener.send(message)
            guest.seen = now_seen
            self._tell_faults(guest, people)
            before, guest.state = guest.state, person.state
            # Of one who waited the SFU knows nothing yet: what it said is of an earlier stay.
            if person.state == "admitted" and before in (None, "held"):
                self._tell_media(listener)
        if why is not None:
            self._finish(listener, why)

    def _finish(self, listener: Listener, why: Farewell) -> None:
        self.detach(listener.connection)
        listener.finish(why)


#: People and their faults.
_Faulty = tuple[tuple[Participant, tuple[Break, ...]], ...]


def _layers(event: sfu.Layers) -> wire.Layers:
    return wire.Layers(
        kind="screen" if event.source.endswith("/screen") else "camera",
        layers=tuple(wire.Layer(rid=layer.rid, active=layer.active) for layer in event.layers),
    )


def _seated(seat: sfu.SeatedSource | None) -> wire.Seated | None:
    if seat is None:
        return None
    return wire.Seated(source=seat.source, participant=seat.peer, screen=seat.screen)

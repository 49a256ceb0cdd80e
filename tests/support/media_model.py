"""What an SFU and a recorder would hold after the effects told to them."""

from __future__ import annotations

from collections.abc import Iterable

from signaling.protocol.messages import Media, MediaKind
from signaling.rooms import effects as e


class MediaModel:
    """Obeys effects as the media engine does: late permits and stopped taps change nothing."""

    def __init__(self) -> None:
        self.peers: dict[str, tuple[tuple[MediaKind, ...], bool]] = {}
        self.media: dict[str, Media] = {}
        #: A number for each peer, another one each time that it is made anew.
        self.transports: dict[str, int] = {}
        self._made = 0
        self.taps: dict[str, tuple[str, ...]] = {}
        self.stopped: set[str] = set()
        self.closed = False
        self.archived = 0
        self.dossiers = 0

    def obey(self, effects: Iterable[e.Effect]) -> None:
        for effect in effects:
            self._obey(effect)

    def _obey(self, effect: e.Effect) -> None:
        match effect:
            case e.SetPermit():
                if effect.participant not in self.peers:
                    self._made += 1
                    self.transports[effect.participant] = self._made
                self.peers[effect.participant] = (effect.send, effect.receive)
            case e.RemovePeer():
                self.peers.pop(effect.participant, None)
                self.media.pop(effect.participant, None)
            case e.TellMedia():
                assert effect.participant in self.peers, "the media of a peer that is not there"
                self.media[effect.participant] = effect.media
            case e.SetTap():
                if effect.recording not in self.stopped:
                    self.taps[effect.recording] = effect.peers
            case e.StopTap():
                self.taps.pop(effect.recording, None)
                self.stopped.add(effect.recording)
            case e.CloseMedia():
                self.closed = True
                self.peers, self.media, self.taps = {}, {}, {}
            case e.Archive():
                self.archived += 1
            case e.PutDossier():
                self.dossiers += 1
            case _:
                raise AssertionError(f"unknown effect {effect}")

    def holds(self) -> tuple[object, ...]:
        """What two models must agree on; media never told is media that is off."""
        told = {who: media for who, media in self.media.items() if media != Media()}
        return self.peers, told, self.taps, self.closed

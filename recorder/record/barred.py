"""Whose packets may be in no file, and when, by the consents of the dossier. PURE.

The tap at the SFU leaves out who does not consent, and ends when consent is withdrawn. This is the
second lock: should the SFU not have heard of a decision in time, what arrived after it stays out of
the files all the same (Luật 91/2025/QH15: nothing is processed after a withdrawal).
"""

from __future__ import annotations

import msgspec

from recorder.record.dossier import ConsentRow, Dossier

_NS_PER_S = 1_000_000_000


class Barred(msgspec.Struct, frozen=True):
    """A time in which the packets of a peer (empty: of everyone) may not be kept.

    Unix nanoseconds, as packets' arrivals; `until_ns` is None when it does not end.
    """

    peer: str
    since_ns: int
    until_ns: int | None

    def holds(self, peer: str, arrival_ns: int) -> bool:
        """Whether a packet is barred."""
        return (
            self.peer in ("", peer)
            and arrival_ns >= self.since_ns
            and (self.until_ns is None or arrival_ns < self.until_ns)
        )


def barred(dossier: Dossier, recording: str) -> tuple[Barred, ...]:
    """The times that the consents, and the end of a recording for want of one, bar."""
    found = []
    for person in dossier.participants:
        rows = [row for row in dossier.consents if row.participant == person.id]
        found += _of_one(person.peer, sorted(rows, key=lambda row: row.at))
    for span in dossier.recordings:
        if (
            span.id == recording
            and span.stop_reason == "consent_withdrawn"
            and span.stopped_at is not None
        ):
            found.append(Barred("", _ns(span.stopped_at), None))
    return tuple(found)


def _of_one(peer: str, decisions: list[ConsentRow]) -> list[Barred]:
    """One person's times of no, from each refusal or withdrawal to the next consent."""
    found = []
    since_ns: int | None = None
    for row in decisions:
        if row.decision != "given" and since_ns is None:
            since_ns = _ns(row.at)
        elif row.decision == "given" and since_ns is not None:
            found.append(Barred(peer, since_ns, _ns(row.at)))
            since_ns = None
    if since_ns is not None:
        found.append(Barred(peer, since_ns, None))
    return found


def _ns(at_s: float) -> int:
    return round(at_s * _NS_PER_S)

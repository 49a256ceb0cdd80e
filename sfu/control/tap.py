"""The tap protocol: recorded packets, kept by the SFU until a recorder has them on disk.

A recorder opens a WebSocket at ``/tap/<tap>?after=<sequence>`` with the control secret. The SFU
sends binary messages, each a batch of records; the recorder sends text messages, each the decimal
sequence number up to which every record is on its disk (after fsync). The SFU then forgets them.
A new connection continues after the sequence number it names, so nothing that reached the SFU is
lost when a recorder dies, and nothing is kept twice: a record's sequence number is its identity.

A record, in network order:

    sequence      u64   1, 2, 3 … in this tap, no gap
    arrival_ns    u64   Unix time at which the SFU received the packet
    kind          u8    `RecordKind`
    track         u16   number of the track within this tap
    length        u32   of the body in bytes
    body                by kind: OPEN a JSON `TrackOpened`; RTP a whole decrypted RTP packet;
                        REPORT a `SenderReport`; CLOSE and END empty

END says that the tap is over and nothing follows it.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterator
from typing import Literal

import msgspec

from sfu.ids import PeerId, SourceId

_HEADER = struct.Struct("!QQBHI")
_REPORT = struct.Struct("!QI")
HEADER_BYTES = _HEADER.size

#: A record's body is one UDP datagram or a short JSON text; more is a broken peer.
MAX_BODY_BYTES = 65_535


class TapFormatError(ValueError):
    """The bytes are not a sequence of whole records."""


class RecordKind(enum.IntEnum):
    """What a record's body is."""

    OPEN = 1
    RTP = 2
    REPORT = 3
    CLOSE = 4
    END = 5


class Record(msgspec.Struct, frozen=True):
    """One record of a tap; see the module for the fields' units."""

    sequence: int
    arrival_ns: int
    kind: RecordKind
    track: int
    body: bytes

    def __bytes__(self) -> bytes:
        header = _HEADER.pack(self.sequence, self.arrival_ns, self.kind, self.track, len(self.body))
        return header + self.body


class TrackOpened(msgspec.Struct, frozen=True, kw_only=True):
    """The body of OPEN: whose track it is and what its packets carry."""

    peer: PeerId
    source: SourceId
    kind: Literal["audio", "video"]
    screen: bool
    codec: Literal["opus", "VP8", "H264"]
    clock_rate: int
    channels: int


class SenderReport(msgspec.Struct, frozen=True):
    """The body of REPORT (RFC 3550 §6.4.1): NTP time (64 bit) and the same instant in RTP time."""

    ntp_time: int
    rtp_time: int

    def __bytes__(self) -> bytes:
        return _REPORT.pack(self.ntp_time, self.rtp_time)

    @classmethod
    def parse(cls, body: bytes) -> SenderReport:
        """Read the body of a REPORT. Raises `TapFormatError`."""
        if len(body) != _REPORT.size:
            raise TapFormatError("a sender report has 12 bytes")
        return cls(*_REPORT.unpack(body))


def encode_track(track: TrackOpened) -> bytes:
    """The body of OPEN."""
    return msgspec.json.encode(track)


def decode_track(body: bytes) -> TrackOpened:
    """Read the body of OPEN. Raises `TapFormatError`."""
    try:
        return msgspec.json.decode(body, type=TrackOpened)
    except msgspec.MsgspecError as error:
        raise TapFormatError("the body of OPEN is not a track") from error


def parse_records(data: bytes) -> Iterator[Record]:
    """Read a batch of whole records. Raises `TapFormatError` where one is broken or cut short."""
    offset = 0
    while offset < len(data):
        if len(data) - offset < HEADER_BYTES:
            raise TapFormatError("a record's header is cut short")
        sequence, arrival_ns, kind, track, length = _HEADER.unpack_from(data, offset)
        offset += HEADER_BYTES
        if length > MAX_BODY_BYTES or len(data) - offset < length:
            raise TapFormatError("a record's body is cut short or too long")
        try:
            record_kind = RecordKind(kind)
        except ValueError as error:
            raise TapFormatError(f"unknown kind of record {kind}") from error
        yield Record(sequence, arrival_ns, record_kind, track, data[offset : offset + length])
        offset += length

"""What the Python client reports of a connection, between two real aiortc peers."""

from __future__ import annotations

import msgspec
from aiortc import RTCConfiguration, RTCPeerConnection

from clients.python.loopback import gather_loopback
from clients.python.seats import Seat
from clients.python.statistics import Statistics
from clients.python.synthetic import Tone
from signaling.protocol.codec import decode, encode
from signaling.protocol.messages import Stats
from tests.support.eventually import eventually


async def reported(reader: Statistics, peer: RTCPeerConnection, seats: list[Seat]) -> Stats:
    return await reader.read(peer, seats, microphone="on", camera="off", camera_frames=None)


async def test_report__counts_what_arrives_and_is_a_message_that_the_server_takes() -> None:
    sender, receiver = (RTCPeerConnection(RTCConfiguration(iceServers=[])) for _ in range(2))
    tone, seat, reader = Tone(440.0), Seat(0, None, None), Statistics()
    try:
        sender.addTrack(tone)
        receiver.on("track", seat.read)
        gather_loopback(sender)
        await sender.setLocalDescription(await sender.createOffer())
        await receiver.setRemoteDescription(sender.localDescription)
        gather_loopback(receiver)
        await receiver.setLocalDescription(await receiver.createAnswer())
        await sender.setRemoteDescription(receiver.localDescription)
        reports: list[Stats] = []

        async def complaint() -> str | None:
            reports.append(await reported(reader, receiver, [seat]))
            counts = {report.received_packets for report in reports}
            return None if len(counts) > 3 else f"received {counts}"

        await eventually(complaint)
    finally:
        tone.stop()
        await seat.close()
        await sender.close()
        await receiver.close()
    counts = [report.received_packets for report in reports]
    assert counts == sorted(counts)
    last = reports[-1]
    assert (last.microphone, last.camera, last.down_loss) == ("on", "off", 0.0)
    assert [each.seat for each in last.seats] == [0]
    assert decode(encode(last)) == msgspec.structs.replace(last)

"""The transport of one peer: ICE-lite, DTLS-SRTP, and whether the peer is still heard.

Owned by the router, which closes it. Its DTLS tasks are owned and closed by it.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable
from typing import Literal

from sfu.control.messages import TransportState
from sfu.forwarder.contract import Address, Cipher, Forwarder, TransportHandle
from sfu.transport import lifecycle
from sfu.transport.aiortc_adapter import Certificate, DtlsSrtp
from sfu.transport.stun import BindingRequest, authenticate, binding_response

_ICE_CHARACTERS = string.ascii_letters + string.digits
#: RFC 8445 §5.3 wants 24 and 128 random bits at least; 16 characters make the ufrag unguessable.
_UFRAG_CHARACTERS = 16
_PASSWORD_CHARACTERS = 24
#: A camera, a screen and a microphone send some 800 packets a second, an outage's repeats included.
_FLOOD_PACKETS_PER_S = 5000
#: Seconds in a row with so many; one alone may be a network that lets go what it held back.
_FLOOD_SECONDS = 2
_NS_PER_S = 1_000_000_000

#: What became of a check: the fields of `sfu.transport.table.CheckCounters`.
CheckResult = Literal["answered", "unknown", "bad_integrity", "address_taken"]


def _random(characters: int) -> str:
    return "".join(secrets.choice(_ICE_CHARACTERS) for _ in range(characters))


class PeerTransport:
    """One transport in the forwarder's table, from the first offer until `close`."""

    def __init__(
        self,
        forwarder: Forwarder,
        certificate: Certificate,
        *,
        remote_ufrag: str,
        remote_fingerprint: str,
        send: Callable[[bytes, Address], None],
        on_state: Callable[[PeerTransport], None],
        on_moved: Callable[[PeerTransport], None],
        now_ns: int,
    ) -> None:
        self.handle: TransportHandle = forwarder.add_transport()
        self.ufrag = _random(_UFRAG_CHARACTERS)
        self.password = _random(_PASSWORD_CHARACTERS)
        self.remote_ufrag = remote_ufrag
        self.remote_fingerprint = remote_fingerprint
        self._forwarder = forwarder
        self._send = send
        self._on_state = on_state
        self._on_moved = on_moved
        self._state: lifecycle.State = "new"
        self._address: Address | None = None
        self._heard_ns = now_ns
        self._watched_ns = now_ns
        self._received_packets = 0
        self._flooded_s = 0
        self._dtls = DtlsSrtp(
            certificate,
            remote_fingerprint,
            send=self._send_dtls,
            on_keys=self._on_keys,
            on_broken=lambda: self._happens("broken"),
            on_shut=lambda: self._happens("closed"),
        )

    @property
    def state(self) -> TransportState:
        """As the control protocol calls it."""
        return lifecycle.WIRE[self._state]

    @property
    def is_over(self) -> bool:
        """Whether it will never carry media again, so that an offer needs a new one."""
        return self._state in ("broken", "closed")

    def restart(self, remote_ufrag: str) -> None:
        """New ICE credentials for an offer with a new ufrag (RFC 8445 §9); DTLS goes on."""
        self.remote_ufrag = remote_ufrag
        self.ufrag = _random(_UFRAG_CHARACTERS)
        self.password = _random(_PASSWORD_CHARACTERS)

    def check(self, data: bytes, address: Address, now_ns: int) -> CheckResult:
        """Answer a binding request to our ufrag.

        One from an address that another transport holds stays without an answer: whoever holds it
        was heard from there not long ago, or it would have lost it.
        """
        request = authenticate(data, self.password)
        if request is None:
            return "bad_integrity"
        if self._forwarder.holder(address) not in (None, self.handle):
            return "address_taken"
        if self.is_over:
            return "unknown"
        was_connected = self.state == "connected"
        moved = self._move(request, address)
        self._send(binding_response(request, address, self.password), address)
        if address == self._address:
            self._heard_ns = now_ns
            self._happens("heard")
        if moved and was_connected:
            self._on_moved(self)
        return "answered"

    def on_dtls(self, data: bytes) -> None:
        """A DTLS datagram from our peer's address."""
        self._dtls.feed(data)

    def watch(self, now_ns: int) -> None:
        """Call once a second: notices silence, and floods."""
        total = self._forwarder.transport_counters(self.handle).received_packets
        received, self._received_packets = total - self._received_packets, total
        elapsed_ns, self._watched_ns = now_ns - self._watched_ns, now_ns
        if received:
            self._heard_ns = now_ns
        elif now_ns - self._heard_ns > lifecycle.SILENCE_NS:
            self._happens("silent")
        floods = received * _NS_PER_S > _FLOOD_PACKETS_PER_S * max(elapsed_ns, _NS_PER_S)
        self._flooded_s = self._flooded_s + 1 if floods else 0
        if self._flooded_s >= _FLOOD_SECONDS:
            self._happens("flooded")

    def detach(self) -> None:
        """Leave the forwarder's table: from now on no media goes in or out. `close` follows."""
        self._happens("closed")
        self._forwarder.remove_transport(self.handle)

    async def close(self) -> None:
        """Tell the peer and end all tasks."""
        await self._dtls.close()

    def _move(self, request: BindingRequest, address: Address) -> bool:
        """Whether media goes from now on to an address that it did not go to."""
        # RFC 8445 §7.3.1.5: the pair that the controlling side nominates is used, the latest
        # wins; until then the first that was checked serves, so that no DTLS flight is lost.
        if request.nominates or self._address is None:
            self._address = address
        if address != self._address or self._forwarder.holder(address) == self.handle:
            return False
        self._forwarder.set_address(self.handle, address)
        return True

    def _send_dtls(self, data: bytes) -> None:
        if self._address is not None:
            self._send(data, self._address)

    def _on_keys(self, cipher: Cipher) -> None:
        self._forwarder.set_cipher(self.handle, cipher)
        self._happens("keyed")

    def _happens(self, event: lifecycle.Event) -> None:
        before = self.state
        self._state = lifecycle.after(self._state, event)
        if self.state == before:
            return
        if self.state in ("failed", "closed"):
            # RFC 7675 §5.1: whoever is not heard has not agreed to being sent anything.
            self._forwarder.set_address(self.handle, None)
        self._on_state(self)

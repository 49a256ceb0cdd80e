"""The transport of one peer: ICE-lite, DTLS-SRTP, and whether the peer is still heard.

Owned by the router, which closes it. Its DTLS tasks are owned and closed by it.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable

from sfu.control.messages import TransportState
from sfu.forwarder.contract import Address, Cipher, Forwarder, TransportHandle
from sfu.transport import lifecycle
from sfu.transport.aiortc_adapter import Certificate, DtlsSrtp
from sfu.transport.stun import BindingRequest, authenticate, binding_response

_ICE_CHARACTERS = string.ascii_letters + string.digits
#: RFC 8445 §5.3 wants 24 and 128 random bits at least; 16 characters make the ufrag unguessable.
_UFRAG_CHARACTERS = 16
_PASSWORD_CHARACTERS = 24


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
        self._state: lifecycle.State = "new"
        self._address: Address | None = None
        self._nominated = False
        self._heard_ns = now_ns
        self._received_packets = 0
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
        self._nominated = False

    def check(self, data: bytes, address: Address, now_ns: int) -> bool:
        """Answer a binding request to our ufrag; False when its integrity is bad."""
        request = authenticate(data, self.password)
        if request is None:
            return False
        if self._state == "closed":
            return True
        self._heard_ns = now_ns
        self._move(request, address)
        self._send(binding_response(request, address, self.password), address)
        self._happens("heard")
        return True

    def on_dtls(self, data: bytes) -> None:
        """A DTLS datagram from our peer's address."""
        self._dtls.feed(data)

    def watch(self, now_ns: int) -> None:
        """Call once a second: notices silence."""
        received = self._forwarder.transport_counters(self.handle).received_packets
        if received != self._received_packets:
            self._received_packets = received
            self._heard_ns = now_ns
            self._happens("heard")
        elif now_ns - self._heard_ns > lifecycle.SILENCE_NS:
            self._happens("silent")

    def detach(self) -> None:
        """Leave the forwarder's table: from now on no media goes in or out. `close` follows."""
        self._happens("closed")
        self._forwarder.remove_transport(self.handle)

    async def close(self) -> None:
        """Tell the peer and end all tasks."""
        await self._dtls.close()

    def _move(self, request: BindingRequest, address: Address) -> None:
        # RFC 8445 §7.3.1.5: the pair that the controlling side nominates is used, the latest
        # wins; until then the first that was checked serves, so that no DTLS flight is lost.
        if request.nominates:
            self._nominated = True
        elif self._nominated or self._address is not None:
            return
        if address != self._address:
            self._address = address
            self._forwarder.set_address(self.handle, address)

    def _send_dtls(self, data: bytes) -> None:
        if self._address is not None:
            self._send(data, self._address)

    def _on_keys(self, cipher: Cipher) -> None:
        self._forwarder.set_cipher(self.handle, cipher)
        self._happens("keyed")

    def _happens(self, event: lifecycle.Event) -> None:
        before = self.state
        self._state = lifecycle.after(self._state, event)
        if self.state != before:
            self._on_state(self)

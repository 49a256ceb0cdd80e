"""The transport of one peer: ICE-lite, DTLS-SRTP, and whether the peer is still heard.

Owned by the router, which closes it. Its DTLS tasks are owned and closed by it.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable
from typing import Literal

from sfu.control.messages import TransportState
from sfu.forwarder.address import is_tcp, reflexive
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
#: A UDP path that was nominated so lately is not left for TCP: a browser that nominates every pair
#: that works (aggressive nomination, RFC 5245 §8.1.1.2) means the better one. One that is checked
#: but not nominated is only kept in reserve.
_UDP_PREFERRED_NS = _NS_PER_S
#: A path that was not heard for longer than a browser's checks are apart (2.5 s) is left for any
#: that works: a NAT that forgot us gives the same pair another address, without a nomination.
_LEFT_NS = 3 * _NS_PER_S

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
        #: Those that an ICE restart replaces, until the peer has used the new ones.
        self.former: tuple[str, str] | None = None
        self.remote_ufrag = remote_ufrag
        self.remote_fingerprint = remote_fingerprint
        self._forwarder = forwarder
        self._send = send
        self._on_state = on_state
        self._on_moved = on_moved
        self._state: lifecycle.State = "new"
        self._address: Address | None = None
        self._heard_ns = now_ns
        #: When the address in use was last nominated.
        self._nominated_ns: int | None = None
        self._received_packets = 0
        self._strayed_packets = 0
        self._second_began_ns = now_ns
        self._second_packets = 0
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

    @property
    def ufrags(self) -> tuple[str, ...]:
        """All that checks may name it by now."""
        return (self.ufrag,) if self.former is None else (self.ufrag, self.former[0])

    def restart(self, remote_ufrag: str) -> None:
        """New ICE credentials for an offer with a new ufrag (RFC 8445 §9); DTLS goes on.

        The path in use stays, and its checks are answered, until a check with the new credentials
        comes: the answer may be late, or lost.
        """
        self.remote_ufrag = remote_ufrag
        self.former = self.former or (self.ufrag, self.password)
        self.ufrag = _random(_UFRAG_CHARACTERS)
        self.password = _random(_PASSWORD_CHARACTERS)

    def check(self, ufrag: str, data: bytes, address: Address, now_ns: int) -> CheckResult:
        """Answer a binding request to our `ufrag`, the present or the former one.

        One from an address that another transport holds stays without an answer: whoever holds it
        was heard from there not long ago, or it would have lost it.
        """
        password = self._password_of(ufrag)
        request = None if password is None else authenticate(data, password)
        if password is None or request is None:
            return "bad_integrity"
        if self._forwarder.holder(address) not in (None, self.handle):
            return "address_taken"
        if self.is_over:
            return "unknown"
        if ufrag == self.ufrag:
            self.former = None
        was_up = self.state in ("connected", "disconnected")
        moved = self._move(request, address, now_ns)
        self._send(binding_response(request, reflexive(address), password), address)
        if address == self._address:
            self._heard_ns = now_ns
            self._happens("heard")
        else:
            self._forwarder.hear(self.handle, address)
        if moved and was_up:
            self._on_moved(self)
        return "answered"

    def on_dtls(self, data: bytes) -> None:
        """A DTLS datagram from our peer's address."""
        self._dtls.feed(data)

    def watch(self, now_ns: int) -> None:
        """Call every half second: notices silence within 5.5 s, and floods."""
        counters = self._forwarder.transport_counters(self.handle)
        total, elsewhere = counters.received_packets, counters.elsewhere_packets
        received, self._received_packets = total - self._received_packets, total
        strayed, self._strayed_packets = elsewhere - self._strayed_packets, elsewhere
        # What comes on another path says nothing of the one in use.
        if received > strayed:
            self._heard_ns = now_ns
            if self.state == "disconnected":
                self._happens("heard")
        else:
            silence_ns = now_ns - self._heard_ns
            if silence_ns >= lifecycle.SILENCE_NS:
                self._happens("silent")
            elif silence_ns >= lifecycle.QUIET_NS:
                self._happens("quiet")
        self._count(received, now_ns)

    def _count(self, received: int, now_ns: int) -> None:
        self._second_packets += received
        elapsed_ns = now_ns - self._second_began_ns
        if elapsed_ns < _NS_PER_S:
            return
        floods = self._second_packets * _NS_PER_S > _FLOOD_PACKETS_PER_S * elapsed_ns
        self._second_began_ns, self._second_packets = now_ns, 0
        self._flooded_s = self._flooded_s + 1 if floods else 0
        if self._flooded_s >= _FLOOD_SECONDS:
            self._happens("flooded")

    def lose_address(self) -> None:
        """The TCP connection in use is gone; the next address that is checked takes its place."""
        self._address = None

    def detach(self) -> None:
        """Leave the forwarder's table: from now on no media goes in or out. `close` follows."""
        address = self._address
        self._happens("closed")
        self._forwarder.remove_transport(self.handle)
        self._address = address  # for the goodbye of `close`

    async def close(self) -> None:
        """Tell the peer and end all tasks."""
        await self._dtls.close()

    def _password_of(self, ufrag: str) -> str | None:
        if ufrag == self.ufrag:
            return self.password
        return self.former[1] if self.former is not None and ufrag == self.former[0] else None

    def _move(self, request: BindingRequest, address: Address, now_ns: int) -> bool:
        """Whether media goes from now on to an address that it did not go to."""
        if self._is_preferred(request, address, now_ns):
            if address != self._address:
                self._address, self._nominated_ns = address, None
            if request.nominates:
                self._nominated_ns = now_ns
        if address != self._address or self._forwarder.holder(address) == self.handle:
            return False
        self._forwarder.set_address(self.handle, address)
        return True

    def _is_preferred(self, request: BindingRequest, address: Address, now_ns: int) -> bool:
        # RFC 8445 §7.3.1.5: the pair that the controlling side nominates is used, the latest
        # wins; until then the first that was checked serves, so that no DTLS flight is lost.
        unheard_ns = now_ns - self._heard_ns
        if self._address is None or unheard_ns >= _LEFT_NS:
            return True
        if not request.nominates or not is_tcp(address) or is_tcp(self._address):
            return request.nominates
        return self._nominated_ns is None or now_ns - self._nominated_ns >= _UDP_PREFERRED_NS

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
            self._address = None
        self._on_state(self)

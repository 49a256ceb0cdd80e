"""All transports of one process: who a check is for, and what the fast path punts to us."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sfu.forwarder.contract import Address, Forwarder, StreamHandle, TransportHandle
from sfu.transport.aiortc_adapter import Certificate
from sfu.transport.peer import PeerTransport
from sfu.transport.stun import username_fragments


class MediaListener(Protocol):
    """The slow path above the transports (the router)."""

    def on_rtcp(self, transport: TransportHandle, packet: bytes, now_ns: int) -> None: ...
    def on_unknown_ssrc(self, transport: TransportHandle, packet: bytes, now_ns: int) -> bool: ...
    def on_key_frame(self, stream: StreamHandle) -> None: ...


@dataclass(slots=True)
class CheckCounters:
    """Binding requests since the start, by what became of them."""

    answered: int = 0
    unknown: int = 0
    bad_integrity: int = 0
    address_taken: int = 0


class TransportTable:
    """Implements `Punts`. `attach` the forwarder and the listener before the first datagram."""

    def __init__(self, send: Callable[[bytes, Address], None]) -> None:
        self.certificate = Certificate()
        self.checks = CheckCounters()
        self._send = send
        self._by_ufrag: dict[str, PeerTransport] = {}
        self._by_handle: dict[TransportHandle, PeerTransport] = {}
        self._forwarder: Forwarder
        self._listener: MediaListener

    def attach(self, forwarder: Forwarder, listener: MediaListener) -> None:
        """Join the layer below and the layer above."""
        self._forwarder = forwarder
        self._listener = listener

    def __len__(self) -> int:
        return len(self._by_handle)

    def open(
        self,
        remote_ufrag: str,
        remote_fingerprint: str,
        on_state: Callable[[PeerTransport], None],
        on_moved: Callable[[PeerTransport], None],
        now_ns: int,
    ) -> PeerTransport:
        """A new transport that waits for its peer's checks."""
        transport = PeerTransport(
            self._forwarder,
            self.certificate,
            remote_ufrag=remote_ufrag,
            remote_fingerprint=remote_fingerprint,
            send=self._send,
            on_state=on_state,
            on_moved=on_moved,
            now_ns=now_ns,
        )
        self._by_ufrag[transport.ufrag] = transport
        self._by_handle[transport.handle] = transport
        return transport

    def restart(self, transport: PeerTransport, remote_ufrag: str) -> None:
        """An ICE restart: the transport answers to a new ufrag and no longer to its old one."""
        self._by_ufrag.pop(transport.ufrag, None)
        transport.restart(remote_ufrag)
        self._by_ufrag[transport.ufrag] = transport

    def detach(self, transport: PeerTransport) -> None:
        """Nothing is punted or forwarded for the transport from now on. `close` follows."""
        self._by_ufrag.pop(transport.ufrag, None)
        if self._by_handle.pop(transport.handle, None) is not None:
            transport.detach()

    # -- Punts

    def on_stun(self, data: bytes, address: Address, now_ns: int) -> None:
        fragments = username_fragments(data)
        transport = self._by_ufrag.get(fragments[0]) if fragments is not None else None
        # RFC 8489 §9.1.3 would answer 400 or 401; we stay silent, so that nobody learns which
        # names exist and nobody's address is flooded with our answers.
        result = "unknown" if transport is None else transport.check(data, address, now_ns)
        setattr(self.checks, result, getattr(self.checks, result) + 1)

    def on_dtls(self, transport: TransportHandle, data: bytes) -> None:
        found = self._by_handle.get(transport)
        if found is not None:
            found.on_dtls(data)

    def on_rtcp(self, transport: TransportHandle, packet: bytes, now_ns: int) -> None:
        if transport in self._by_handle:
            self._listener.on_rtcp(transport, packet, now_ns)

    def on_unknown_ssrc(self, transport: TransportHandle, packet: bytes, now_ns: int) -> bool:
        if transport not in self._by_handle:
            return False
        return self._listener.on_unknown_ssrc(transport, packet, now_ns)

    def on_key_frame(self, stream: StreamHandle) -> None:
        self._listener.on_key_frame(stream)

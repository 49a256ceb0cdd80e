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
        """An ICE restart: the transport answers to a new ufrag, and to its old one until then."""
        self._forget(transport)
        transport.restart(remote_ufrag)
        self._by_ufrag.update(dict.fromkeys(transport.ufrags, transport))

    def detach(self, transport: PeerTransport) -> None:
        """Nothing is punted or forwarded for the transport from now on. `close` follows."""
        self._forget(transport)
        if self._by_handle.pop(transport.handle, None) is not None:
            transport.detach()

    def watch(self, now_ns: int) -> None:
        """Call every half second: notices who is silent and who floods."""
        for transport in tuple(self._by_handle.values()):
            transport.watch(now_ns)

    def lose(self, address: Address) -> None:
        """A TCP connection is gone: who was there is nowhere until the next check."""
        handle = self._forwarder.lose(address)
        if handle is not None and handle in self._by_handle:
            self._by_handle[handle].lose_address()

    def _forget(self, transport: PeerTransport) -> None:
        for ufrag in transport.ufrags:
            self._by_ufrag.pop(ufrag, None)

    # -- Punts

    def on_stun(self, data: bytes, address: Address, now_ns: int) -> None:
        fragments = username_fragments(data)
        transport = self._by_ufrag.get(fragments[0]) if fragments is not None else None
        # RFC 8489 §9.1.3 would answer 400 or 401; we stay silent, so that nobody learns which
        # names exist and nobody's address is flooded with our answers.
        if fragments is None or transport is None:
            self.checks.unknown += 1
            return
        former = transport.former
        result = transport.check(fragments[0], data, address, now_ns)
        if former is not None and transport.former is None:
            self._by_ufrag.pop(former[0], None)
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

"""How often one address may join or resume: a bucket for each, forgotten when it is full again."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from aiohttp import web

from signaling.session.limits import TokenBucket

#: Above this many buckets the full ones are thrown away; an attack cannot grow the table forever.
_MAX_BUCKETS = 10_000
#: Resumes for each join that an address may make: when a network comes back, all behind it do.
RESUMES_PER_JOIN = 10
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class JoinLimiter:
    """Lets `per_minute` joins a minute through for each address, and as many at once."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._buckets: dict[str, TokenBucket] = {}

    def take(self, address: str, now: float) -> bool:
        """Count a join. False when there were too many from there."""
        bucket = self._buckets.get(address)
        if bucket is None:
            if len(self._buckets) >= _MAX_BUCKETS:
                self._forget(now)
            bucket = TokenBucket(self._per_minute / 60.0, float(self._per_minute), now)
            self._buckets[address] = bucket
        return bucket.take(now)

    def _forget(self, now: float) -> None:
        kept = {key: bucket for key, bucket in self._buckets.items() if not bucket.is_full(now)}
        # All in use: the oldest go, which costs them a fresh allowance and us no memory.
        self._buckets = dict(list(kept.items())[-_MAX_BUCKETS // 2 :])


def client_address(request: web.Request, trusted_proxies: Sequence[Network]) -> str:
    """Who asks, for limits: an IPv4 address, or the /64 that one IPv6 subscriber holds.

    Behind a trusted proxy it is the last address in X-Forwarded-For that is not a proxy's own.
    """
    hops = [request.remote or ""]
    # Several lines of one header are one list, in their order (RFC 9110 §5.3).
    forwarded = ",".join(request.headers.getall("X-Forwarded-For", ()))
    hops += reversed(forwarded.replace(" ", "").split(","))
    for hop in hops:
        address = _address(hop)
        if address is None:
            break
        if not any(address in network for network in trusted_proxies):
            return _subscriber(address)
    return _subscriber(_address(request.remote or ""))


def _address(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped  # what a socket of both families makes of IPv4 (RFC 4291 §2.5.5)
    return address


def _subscriber(address: Address | None) -> str:
    if address is None:
        return ""
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)

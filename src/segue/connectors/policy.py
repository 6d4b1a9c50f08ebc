"""Which addresses the outbound client may reach, and how far a request may go.

A document chooses where requests go, so an unguarded client would let its author read the metadata service
of a cloud machine or the administration port of a neighbour. The policy is asked twice: for the name before it is
resolved, and for the address that is really connected to, so a name that changes its address gains nothing.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

import msgspec

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Not global, or global in form but known to hand out credentials to whoever asks from the machine.
_METADATA: Final = frozenset(
    ipaddress.ip_address(text)
    for text in ("169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "fd00:ec2::254")
)
_METADATA_NAMES: Final = frozenset({"metadata.google.internal", "metadata.goog", "instance-data"})
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")


class OutboundPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an administrator lets requests reach. Deny beats allow; metadata addresses need `allow_networks`.

    Attributes:
        allow_hosts: When not empty, only these hosts: exact names, or `*.example.org` for all below it.
        deny_hosts: Never these hosts.
        allow_networks: CIDR ranges that are allowed though they are private, loopback, link-local or metadata.
        deny_networks: CIDR ranges that are never reached.
        allow_loopback: Reach 127.0.0.0/8 and ::1; needed for the practice company.
        allow_private: Reach private ranges such as 10.0.0.0/8 and fc00::/7.
        max_redirects: Redirects followed for one request; 0 hands a 3xx answer to the caller.
    """

    allow_hosts: tuple[str, ...] = ()
    deny_hosts: tuple[str, ...] = ()
    allow_networks: tuple[str, ...] = ()
    deny_networks: tuple[str, ...] = ()
    allow_loopback: bool = False
    allow_private: bool = False
    max_redirects: int = 0

    def __post_init__(self) -> None:
        for text in (*self.allow_networks, *self.deny_networks):
            ipaddress.ip_network(text, strict=False)  # a typing error must not become an open door
        if self.max_redirects < 0:
            raise ValueError(f"max_redirects must be at least 0, got {self.max_redirects!r}")

    def refuse_host(self, host: str) -> str | None:
        """Why this host name may not be reached, or None when its name is no obstacle."""
        name = host.rstrip(".").lower()
        if _matches(name, self.deny_hosts):
            return f"the host {host!r} is denied"
        if self.allow_hosts and not _matches(name, self.allow_hosts):
            return f"the host {host!r} is not among the allowed ones"
        if name in _METADATA_NAMES and not _matches(name, self.allow_hosts):
            return f"the host {host!r} serves machine credentials"
        return None

    def refuse_address(self, address: str) -> str | None:
        """Why this resolved address may not be connected to, or None when it may."""
        return _refuse_address(self, address)


class OutboundLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds of one request.

    Attributes:
        connect_ms: To open a connection, name resolution included.
        total_ms: From the first byte sent to the last received.
        max_response_bytes: Of a decoded response body.
        max_connections: Open connections to all hosts together.
    """

    connect_ms: int = 10_000
    total_ms: int = 60_000
    max_response_bytes: int = 32 * 1024 * 1024
    max_connections: int = 100


def _matches(name: str, patterns: Iterable[str]) -> bool:
    for pattern in patterns:
        wanted = pattern.rstrip(".").lower()
        if name == wanted or (wanted.startswith("*.") and name.endswith(wanted[1:])):
            return True
    return False


@lru_cache(maxsize=4096)
def _refuse_address(policy: OutboundPolicy, text: str) -> str | None:
    written = ipaddress.ip_address(text.split("%", 1)[0])
    address = _inner(written)
    # Both forms count, so a rule for either cannot be passed by writing the other.
    if _inside(address, policy.deny_networks) or _inside(written, policy.deny_networks):
        return f"the address {text} is in a denied network"
    if _inside(address, policy.allow_networks) or _inside(written, policy.allow_networks):
        return None
    if address in _METADATA:
        return f"the address {text} serves machine credentials"
    if address.is_loopback:
        return None if policy.allow_loopback else f"the address {text} is this machine"
    if address.is_link_local or address.is_multicast or address.is_unspecified or address.is_reserved:
        return f"the address {text} is link-local, multicast or reserved"
    if not address.is_global:
        return None if policy.allow_private else f"the address {text} is private"
    return None


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 one wraps, so a wrapped private address is seen as private."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _inside(address: Address, networks: Iterable[str]) -> bool:
    return any(address in _network(text) for text in networks)


@lru_cache(maxsize=1024)
def _network(text: str) -> _Network:
    return ipaddress.ip_network(text, strict=False)

"""The outbound policy."""

from __future__ import annotations

import pytest

from segue.connectors import OutboundPolicy


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "::ffff:127.0.0.1",
        "10.0.0.1",
        "172.16.5.4",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "255.255.255.255",
        "100.100.100.200",
        "168.63.129.16",
    ],
)
def test_by_default_nothing_but_public_addresses_is_reached(address: str) -> None:
    """A document must not be able to read machine credentials or a neighbour's administration port."""
    assert OutboundPolicy().refuse_address(address) is not None


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34"])
def test_public_addresses_are_reached(address: str) -> None:
    """The default policy must let ordinary work through."""
    assert OutboundPolicy().refuse_address(address) is None


def test_loopback_and_private_ranges_open_separately() -> None:
    """The practice company needs loopback; that must not open the office network."""
    loopback = OutboundPolicy(allow_loopback=True)
    private = OutboundPolicy(allow_private=True)

    assert loopback.refuse_address("127.0.0.1") is None
    assert loopback.refuse_address("10.0.0.1") is not None
    assert private.refuse_address("10.0.0.1") is None
    assert private.refuse_address("127.0.0.1") is not None


def test_opening_private_ranges_keeps_metadata_closed() -> None:
    """The metadata service hands out the machine's own credentials; it takes a rule of its own."""
    opened = OutboundPolicy(allow_private=True, allow_loopback=True)

    assert opened.refuse_address("169.254.169.254") is not None
    assert opened.refuse_address("fd00:ec2::254") is not None
    assert OutboundPolicy(allow_networks=("169.254.169.254/32",)).refuse_address("169.254.169.254") is None


def test_deny_beats_allow() -> None:
    """An exception within an allowed range must hold."""
    policy = OutboundPolicy(allow_networks=("10.0.0.0/8",), deny_networks=("10.1.0.0/16",))

    assert policy.refuse_address("10.2.0.1") is None
    assert policy.refuse_address("10.1.0.1") is not None
    assert policy.refuse_address("::ffff:10.1.0.1") is not None


def test_host_lists_match_names_and_subdomains() -> None:
    """`*.example.org` must not let `evil-example.org` through."""
    policy = OutboundPolicy(allow_hosts=("api.test", "*.example.org"), deny_hosts=("bad.example.org",))

    assert policy.refuse_host("API.test.") is None
    assert policy.refuse_host("a.b.example.org") is None
    assert policy.refuse_host("example.org") is not None
    assert policy.refuse_host("evil-example.org") is not None
    assert policy.refuse_host("bad.example.org") is not None


def test_names_of_metadata_services_are_refused() -> None:
    """They resolve to addresses that other checks might not know."""
    assert OutboundPolicy().refuse_host("metadata.google.internal") is not None


@pytest.mark.parametrize("field", ["allow_networks", "deny_networks"])
def test_a_mistyped_network_is_an_error_at_once(field: str) -> None:
    """A rule that matches nothing would be an open door that looks closed."""
    with pytest.raises(ValueError, match=r"10\.0\.0\.0/33"):
        OutboundPolicy(**{field: ("10.0.0.0/33",)})

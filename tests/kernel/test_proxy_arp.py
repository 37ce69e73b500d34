"""Settings of ports of others: changed, and reset to the kernel's defaults. On any kernel."""

from __future__ import annotations


def settings(host):
    return [
        int(host.sysctl(path))
        for path in ("ipv4/conf/port/proxy_arp", "ipv6/conf/port/proxy_ndp", "ipv4/neigh/port/proxy_delay")
    ]


def test_deleted_resets_a_port_to_the_kernels_defaults(bare_namespace):
    host = bare_namespace  # like every namespace but the initial one, it has no default neighbour settings
    host.cable("port")
    defaults = settings(host)
    port = {"interface": "port", "entries": ["203.0.113.77"]}
    wanted = [{**port, "proxy_arp": True, "proxy_ndp": True, "delay": 0}]
    assert host.changed("proxy_arp", config=wanted) == [("proxy_arp", "change", "port")]
    assert settings(host) == [1, 1, 0]
    assert host.changed("proxy_arp", config=[port], state="deleted") == [("proxy_arp", "change", "port")]
    assert settings(host) == defaults
    assert host.ip("neighbor show proxy") == ""
    assert host.changed("proxy_arp", config=[port], state="deleted") == []
    assert host.changed("proxy_arp", config=[{"interface": "missing"}], state="deleted") == []

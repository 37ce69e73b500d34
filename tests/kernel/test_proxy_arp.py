"""Settings of ports that are someone else's: changed, and put back to the kernel's own. Any kernel will do."""

from __future__ import annotations


def settings(host):
    return [
        int(host.sysctl(path))
        for path in ("ipv4/conf/port/proxy_arp", "ipv6/conf/port/proxy_ndp", "ipv4/neigh/port/proxy_delay")
    ]


def test_a_port_that_is_given_up_has_the_kernels_settings_again(bare_namespace):
    host = bare_namespace  # as every network namespace but the first, it has no defaults of neighbours to read
    host.cable("port")
    kernels = settings(host)
    port = {"interface": "port", "entries": ["203.0.113.77"]}
    wanted = [{**port, "proxy_arp": True, "proxy_ndp": True, "delay": 0}]
    assert host.changed("proxy_arp", config=wanted) == [("proxy_arp", "change", "port")]
    assert settings(host) == [1, 1, 0]
    assert host.changed("proxy_arp", config=[port], state="deleted") == [("proxy_arp", "change", "port")]
    assert settings(host) == kernels
    assert host.ip("neighbor show proxy") == ""
    assert host.changed("proxy_arp", config=[port], state="deleted") == []
    assert host.changed("proxy_arp", config=[{"interface": "gone"}], state="deleted") == []

"""The routing manager's configuration: all mistakes at once."""

from __future__ import annotations

import json

import pytest
from routing_manager import config
from routing_manager.model import prefix

GOOD = {
    "comment": "made by a program",
    "namespaces": ["/run/netns"],
    "instances": [
        {
            "name": "main",
            "api": "/run/main.sock",
            "vrf": None,
            "table": 254,
            "families": ["ipv4", "ipv6"],
            "local_addresses": {"ipv4": ["192.0.2.1"], "ipv6": []},
            "prefsrc": {"ipv4": "192.0.2.1", "ipv6": None},
            "announce": [{"prefix": "10.10.1.0/24", "longest": 32}],
            "networks": [{"name": "web", "prefixes": ["10.20.1.0/24"], "interface": "host-web"}],
        }
    ],
}


def test_a_good_configuration():
    read = config.read(GOOD)
    assert (read.stale_s, read.metric) == (120, 4096)
    rule = read.instances[0].announce[0]
    assert rule.covers(prefix("10.10.1.7/32")) and rule.covers(prefix("10.10.1.0/24"))
    assert not rule.covers(prefix("10.10.0.0/16")) and not rule.covers(prefix("10.10.2.0/24"))


def test_all_mistakes_are_reported_with_their_places():
    bad = json.loads(json.dumps(GOOD))
    bad["namespaces"] = ["netns"]
    bad["stale_s"] = "long"
    first = bad["instances"][0]
    first.update(api="main.sock", families=["ipv5"], colour="red")
    first["announce"][0]["longest"] = 20
    first["networks"][0]["prefixes"] = ["10.20.1.0/33"]
    first["prefsrc"]["ipv6"] = "192.0.2.1"
    del first["table"]
    bad["instances"].append({**GOOD["instances"][0], "api": "/run/other.sock", "table": 7})
    with pytest.raises(config.ConfigError) as caught:
        config.read(bad)
    assert set(str(caught.value).splitlines()) == {
        'namespaces[0]: "netns" is not an absolute path',
        'stale_s: must be a number from 0 to 86400, not "long"',
        "instances[0].colour: unknown; the keys are announce, api, families, local_addresses, name, networks, prefsrc, "
        "table, vrf",
        'instances[0].api: "main.sock" is not the absolute path of a socket',
        'instances[0].families[0]: "ipv5" is neither ipv4 nor ipv6',
        "instances[0].table: is required",
        "instances[0].announce[0].longest: must be a number from 24 to 32, not 20",
        'instances[0].networks[0].prefixes[0]: "10.20.1.0/33" is not a prefix',
        'instances[0].prefsrc.ipv6: "192.0.2.1" is not an ipv6 address',
        "instances[1].name: main is also that of instances[0].name",
    }


@pytest.mark.parametrize("content", [None, [], "x", {}, {"instances": 3}, {"instances": [None]}])
def test_what_is_no_configuration_at_all_is_refused(content):
    with pytest.raises(config.ConfigError):
        config.read(content)

"""The default lab with containers that their hosts route for: VRF, two uplinks, ECMP, proxy ARP and NDP together.

Also with GoBGP on a reflector, which is one word in the intent if that needs nothing that GoBGP lacks.
"""

from __future__ import annotations

import pytest
import yaml
from support.waiting import until

# One prefix for the containers of all hosts, and a separate one for each host.
NETWORKS = {
    "span": {
        "vrf": "public",
        "ipv4": "198.18.0.0/24",
        "gateway4": "198.18.0.254",
        "ipv6": "2001:db8:5a::/64",
        "gateway6": "fe80::1",
    },
    "own": {"vrf": "public"},
}


def changed(text):
    intent = yaml.safe_load(text)
    del intent["bgp"]["bfd"]
    for vrf in intent["vrfs"].values():
        del vrf["password"]
    intent["reflectors"]["rr2"]["daemon"] = "gobgp"
    intent["container_networks"] = NETWORKS
    for number, host in enumerate(("hv1", "hv2"), 1):
        containers = {f"own{number}": {}}
        own = {"ipv4": f"198.18.{number}.0/24", "ipv6": f"2001:db8:5a:{number}::/64", "containers": containers}
        parts = {"span": {"containers": {f"span{number}": {}}}, "own": own}
        intent["hypervisors"][host]["container_networks"] = parts
    return yaml.safe_dump(intent, sort_keys=False)


@pytest.fixture(scope="module")
def lab(bring_up):
    return bring_up("l3_hypervisor", name="containers_in_vrfs", edit=changed)


def address_of(lab, host, container):
    found = lab.json(host, "-4", "-n", container, "address", "show", "dev", "eth0", "scope", "global")
    return found[0]["addr_info"][0]["local"]


def test_everything_is_verified(lab):
    passed, total = lab.verified()
    assert passed == total > 250


def test_containers_reach_each_other_by_either_fabric(lab):
    target = address_of(lab, "hv2", "span2")
    assert lab.nexthops("hv1", "4", "public", f"{target}/32") == {"198.51.100.102", "198.51.100.202"}
    for fabric in "AB":
        lab.run("hv1", "ip", "link", "set", f"fabric-{fabric}", "down")
        ping = ("ip", "netns", "exec", "span1", "ping", "-c", "1", "-W", "1", target)
        until(lambda p=ping: "1 received" in lab.run("hv1", *p, check=False), 30, f"a path without fabric {fabric}")
        lab.run("hv1", "ip", "link", "set", f"fabric-{fabric}", "up")
        until(lambda: len(lab.nexthops("hv1", "4", "public", f"{target}/32")) == 2, 60, "both paths")


def test_changing_one_word_switches_back_to_bird(lab):
    lab.intent.write_text(lab.intent.read_text().replace("daemon: gobgp", "daemon: bird"))
    run = lab.play("--tags", "routing", "--limit", "rr2")
    assert run.code == 0, run.output
    until(lambda: len(lab.established("rr2")) > 0, 30, "a session of BIRD on rr2")
    assert lab.run("rr2", "pgrep", "-c", "gobgpd", check=False).strip() == "0"

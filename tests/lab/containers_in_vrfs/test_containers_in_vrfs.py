"""The default lab with containers that their hosts route for: VRF, two uplinks, ECMP, proxy ARP and NDP together.

Also with GoBGP on a reflector, which is one word in the intent if that needs nothing that GoBGP lacks, and with BIRD in
the main table beside VRFs.
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
    "own": {
        "vrf": "public",
        "policy": [
            {"from": "span", "to": {"tcp": ["70-80"]}, "action": "allow"},
            {"from": "any", "to": {"ping": True}, "action": "allow"},
            {"from": "198.18.0.0/16", "action": "deny"},
            {"from": "2001:db8:5a::/48", "action": "deny"},
        ],
    },
}


def changed(text):
    intent = yaml.safe_load(text)
    del intent["bgp"]["bfd"]
    for vrf in intent["vrfs"].values():
        del vrf["password"]
    intent["reflectors"]["rr2"]["daemon"] = "gobgp"
    intent["vrfs"]["main"] = {}
    intent["fabrics"]["A"]["networks"]["main"] = {"ipv4": "172.23.0.0/24", "hypervisors": {"ipv4": "172.23.0.100"}}
    intent["reflectors"]["rr1"]["addresses"]["main"] = {"ipv4": "172.23.0.126"}
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


def address_of(lab, host, container, family="4"):
    found = lab.json(host, f"-{family}", "-n", container, "address", "show", "dev", "eth0", "scope", "global")
    return found[0]["addr_info"][0]["local"]


def test_everything_is_verified(lab):
    passed, total = lab.verified()
    assert passed == total > 250


def has_both_paths(lab) -> bool:
    """Between the containers of both hosts, in both families."""
    ends = (("hv1", "hv2", "span2"), ("hv2", "hv1", "span1"))
    prefixes = [
        (host, family, f"{address_of(lab, other, target, family)}/{length}")
        for host, other, target in ends
        for family, length in (("4", 32), ("6", 128))
    ]
    return all(len(lab.nexthops(host, family, "public", prefix)) == 2 for host, family, prefix in prefixes)


def test_containers_reach_each_other_by_either_fabric(lab):
    target = address_of(lab, "hv2", "span2")
    assert lab.nexthops("hv1", "4", "public", f"{target}/32") == {"198.51.100.102", "198.51.100.202"}
    for fabric in "AB":
        lab.run("hv1", "ip", "link", "set", f"fabric-{fabric}", "down")
        ping = ("ip", "netns", "exec", "span1", "ping", "-c", "1", "-W", "1", target)
        until(lambda p=ping: "1 received" in lab.run("hv1", *p, check=False), 30, f"a path without fabric {fabric}")
        lab.run("hv1", "ip", "link", "set", f"fabric-{fabric}", "up")
        until(lambda: has_both_paths(lab), 60, "both paths")


# Connects to port 80 of an address, and prints what came of it.
CLIENT = """
import socket, sys
for address in sys.argv[3:]:
    try:
        socket.create_connection((address, int(sys.argv[1])), int(sys.argv[2])).close()
        print("accepted")
    except ConnectionRefusedError:
        print("refused")
    except TimeoutError:
        print("silence")
"""


def connected(lab, host, container, port, addresses, seconds=2):
    command = ("ip", "netns", "exec", container, "python3", "-c", CLIENT, str(port), str(seconds), *addresses)
    return lab.run(host, *command).split()


def dropped(lab, host):
    listing = lab.run(host, "nft", "list", "counter", "inet", "routed_hypervisor", "policy_own")
    return int(listing.split("packets ")[1].split()[0])


def test_a_policy_is_enforced_on_the_destinations_host_in_each_family(lab):
    """No port is open here, so that what is let through is refused by the container itself."""
    own = [address_of(lab, "hv2", "own2", family) for family in "46"]
    assert connected(lab, "hv1", "span1", 80, own, 20) == ["refused", "refused"]
    before = dropped(lab, "hv2"), dropped(lab, "hv1")
    assert connected(lab, "hv1", "span1", 81, own) == ["silence", "silence"]
    assert connected(lab, "hv1", "own1", 80, own) == ["silence", "silence"]
    assert dropped(lab, "hv2") >= before[0] + 4
    assert dropped(lab, "hv1") == before[1]


def test_answers_pass_a_policy_that_denies_new_connections(lab):
    """From own2, which span1 does not reach on any other port than 80: the answers come to a port of the client."""
    span = [address_of(lab, "hv1", "span1", family) for family in "46"]
    before = dropped(lab, "hv2")
    assert connected(lab, "hv2", "own2", 81, span, 20) == ["refused", "refused"]
    assert dropped(lab, "hv2") == before


def test_containers_of_another_network_of_the_same_host_are_denied_as_well(lab):
    own = [address_of(lab, "hv2", "own2", family) for family in "46"]
    assert connected(lab, "hv2", "span2", 81, own) == ["silence", "silence"]


def test_changing_one_word_switches_back_to_bird(lab):
    lab.intent.write_text(lab.intent.read_text().replace("daemon: gobgp", "daemon: bird"))
    run = lab.play("--tags", "routing", "--limit", "rr2")
    assert run.code == 0, run.output
    until(lambda: len(lab.established("rr2")) > 0, 30, "a session of BIRD on rr2")
    assert lab.run("rr2", "pgrep", "-c", "gobgpd", check=False).strip() == "0"

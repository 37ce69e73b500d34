"""Podman's containers in a VRF: reached from the other host's, and neither taken away nor announced by mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import NOT_VERIFIED
from engines import Engine
from support.waiting import seconds_until, until

CALLER = (Path(__file__).parents[1] / "cni/caller.py").read_text()
LEASES = "/run/routed-hypervisor-cni/web"


@pytest.fixture(scope="module")
def lab(bring_up):
    return bring_up("podman", *NOT_VERIFIED)


@pytest.fixture(scope="module")
def engine(lab):
    return Engine(lab, "podman", ("host1", "host2"))


@pytest.fixture
def podman(engine):
    yield engine
    engine.clear()


def test_containers_of_two_hosts_reach_each_other_in_both_families(lab, podman):
    near, far = podman.start("host1", "web1", "web"), podman.start("host2", "web2", "web")
    assert (near.rpartition(".")[0], far.rpartition(".")[0]) == ("10.10.1", "10.10.2")
    assert 128 <= int(near.rpartition(".")[2]) < 192, "not in podman's part of the prefix"
    seconds = seconds_until(lambda: podman.pings("web1", far), 60, "the first answer", 0.1)
    far6 = podman.address("host2", "web2", "6")
    until(lambda: podman.pings("web1", far6), 60, "the first answer in IPv6", 0.1)
    print(f"web1 reaches web2 {seconds:.1f} s after it was started")
    # The host itself, by the route to podman's part; and a container of the intent.
    ping = ("ping", "-c", "1", "-W", "5", near)
    until(lambda: lab.tried("host1", *ping)[0] == 0, 30, "an answer to the host", 0.1)
    until(lambda: lab.tried("host1", "ip", "netns", "exec", "c1", *ping)[0] == 0, 30, "an answer to c1", 0.1)


def test_a_container_that_is_killed_gives_its_address_back(lab, podman):
    address = podman.start("host1", "web1", "web")
    podman.run("host1", "kill", "web1")
    seconds_until(lambda: address not in lab.run("host1", "ls", LEASES).split(), 60, "the release of its address", 0.1)


SERVER = """
ip link add link bridge name bridge.100 type vlan id 100
ip address add 192.168.252.254/24 dev bridge.100
ip link set bridge.100 up
dnsmasq --conf-file=/dev/null --port=0 --interface=bridge.100 --bind-interfaces --pid-file=/run/dhcp.pid \\
  --dhcp-range=192.168.252.100,192.168.252.120,1h --dhcp-leasefile=/run/dhcp.leases
"""


def test_a_container_has_a_lease_until_it_is_removed_and_a_second_run_changes_nothing(lab, podman):
    lab.run("switch-lan", "sh", "-ec", SERVER)
    address = podman.start("host1", "lan1", "lan")
    assert f" {address} " in lab.run("switch-lan", "cat", "/run/dhcp.leases")
    until(lambda: podman.pings("lan1", "192.168.252.254"), 30, "an answer from the server", 0.1)
    podman.start("host1", "web1", "web")
    run = lab.play("--tags", "network,runtimes")
    assert run.code == 0 and run.changed == set(), run.output
    podman.remove("lan1")
    seconds_until(lambda: lab.run("switch-lan", "cat", "/run/dhcp.leases") == "", 30, "the end of its lease", 0.1)
    lab.run("switch-lan", "sh", "-ec", "kill $(cat /run/dhcp.pid); ip link delete bridge.100")


# A network of somebody else with the address that is given, on an interface of its own.
OTHER = """
import ipaddress, json, sys
network = json.load(open("/etc/cni/net.d/90-web.conflist"))
network["name"] = "other"
del network["comment"]
plugin = network["plugins"][0]
plugin["master"] = "other"
subnet = str(ipaddress.ip_network(sys.argv[1] + "/24", strict=False))
plugin["ipam"] = {"type": "host-local", "ranges": [[{"subnet": subnet, "rangeStart": sys.argv[1]}]]}
json.dump(network, open("/etc/cni/net.d/95-other.conflist", "w"))
"""


def test_an_address_of_two_runtimes_is_reported_with_both_containers(lab, podman):
    """On one interface, the kernel refuses it."""
    address = podman.start("host1", "web1", "web")
    lab.run("host1", "sh", "-ec", "ip link add other type dummy; ip netns add thief")
    lab.run("host1", "python3", "-c", OTHER, address)
    call = ("python3", "-c", CALLER, "ADD", "/etc/cni/net.d/95-other.conflist", "0123456789abcdef", "thief")
    lab.run("host1", *call)
    try:
        run = lab.play("--tags", "verify", "-e", "verify_deadline=1")
        words = f"addresses of several containers: {address} ("
        assert run.code != 0 and words in run.output, run.output
        assert "web1 (podman, web)" in run.output, run.output
        assert "eth0 in thief: 0123456789ab (cni, other)" in run.output, run.output
    finally:
        lab.run(
            "host1", "sh", "-ec", "ip netns delete thief; ip link delete other; rm /etc/cni/net.d/95-other.conflist"
        )


@pytest.mark.long
def test_after_a_reboot_all_addresses_are_free_and_containers_start_again(lab, podman):
    """Records of addresses that a reboot would keep are those of containers that nobody removes any more."""
    podman.start("host1", "web1", "web")
    assert podman.address("host1", "web1") in lab.run("host1", "ls", LEASES).split()
    print(f"host1 is back after {lab.reboot('host1'):.1f} s")
    assert lab.tried("host1", "test", "-e", LEASES)[0] == 1
    podman.run("host1", "start", "web1")
    assert podman.address("host1", "web1") in lab.run("host1", "ls", LEASES).split()
    podman.start("host2", "web2", "web")
    seconds_until(lambda: podman.pings("web2", podman.address("host1", "web1")), 60, "an answer", 0.1)
    run = lab.play(*NOT_VERIFIED)
    assert run.code == 0 and not any(host == "host1" for host, _task in run.changed), run.output


def test_a_network_in_use_is_not_removed(lab, podman):
    """The last test: the lab goes without that network."""
    podman.start("host1", "web1", "web")
    text = lab.intent.read_text().replace("runtimes: [podman]", "runtimes: []")
    lab.intent.write_text(text.replace("    ipam: dhcp\n", ""))
    run = lab.play("--tags", "network")
    container = podman.run("host1", "inspect", "--format={{.Id}}", "web1")
    assert run.code != 0 and f"the network web is in use by {container[:12]} (" in run.output, run.output
    podman.remove("web1")
    run = lab.play("--tags", "network,runtimes")
    assert run.code == 0, run.output
    left = lab.run("host1", "sh", "-c", "ls /etc/cni/net.d /etc/containers/containers.conf.d")
    assert "90-web" not in left and "routed-hypervisor" not in left

"""Docker and a caller of CNI plugins in one network: no address is given out twice, or both owners are reported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import NOT_VERIFIED
from engines import Engine
from support.waiting import until

pytestmark = pytest.mark.long  # an image of its own

CALLER = (Path(__file__).parents[1] / "cni/caller.py").read_text()
FILE = "/etc/cni/net.d/90-public.conflist"
LEAVES = ("switch1", "switch2")
# A network of somebody else with the address that is given, on an interface of its own.
OTHER = """
import json, sys
network = json.load(open(sys.argv[1]))
network["name"] = "other"
del network["comment"]
plugin = network["plugins"][0]
plugin["master"] = "other"
one = {"subnet": "192.168.1.0/24", "rangeStart": sys.argv[2], "gateway": "192.168.1.254"}
plugin["ipam"] = {"type": "host-local", "ranges": [[one]]}
json.dump(network, open("/etc/cni/net.d/95-other.conflist", "w"))
"""


def with_cni(text: str) -> str:
    text = text.replace("runtimes: [docker]", "runtimes: [docker, cni]")
    text = text.replace("pools: {docker: 192.168.1.0/26}", "pools: {docker: 192.168.1.0/26, cni: 192.168.1.128/26}")
    return text.replace("pools: {docker: 192.168.1.64/26}", "pools: {docker: 192.168.1.64/26, cni: 192.168.1.192/27}")


@pytest.fixture(scope="module")
def lab(bring_up):
    return bring_up("docker", *NOT_VERIFIED, name="two_runtimes", edit=with_cni)


@pytest.fixture(scope="module")
def engine(lab):
    return Engine(lab, "docker", ("contiv1", "contiv2"))


@pytest.fixture
def docker(engine):
    yield engine
    engine.clear()


@pytest.fixture
def container(lab):
    """The address of a container w1 that CNI plugins have made on contiv1."""
    lab.run("contiv1", "ip", "netns", "add", "w1")
    yield json.loads(lab.run("contiv1", *call("ADD", "w1")))["ips"][0]["address"].partition("/")[0]
    lab.run("contiv1", *call("DEL", "w1"))
    lab.run("contiv1", "ip", "netns", "delete", "w1")


def call(command, container, file=FILE):
    return ("python3", "-c", CALLER, command, file, container, container)


def is_everywhere(lab, address) -> bool:
    return all(
        f"{address}/32" in json.loads(lab.run(leaf, "vtysh", "-c", "show ip route bgp json") or "{}") for leaf in LEAVES
    )


def test_each_runtime_gives_addresses_of_its_own_part_and_the_other_host_reaches_all(lab, docker, container):
    near, far = docker.start("contiv1", "web1", "public"), docker.start("contiv2", "web2", "public")
    numbers = [int(address.rpartition(".")[2]) for address in (near, far, container)]
    assert 0 < numbers[0] < 64 <= numbers[1] < 128 <= numbers[2] < 192
    until(lambda: all(is_everywhere(lab, one) for one in (near, far, container)), 60, "the routes on both leaves", 0.1)
    until(lambda: docker.pings("web2", container), 30, "an answer of CNI's container to the other host", 0.1)
    assert docker.pings("web2", near) and docker.pings("web1", container)
    run = lab.play("--tags", "verify")
    assert run.code == 0, run.output


def test_an_address_that_the_other_runtime_has_given_is_refused(lab, docker, container):
    """Docker gives any address of the network if it is asked to; the kernel refuses it."""
    words = ("run", "--detach", "--name=web9", "--network=public", f"--ip={container}", "busybox", "sleep", "9999")
    code, output = docker.tried("contiv1", *words)
    docker.run("contiv1", "rm", "--force", "web9")
    assert code != 0 and "address already in use" in output, output
    assert lab.tried("contiv1", "ping", "-c", "1", "-W", "5", container)[0] == 0


def test_an_address_of_two_runtimes_is_reported_with_both_owners(lab, docker):
    address = docker.start("contiv1", "web1", "public")
    lab.run("contiv1", "sh", "-ec", "ip link add other type dummy; ip netns add thief")
    lab.run("contiv1", "python3", "-c", OTHER, FILE, address)
    try:
        lab.run("contiv1", *call("ADD", "thief", "/etc/cni/net.d/95-other.conflist"))
        run = lab.play("--tags", "verify", "-e", "verify_deadline=1")
        assert run.code != 0 and f"addresses of several containers: {address} (" in run.output, run.output
        assert "web1 (docker, public)" in run.output and "eth0 in thief: thief (cni, other)" in run.output, run.output
    finally:
        lab.run(
            "contiv1", "sh", "-ec", "ip netns delete thief; ip link delete other; rm /etc/cni/net.d/95-other.conflist"
        )

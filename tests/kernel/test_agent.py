"""The agent: a stored state, applied in a kernel that has none of it, by Debian's Python without Ansible."""

from __future__ import annotations

import copy
import json
import re
import subprocess
from pathlib import Path

import pytest
from support.namespace import Namespace
from support.waiting import until
from test_network import CONFIG as NETWORK

from ansible_collections.routed.hypervisor.plugins.module_utils._agent import stored as states
from ansible_collections.routed.hypervisor.plugins.plugin_utils import zipapp

GUESTS = ("vm1", "vm2")
CONFIG = {
    **NETWORK,
    "interfaces": [
        {**entry, "guest": entry["name"]} if entry["name"] in GUESTS else entry for entry in NETWORK["interfaces"]
    ],
}
OWN_PORTS = ("fabric-A", "fabric-B", "vm1", "vm2")
TABLE = {
    "table": "routed_hypervisor",
    "required": True,
    "text": """# Managed by Routed Hypervisor
add table inet routed_hypervisor
delete table inet routed_hypervisor
table inet routed_hypervisor {
  chain input {
    type filter hook input priority filter; policy accept;
    meta sdifname "vm1" drop
  }
}
""",
}
# -I ignores PYTHONPATH, and the packages of Debian's pyroute2 are those of an image here, not of this machine.
RUN = """
import runpy, sys
directories, program, *arguments = sys.argv[1:]
sys.path += directories.split(":") if directories else []
sys.modules["ansible"] = None
sys.argv = [program, *arguments]
runpy.run_path(program, run_name="__main__")
"""


class Agent:
    def __init__(self, host, scratch: Path):
        self.host, self.states = host, scratch / "states"
        self.program = scratch / "routed-hypervisor"
        self.program.write_bytes(zipapp.build().encode())

    def store(self, config=CONFIG, tables=(), machine=None):
        machine = machine or states.this_machine()
        states.write(str(self.states), states.Stored("hv1", machine, config, list(tables)))

    def __call__(self, *arguments, code=0, host=None) -> subprocess.CompletedProcess:
        libraries = ":".join(map(str, self.host.library or ()))
        command = [self.host.python, "-I", "-c", RUN, libraries, self.program, "--directory", self.states, *arguments]
        done = subprocess.run([*(host or self.host).prefix, *command], capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def status(self, code=0) -> dict:
        return json.loads(self("status", "--json", code=code).stdout)


@pytest.fixture
def interpreter(hosts_interpreter):
    return hosts_interpreter


@pytest.fixture
def host(namespace):
    for name in OWN_PORTS:
        namespace.cable(name)
    return namespace


@pytest.fixture
def agent(host, tmp_path):
    return Agent(host, tmp_path)


MISSING = "routes[0]: route 203.0.113.1/32 in VRF public (metric 10) is missing"


def as_stored(host):
    result = host.module("network", state="overridden", config=CONFIG, _check=True)
    assert not result.get("failed"), result["msg"]
    return not result["changes"]


# New links have new indexes and random MAC addresses, from which the kernel derives IPv6 addresses.
CHANCE = re.compile(r'"ifindex": \d+|(?:[0-9a-f]{2}:){5}[0-9a-f]{2}|fe80::[0-9a-f]*:[0-9a-f:]+')


def without_chance(everything):
    return [sorted(CHANCE.sub("", str(entry)) for entry in part) for part in everything]


def forget(host):
    """A reboot, as far as the kernel is concerned: nothing of ours is left."""
    host.changed("network", state="deleted")
    host.ip("route flush table all proto 82")


def test_a_boot_makes_what_the_module_made(host, agent):
    host.changed("network", state="overridden", config=CONFIG)
    made = host.settled()
    agent.store()
    forget(host)
    assert not as_stored(host)
    done = agent("apply", "--boot")
    assert done.stderr == ""

    assert as_stored(host)
    assert without_chance(host.settled()) == without_chance(made)
    assert agent("apply").stdout == "0 changes\n"
    assert agent.status() == {
        "host": "hv1",
        "guests": {},
        "containers": [],
        "strangers": [],
        "routing": [],
        "differences": [],
        "absent": [],
        "problems": [],
        "daemons": {},
        "armed": None,
        "rolled_back": None,
    }


def test_status_names_what_differs(host, agent):
    agent.store()
    agent("apply", "--boot")
    host.ip("route delete 203.0.113.1 table 90")
    assert agent.status(code=1)["differences"] == [MISSING]
    text = agent("status", code=1).stdout
    assert text == f"{MISSING}\n"


def test_an_absent_port_is_left_out_and_the_rest_is_applied(host, agent):
    host.ip("link delete vm1")
    agent.store()
    done = agent("apply", "--boot", "--wait", "5")
    assert "absent, and left out: vm1" in done.stderr
    assert host.show("link show vm2")[0]["master"] == "public"
    assert host.ip("route show 203.0.113.1 table 90") == ""
    assert agent.status(code=1)["absent"] == ["vm1"]
    host.cable("vm1")
    agent("apply")
    assert as_stored(host)


def test_an_absent_uplink_makes_the_exit_code_1_and_the_rest_is_applied(host, agent):
    host.ip("link delete fabric-B")
    agent.store()
    done = agent("apply", "--boot", "--wait", "0.2", code=1)
    assert "fabric-B is absent; what needs it is left out" in done.stderr
    assert {link["ifname"] for link in host.show("link show type vlan")} == {"fabric-A.20", "fabric-A.90"}
    assert "via 172.22.15.126" in host.ip("route show 10.9.0.0/16 table 20")


def test_a_link_of_ours_whose_parent_is_renamed_stays(host, agent):
    agent.store()
    agent("apply", "--boot")
    host.ip("link set fabric-B name other")
    before = host.show("link show type vlan")
    done = agent("apply", code=1)
    assert "fabric-B is absent; what needs it is left out" in done.stderr
    assert {link["ifname"] for link in host.show("link show type vlan")} == {link["ifname"] for link in before}


def test_a_late_uplink_is_waited_for(host, agent):
    host.ip("link delete fabric-B")
    agent.store()
    libraries = ":".join(map(str, host.library or ()))
    command = [host.python, "-I", "-c", RUN, libraries, agent.program, "--directory", agent.states]
    process = host.start(*command, "apply", "--boot", "--wait", "60", stderr=subprocess.PIPE, text=True)
    host.cable("fabric-C")
    host.ip("link set fabric-C down")
    host.ip("link set fabric-C name fabric-B")
    assert process.communicate(timeout=90)[1] == ""
    assert process.returncode == 0
    assert as_stored(host)


@pytest.mark.parametrize(
    ("kind", "entry", "sentence"),
    [
        (
            "routes",
            {"prefix": "10.77.0.0/16", "gateway": "192.0.2.77"},
            "routes[8].gateway: 192.0.2.77 is on no network",
        ),
        ("sysctls", {"name": "net.ipv4.ip_default_ttl", "value": "999"}, "cannot set net.ipv4.ip_default_ttl"),
    ],
)
def test_what_planning_or_the_kernel_refuses_is_one_sentence_and_the_rest_is_applied(
    host, agent, kind, entry, sentence
):
    config = copy.deepcopy(CONFIG)
    config.setdefault(kind, []).append(entry)
    agent.store(config)
    done = agent("apply", "--boot", code=1)
    (line,) = done.stderr.splitlines()
    assert sentence in line
    assert as_stored(host)


def test_what_is_left_out_because_of_a_mistake_is_not_removed(host, agent):
    agent.store()
    agent("apply", "--boot")
    config = copy.deepcopy(CONFIG)
    config["interfaces"][2]["vrf"] = "no-such"
    agent.store(config)
    agent("apply", code=1)
    assert as_stored(host)


@pytest.mark.parametrize("damage", [b"", b"routed-hypervisor-state 2 sha256:0\n{}", None])
def test_a_damaged_state_falls_back_to_the_last_good_one(host, agent, damage):
    agent.store()
    agent.store({"vrfs": []})
    current = agent.states / "state"
    current.write_bytes(current.read_bytes()[:-1] if damage is None else damage)
    done = agent("apply", "--boot")
    assert "is damaged" in done.stderr
    assert "the last good state is used instead" in done.stderr
    assert as_stored(host)
    assert agent.status(code=1)["problems"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"someone's\n", "is not ours"),
        (b"routed-hypervisor-state 6 sha256:0\n{}", "has version 6"),
        (None, "does not exist"),
    ],
)
def test_a_state_that_is_not_ours_changes_nothing(host, agent, content, sentence):
    agent.store()
    agent.store({"vrfs": []})  # a good one beside it is not used
    if content is None:
        (agent.states / "state").unlink()
    else:
        (agent.states / "state").write_bytes(content)
    before = host.settled()
    done = agent("apply", "--boot", code=2)
    (line,) = done.stderr.splitlines()
    assert sentence in line
    assert line.endswith(states.REMEDY)
    assert host.settled() == before


def test_a_state_of_another_machine_changes_nothing(host, agent):
    agent.store(machine=states.Machine(None if states.this_machine().id is None else "f" * 32, "other"))
    before = host.settled()
    done = agent("apply", "--boot", code=2)
    assert "is for another machine (hv1, hostname other); nothing was changed" in done.stderr
    assert host.settled() == before


def test_the_firewall_is_loaded_and_watched(host, agent):
    try:
        host.run("nft", "list", "tables")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("nft does not work here")
    agent.store(tables=[TABLE])
    done = agent("apply", "--boot")
    assert done.stderr == ""
    assert 'meta sdifname "vm1" drop' in host.run("nft", "list", "table", "inet", "routed_hypervisor")
    host.run("nft", "flush", "ruleset")
    assert agent.status(code=1)["differences"] == ["table inet routed_hypervisor is missing"]
    agent.store(tables=[{**TABLE, "text": None}])
    agent.status()
    agent.store(tables=[{**TABLE, "text": TABLE["text"] + "}"}])
    assert "nft refuses the text" in agent("apply", code=1).stderr
    assert as_stored(host)


def test_containers_links_are_back(namespace, tmp_path):
    namespace.cable("eth0")
    name = f"{namespace.name}-c1"
    config = {
        "interfaces": [{"name": "eth0"}],
        "namespaces": [{"name": name}],
        "ipvlan_links": [
            {
                "name": "eth0",
                "namespace": name,
                "master": "eth0",
                "mode": "l2",
                "addresses": [{"address": "10.1.0.2/24"}],
            }
        ],
    }
    agent = Agent(namespace, tmp_path)
    agent.store(config)
    assert agent("apply", "--boot").stderr == ""
    assert Namespace(name).show("address show eth0")[0]["addr_info"][0]["local"] == "10.1.0.2"
    agent.status()


@pytest.fixture
def web(namespace, tmp_path):
    """A network of containers with one of the intent, c1; its name, and the agent."""
    name = f"{namespace.name}-c1"
    link = {"name": "eth0", "namespace": name, "master": "web", "mode": "l2", "addresses": [{"address": "10.1.0.2/24"}]}
    agent = Agent(namespace, tmp_path)
    dummy = {"name": "web", "type": "dummy"}
    agent.store({"interfaces": [dummy], "namespaces": [{"name": name}], "ipvlan_links": [link]})
    agent("apply", "--boot")
    return name, agent


def test_status_shows_whose_the_addresses_of_containers_are(namespace, web):
    name, agent = web
    other = Namespace.made(f"{namespace.name}-x")
    namespace.ip(f"link add link web name eth0 netns {other.name} type ipvlan mode l2")
    other.ip("addr add 10.1.0.3/24 dev eth0")
    namespace.ip("link set web up")
    namespace.ip("route add 10.1.0.3/32 dev web proto 84")
    (own, found) = agent.status()["containers"]
    assert (own["address"], own["container"], own["runtime"], own["announced"]) == ("10.1.0.2", name, "intent", False)
    assert (found["address"], found["runtime"], found["announced"]) == ("10.1.0.3", "unknown", True)
    shown = agent("status").stdout
    assert f"10.1.0.2 is {name} (intent), on web" in shown
    assert f"10.1.0.3 is eth0 in {other.name} (unknown), on web, announced" in shown


def test_status_warns_of_addresses_of_two_containers_or_none_and_of_another_mode(namespace, web):
    name, agent = web
    other = Namespace.made(f"{namespace.name}-x")
    namespace.ip("link add edge type dummy")
    namespace.ip(f"link add link edge name eth0 netns {other.name} type ipvlan mode l2")
    other.ip("addr add 10.1.0.2/24 dev eth0")
    namespace.ip("link set web up")
    namespace.ip("route add 10.1.0.9/32 dev web proto 84")
    assert agent.status(code=1)["differences"] == [
        f"10.1.0.2 is the address of several containers: eth0 in {name}: {name} (intent), eth0 in {other.name}",
        "10.1.0.9 is announced, and no container has it",
    ]
    namespace.ip("route del 10.1.0.9/32 dev web proto 84")
    namespace.ip("link del edge")
    namespace.ip(f"link add link web name stray netns {other.name} type ipvlan mode l3")
    (*_links, first, second) = agent.status(code=1)["differences"]
    assert first == f"links on web are in mode l3, not l2: eth0 in {name}: {name} (intent)"
    assert second == f"links on web are in mode l3, not l2: stray in {other.name}"


def test_a_run_that_holds_the_lock_is_waited_for(host, agent):
    agent.store()
    holder = host.start("flock", "--no-fork", "/run/routed-hypervisor.lock", "sleep", "600")
    try:
        until(lambda: f"WRITE {holder.pid} " in Path("/proc/locks").read_text(), what="the lock is held")
        libraries = ":".join(map(str, host.library or ()))
        command = [host.python, "-I", "-c", RUN, libraries, agent.program, "--directory", agent.states, "apply"]
        process = host.start(*command)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=2)
        assert not host.show("link show type vrf")
    finally:
        holder.kill()
        holder.wait()
    assert process.wait(timeout=60) == 0
    assert as_stored(host)


def test_a_network_that_is_not_in_the_kernel_is_not_stored(host):
    result = host.module("agent", host="hv1", network=CONFIG, program_digest="0")
    assert result["failed"]
    assert "the kernel differs from this network, which is therefore not stored" in result["msg"]

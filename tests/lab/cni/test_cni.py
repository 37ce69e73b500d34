"""Containers that a CNI runtime creates: announced, reached, and the plugins' traps, with the plugins of Debian."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import NOT_VERIFIED
from support.waiting import seconds_until, stays, until

CALLER = (Path(__file__).parent / "caller.py").read_text()
FILES = "/etc/cni/net.d"
LEASES = "/run/routed-hypervisor-cni"
WEB = """    announce: address
    runtimes: [cni]
    chain: [{plugin: tuning, sysctl: {net.core.somaxconn: "512"}}, {plugin: firewall}]
"""
ADDRESSES = {"web": ("10.10.1.", "2001:db8:10:1::"), "edge": ("10.20.1.", "2001:db8:20:1::")}


@pytest.fixture(scope="module")
def lab(bring_up):
    return bring_up("cni", *NOT_VERIFIED)


class Caller:
    """Containers on host1 as a runtime has them: a namespace each, and what the plugins answer."""

    def __init__(self, lab):
        self.lab = lab
        self.networks = {}

    def tried(self, command, container, network, file=None, addresses=()) -> tuple[int, str]:
        path = file or f"{FILES}/90-{network}.conflist"
        code, output, errors = self.lab.tried(
            "host1", "python3", "-c", CALLER, command, path, container, container, *addresses
        )
        return code, output + errors

    def add(self, container, network, file=None, addresses=()) -> list[str]:
        """The container's addresses."""
        if container not in self.networks:
            self.lab.run("host1", "ip", "netns", "add", container)
        self.networks[container] = (network, file)
        code, output = self.tried("ADD", container, network, file, addresses)
        assert code == 0, output
        return [ip["address"].partition("/")[0] for ip in json.loads(output)["ips"]]

    def remove(self, container):
        network, file = self.networks.pop(container)
        code, output = self.tried("DEL", container, network, file)
        assert code == 0, output
        self.lab.run("host1", "ip", "netns", "delete", container)


@pytest.fixture
def caller(lab):
    made = Caller(lab)
    yield made
    for container in list(made.networks):
        made.remove(container)


def has_route(lab, address) -> bool:
    family, length = ("-6", 128) if ":" in address else ("-4", 32)
    return bool(lab.json("host2", family, "route", "show", f"{address}/{length}"))


def announced(lab) -> set[str]:
    """The IPv4 addresses of the pool of web to which host2 has a route."""
    return {route["dst"] for route in lab.json("host2", "-4", "route", "show", "root", "10.10.1.64/26")}


def reaches(lab, host, address) -> bool:
    return lab.tried(host, "ping", "-c", "1", "-W", "3", address)[0] == 0


def leased(lab, network) -> set[str]:
    found = lab.run("host1", "sh", "-c", f"ls {LEASES}/{network} 2>/dev/null || true").split()
    return {name for name in found if name[0].isdigit()}


def modes(lab, *links) -> set[str]:
    """The modes of links on host1, given by name, or as CONTAINER/NAME."""
    found = set()
    for link in links:
        where, _slash, name = link.rpartition("/")
        [shown] = lab.json("host1", *(("-n", where) if where else ()), "-d", "link", "show", "dev", name)
        found.add(shown["linkinfo"]["info_data"]["mode"])
    return found


@pytest.mark.parametrize("network", ["web", "edge"])
def test_a_container_is_announced_reached_and_withdrawn(lab, caller, network):
    addresses = caller.add("w1", network)
    came = seconds_until(lambda: all(has_route(lab, one) for one in addresses), 20, f"the routes to {addresses}")
    assert all(one.startswith(start) for one, start in zip(addresses, ADDRESSES[network], strict=True))
    for host in ("host1", "host2"):
        until(lambda h=host: all(reaches(lab, h, one) for one in addresses), 20, f"{host} reaches {addresses}")
    assert caller.tried("CHECK", "w1", network)[0] == 0
    caller.remove("w1")
    gone = seconds_until(lambda: not any(has_route(lab, one) for one in addresses), 20, "the withdrawal")
    print(f"{network}: route on host2 {came:.2f} s after ADD returned, gone {gone:.2f} s after the container")


def test_a_runtime_may_choose_an_address_of_its_pool_only(lab, caller):
    assert caller.add("w1", "web", addresses=["10.10.1.99"])[0] == "10.10.1.99"
    lab.run("host1", "ip", "netns", "add", "w2")
    caller.networks["w2"] = ("web", None)
    code, output = caller.tried("ADD", "w2", "web", addresses=["10.10.1.21"])
    assert code != 0 and "10.10.1.21" in output, "an address of a container of the intent"


def test_a_container_passes_the_other_plugins_of_its_network(lab, caller):
    caller.add("w1", "web")
    assert lab.run("host1", "ip", "netns", "exec", "w1", "sysctl", "-n", "net.core.somaxconn").strip() == "512"
    assert "10.10.1." in lab.run("host1", "iptables", "-n", "-L", "CNI-FORWARD")


def test_containers_of_the_intent_and_of_a_runtime_reach_each_other(lab, caller):
    address, _ipv6 = caller.add("w1", "web")
    ping = ("ip", "netns", "exec", "c1", "ping", "-c", "1", "-W", "3", address)
    until(lambda: lab.tried("host1", *ping)[0] == 0, 20, "an answer")


def test_a_second_run_changes_nothing_while_containers_run(lab, caller):
    caller.add("w1", "web")
    caller.add("e1", "edge")
    run = lab.play(*NOT_VERIFIED)
    assert run.code == 0 and run.changed == set(), run.output


@pytest.fixture
def other_mode(lab):
    """A network of somebody else on the same master as edge, in another mode, with a single address."""
    script = (
        "import json; network = json.load(open('/etc/cni/net.d/90-edge.conflist')); network['name'] = 'other'\n"
        "plugin = network['plugins'][0]; plugin['mode'] = 'l2'; del network['comment']; ipam = plugin['ipam']\n"
        "one = '10.99.0.9'; ipam['ranges'] = [[{'subnet': '10.99.0.0/24', 'rangeStart': one, 'rangeEnd': one}]]\n"
        "ipam['routes'] = []; json.dump(network, open('/tmp/other.conflist', 'w'))"
    )
    lab.run("host1", "python3", "-c", script)
    return "/tmp/other.conflist"


def test_a_failed_add_leaves_no_address_and_the_container_can_be_removed(lab, caller, other_mode):
    caller.add("o1", "other", other_mode)
    lab.run("host1", "ip", "netns", "add", "o2")
    caller.networks["o2"] = ("other", other_mode)
    code, _output = caller.tried("ADD", "o2", "other", other_mode)
    assert code != 0, "the pool has one address"
    left = lab.json("host1", "-n", "o2", "address", "show", "dev", "eth0")
    assert left, "the link is left behind: this test has become unnecessary"
    assert not [one for one in left[0]["addr_info"] if one.get("scope") == "global"]
    caller.remove("o2")
    caller.remove("o1")
    assert leased(lab, "other") == set()


def test_running_containers_that_another_network_switched_to_its_mode_are_switched_back(lab, caller, other_mode):
    """The plugin asks nobody: mode belongs to the master, and even a container that is not created changes it.

    After the tests whose containers change it: this one ends with a run that restores it.
    """
    caller.add("e1", "edge")
    assert modes(lab, "e1/eth0", "host-edge") == {"l3"}
    lab.run("host1", "sed", "--in-place=.kept", "s/host-local/none-such/", other_mode)
    lab.run("host1", "ip", "netns", "add", "o0")
    assert caller.tried("ADD", "o0", "other", other_mode)[0] != 0, "there is no such plugin"
    assert modes(lab, "e1/eth0", "host-edge") == {"l2"}, "an ADD that fails switches them, too"
    lab.run("host1", "sh", "-ec", f"ip netns delete o0; mv {other_mode}.kept {other_mode}")
    caller.add("o1", "other", other_mode)
    assert modes(lab, "e1/eth0", "host-edge") == {"l2"}
    run = lab.play("--tags", "network")
    assert run.code != 0 and "the links that fabric-left has: eth0 in o1 (l2)" in run.output, run.output
    caller.remove("o1")
    assert modes(lab, "e1/eth0", "host-edge") == {"l2"}, "nothing switches it back"
    # It waits for what is wrong to become right until its deadline.
    run = lab.play("--tags", "verify", "-e", "verify_deadline=1")
    assert run.code != 0 and "links in another mode: " in run.output, run.output
    run = lab.play("--tags", "network")
    assert run.code == 0 and run.changed == {("host1", "network")}, run.output
    assert modes(lab, "e1/eth0", "host-edge") == {"l3"}


def test_a_second_add_for_a_container_announces_nothing_more(lab, caller):
    addresses = caller.add("w1", "web")
    until(lambda: all(has_route(lab, one) for one in addresses), 20, f"the routes to {addresses}")
    until(lambda: announced(lab) == {addresses[0]}, 20, "the withdrawal of other containers")
    before = leased(lab, "web")
    code, output = caller.tried("ADD", "w1", "web")
    assert code != 0 and "file exists" in output, output
    links = {link["ifname"] for link in lab.json("host1", "-n", "w1", "link", "show", "type", "ipvlan")}
    assert len(links) == 2, "the second link is left behind: the verification reports it"
    assert leased(lab, "web") == before
    stays(lambda: announced(lab) == {addresses[0]}, 2, "no other address")
    assert all(has_route(lab, one) for one in addresses)


def test_addresses_of_containers_that_went_without_the_plugin_are_released(lab, caller):
    kept = caller.add("w1", "web")
    lost = caller.add("w2", "web")
    until(lambda: all(has_route(lab, one) for one in lost), 20, f"the routes to {lost}")
    lab.run("host1", "ip", "netns", "delete", "w2")
    caller.networks.pop("w2")
    until(lambda: not any(has_route(lab, one) for one in lost), 20, "the withdrawal: the kernel is the only source")
    assert set(lost) <= leased(lab, "web")
    # What was recorded in the last minute may not be configured yet.
    lab.run("host1", "sh", "-c", f"touch -d '2 minutes ago' {LEASES}/web/*")
    run = lab.play("--tags", "runtimes")
    assert run.code == 0 and run.changed == {("host1", "cni_networks")}, run.output
    assert leased(lab, "web") == set(kept)


def test_a_reboot_ends_all_leases(lab, caller):
    caller.add("w1", "web")
    assert lab.run("host1", "stat", "--file-system", "--format", "%T", LEASES).strip() == "tmpfs"


SERVER = """
ip address replace 192.168.252.254/24 dev bridge
dnsmasq --conf-file=/dev/null --port=0 --interface=bridge --bind-interfaces --pid-file=/run/dhcp.pid \\
  --dhcp-range=192.168.252.100,192.168.252.120,1h --dhcp-leasefile=/run/dhcp.leases
"""
DHCP = "routed-hypervisor-cni-dhcp"


@pytest.fixture
def server(lab):
    """A DHCP server on the network lan; returns its leases: when each ends, by address."""
    lab.run("switch-lan", "sh", "-ec", SERVER)

    def leases() -> dict[str, int]:
        words = map(str.split, lab.run("switch-lan", "cat", "/run/dhcp.leases").splitlines())
        return {address: int(end) for end, _mac, address, *_names in words}

    yield leases
    lab.run("switch-lan", "sh", "-ec", "kill $(cat /run/dhcp.pid); rm /run/dhcp.leases")


def test_containers_with_one_mac_address_have_leases_of_their_own_and_keep_them_if_the_daemon_is_killed(
    lab, caller, server
):
    """Also if they are added at once, although the daemon gives their requests one transaction number."""
    start = time.monotonic()
    with ThreadPoolExecutor() as pool:
        own = [address for found in pool.map(lambda name: caller.add(name, "lan"), ("d1", "d2")) for address in found]
    print(f"two containers have leases {time.monotonic() - start:.1f} s after both were added")
    assert sorted(server()) == sorted(own) and len(set(own)) == 2, "by their client identifiers"
    macs = {lab.json("host1", "-n", name, "link", "show", "dev", "eth0")[0]["address"] for name in ("d1", "d2")}
    assert len(macs) == 1
    until(lambda: all(reaches(lab, "host1", one) for one in own), 20, "the host's routes to its containers")
    before = server()
    # It leaves its socket behind, and forgets its leases: others renew them.
    pid = lab.run("host1", "cat", f"/run/{DHCP}.pid").strip()
    lab.run("host1", "kill", "-9", pid)
    until(lambda: lab.tried("host1", "test", "-e", f"/proc/{pid}")[0], 10, "the end of the daemon")
    lab.run("host1", f"/etc/init.d/{DHCP}", "start")
    until(lambda: all(server().get(one, 0) > before[one] for one in own), 30, "the renewal of both leases", 0.2)
    assert lab.tried("host1", "test", "-e", f"/run/{DHCP}.sock.lost")[0] == 1
    caller.remove("d1")
    until(lambda: set(server()) == {own[1]}, 20, "the end of the first lease")


@pytest.fixture
def process(lab):
    """A process in a namespace that nothing mounts; as some runtimes, whose callers get the path of its namespace."""
    pid = lab.run("host1", "sh", "-c", "unshare --net sleep 600 >/dev/null 2>&1 & echo $!").strip()
    own = lab.run("host1", "readlink", "/proc/self/ns/net")
    until(lambda: lab.run("host1", "readlink", f"/proc/{pid}/ns/net") != own, 10, "its namespace")
    yield pid
    lab.tried("host1", "kill", pid)


def test_a_container_whose_runtime_mounts_no_namespace_is_announced_while_it_has_a_process(lab, process):
    add = ("python3", "-c", CALLER, "ADD", f"{FILES}/90-web.conflist", "p1", f"/proc/{process}/ns/net")
    addresses = [one["address"].partition("/")[0] for one in json.loads(lab.run("host1", *add))["ips"]]
    until(lambda: all(has_route(lab, one) for one in addresses), 20, f"the routes to {addresses}")
    until(lambda: all(reaches(lab, "host2", one) for one in addresses), 20, f"host2 reaches {addresses}")
    assert lab.tried("host1", "python3", "-c", CALLER, "CHECK", *add[4:])[0] == 0
    # Now its runtime is killed with it: nobody calls DEL.
    lab.run("host1", "kill", "-9", process)
    until(lambda: lab.tried("host1", "test", "-e", f"/proc/{process}")[0], 10, "the end of the process")
    run = lab.play("--tags", "verify", "-e", "verify_deadline=1")
    assert "addresses without a process: eth0 in /run/routed-hypervisor-netns/p1-eth0" in run.output, run.output
    lab.run("host1", "sh", "-c", f"touch -d '2 minutes ago' {LEASES}/web/*")
    run = lab.play("--tags", "runtimes")
    assert run.code == 0 and run.changed == {("host1", "cni_networks")}, run.output
    until(lambda: not any(has_route(lab, one) for one in addresses), 20, "the withdrawal")
    assert leased(lab, "web") == set()
    assert lab.run("host1", "ls", "/run/routed-hypervisor-netns") == ""


def test_the_next_call_of_the_plugin_ends_what_has_no_process_any_more(lab, caller, process):
    add = ("python3", "-c", CALLER, "ADD", f"{FILES}/90-web.conflist", "p1", f"/proc/{process}/ns/net")
    lost, _ipv6 = [one["address"].partition("/")[0] for one in json.loads(lab.run("host1", *add))["ips"]]
    until(lambda: has_route(lab, lost), 20, "the route")
    lab.run("host1", "kill", "-9", process)
    until(lambda: lab.tried("host1", "test", "-e", f"/proc/{process}")[0], 10, "the end of the process")
    caller.add("w1", "web")
    until(lambda: not has_route(lab, lost), 20, "the withdrawal")
    lab.run("host1", "python3", "-c", CALLER, "DEL", *add[4:])


def test_an_mtu_above_the_masters_and_a_second_file_for_a_network_are_refused_together(lab):
    """The plugin accepts such an MTU, and the master drops what is larger; a runtime reads the first of two files."""
    lab.run("host1", "ip", "link", "set", "fabric-left", "mtu", "1400")
    script = f"sed 's/Managed by Routed/Made by/' {FILES}/90-web.conflist >{FILES}/10-mine.conflist"
    lab.run("host1", "sh", "-c", script)
    text = lab.intent.read_text()
    lab.intent.write_text(text.replace("    mode: l3\n", "    mode: l3\n    mtu: 1450\n"))
    try:
        run = lab.play("--tags", "runtimes")
        assert run.code != 0
        assert "the MTU 1450 is more than that of fabric-left (1400)" in run.output, run.output
        assert f"{FILES}/10-mine.conflist, which is not ours, has a network of the same name" in run.output, run.output
    finally:
        lab.intent.write_text(text)
        lab.run("host1", "rm", f"{FILES}/10-mine.conflist")
        lab.run("host1", "ip", "link", "set", "fabric-left", "mtu", "1500")


def test_a_network_in_use_is_not_removed(lab, caller):
    """The last test: the lab goes without that network."""
    address, _ipv6 = caller.add("w1", "web")
    until(lambda: reaches(lab, "host2", address), 20, "an answer")
    text = lab.intent.read_text()
    lab.intent.write_text(text.replace(WEB, "    announce: address\n", 1))
    run = lab.play("--tags", "network")
    assert run.code != 0 and f"the network web is in use by w1 ({address}, " in run.output, run.output
    until(lambda: reaches(lab, "host2", address), 20, "an answer still")
    caller.remove("w1")
    run = lab.play("--tags", "network,runtimes")
    assert run.code == 0, run.output
    assert lab.run("host1", "ls", FILES).split() == ["90-edge.conflist", "90-lan.conflist"]
    assert leased(lab, "web") == set()

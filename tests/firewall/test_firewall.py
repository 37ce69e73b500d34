"""The hypervisor's nftables table, tested with traffic: what gets through without and with it, counters and logs.

Runs in the kernel that bin/lab-kernel finds, if that has nftables' inet family, with the programs of lab nodes. All
packets are sent once for all tests, by scenario.py and l3_containers.py.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import ansible
import jinja2
import pytest
import yaml

from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.mistakes import Mistakes
from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.read import check
from ansible_collections.routed.hypervisor.plugins.plugin_utils.inventory import inventory

PROJECT = Path(__file__).resolve().parents[2]
SECONDS = 900  # on a busy core; alone it takes 90
# Runs each program in separate namespaces, in the image of lab nodes. Namespaces log only on request.
SHELTER = """
switch=/proc/sys/net/netfilter/nf_log_all_netns
if [ -e $switch ]; then
  before=$(cat $switch)
  trap 'echo $before >$switch' EXIT
  echo 1 >$switch
fi
image=$0
work=$1
shift
for one; do
  unshare --net --mount --propagation private sh -e -c '
    mount --bind "$0" "$0" # ip netns exec wants its root to be a mount
    mount -t proc proc "$0/proc"
    mount -t sysfs sysfs "$0/sys"
    mount --rbind /dev "$0/dev"
    mount -t tmpfs tmpfs "$0/run"
    mount -t tmpfs tmpfs "$0/tmp"
    mount --bind "$1" "$0/mnt"
    exec env PYTHONPATH=/mnt/library:/mnt PYTHONDONTWRITEBYTECODE=1 PATH=/usr/sbin:/usr/bin:/sbin:/bin \
      chroot "$0" sh -c "cd /mnt/$2 && exec python3 program.py"
  ' "$image" "$work" "$one"
done
"""

# Traffic that a guest and its hypervisor need: the firewall accepts it.
NEEDED = [
    "a guest pings its gateway",
    "a guest pings its IPv6 gateway",
    "a guest pings another",
    "a guest pings another by IPv6",
    "a guest pings the world",
    "a guest pings the world by IPv6",
    "a guest asks for an address",
    "a guest sends from its address",
    "a guest sends from its IPv6 address",
    "the world connects to a guest",
    "the hypervisor pings a guest",
    "the hypervisor pings a guest by IPv6",
    "the hypervisor connects to a guest",
    "the hypervisor connects to a guest by IPv6",
    "the router connects to BGP",
    "the router connects to BGP by IPv6",
    "the router sends BFD",
    "the router sends BFD by IPv6",
    "the router pings the hypervisor",
    "the router pings the hypervisor by IPv6",
    "a client connects to SSH at the loopback",
    "a client answers by UDP",
    "a network in no VRF connects to SSH",
]
# Traffic that nothing but the firewall stops, and the counter of each.
STOPPED = {
    "a guest connects to BGP": "to_routing",
    "a guest connects to BGP by IPv6": "to_routing",
    "a guest connects to BGP at its gateway": "to_routing",
    "a guest connects to BGP at its IPv6 gateway": "to_routing",
    "a guest sends BFD": "to_routing",
    "a guest sends BFD by IPv6": "to_routing",
    "a guest sends BFD echo": "to_routing",
    "a guest sends BFD over several hops": "to_routing",
    "a guest elsewhere connects to BGP": "to_routing",
    "a guest elsewhere sends BFD": "to_routing",
    "a stranger connects to BGP": "to_routing",
    "a stranger connects to BGP by IPv6": "to_routing",
    "a stranger sends BFD": "to_routing",
    "a client connects to BGP": "to_routing",
    "the router connects to SSH": "to_hypervisor",
    "the router connects to SSH by IPv6": "to_hypervisor",
    "the router connects to SSH by link-local address": "to_hypervisor",
    "the router sends to another service": "to_hypervisor",
    "others connect to SSH at the loopback": "to_hypervisor",
    "a guest connects to SSH": "to_hypervisor",
    "a guest connects to SSH at its IPv6 gateway": "to_hypervisor",
    "a guest sends to another service": "to_hypervisor",
    "a guest pings an uplink of its hypervisor": "to_hypervisor",
    "a guest sends from another's IPv6 address": "forged_source",
    "a guest sends from any IPv6 address": "forged_source",
    "a guest sends from another's IPv6 address to a guest": "forged_source",
    "a guest sends into another VRF": "between_vrfs",
    "a network in no VRF sends to a guest": "between_vrfs",
    "a guest redirects its hypervisor": "icmp_redirect",
    "a guest redirects its hypervisor by IPv6": "icmp_redirect",
    "a guest redirects another": "icmp_redirect",
    "the router redirects a guest": "icmp_redirect",
    "the hypervisor redirects a network in no VRF": "icmp_redirect",
    "the hypervisor redirects the router": "icmp_redirect",
}
# Of containers in l3 and l3s: the same for both, although their packets pass different hooks.
NEEDED_IN_L3 = [
    "a container elsewhere pings a container",
    "a container elsewhere connects to a container",
    "a container elsewhere sends to a container",
    "a container connects to one elsewhere",
    "a container pings the host's link",
    "the hypervisor connects to a container",
]
# With the counters in l3 and in l3s. In l3, packets to the host's link enter the host by it, as those of containers.
STOPPED_IN_L3 = {
    "a container connects to the host's link": ("to_hypervisor", "to_hypervisor"),
    "a container connects to the uplink": ("to_hypervisor", "to_hypervisor"),
    "a container sends BFD": ("to_routing", "to_routing"),
    "a container elsewhere connects to the host's link": ("forged_source", "to_hypervisor"),
}
IPV4_ONLY = ["the hypervisor connects to its own link"]
# Traffic that strict rp_filter would stop as well; the firewall comes first and counts it.
STOPPED_TWICE = {"a guest sends from another's address": "forged_source"}
ALL_STOPPED = {**STOPPED, **STOPPED_TWICE}


def library(place: Path) -> None:
    """The requirements of the module network: the collection, and the part of Ansible that modules use."""
    hide = shutil.ignore_patterns("__pycache__", "tests", "roles")
    shutil.copytree(PROJECT / "collections", place, ignore=hide)
    (place / "ansible").mkdir()
    (place / "ansible/__init__.py").touch()
    shutil.copytree(Path(ansible.__file__).parent / "module_utils", place / "ansible/module_utils", ignore=hide)


def prepare(place: Path, program: str, values: dict) -> None:
    place.mkdir()
    template = (PROJECT / "templates/nftables/nftables.conf.j2").read_text()
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True)
    (place / "hypervisor.nft").write_text(environment.from_string(template).render(values))
    (place / "network.json").write_text(json.dumps(values["network"]))
    shutil.copy(Path(__file__).with_name(program), place / "program.py")


def in_mode(mode: str) -> dict:
    """The variables of a host with containers in that mode on its uplink."""
    intent = yaml.safe_load((PROJECT / "inventories/cni/fabric.yml").read_text())
    intent["container_networks"]["edge"]["mode"] = mode
    host = intent["hypervisors"]["host1"]
    for part in (intent["fabrics"], intent["container_networks"], host["fabrics"], host["container_networks"]):
        part.pop("lan", None)
    return inventory(check(intent, Mistakes()), owner="/somewhere").host_vars["host1"]


@pytest.fixture(scope="module")
def everything(tmp_path_factory, lab_image) -> dict:
    """What was seen in each of the programs."""
    if os.geteuid() != 0:
        pytest.skip("namespaces need root")
    work = tmp_path_factory.mktemp("work")
    for name in ("packets.py", "scenario.py"):
        shutil.copy(Path(__file__).with_name(name), work)
    library(work / "library")
    prepare(work / "hv1", "scenario.py", json.loads((PROJECT / "tests/golden/l3_hypervisor/hv1.json").read_text()))
    for mode in ("l3", "l3s"):
        prepare(work / mode, "l3_containers.py", in_mode(mode))
    start = time.monotonic()
    names = ["hv1", "l3", "l3s"]
    command = [PROJECT / "bin/lab-kernel", "sh", "-e", "-c", SHELTER, lab_image, work, *names]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=SECONDS)
    print(f"all packets were sent in {time.monotonic() - start:.0f} s")
    if (lines := ended.stdout.splitlines()) and (lacking := json.loads(lines[0]).get("lacking")):
        pytest.skip(lacking)
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    return dict(zip(names, map(json.loads, lines), strict=True))


@pytest.fixture(scope="module")
def seen(everything) -> dict:
    return everything["hv1"]


def test_every_attempt_has_an_expectation(seen):
    assert sorted([*NEEDED, *ALL_STOPPED]) == sorted(seen["with"])


@pytest.mark.parametrize("name", NEEDED)
def test_needed_traffic_gets_through_and_is_not_counted(seen, name):
    assert seen["without"][name]["through"]
    assert seen["with"][name] == {"through": True, "counted": {}}


@pytest.mark.parametrize("name", STOPPED)
def test_only_the_firewall_stops(seen, name):
    assert seen["without"][name]["through"]
    assert not seen["with"][name]["through"]


@pytest.mark.parametrize("name", STOPPED_TWICE)
def test_traffic_that_rp_filter_stops_is_also_stopped_with_the_firewall(seen, name):
    assert not seen["without"][name]["through"]
    assert not seen["with"][name]["through"]


@pytest.mark.parametrize(("name", "counter"), ALL_STOPPED.items())
def test_each_drop_is_counted_by_its_own_counter(seen, name, counter):
    assert list(seen["with"][name]["counted"]) == [counter]


@pytest.mark.parametrize("counter", sorted(set(ALL_STOPPED.values())))
def test_each_kind_of_drop_is_logged_with_its_name_and_limited(seen, counter):
    lines = [line for line in seen["logged"] if line.startswith(f"{counter}: ")]
    assert 1 <= len(lines) <= 5 + 10 * max(seen["minutes"], 1)
    assert all(" SRC=" in line for line in lines)


def test_a_flood_is_counted_in_full_but_hardly_logged(seen):
    assert seen["flood"]["counted"] == 200
    assert seen["flood"]["logged"] <= 10


def test_only_the_firewall_stops_the_packets_of_a_guest_that_left_and_counts_them(seen):
    assert [found["through"] for found in seen["left"]["without"].values()] == [True, True, True]
    assert [found["through"] for found in seen["left"]["with"].values()] == [False, False, False]
    assert [list(found["counted"]) for found in seen["left"]["with"].values()] == [["closed_port"]] * 3


@pytest.fixture(scope="module", params=["l3", "l3s"])
def mode(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def seen_of_containers(mode, everything) -> dict:
    return everything[mode]


def in_both_families(names):
    return [one for name in names for one in (name, f"{name} by IPv6")]


@pytest.mark.parametrize("name", [*in_both_families(NEEDED_IN_L3), *IPV4_ONLY])
def test_traffic_that_containers_on_an_uplink_need_gets_through_and_is_not_counted(seen_of_containers, name):
    assert seen_of_containers["without"][name]["through"]
    assert seen_of_containers["with"][name] == {"through": True, "counted": {}}


@pytest.mark.parametrize("name", in_both_families(STOPPED_IN_L3))
def test_only_the_firewall_stops_containers_on_an_uplink(seen_of_containers, mode, name):
    assert seen_of_containers["without"][name]["through"]
    found, counters = seen_of_containers["with"][name], STOPPED_IN_L3[name.removesuffix(" by IPv6")]
    assert (found["through"], [*found["counted"]]) == (False, [counters[mode == "l3s"]])


def test_every_attempt_of_containers_has_an_expectation(seen_of_containers):
    known = [*in_both_families([*NEEDED_IN_L3, *STOPPED_IN_L3]), *IPV4_ONLY]
    assert sorted(known) == sorted(seen_of_containers["with"])

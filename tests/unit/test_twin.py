"""The twin of a production inventory: its intent, its other files, and what is refused."""

from __future__ import annotations

import copy
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from support import production
from support.intent_samples import OTHER
from support.modules import PROJECT

from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.mistakes import Mistakes
from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.read import check, read
from ansible_collections.routed.hypervisor.plugins.plugin_utils.twin.convert import twin
from ansible_collections.routed.hypervisor.plugins.plugin_utils.twin.write import passwords

LABS = sorted(path.parent.name for path in (PROJECT / "inventories").glob("*/fabric.yml"))
GUEST = {"ipv4": "203.0.113.77", "mac": "52:54:00:00:00:77"}


def made(data: dict, chosen: object = None):
    """The twin of an intent, which is one that a lab accepts."""
    mistakes = Mistakes()
    intent = check(copy.deepcopy(data), mistakes)
    assert not mistakes, mistakes.lines()
    found = twin(data, intent, chosen or {}, mistakes)
    assert not mistakes, mistakes.lines()
    text = yaml.safe_dump(found.intent, sort_keys=False)
    assert check(yaml.safe_load(text), mistakes) is not None, mistakes.lines()
    return found


def refused(data: dict, chosen: object = None) -> list[str]:
    mistakes = Mistakes()
    twin(data, check(copy.deepcopy(data), Mistakes()), chosen or {}, mistakes)
    return mistakes.lines()


def lines(found) -> str:
    return "\n".join(found.differences.lines(100))


@pytest.mark.parametrize("name", LABS)
def test_each_intent_without_its_lab_has_a_twin_that_is_the_same_lab(name):
    lab = yaml.safe_load((PROJECT / "inventories" / name / "fabric.yml").read_text())
    real = {key: value for key, value in lab.items() if key != "lab"}
    found = made(real)
    same = {key: value for key, value in found.intent.items() if key not in ("name", "lab", "bgp", "ospf")}
    assert same == {key: value for key, value in lab.items() if key not in ("name", "lab", "bgp", "ospf")}
    assert found.intent["name"] == f"{name}-twin"
    assert found.intent["lab"] == {key: value for key, value in lab["lab"].items() if key != "packages"}


def test_another_intent_has_a_twin():
    assert made({key: value for key, value in OTHER.items() if key != "lab"}).intent["fabrics"] == OTHER["fabrics"]


@pytest.fixture(scope="module")
def fleet() -> dict:
    return production.fleet(4)


def test_leaves_with_nxos_are_frr_with_the_same_interfaces(fleet):
    found = made(fleet)
    [leaf, *_others] = found.intent["leaves"].values()
    assert leaf == {**fleet["leaves"]["leaf1.fra.example.net"], "platform": "frr"}
    assert "leaves with NX-OS are FRR, configured from the same data: leaf1.fra.example.net, " in lines(found)


def test_nodes_are_called_by_the_first_label_of_their_names(fleet):
    found = made(fleet)
    assert list(found.intent["hypervisors"]) == ["hv1", "hv2", "hv3", "hv4"]
    assert found.intent["hypervisors"]["hv1"]["neighbors"] == {"leaf1": {}, "leaf2": {}}
    assert "nodes have other names: leaf1.fra.example.net is leaf1, " in lines(found)


def test_uplinks_and_ports_keep_their_names(fleet):
    host = made(fleet).intent["hypervisors"]["hv2"]
    assert host["fabrics"] == {"rack1a": {"interface": "eno1"}, "rack1b": {"interface": "eno2"}}
    assert host["guests"]["web2"]["port"] == "tap-web2"


def renamed(fleet: dict, names: dict[str, str]) -> dict:
    text = yaml.safe_dump(fleet, sort_keys=False)
    for old, new in names.items():
        text = re.sub(rf"\b{re.escape(old)}\b", new, text)
    return yaml.safe_load(text)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("192.0.2.7", "n-192-0-2-7"),
        ("all.example.net", "n-all"),
        ("bridge", "n-bridge"),
        ("switch-north.example.net", "n-switch-north"),
        ("4u-server.example.net", "n-4u-server"),
        ("the-second-hypervisor-of-rack-7", "the-second-f2f5"),
        ("exactly-15-long", "exactly-15-long"),
    ],
)
def test_a_name_that_no_node_can_have_is_changed(fleet, name, expected):
    assert expected in made(renamed(fleet, {"hv1.fra.example.net": name})).intent["hypervisors"]


def test_two_names_that_lead_to_one_are_refused(fleet):
    twice = renamed(fleet, {"hv2.fra.example.net": "hv1.ber.example.net"})
    [line] = refused(twice)
    assert line == (
        "hypervisors.hv1.ber.example.net: hv1 is also the name of hypervisors.hv1.fra.example.net in the twin; "
        "set twin_names in group_vars/all: {hv1.ber.example.net: NAME}"
    )
    found = made(twice, {"hv1.ber.example.net": "hv1-ber"})
    assert list(found.intent["hypervisors"])[:2] == ["hv1", "hv1-ber"]


@pytest.mark.parametrize(
    ("chosen", "reason"),
    [
        (["hv1"], "twin_names: not a map"),
        ({"hv1.fra.example.com": "hv1"}, "no such node; did you mean hv1.fra.example.net?"),
        ({"hv1.fra.example.net": "host_1"}, "host_1 is not a name for a node of a lab"),
        ({"hv1.fra.example.net": "hv2"}, "hv2 is also the name of"),
    ],
)
def test_names_that_nodes_cannot_have_are_refused(fleet, chosen, reason):
    assert reason in "\n".join(refused(fleet, chosen))


def test_guests_of_any_hypervisor_are_placed(fleet):
    moving = {
        **fleet,
        "guests": {"db1": GUEST, "db2.example.net": {**GUEST, "ipv4": "203.0.113.78", "mac": "52:54:00:00:00:78"}},
    }
    found = made(moving)
    assert "guests" not in found.intent
    assert found.intent["hypervisors"]["hv1"]["guests"]["db1"] == GUEST
    assert "db2" in found.intent["hypervisors"]["hv2"]["guests"]
    assert "db1 on hv1.fra.example.net, db2.example.net on hv2.fra.example.net" in lines(found)


def with_foreign_neighbors() -> dict:
    """Two hosts of which each peers with two routers of others, and has one of these as its gateway."""
    networks = {"main": {"ipv4": "10.1.0.0/24", "gateway4": "10.1.0.1"}}
    tor = {f"tor{number}.example.net": {"address": f"10.1.0.25{number}", "as": 65001} for number in (1, 2)}
    same = {"neighbors": {**tor, "rr": {"address": "10.1.0.9", "as": 65002}}, "as": 65002}
    return {
        "plugin": "routed.hypervisor.fabric",
        "name": "racks",
        "bgp": {"as": 500, "peering": "configured"},
        "vrfs": {"main": {}},
        "fabrics": {"rack": {"interface": "eno1", "networks": networks}},
        "segments": {"guests": {"vrf": "main", "ipv4": "203.0.113.0/24", "gateway4": "203.0.113.254"}},
        "hypervisors": {
            "hv1": {"id": 10, **copy.deepcopy(same), "guests": {"web1": {"ipv4": "203.0.113.1"}}},
            "hv2": {"id": 11, **copy.deepcopy(same), "guests": {"web2": {"ipv4": "203.0.113.2"}}},
        },
    }


def test_neighbors_that_are_not_in_the_intent_become_leaves():
    found = made(with_foreign_neighbors())
    tor1 = {"as": 65001, "platform": "frr", "fabrics": {"rack": {"addresses": {"main": {"ipv4": "10.1.0.251"}}}}}
    assert found.intent["leaves"]["tor1"] == tor1
    assert found.intent["hypervisors"]["hv1"]["neighbors"] == {"tor1": {}, "tor2": {}}
    assert found.intent["fabrics"]["rack"]["networks"]["main"]["gateway4"] == "10.1.0.251"
    assert "are missing: rr, 10.1.0.9 in AS 65002, of hv1, rr, 10.1.0.9 in AS 65002, of hv2" in lines(found)
    assert "10.1.0.1, a gateway of fabric rack in main, has the address 10.1.0.251" in lines(found)


def test_several_routers_of_one_name_are_several_leaves():
    racks = with_foreign_neighbors()
    for host, number in (("hv1", 3), ("hv2", 4)):
        racks["hypervisors"][host]["neighbors"] = {"tor": {"address": f"10.1.0.{number}", "as": 65001}}
    found = made(racks)
    assert {
        name: leaf["fabrics"]["rack"]["addresses"]["main"]["ipv4"] for name, leaf in found.intent["leaves"].items()
    } == {
        "tor": "10.1.0.3",
        "tor-2": "10.1.0.4",
    }


def test_next_hops_and_gateways_of_others_are_listed(fleet):
    static = copy.deepcopy(fleet)
    static["leaves"]["leaf1.fra.example.net"]["static"] = {"main": {"10.9.0.0/16": "10.1.1.9"}}
    assert "are missing: 10.1.1.9, the next hop of 10.9.0.0/16 on leaf1.fra.example.net" in lines(made(static))
    racks = with_foreign_neighbors()
    for host in racks["hypervisors"].values():
        del host["neighbors"]
    assert "are missing: 10.1.0.1, a gateway of fabric rack in main" in lines(made(racks))


def test_relays_become_servers():
    other = {key: copy.deepcopy(value) for key, value in OTHER.items() if key != "lab"}
    other["loopbacks"]["blue"] = {"ipv4": "10.34.0.0/24", "interface": "lo-blue"}
    other["segments"]["web"] |= {"dhcp": {"relay": ["192.0.2.67"]}, "dns": []}
    found = made(other)
    assert found.intent["segments"]["web"]["dhcp"] == {}
    assert "hypervisors are the DHCP servers of their guests, instead of relays to others: segment web" in lines(found)


def test_timers_of_production_are_slowed_down_and_slow_ones_are_kept(fleet):
    found = made(fleet)
    assert found.intent["bgp"]["bfd"] == {"interval_ms": 1000, "multiplier": 5}
    assert found.intent["bgp"]["timers"] == {"hold_s": 60, "keepalive_s": 10}
    assert found.intent["ospf"] == {"process": 500, "timers": {"hello_s": 5, "dead_s": 20}}
    assert "dead paths are detected later: BFD 1000 ms x 5 instead of 300 ms x 3, hold timer of BGP 60 s" in lines(
        found
    )
    slow = copy.deepcopy(fleet)
    slow["bgp"] |= {"bfd": {"interval_ms": 900, "multiplier": 10}, "timers": {"hold_s": 90, "keepalive_s": 30}}
    slow["ospf"]["timers"] = {"hello_s": 10, "dead_s": 40}
    found = made(slow)
    assert (found.intent["bgp"], found.intent["ospf"]) == (slow["bgp"], slow["ospf"])
    assert "later" not in lines(found)


def test_a_twin_has_passwords_of_its_own_and_keeps_them(fleet):
    fleet = {**fleet, "ospf": {**fleet["ospf"], "authentication": {}}}
    fleet = yaml.safe_load(re.sub(r"(?m)^.*(ipv6|gateway6): .*\n", "", yaml.safe_dump(fleet)))
    intent = check(fleet, Mistakes())
    one, other = passwords(intent, {}), passwords(intent, {})
    assert one.keys() == {"bgp_passwords", "ospf_passwords"} and one["ospf_passwords"].keys() == {"0.0.0.0"}
    assert one["bgp_passwords"]["main"] != other["bgp_passwords"]["main"]
    assert passwords(intent, one) == one
    assert all(re.fullmatch(r"\w{16}", text) for kind in one.values() for text in kind.values())


# The program, with inventories in files.


def run(inventory: Path | str, directory: Path) -> subprocess.CompletedProcess[str]:
    command = [PROJECT / "bin/twin", inventory, directory]
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=PROJECT, env=environment)


@pytest.fixture(scope="module")
def documented(tmp_path_factory) -> Path:
    return production.encrypt(production.documented(tmp_path_factory.mktemp("inventories") / "production"))


def test_the_documented_inventory_has_a_twin_although_its_vault_stays_closed(documented, tmp_path):
    done = run(documented, tmp_path / "twin")
    assert done.returncode == 0, done.stderr
    assert "passwords of its own: group_vars/all/vault.yml" in done.stdout
    assert "ansible_user, ansible_python_interpreter, ansible_host" in done.stdout
    assert read(str(tmp_path / "twin/fabric.yml")).lab is not None
    secret = tmp_path / "twin/group_vars/all/passwords.yml"
    assert secret.stat().st_mode & 0o077 == 0
    before = secret.read_text()
    assert run(documented, tmp_path / "twin").returncode == 0
    assert secret.read_text() == before


def test_a_place_that_cannot_be_written_is_named(documented, tmp_path):
    place = tmp_path / "twin"
    place.write_text("a file")
    done = run(documented, place)
    assert done.returncode == 1 and done.stderr.startswith(f"twin: {place}") and "Traceback" not in done.stderr


def test_a_directory_of_others_is_left_alone(documented, tmp_path):
    inventory = tmp_path / "production"
    subprocess.run(["cp", "-r", documented, inventory], check=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").write_text("mine")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for place in (inventory, tmp_path / "other"):
        done = run(inventory, place)
        assert done.returncode == 1 and f"{place} is not empty, and no twin: name a directory" in done.stderr
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    (tmp_path / "empty").mkdir()
    assert run(inventory, tmp_path / "empty").returncode == 0


def test_variables_that_change_a_configuration_are_kept(documented, tmp_path):
    inventory = tmp_path / "production"
    subprocess.run(["cp", "-r", documented, inventory], check=True)
    (inventory / "host_vars").mkdir()
    (inventory / "host_vars/rr1.yml").write_text("drained: true\nmanagement: in_band\n")
    (inventory / "group_vars/hypervisors.yml").write_text(
        "bird_log: debug\napi_key: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6162\n"
    )
    (inventory / "site.yml").write_text(documented.joinpath("group_vars/all/vault.yml").read_text())
    done = run(inventory, tmp_path / "twin")
    assert done.returncode == 0, done.stderr
    found = {path.name: yaml.safe_load(path.read_text()) for path in (tmp_path / "twin/host_vars").iterdir()}
    assert found == {"rr1.yml": {"drained": True}, "hv1.yml": {"bird_log": "debug"}, "hv2.yml": {"bird_log": "debug"}}
    assert "api_key" in done.stdout and "management" in done.stdout
    assert "passwords of its own: site.yml, group_vars/all/vault.yml" in done.stdout


def test_two_hosts_with_one_router_id_are_refused(tmp_path):
    intent = production.fleet(4)
    for name in ("hv1.fra.example.net", "hv3.fra.example.net"):
        intent["hypervisors"][name]["router_id"] = "10.0.0.1"
    done = run(production.write(tmp_path / "production", intent), tmp_path / "twin")
    assert done.returncode == 1 and not (tmp_path / "twin").exists()
    assert re.search(
        r"line \d+, hypervisors.hv3.fra.example.net.router_id: router id 10.0.0.1 is also given to "
        r"hypervisors.hv1.fra.example.net.router_id; each router needs its own",
        done.stderr,
    ), done.stderr


def test_what_has_no_twin_is_refused(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "hosts.yml").write_text("all: {hosts: {hv1: {}}}\n")
    for inventory, reason in {
        "inventories/l3_hypervisor": "is a lab already, so make lab brings it up; a twin is made of",
        tmp_path / "gone": "cannot be read: No such file or directory",
        empty: "has no intent, a file such as fabric.yml",
    }.items():
        done = run(inventory, tmp_path / "twin")
        assert done.returncode == 1 and reason in done.stderr, done.stderr
        assert str(inventory) in done.stderr and not (tmp_path / "twin").exists()


def test_a_collision_is_reported_with_its_line(tmp_path):
    intent = renamed(production.fleet(4), {"hv2.fra.example.net": "hv1.ber.example.net"})
    inventory = production.write(tmp_path / "production", intent)
    done = run(inventory, tmp_path / "twin")
    assert re.search(
        r"fabric.yml; nothing was touched.\n  line \d+, hypervisors.hv1.ber.example.net: hv1 is", done.stderr
    )
    (inventory / "group_vars/all/names.yml").write_text("twin_names: {hv1.ber.example.net: ber1}\n")
    done = run(inventory, tmp_path / "twin")
    assert done.returncode == 0 and "twin_names" not in done.stdout, done.stderr

"""How networks of CNI and Docker are declared on a host: what is refused, what changes, and what is put back."""

from __future__ import annotations

import json
import os
import time

import pytest

from ansible_collections.routed.hypervisor.plugins.module_utils._engine.former import Former
from ansible_collections.routed.hypervisor.plugins.module_utils._netlink.codec import Link
from ansible_collections.routed.hypervisor.plugins.module_utils._runtimes import calls, cni, docker, leases, settings
from ansible_collections.routed.hypervisor.plugins.module_utils._runtimes.slaves import (
    Slave,
    Survey,
    conflicts,
    refusals,
)


def survey(slaves=(), addresses=(), mtu=1500) -> Survey:
    container = [Slave("c1", "eth0", "ipvlan", "l2", tuple(addresses))] if addresses else []
    return Survey({"web": Link(7, "web", mtu=mtu)}, {"web": [*slaves, *container]})


LINK = Slave("c1", "eth0", "ipvlan", "l3")


@pytest.mark.parametrize(
    ("found", "mtu", "expected"),
    [
        (survey(), None, []),
        (survey([LINK._replace(mode="l2")]), 1500, []),
        (
            survey([LINK]),
            None,
            ["a container in mode l2 would change the mode of the links that web has: eth0 in c1 (l3)"],
        ),
        (survey([Slave("", "m0", "macvlan", "")]), None, ["web cannot have ipvlan links, because it has others: m0"]),
        (survey(mtu=1400), 1450, ["the MTU 1450 is more than that of web (1400)"]),
        (Survey({}, {}), None, ["there is no interface web"]),
    ],
)
def test_what_a_runtime_would_silently_do_is_refused(found, mtu, expected):
    assert refusals(found, "web", "l2", mtu, check_mode=False) == expected


@pytest.mark.parametrize(
    ("slave", "is_others"),
    [
        (LINK._replace(addresses=("10.9.9.9",)), True),
        (LINK._replace(addresses=("10.0.0.5",)), False),
        (LINK._replace(addresses=("10.9.9.9", "2001:db8::5")), False),
        (LINK, False),
        (LINK._replace(mode="l2", addresses=("10.9.9.9",)), False),
    ],
)
def test_links_of_others_are_not_switched_but_our_own_are_restored(slave, is_others):
    wrong = "a container in mode l2 would change the mode of the links that web has: eth0 in c1 (l3)"
    found = conflicts(survey([slave]), "web", "l2", ["10.0.0.0/24", "2001:db8::/64"])
    assert found == ([wrong] if is_others else [])


def test_in_check_mode_a_master_may_come_later():
    assert refusals(Survey({}, {}), "web", "l2", None, check_mode=True) == []


PLUGIN = "#!/bin/sh\n# Managed by Routed Hypervisor\n"


class Host:
    """A directory of CNI files and one of plugins, which print the versions that they support."""

    def __init__(self, directory, monkeypatch):
        self.files, self.plugins = directory / "net.d", directory / "plugins"
        self.leases = directory / "leases"
        for path in (self.files, self.plugins, self.leases / "web"):
            path.mkdir(parents=True)
        for name in ("ipvlan", "host-local"):
            self.install(name, "0.4.0", "1.0.0")
        self.found = survey()
        monkeypatch.setattr(cni, "survey", lambda: self.found)

    def install(self, name, *versions):
        (self.plugins / name).write_text(f"#!/bin/sh\necho '{json.dumps({'supportedVersions': versions})}'\n")
        (self.plugins / name).chmod(0o755)

    def content(self, name="web", master="web"):
        ipam = {"type": "host-local", "dataDir": str(self.leases)}
        plugin = {"type": "ipvlan", "master": master, "mode": "l2", "ipam": ipam}
        text = json.dumps({"cniVersion": "1.0.0", "name": name, "plugins": [plugin]})
        return '{"comment": "Managed by Routed Hypervisor",\n' + text[1:]

    def lease(self, address, container="0123456789abcdef", age=120.0):
        path = self.leases / "web" / address
        path.write_text(f"{container}\r\neth0")
        os.utime(path, (time.time() - age,) * 2)

    def plan(self, *networks, state="overridden"):
        files = [{"path": str(self.files / f"90-{name}.conflist"), "content": text} for name, text in networks]
        params = {"files": files, "directory": str(self.files), "plugins": [str(self.plugins)], "plugin": PLUGIN}
        params["state"] = state
        return cni.plan(params, check_mode=False)

    def run(self, *networks, state="overridden") -> list[tuple[str, str]]:
        made = self.plan(*networks, state=state)
        cni.apply(made)
        return [(change.op, os.path.basename(change.name)) for change in made.changes]


@pytest.fixture
def host(tmp_path, monkeypatch):
    return Host(tmp_path, monkeypatch)


def test_a_network_is_declared_once_and_removed(host):
    wanted = ("web", host.content())
    assert host.run(wanted) == [("create", "90-web.conflist")]
    assert host.run(wanted) == []
    assert host.run() == [("delete", "90-web.conflist")]
    assert not list(host.files.iterdir()) and not (host.leases / "web").exists()


def test_the_version_is_the_newest_that_all_plugins_support(host):
    host.install("host-local", "0.3.1", "0.4.0", "1.1.0")
    host.run(("web", host.content()))
    assert json.loads((host.files / "90-web.conflist").read_text())["cniVersion"] == "0.4.0"


def test_our_plugin_comes_and_goes_with_the_networks_that_chain_it(host):
    wanted = ("web", host.content().replace("]}", ', {"type": "routed-hypervisor"}]}'))
    assert host.run(wanted) == [("create", "routed-hypervisor"), ("create", "90-web.conflist")]
    path = host.plugins / "routed-hypervisor"
    assert (path.read_text(), path.stat().st_mode & 0o777) == (PLUGIN, 0o755)
    assert host.run(wanted) == []
    path.chmod(0o644)
    assert host.run(wanted) == [("change", "routed-hypervisor")]
    assert path.stat().st_mode & 0o777 == 0o755
    assert host.run() == [("delete", "90-web.conflist"), ("delete", "routed-hypervisor")]


def test_a_plugin_of_somebody_else_is_not_replaced(host):
    host.install("routed-hypervisor", "1.0.0")
    with pytest.raises(cni.CniError, match="plugins/routed-hypervisor is not ours: remove it"):
        host.plan(("web", host.content().replace("]}", ', {"type": "routed-hypervisor"}]}')))


def test_namespaces_that_only_our_plugin_keeps_are_released_with_their_addresses(host):
    host.run(("web", host.content()))
    host.lease("10.0.0.5")
    place = str(host.files.parent / "netns/p1-eth0")
    host.found = survey([Slave(place, "eth0", "ipvlan", "l2", ("10.0.0.5",), has_process=False)])
    host.found.unused = [place]
    assert host.run(("web", host.content())) == [("release", "p1-eth0"), ("release", "10.0.0.5")]


def test_a_network_with_dhcp_is_in_use_while_a_container_exists_that_a_runtime_has_kept(host, tmp_path, monkeypatch):
    results, space = tmp_path / "results", tmp_path / "c1"
    results.mkdir()
    space.touch()
    monkeypatch.setattr(calls, "RESULTS", str(results))
    result = {"interfaces": [{"name": "eth0", "sandbox": str(space)}], "ips": []}
    kept = {
        "containerId": "0123456789abcdef",
        "ifName": "eth0",
        "networkName": "web",
        "config": "e30=",
        "result": result,
    }
    (results / "web-0123456789abcdef-eth0").write_text(json.dumps(kept))
    host.install("dhcp", "1.0.0")
    wanted = ("web", host.content().replace('host-local"', 'routed-hypervisor", "daemonSocketPath": "/run/dhcp"'))
    host.run(wanted)
    (host.plugins / "dhcp").unlink()
    with pytest.raises(cni.CniError, match="the CNI plugin dhcp is missing"):
        host.plan(wanted)
    with pytest.raises(cni.CniError, match="the network web is in use by 0123456789ab: remove them first"):
        host.plan()
    space.unlink()
    assert host.run() == [("delete", "90-web.conflist"), ("delete", "routed-hypervisor")]


def test_plugins_without_a_common_version_are_refused(host):
    host.install("ipvlan", "0.1.0")
    with pytest.raises(cni.CniError, match=r"host-local, ipvlan support no common version up to 1.0.0"):
        host.plan(("web", host.content()))


def test_a_plugin_that_does_not_run_is_refused(host):
    (host.plugins / "ipvlan").write_text("no program")
    (host.plugins / "host-local").write_text("#!/bin/sh\necho no answer\n")
    with pytest.raises(cni.CniError, match="support no common version"):
        host.plan(("web", host.content()))


def test_everything_that_is_wrong_is_reported_at_once(host):
    (host.plugins / "ipvlan").unlink()
    (host.files / "10-mine.conf").write_text('{"name": "web", "type": "bridge"}')
    with pytest.raises(cni.CniError) as error:
        host.plan(("web", host.content(master="eno1")), ("bad", "{"))
    lines = str(error.value).splitlines()
    assert "90-bad.conflist: is not JSON" in lines[0]
    assert "the CNI plugin ipvlan is missing (package containernetworking-plugins)" in lines
    assert any("10-mine.conf, which is not ours, has a network of the same name, web" in line for line in lines)
    assert any("there is no interface eno1" in line for line in lines)


def test_files_of_others_are_left_alone(host):
    (host.files / "87-podman.conflist").write_text('{"name": "podman", "plugins": []}')
    (host.files / "broken.conf").write_text("{")
    host.run(("web", host.content()))
    host.run(state="deleted")
    assert sorted(path.name for path in host.files.iterdir()) == ["87-podman.conflist", "broken.conf"]


def test_a_network_with_containers_is_neither_removed_nor_given_another_master(host):
    host.run(("web", host.content()))
    host.lease("10.0.0.5")
    host.lease("2001:db8::5")
    host.found = survey(addresses=["10.0.0.5", "2001:db8::5"])
    for state in ("overridden", "pruned", "deleted"):
        with pytest.raises(
            cni.CniError, match=r"is in use by 0123456789ab \(10.0.0.5, 2001:db8::5\): remove them first"
        ):
            host.plan(state=state)
    host.found.masters["eno1"] = Link(8, "eno1", mtu=1500)
    with pytest.raises(cni.CniError, match="the link of web cannot be changed while it is in use by 0123456789ab"):
        host.plan(("web", host.content(master="eno1")))


def test_a_file_that_somebody_edited_is_restored_while_the_containers_links_are_as_wanted(host):
    wanted = ("web", host.content())
    host.run(wanted)
    host.lease("10.0.0.5")
    host.found = survey(addresses=["10.0.0.5"])
    path = host.files / "90-web.conflist"
    path.write_text(path.read_text().replace('"l2"', '"l3"'))
    assert host.run(wanted) == [("change", "90-web.conflist")]


def test_pruning_neither_writes_nor_checks_what_is_wanted(host):
    host.run(("web", host.content()), ("old", host.content("old")))
    (host.plugins / "ipvlan").unlink()
    assert host.run(("web", host.content(master="none")), state="pruned") == [("delete", "90-old.conflist")]


def test_addresses_of_containers_that_have_gone_are_released_unless_they_are_new(host):
    wanted = ("web", host.content())
    host.run(wanted)
    host.lease("10.0.0.5")
    host.lease("10.0.0.6", container="gone")
    host.lease("10.0.0.7", container="coming", age=1)
    host.found = survey(addresses=["10.0.0.5"])
    assert host.run(wanted) == [("release", "10.0.0.6")]
    assert [lease.address for lease in leases.read(str(host.leases), "web")] == ["10.0.0.5", "10.0.0.7"]


def test_an_address_that_was_given_to_another_container_meanwhile_is_not_released(host):
    host.run(("web", host.content()))
    host.lease("10.0.0.6", container="gone")
    made = host.plan(("web", host.content()))
    host.lease("10.0.0.6", container="new")
    cni.apply(made)
    assert [lease.container for lease in leases.read(str(host.leases), "web")] == ["new"]


# Docker's settings


@pytest.fixture
def daemon_json(tmp_path):
    return tmp_path / "daemon.json"


def converge(path, former_path, want) -> str | None:
    former, file = Former(str(former_path)), settings.read(str(path))
    after = settings.merged(file.settings, want, former)
    change = settings.change(file, after)
    if change is not None:
        settings.note(former, file, want)
        settings.write(file, after)
    settings.settle(former, want)
    return change.op if change else None


def test_settings_of_others_are_kept_and_ours_are_taken_out_again(daemon_json, tmp_path):
    former = tmp_path / "former.json"
    theirs = {"log-driver": "journald", "ip-forward": True}
    daemon_json.write_text(json.dumps(theirs))
    want = {"ip-forward": False, "bridge": "none"}
    assert converge(daemon_json, former, want) == "change"
    assert json.loads(daemon_json.read_text()) == {**theirs, **want}
    assert converge(daemon_json, former, want) is None
    assert converge(daemon_json, former, {"ip-forward": False}) == "change"
    assert json.loads(daemon_json.read_text()) == {**theirs, "ip-forward": False}
    assert converge(daemon_json, former, {}) == "change"
    assert json.loads(daemon_json.read_text()) == theirs
    assert not former.exists()


def test_a_setting_that_another_has_changed_since_is_left(daemon_json, tmp_path):
    former = tmp_path / "former.json"
    converge(daemon_json, former, {"ip-forward": False})
    daemon_json.write_text('{"ip-forward": true, "debug": true}')
    assert converge(daemon_json, former, {}) is None
    assert json.loads(daemon_json.read_text()) == {"ip-forward": True, "debug": True}


def test_a_file_with_only_our_settings_goes_with_them(daemon_json, tmp_path):
    former = tmp_path / "former.json"
    assert converge(daemon_json, former, {"ip-forward": False}) == "create"
    assert converge(daemon_json, former, {}) == "delete"
    assert not daemon_json.exists()


def test_the_file_keeps_its_mode(daemon_json, tmp_path):
    daemon_json.write_text("{}")
    daemon_json.chmod(0o600)
    converge(daemon_json, tmp_path / "former.json", {"ip-forward": False})
    assert daemon_json.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_not_json_is_refused(daemon_json):
    daemon_json.write_text("{,}")
    with pytest.raises(settings.SettingsError, match="is not JSON, so nothing can be added to it"):
        settings.read(str(daemon_json))


# Docker's networks

NETWORK = {
    "name": "web",
    "parent": "web",
    "mode": "l2",
    "subnets": [
        {"subnet": "10.0.0.0/24", "range": "10.0.0.192/26", "gateway": "10.0.0.1"},
        {"subnet": "2001:db8::/64", "range": None, "gateway": None},
    ],
}
SHOWN = {
    "Name": "web",
    "Driver": "ipvlan",
    "Options": {"parent": "web", "ipvlan_mode": "l2"},
    "Labels": {"routed.hypervisor": ""},
    "IPAM": {
        "Config": [
            {"Subnet": "2001:db8::/64"},
            {"Subnet": "10.0.0.0/24", "IPRange": "10.0.0.192/26", "Gateway": "10.0.0.1"},
        ]
    },
}


class FakeDocker(docker.Docker):
    def __init__(self, networks=(), containers=(), runs=True):
        self.is_installed = True
        self.known = {network["Name"]: network for network in networks}
        self.containers = list(containers)
        self.process = object() if runs else None
        self.service = self
        self.ran = []

    def installed(self):
        return None

    def enabled(self):
        return True

    def start(self, _ready, action="start"):
        self.ran.append((action, "docker"))

    def version(self):
        return (20, 10)

    def networks(self):
        return self.known

    def containers_in(self, _network):
        return self.containers

    def running(self):
        return self.containers

    def asked(self, *words):
        self.ran.append(words)
        return ""


@pytest.fixture
def converged(monkeypatch, tmp_path):
    """A function that runs the module's code with a Docker, and returns the changes."""
    monkeypatch.setattr(docker, "survey", survey)
    monkeypatch.setattr(docker, "STAMP", f"test-{tmp_path.name}")
    monkeypatch.setattr(docker.disk, "STAMPS", str(tmp_path / "stamps"))

    def run(fake, *networks, state="overridden", want=None):
        monkeypatch.setattr(docker, "Docker", lambda _timeout: fake)
        former = Former(str(tmp_path / "former.json"))
        params = {
            "networks": networks,
            "settings": {} if want is None else want,
            "daemon_json": str(tmp_path / "daemon.json"),
            "state": state,
            "timeout": 1,
        }
        made = docker.plan(params, former, check_mode=False)
        docker.apply(made, former)
        return [(change.op, os.path.basename(change.name)) for change in made.changes]

    return run


def test_a_network_as_docker_shows_it_is_not_changed(converged):
    assert converged(FakeDocker([SHOWN]), NETWORK) == []


def test_a_network_is_created_with_the_parts_of_both_families(converged):
    fake = FakeDocker()
    assert converged(fake, NETWORK) == [("create", "web")]
    [words] = fake.ran
    assert {"--opt=parent=web", "--opt=ipvlan_mode=l2", "--ip-range=10.0.0.192/26", "--gateway=10.0.0.1", "--ipv6"} <= {
        *words
    }
    assert words[-1] == "web"


def test_a_network_without_containers_is_replaced(converged):
    fake = FakeDocker([{**SHOWN, "Options": {"parent": "eno1", "ipvlan_mode": "l3"}}])
    assert converged(fake, NETWORK) == [("replace", "web")]
    assert [words[1] for words in fake.ran] == ["rm", "create"]


@pytest.mark.parametrize("state", ["overridden", "pruned", "deleted"])
def test_a_network_of_docker_with_containers_is_not_removed(converged, state):
    with pytest.raises(docker.DockerError, match=r"the network web is in use by w1 \(running\), w2 \(exited\): remove"):
        converged(FakeDocker([SHOWN], ["w1 (running)", "w2 (exited)"]), state=state)


def test_a_network_of_docker_with_containers_is_not_changed(converged):
    known = {**SHOWN, "Options": {"parent": "eno1"}}
    with pytest.raises(docker.DockerError, match="cannot be changed while it is in use by w1"):
        converged(FakeDocker([known], ["w1"]), NETWORK)


def test_networks_of_others_are_left_alone(converged):
    theirs = {**SHOWN, "Labels": {}}
    assert converged(FakeDocker([theirs]), state="deleted") == []
    with pytest.raises(docker.DockerError, match="a network web that is not ours"):
        converged(FakeDocker([theirs]), NETWORK)


def test_a_restart_that_would_stop_containers_is_refused_and_written_settings_wait_for_none(converged, tmp_path):
    want = {"ip-forward": False}
    with pytest.raises(docker.DockerError, match="a restart of docker would stop w1: stop them first"):
        converged(FakeDocker([SHOWN], ["w1"]), NETWORK, want=want)
    assert not (tmp_path / "daemon.json").exists(), "nothing was changed"
    fake = FakeDocker([SHOWN])
    assert converged(fake, NETWORK, want=want) == [("create", "daemon.json"), ("restart", "docker")]
    assert fake.ran == [("restart", "docker")]
    assert converged(FakeDocker([SHOWN], ["w1"]), NETWORK, want=want) == []


def test_a_restart_that_an_interrupted_run_owes_is_made_up_for(converged, tmp_path):
    converged(FakeDocker([SHOWN]), NETWORK, want={"ip-forward": False})
    docker.disk.write_stamp(docker.STAMP, {"path": "daemon.json"})
    assert converged(FakeDocker([SHOWN]), NETWORK, want={"ip-forward": False}) == [("restart", "docker")]


def test_a_mode_that_this_docker_lacks_is_refused(converged):
    with pytest.raises(docker.DockerError, match="this version of docker has no mode l3s"):
        converged(FakeDocker(), {**NETWORK, "mode": "l3s"})


def test_a_stopped_dockerd_is_started(converged):
    fake = FakeDocker(runs=False)
    assert converged(fake, NETWORK) == [("start", "docker"), ("create", "web")]


def test_settings_that_are_not_ours_are_not_even_read(converged, tmp_path):
    (tmp_path / "daemon.json").write_text("{,}")
    assert converged(FakeDocker()) == []


def test_a_host_without_docker_and_networks_is_left_alone(converged):
    fake = FakeDocker()
    fake.is_installed = False
    assert converged(fake) == []
    with pytest.raises(docker.DockerError, match="docker is not installed"):
        converged(fake, NETWORK)

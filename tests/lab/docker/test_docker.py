"""Docker's containers behind two leaves: announced as they come and go, whatever happens to dockerd."""

from __future__ import annotations

import datetime
import json
import re

import pytest
from conftest import NOT_VERIFIED
from engines import Engine
from support.waiting import seconds_until, until

PAUSE_S = 0.1  # between questions: they take processor time from what they wait for
LEAVES = ("switch1", "switch2")


@pytest.fixture(scope="module")
def lab(bring_up):
    return bring_up("docker", *NOT_VERIFIED)


@pytest.fixture(scope="module")
def engine(lab):
    return Engine(lab, "docker", ("contiv1", "contiv2"))


@pytest.fixture
def docker(engine):
    yield engine
    engine.clear()


def announced(lab, leaf, address) -> bool:
    return f"{address}/32" in json.loads(lab.run(leaf, "vtysh", "-c", "show ip route bgp json") or "{}")


def everywhere(lab, address) -> bool:
    return all(announced(lab, leaf, address) for leaf in LEAVES)


def nowhere(lab, address) -> bool:
    return not any(announced(lab, leaf, address) for leaf in LEAVES)


def announced_after(lab, docker, address) -> float:
    """The seconds from the start of web2, by Docker's own time, to the agent's announcement of its address."""
    started = datetime.datetime.fromisoformat(docker.run("contiv2", "inspect", "--format={{.State.StartedAt}}", "web2"))
    journal = lab.run("contiv2", "journalctl", "--output=short-unix", "--unit=routed-hypervisor-run")
    [line] = [line for line in journal.splitlines() if line.endswith(f"announced {address}/32")]
    return float(line.split()[0]) - started.timestamp()


def status(lab, host) -> dict:
    """As the host's own program shows it, whatever else it reports."""
    return json.loads(lab.tried(host, "routed-hypervisor", "status", "--json", seconds=180)[1])


def test_containers_are_in_the_tables_of_both_leaves_and_reach_each_other(lab, docker):
    web1, web2 = docker.start("contiv1", "web1", "public"), docker.start("contiv2", "web2", "public")
    assert 0 < int(web1.rpartition(".")[2]) < 64 <= int(web2.rpartition(".")[2]) < 128
    came = seconds_until(
        lambda: everywhere(lab, web1) and everywhere(lab, web2), 60, "the routes on both leaves", PAUSE_S
    )
    until(lambda: docker.pings("web1", web2), 30, "an answer from web2", PAUSE_S)
    assert re.search(r"ttl=62\b", docker.pings("web2", web1)), "two routers are between the containers"
    until(lambda: docker.pings("web1", "80.1.1.2"), 30, "an answer from the far leaf", PAUSE_S)
    found = {one["address"]: one for one in status(lab, "contiv1")["containers"]}[web1]
    assert (found["container"], found["runtime"], found["network"]) == ("web1", "docker", "public")
    assert found["announced"] and found["has_process"]
    for host in ("contiv1", "contiv2"):
        ping = (host, "ping", "-c", "1", "-W", "5", web1)
        until(lambda p=ping: lab.tried(*p)[0] == 0, 30, f"{host} reaches web1", PAUSE_S)
    docker.run("contiv1", "kill", "web1")
    gone = seconds_until(lambda: nowhere(lab, web1), 60, "the withdrawal of web1", PAUSE_S)
    print(f"announced {announced_after(lab, docker, web2):+.2f} s after Docker's time of its start")
    print(f"docker run returned: routes on both leaves after {came:.2f} s; docker kill: gone after {gone:.2f} s")
    assert everywhere(lab, web2)


def test_the_same_address_on_two_hosts_is_reported_with_both_containers(lab, docker):
    """Docker on one host gives any address of the network, if asked to: it does not know those of the other."""
    address = docker.start("contiv2", "web2", "public")
    until(lambda: everywhere(lab, address), 60, "the routes on both leaves", PAUSE_S)
    assert docker.start("contiv1", "web9", "public", "4", f"--ip={address}") == address
    line = "announced by contiv2_main_ipv4, too"
    until(lambda: any(line in one for one in status(lab, "contiv1")["differences"]), 60, "the difference", PAUSE_S)
    journal = "journalctl", "--no-pager", "-u", "routed-hypervisor-run"
    until(lambda: f"{line}\n" in lab.run("contiv1", *journal), 60, "the agent's own report", PAUSE_S)
    run = lab.play("--tags", "verify", "-e", "verify_deadline=1")
    assert run.code != 0 and f"addresses of containers of several hosts: {address} (contiv1: " in run.output, run.output
    assert "web9 (docker, public), contiv2: " in run.output and "web2 (docker, public))" in run.output, run.output


def test_after_dockerd_was_killed_and_a_container_died_nothing_is_announced_that_does_not_exist(lab, docker):
    addresses = [docker.start("contiv1", name, "public") for name in ("web1", "web2")]
    until(lambda: all(everywhere(lab, one) for one in addresses), 60, "the routes on both leaves", PAUSE_S)
    pid = docker.run("contiv1", "inspect", "--format", "{{.State.Pid}}", "web1")
    lab.run("contiv1", "systemctl", "kill", "--signal=KILL", "--kill-who=main", "docker")
    lab.run("contiv1", "kill", "-9", pid)
    # systemd starts dockerd again, and dockerd clears away what died meanwhile.
    until(lambda: docker.tried("contiv1", "ps")[0] == 0, 180, "the return of dockerd", 1)
    gone = seconds_until(lambda: nowhere(lab, addresses[0]), 60, "the withdrawal of web1", PAUSE_S)
    print(f"dockerd was killed, then a container died: withdrawn {gone:.2f} s after dockerd answered again")
    assert gone < 5

    def announced_if_it_runs() -> bool:
        running = docker.run("contiv1", "ps", "--format", "{{.Names}}").split()
        return everywhere(lab, addresses[1]) if "web2" in running else nowhere(lab, addresses[1])

    until(announced_if_it_runs, 60, "web2 is announced if it runs", PAUSE_S)


def test_a_second_run_changes_nothing_and_a_network_in_use_is_not_removed(lab, docker):
    """The last test: the lab goes without that network."""
    web1 = docker.start("contiv1", "web1", "public")
    until(lambda: everywhere(lab, web1), 60, "the routes on both leaves", PAUSE_S)
    run = lab.play("--tags", "network,runtimes")
    assert run.code == 0 and run.changed == set(), run.output
    text = lab.intent.read_text().replace("    runtimes: [docker]\n", "")
    lab.intent.write_text(re.sub(r", pools: \{docker: [^}]*\}", "", text))
    run = lab.play("--tags", "network")
    assert run.code != 0 and "the network public is in use by web1 (running): remove them first" in run.output
    assert everywhere(lab, web1)
    docker.remove("web1")
    run = lab.play("--tags", "network,runtimes")
    assert run.code == 0, run.output
    assert "public" not in docker.run("contiv1", "network", "ls")
    assert lab.tried("contiv1", "test", "-e", "/etc/docker/daemon.json")[0] == 1, "all keys in it were ours"

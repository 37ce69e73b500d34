"""A hypervisor that is rebooted, and comes back without Ansible: what its agent has stored is all that it has."""

from __future__ import annotations

import contextlib
import hashlib
import json

import pytest
from support.kernel_state import OBJECTS, without_chance
from support.waiting import seconds_until, until, until_equal

from ansible_collections.routed.hypervisor.plugins.plugin_utils import lab_client

STATE, PREVIOUS = "/var/lib/routed-hypervisor/state", "/var/lib/routed-hypervisor/state.previous"
VM1, VM2 = "203.0.113.1", "203.0.113.2"  # on hv1; vm3 is on hv2
VM2_6 = "2001:db8:cb00:7100:0:cbff:fe00:7102"
ABSENT = ("vm1", "fabric-B")
ONLY_REBOOT = """
- hosts: lab
  gather_facts: false
  tasks:
    - routed.hypervisor.lab_nodes:
        lab: {lab}
        config: [{{name: hv1}}]
        state: rebooted
"""
# What the program printed, without what systemd reports about it.
OF_THE_LAST_START = """journalctl --quiet --output=cat --identifier=routed-hypervisor \\
  _SYSTEMD_INVOCATION_ID=$(systemctl show --value --property=InvocationID routed-hypervisor)"""


def reboot(lab):
    run = lab.play("-e", "lab_reboot=hv1", playbook="playbooks/reboot.yml")
    assert run.code == 0, run.output


def answers(lab, address):
    return lab.tried("vm3", "ping", "-c", "1", "-W", "0.3", address)[0] == 0


def bfd(lab):
    """The state of each session."""
    # A BIRD that has just been started does not answer yet.
    rows = [line.split() for line in lab.run("hv1", "birdc", "show", "bfd", "sessions", check=False).splitlines()]
    return {(row[0], row[1]): row[2] for row in rows if len(row) == 6 and row[0] != "IP"}


def wait_for_sessions(lab):
    until(lambda: set(bfd(lab).values()) == {"Up"} and len(bfd(lab)) == 6, 60, "BFD is up", 0.2)
    until(lambda: len(lab.established("hv1")) == 6, 60, "BGP is established", 0.2)


def journal(lab):
    return lab.run("hv1", "journalctl", "--boot", "--unit=routed-hypervisor", "--output=cat", "--no-pager")


def wait_for_journal(lab, text):
    until(lambda: text in journal(lab), 20, f"the journal has: {text}", 0.2)


def wait_for_stored(lab):
    until_equal(lambda: lab.tried("hv1", "routed-hypervisor", "status")[1], "hv1 is as stored\n", 20, 0.2)


def assert_intact(lab):
    """A whole run changes nothing, and its verification passes."""
    run = lab.play()
    assert run.code == 0, run.output
    assert run.changed == set()
    passed, total = lab.verified()
    assert passed == total > 100


def kernel_state(lab):
    """All that `ip` shows of hv1."""
    return {one: without_chance(lab.json("hv1", "-details", *one.split())) for one in OBJECTS}


def test_guests_answer_again_and_the_next_run_changes_nothing(lab):
    until(lambda: answers(lab, VM1), 30, "vm1 answers")
    before = kernel_state(lab)
    rebooting = lab.start("-e", "lab_reboot=hv1", playbook="playbooks/reboot.yml")
    until(lambda: not answers(lab, VM1), 60, "vm1 does not answer")
    seconds = seconds_until(lambda: answers(lab, VM1) and answers(lab, VM2), 60, "the guests answer")
    output, _errors = rebooting.communicate(timeout=120)
    assert rebooting.returncode == 0, output
    boot = lab.run("hv1", "systemd-analyze", "time").splitlines()[0]
    print(f"guests were unreachable for {seconds:.1f} s; {boot}")
    wait_for_journal(lab, "changes")
    wait_for_sessions(lab)
    until_equal(lambda: kernel_state(lab), before, 30, 0.2)
    assert_intact(lab)


def test_a_drill_reboots_it_under_traffic(lab):
    run = lab.play("-e", "drill=reboot", playbook="playbooks/drill.yml")
    assert run.code == 0 and run.changed == set(), run.output
    drills = json.loads(lab.report.with_name("drills.json").read_text())["drills"]
    [result] = [drill for drill in drills if drill["title"] == "hv1 is rebooted"]
    lost = {pair["title"]: pair["lost"] for pair in result["runs"][0]["pairs"]}
    assert all(lost.values()), "what is behind hv1 is not reached while it reboots"
    wait_for_sessions(lab)


def test_bfd_that_came_up_after_a_reboot_notices_a_dead_path(lab):
    wait_for_sessions(lab)
    (port,) = lab.json("switch-A", "link", "show", "hv1")
    # The carrier remains: nothing but BFD notices.
    lab.run("switch-A", "ip", "link", "set", "hv1", "nomaster")
    try:
        until(lambda: sorted(set(bfd(lab).values())) == ["Down", "Up"], 10, "BFD is down on fabric A", 0.1)
        until(lambda: answers(lab, VM1), 10, "the guests answer through fabric B")
    finally:
        lab.run("switch-A", "ip", "link", "set", "hv1", "master", port["master"])
    wait_for_sessions(lab)


@pytest.mark.parametrize("times", [2, pytest.param(10, marks=pytest.mark.long)])
def test_every_reboot_gives_the_same_state(lab, times):
    wait_for_sessions(lab)
    until(lambda: answers(lab, VM1), 30, "vm1 answers")
    first = kernel_state(lab)
    for _ in range(times):
        reboot(lab)
        wait_for_sessions(lab)
        until_equal(lambda: kernel_state(lab), first, 30, 0.2)


def test_a_daemon_that_ran_before_its_vrf_existed_is_restarted(lab):
    before = lab.run("hv1", "systemctl", "show", "--value", "--property=MainPID", "bird")
    lab.run("hv1", "ip", "link", "delete", "private")
    lab.run("hv1", "systemctl", "restart", "routed-hypervisor")
    wait_for_journal(lab, "bird.service ran before its interfaces existed, and is restarted")
    until(lambda: lab.run("hv1", "systemctl", "show", "--value", "--property=MainPID", "bird") != before, 20)
    wait_for_sessions(lab)
    wait_for_stored(lab)


def test_status_names_a_daemon_that_was_stopped(lab):
    lab.run("hv1", "systemctl", "stop", "radvd")
    assert lab.tried("hv1", "routed-hypervisor", "status")[:2] == (1, "radvd.service is inactive\n")
    lab.run("hv1", "systemctl", "start", "radvd")
    assert lab.run("hv1", "routed-hypervisor", "status") == "hv1 is as stored\n"


def last_start(lab):
    return lab.run("hv1", "sh", "-c", OF_THE_LAST_START).splitlines()


def body_of(lab):
    return json.loads(lab.run("hv1", "cat", STATE).partition("\n")[2])


def state_of(version, content):
    body = json.dumps(content)
    return f"routed-hypervisor-state {version} sha256:{hashlib.sha256(body.encode()).hexdigest()}\n{body}"


def write(lab, path, text):
    lab.run("hv1", "sh", "-ec", 'umask 077; printf %s "$1" >"$2"', "write", text, path)


@pytest.fixture
def saved(lab):
    """Restores the stored state after the test."""
    lab.run("hv1", "cp", "-a", STATE, "/root/state")
    yield
    lab.run("hv1", "sh", "-ec", f"rm -rf {STATE}; cp -a /root/state {STATE}")


def test_a_damaged_state_falls_back_to_the_last_good_one_of_an_older_version(lab, saved):
    content = body_of(lab)
    (content["nftables"],) = content.pop("tables")
    del content["guests"], content["routing_manager"], content["proxy_ndp"]  # of versions 3, 4 and 5
    write(lab, PREVIOUS, state_of(1, content))
    write(lab, STATE, lab.run("hv1", "cat", STATE)[:-1])
    reboot(lab)
    until(lambda: answers(lab, VM1), 60, "vm1 answers", 0.05)
    wait_for_journal(lab, f"{STATE} is damaged: its digest differs; the last good state is used instead, {PREVIOUS}")
    wait_for_sessions(lab)
    code, output, _errors = lab.tried("hv1", "routed-hypervisor", "status")
    assert code == 1, output
    run = lab.play("--tags", "agent")
    assert run.code == 0 and run.changed == {("hv1", "agent")}, run.output
    wait_for_stored(lab)


def test_a_state_that_must_not_be_applied_is_refused_in_the_journal(lab, saved):
    content = body_of(lab)
    version = int(lab.run("hv1", "cat", STATE).split()[1])
    other = {**content, "machine": {**content["machine"], "id": "f" * 32}}
    cases = {
        "is not ours": ("someone's", ""),
        f"has version {version + 1}": (state_of(version + 1, content), ""),
        "is for another machine": (state_of(version, other), ""),
        "is not a file that only root can write": (state_of(version, content), f"chown nobody {STATE}"),
        "is damaged: its first line is incomplete": ("", f"cp {STATE} {PREVIOUS}"),
        "cannot be read": ("", f"ln -sf /root/state {STATE}"),
        "does not exist": ("", f"rm {STATE}"),
    }
    # There is something to do, which must remain.
    lab.run("hv1", "ip", "route", "delete", VM1, "dev", "vm1", "table", "90")
    before = kernel_state(lab)
    for sentence, (text, command) in cases.items():
        lab.run("hv1", "rm", "-f", STATE)
        write(lab, STATE, text)
        lab.run("hv1", "sh", "-ec", command)
        lab.run("hv1", "systemctl", "reset-failed", "routed-hypervisor")  # it has not been started too often
        code, _output, _errors = lab.tried("hv1", "systemctl", "restart", "routed-hypervisor")
        assert code != 0, sentence
        (line,) = until(lambda: last_start(lab), 20, "the journal has the reason", 0.2)
        assert line.startswith(f"routed-hypervisor: {STATE} "), line
        assert sentence in line
        assert line.endswith("nothing was changed; run site.yml for this host, which stores it again"), line
        until_equal(lambda: kernel_state(lab), before, 30, 0.2)  # if only a session was down for a moment
    lab.run("hv1", "sh", "-ec", f"rm -f {STATE}; cp -a /root/state {STATE}")
    lab.run("hv1", "systemctl", "restart", "routed-hypervisor")
    wait_for_stored(lab)


def rename(lab, before, after):
    lab.run("hv1", "sh", "-ec", f"ip link set {before} down; ip link set {before} name {after}; ip link set {after} up")


def test_the_rest_is_applied_without_a_guests_port_and_an_uplink(lab, tmp_path):
    """The links have other names when the node boots."""
    wait_for_sessions(lab)
    for name in ABSENT:
        rename(lab, name, f"was-{name}")
    only = tmp_path / "reboot.yml"
    only.write_text(ONLY_REBOOT.format(lab=lab.name))
    run = lab.play(playbook=only)
    assert run.code == 0, run.output
    wait_for_journal(lab, "routed-hypervisor: fabric-B is absent; what needs it is left out\n")
    wait_for_journal(lab, "routed-hypervisor: absent, and left out: vm1\n")
    until(lambda: answers(lab, VM2), 60, "vm2 answers through fabric A", 0.05)
    sessions = {f"rr1_{vrf}" for vrf in ("private_ipv4", "public_ipv4", "public_ipv6")}
    until_equal(lambda: set(lab.established("hv1")), sessions, 60, 0.2)
    assert lab.tried("hv1", "routed-hypervisor", "status")[0] == 1
    for name in ABSENT:
        rename(lab, f"was-{name}", name)
    lab.run("hv1", "routed-hypervisor", "apply")
    until(lambda: VM2_6 in lab.run("hv1", "ip", "-6", "neighbor", "show", "proxy", "dev", "vm1"), 20, "vm1 is answered")
    wait_for_stored(lab)
    wait_for_sessions(lab)
    assert_intact(lab)


# A file of the host that matches links of ours, and nothing else.
MATCHES_OURS = "[Match]\nName=fabric-?.* private public vm?\n\n[Network]\nLinkLocalAddressing=no\n"
# What ifupdown2 does with links that it does not manage.
IFUPDOWN2 = """[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/ip link set fabric-A.90 nomaster
ExecReload=/bin/ip link set fabric-A.90 nomaster
"""
BEGUN = {"pending", "initialized", "configuring"}  # what networkd does with a link before it leaves it alone, or not
# A node has no udev, for which networkd waits unless this is read-only.
WITHOUT_UDEV = "[Service]\nReadOnlyPaths=/sys\n"


def write_for_all(lab, path, text):
    lab.run("hv1", "mkdir", "-p", path.rpartition("/")[0])
    write(lab, path, text)
    lab.run("hv1", "chmod", "644", path)


def networkd_links(lab):
    links = json.loads(lab.run("hv1", "networkctl", "--json=short", "list"))["Interfaces"]
    return {link["Name"]: link["AdministrativeState"] for link in links}


def test_networkd_leaves_our_links_alone_whatever_its_files_match(lab):
    lab.run("hv1", "systemctl", "restart", "routed-hypervisor")  # it failed when an uplink was absent
    before = kernel_state(lab)
    write_for_all(lab, "/etc/systemd/network/50-all.network", MATCHES_OURS)
    write_for_all(lab, "/etc/systemd/system/systemd-networkd.service.d/udev.conf", WITHOUT_UDEV)
    lab.run("hv1", "systemctl", "daemon-reload")
    try:
        for _ in range(2):
            lab.run("hv1", "systemctl", "restart", "systemd-networkd")
            until(lambda: not BEGUN & set(networkd_links(lab).values()), 30, "networkd is ready", 0.2)
            assert {networkd_links(lab)[name] for name in ("fabric-A.90", "fabric-B.20", "public", "vm1")} == {
                "unmanaged"
            }
            # Our unit is restarted with it, and finds nothing to do.
            until(lambda: last_start(lab) == ["0 changes"], 30, "the unit has run again", 0.2)
            until_equal(lambda: kernel_state(lab), before, 30, 0.2)
    finally:
        lab.run("hv1", "systemctl", "stop", "systemd-networkd.socket", "systemd-networkd")
        lab.run("hv1", "rm", "/etc/systemd/network/50-all.network")


def test_what_a_manager_undoes_when_it_restarts_is_done_again(lab):
    before, unit = kernel_state(lab), "/etc/systemd/system/networking.service"
    write_for_all(lab, unit, IFUPDOWN2)
    lab.run("hv1", "systemctl", "daemon-reload")
    lab.run("hv1", "systemctl", "start", "routed-hypervisor")
    try:
        for verb in ("restart", "reload"):
            lab.run("hv1", "systemctl", verb, "networking")
            until_equal(lambda: kernel_state(lab), before, 60, 0.2)
            wait_for_stored(lab)
    finally:
        lab.run("hv1", "rm", unit)
        lab.run("hv1", "systemctl", "daemon-reload")
    wait_for_sessions(lab)


def is_off(lab):
    try:
        lab.run("hv1", "true")
    except lab_client.JobFailed as error:
        return "its systemd has ended" in str(error)
    return False


def test_a_node_that_was_off_is_connected_again(lab):
    with contextlib.suppress(lab_client.JobFailed):
        lab.run("hv1", "systemctl", "poweroff", "-ff", check=False)
    until(lambda: is_off(lab), 30, "hv1 is off")
    reboot(lab)
    until(lambda: answers(lab, VM1), 60, "vm1 answers", 0.05)
    wait_for_sessions(lab)
    assert_intact(lab)

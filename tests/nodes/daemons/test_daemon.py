"""Modules daemon and ndppd against the real daemons of the image, in a node of their own."""

from __future__ import annotations

import re

from support.waiting import until, until_equal

HEADER = "# Managed by Routed Hypervisor, for a test\n"
BIRD = HEADER + 'include "secrets.conf";\nrouter id 192.0.2.1;\nprotocol device { }\nipv4 table t4;\n'
SECRET = "correct horse battery"


def bird(conf: str = BIRD, secret: str = f'define password_a = "{SECRET}";\n', **more) -> dict:
    owner = {"owner": "bird", "group": "bird"}
    return {
        "name": "bird",
        "files": [{"path": "/etc/bird/bird.conf", "content": conf, "mode": "0640", **owner}],
        "secret_files": [{"path": "/etc/bird/secrets.conf", "content": HEADER + secret, **owner}],
        "check": ["bird", "-p", "-c", "{bird.conf}"],
        "reload": ["birdc", "configure"],
        "reload_expect": "Reconfigured|Reconfiguration in progress",
        "ready": ["birdc", "show", "status"],
        **more,
    }


def actions(result: dict) -> list[str]:
    assert not result.get("failed"), result
    assert result["changed"] == bool(result["changes"])
    return [f"{change['op']} {change['name']}" for change in result["changes"]]


def test_bird_through_its_whole_life(node):
    default = node.read("/etc/bird/bird.conf")
    first = ["change /etc/bird/bird.conf", "create /etc/bird/secrets.conf", "start bird"]

    # Check mode says what a run does, and does nothing.
    assert actions(node.module("daemon", _check=True, **bird())) == first
    assert node.pid("bird") == "" and node.read("/etc/bird/bird.conf") == default
    result = node.module("daemon", **bird())
    assert actions(result) == first
    pid = node.pid("bird")
    assert pid and node.read("/etc/bird/bird.conf") == BIRD
    assert SECRET not in result["raw"]
    assert node.run("stat", "-c", "%a %U %G", "/etc/bird/secrets.conf").strip() == "640 bird bird"
    assert node.run("stat", "-c", "%a", "/run/routed-hypervisor-daemon/bird.json").strip() == "600"
    assert actions(node.module("daemon", **bird())) == []

    # A change, and a file edited by hand, are reloaded: the process stays.
    changed = BIRD + "ipv6 table t6;\n"
    assert actions(node.module("daemon", **bird(changed))) == ["change /etc/bird/bird.conf", "reload bird"]
    assert "t6" in node.run("birdc", "show", "symbols")
    node.write("/etc/bird/bird.conf", "protocol device { }\n")
    assert actions(node.module("daemon", **bird(changed))) == ["change /etc/bird/bird.conf", "reload bird"]

    # Killed between writing and reloading: the next run completes it.
    node.write("/etc/bird/bird.conf", BIRD)
    assert actions(node.module("daemon", **bird())) == ["reload bird"]
    assert "t6" not in node.run("birdc", "show", "symbols")
    assert node.pid("bird") == pid

    # A daemon that somebody restarted has read the files; one that somebody stopped is started.
    node.run("service", "bird", "restart")
    assert actions(node.module("daemon", **bird())) == []
    node.run("service", "bird", "stop")
    assert actions(node.module("daemon", **bird())) == ["start bird"]

    # Absent leaves the host as it was.
    gone = ["stop bird", "restore /etc/bird/bird.conf", "delete /etc/bird/secrets.conf"]
    assert actions(node.module("daemon", **bird(state="absent"))) == gone
    assert node.read("/etc/bird/bird.conf") == default and node.pid("bird") == ""
    assert node.run("find", "/etc/bird", "-name", "*routed*") == ""
    assert actions(node.module("daemon", **bird(state="absent"))) == []


def test_a_bad_configuration_is_refused_and_the_running_daemon_is_not_touched(node):
    node.module("daemon", **bird())
    pid = node.pid("bird")
    for check in (True, False):
        result = node.module("daemon", _check=check, **bird(BIRD + "protocol nonsense { }\n"))
        assert result["failed"]
        assert "/etc/bird/bird.conf:6:10 syntax error" in result["msg"] and "nothing was changed" in result["msg"]
    result = node.module("daemon", **bird(secret=f'define password_a = "{SECRET}" "{SECRET}";\n'))
    assert result["failed"] and SECRET not in result["raw"]
    assert node.pid("bird") == pid and node.read("/etc/bird/bird.conf") == BIRD
    assert actions(node.module("daemon", **bird())) == []


def test_what_is_missing_is_said_before_anything_is_done(node):
    files = [{"path": "/etc/nowhere/x.conf", "content": "no mark\n"}]
    result = node.module("daemon", name="nosuch", files=files, depends_on_interfaces=["vm9"])
    assert result["failed"]
    for part in ("nosuch is not installed", "there is no directory /etc/nowhere", "Managed by", "no interface vm9"):
        assert part in result["msg"]


def dnsmasq(hosts: str) -> dict:
    conf = HEADER + "port=0\nbind-dynamic\ninterface=lo\ndhcp-range=203.0.113.0,static,255.255.255.0,3600\n"
    return {
        "name": "dnsmasq",
        "files": [
            {"path": "/etc/dnsmasq.conf", "content": conf + "dhcp-hostsfile=/etc/dnsmasq.hosts\n"},
            {"path": "/etc/dnsmasq.hosts", "content": HEADER + hosts},
        ],
        "check": ["dnsmasq", "--test", "-C", "{dnsmasq.conf}"],
        "pid_file": "/run/dnsmasq/dnsmasq.pid",
        "reload": ["kill", "-HUP", "{pid}"],
        "restart_on": ["/etc/dnsmasq.conf"],
    }


def test_a_new_guest_does_not_restart_dnsmasq(node):
    assert actions(node.module("daemon", **dnsmasq("02:00:00:00:00:01,203.0.113.1\n")))[-1] == "start dnsmasq"
    pid = node.pid("dnsmasq")
    result = node.module("daemon", **dnsmasq("02:00:00:00:00:01,203.0.113.1\n02:00:00:00:00:02,203.0.113.2\n"))
    assert actions(result) == ["change /etc/dnsmasq.hosts", "reload dnsmasq"]
    assert node.pid("dnsmasq") == pid


def radvd(**more) -> dict:
    text = HEADER + "interface lo { AdvSendAdvert on; prefix 2001:db8::/64 { }; };\n"
    return {
        "name": "radvd",
        "files": [{"path": "/etc/radvd.conf", "content": text}],
        "check": ["radvd", "-c", "-C", "{radvd.conf}"],
        "reload": ["kill", "-HUP", "{pid}"],
        **more,
    }


def test_a_daemon_that_does_not_start_gives_its_reason(node):
    # Debian's script of radvd ends with 0 when it refuses to start it.
    node.run("sysctl", "-w", "net.ipv6.conf.all.forwarding=0")
    result = node.module("daemon", **radvd(timeout=5))
    assert result["failed"] and "IPv6 forwarding seems to be disabled" in result["msg"]
    node.run("sysctl", "-w", "net.ipv6.conf.all.forwarding=1")
    assert actions(node.module("daemon", **radvd())) == ["start radvd"]
    assert actions(node.module("daemon", **radvd())) == []


PROXY = {
    "interface": "vm1",
    "router": False,
    "rules": [
        {"prefix": "2001:db8::/64", "method": "static"},
        {"prefix": "2001:db8:1::7", "method": "iface", "interface": "p1"},
    ],
}


def test_ndppd_is_restarted_when_its_interface_was_replaced_or_down(node):
    result = node.module("ndppd", config=[PROXY])
    assert result["failed"] and "there is no interface vm1" in result["msg"] and "interface p1" in result["msg"]
    predicted = node.module("ndppd", config=[PROXY], _check=True)
    assert actions(predicted) == ["create /etc/ndppd.conf", "start ndppd"]
    sentences = [warning["event"]["msg"] for warning in predicted["warnings"]]
    assert sentences == [f"ndppd: there is no interface {name} yet" for name in ("vm1", "p1")]
    assert "deprecations" not in predicted
    node.run("ip", "link", "add", "vm1", "type", "veth", "peer", "name", "p1")
    assert actions(node.module("ndppd", config=[PROXY])) == ["create /etc/ndppd.conf", "start ndppd"]
    assert actions(node.module("ndppd", config=[PROXY])) == []
    node.run("ip", "link", "del", "vm1")
    node.run("ip", "link", "add", "vm1", "type", "veth", "peer", "name", "p1")
    assert actions(node.module("ndppd", _check=True, config=[PROXY])) == ["restart ndppd"]
    assert actions(node.module("ndppd", config=[PROXY])) == ["restart ndppd"]
    assert actions(node.module("ndppd", config=[PROXY])) == []
    # The kernel's time since the boot, by which an interface comes up, was 0.25 s behind that of processes.
    until(lambda: int(node.run("ps", "-o", "etimes=", "-p", str(node.pid("ndppd")))) > 1, what="ndppd is old enough")
    for name, state in (("p1", "up"), ("vm1", "up"), ("vm1", "down"), ("vm1", "up")):
        node.run("ip", "link", "set", name, state)
    until(lambda: node.run("ip", "-br", "link", "show", "up").count(" UP ") == 2, what="both ends have a carrier")
    assert actions(node.module("ndppd", config=[PROXY])) == ["restart ndppd"]
    assert actions(node.module("ndppd", config=[PROXY])) == []
    result = node.module("ndppd", state="gathered")
    assert [proxy["interface"] for proxy in result["before"]] == ["vm1"]
    assert actions(node.module("ndppd", state="deleted")) == ["stop ndppd", "delete /etc/ndppd.conf"]
    node.run("sh", "-ec", "echo 'proxy vm1 { rule 2001:db8::/64 { static } }' >/etc/ndppd.conf; service ndppd start")
    for check in (True, False):
        assert actions(node.module("ndppd", state="deleted", _check=check)) == []
    assert node.run("cat", "/etc/ndppd.conf").startswith("proxy vm1") and node.run("pidof", "ndppd")


def test_mistakes_in_proxies_are_told_at_once(node):
    wrong = [{"interface": "vm1", "timeout": -1, "rules": [{"prefix": "2001:db8::", "method": "iface"}]}]
    result = node.module("ndppd", config=[*wrong, {"interface": "a name too long for it"}])
    assert result["failed"]
    places = [line.split(":")[1].strip() for line in result["msg"].splitlines()]
    assert places == ["config[0].timeout", "config[0].rules[0]", "config[1].interface"]


def test_ndppd_understands_the_same_rules_as_we_do(node):
    node.run("ip", "link", "add", "vm1", "type", "veth", "peer", "name", "p1")
    node.module("ndppd", config=[PROXY])
    ours = [
        rule["prefix"].removesuffix("/128")
        for proxy in node.module("ndppd", state="gathered")["before"]
        for rule in proxy["rules"]
    ]
    node.run("sh", "-c", "ndppd -vvv -c /etc/ndppd.conf >/tmp/said 2>&1 </dev/null &")
    pattern = r"rule::create\(\) if=vm1, addr=([0-9a-f:/]+).*\n"
    until_equal(lambda: re.findall(pattern, node.run("cat", "/tmp/said", fails=True)), ours)

"""Services that the module daemon makes itself, and services that must not run beside each other."""

from __future__ import annotations

from support.waiting import until, until_equal

HEADER = "# Managed by Routed Hypervisor, for a test\n"


def actions(result: dict) -> list[str]:
    assert not result.get("failed"), result
    assert result["changed"] == bool(result["changes"])
    return [f"{change['op']} {change['name']}" for change in result["changes"]]


def gobgpd(name: str, router_id: str = "192.0.2.1", text: str = "", **more) -> dict:
    """An instance of GoBGP that does not listen for BGP."""
    path, socket = f"/etc/gobgp/{name}.toml", f"unix:///run/test-gobgp/{name}.sock"
    conf = HEADER + f'[global.config]\n  as = 64512\n  router-id = "{router_id}"\n  port = -1\n{text}'
    return {
        "name": f"gobgpd-{name}",
        "command": ["gobgpd", "-f", path, "-p", "--pprof-disable", f"--api-hosts={socket}"],
        "runtime_directory": "test-gobgp",
        # What a gobgpd that was killed leaves behind keeps the next one from listening.
        "prepare": ["rm", "-f", socket.removeprefix("unix://")],
        "files": [{"path": path, "content": conf}],
        "check": [
            "gobgpd",
            "-d",
            "-p",
            "--pprof-disable",
            "-f",
            f"{{{name}.toml}}",
            f"--api-hosts=unix://{{{name}.toml}}.sock",
        ],
        "reload": ["kill", "-HUP", "{pid}"],
        "ready": ["gobgp", "--target", socket, "global"],
        **more,
    }


def pids(node, name: str) -> list[str]:
    return node.run("pgrep", "-f", f"gobgpd -f /etc/gobgp/{name}.toml", fails=True).split()


def started(node, name: str) -> str:
    """The pid of an instance that a script has just started: the script does not wait until its program runs."""
    until(lambda: len(pids(node, name)) == 1, 10, f"one process of {name}")
    return pids(node, name)[0]


def test_a_command_becomes_a_service(node):
    first = ["create /etc/gobgp/a.toml", "create /etc/init.d/gobgpd-a", "start gobgpd-a", "enable gobgpd-a"]
    assert actions(node.module("daemon", _check=True, **gobgpd("a", enabled=True))) == first
    assert node.run("ls", "/etc/init.d/gobgpd-a", "/etc/gobgp", fails=True).count("cannot access") == 2
    assert actions(node.module("daemon", **gobgpd("a", enabled=True))) == first
    assert actions(node.module("daemon", **gobgpd("a", enabled=True))) == []
    [pid] = pids(node, "a")
    assert node.run("stat", "-c", "%a %U", "/run/test-gobgp").strip() == "750 root"
    assert "S01gobgpd-a" in node.run("ls", "/etc/rc2.d")

    # Another instance of the same program is another service.
    assert actions(node.module("daemon", **gobgpd("b")))[-1] == "start gobgpd-b"
    assert pids(node, "a") == [pid] and len(pids(node, "b")) == 1

    # The configuration is loaded by the running process; another command needs another process.
    neighbor = '[[neighbors]]\n  [neighbors.config]\n    neighbor-address = "192.0.2.7"\n    peer-as = 64513\n'
    changed = actions(node.module("daemon", **gobgpd("a", text=neighbor)))
    assert changed == ["change /etc/gobgp/a.toml", "reload gobgpd-a"]
    ask = ("gobgp", "--target", "unix:///run/test-gobgp/a.sock", "neighbor")
    until(lambda: "192.0.2.7" in node.run(*ask), what="the neighbor of the new file")
    assert pids(node, "a") == [pid]
    more = {"text": neighbor, "description": "with a description"}
    assert actions(node.module("daemon", **gobgpd("a", **more))) == [
        "change /etc/init.d/gobgpd-a",
        "restart gobgpd-a",
    ]
    assert pids(node, "a") != [pid]

    # Gone without a trace, whatever the module is told besides the name.
    result = node.module("daemon", name="gobgpd-a", state="absent")
    assert actions(result) == [
        "stop gobgpd-a",
        "disable gobgpd-a",
        "delete /etc/gobgp/a.toml",
        "delete /etc/init.d/gobgpd-a",
    ]
    assert pids(node, "a") == [] and len(pids(node, "b")) == 1
    assert node.run("find", "/etc", "/run", "-name", "*gobgpd-a*") == ""
    assert actions(node.module("daemon", name="gobgpd-a", state="absent")) == []


def test_the_script_of_a_service_can_be_used_by_a_person(node):
    node.module("daemon", **gobgpd("a"))
    [pid] = pids(node, "a")
    assert pid in node.run("service", "gobgpd-a", "status")
    node.run("service", "gobgpd-a", "start")
    assert pids(node, "a") == [pid]
    node.run("service", "gobgpd-a", "reload")
    assert pids(node, "a") == [pid]
    node.run("service", "gobgpd-a", "restart")
    assert started(node, "a") != pid
    assert actions(node.module("daemon", **gobgpd("a"))) == []
    node.run("service", "gobgpd-a", "stop")
    assert pids(node, "a") == []
    assert "does not run" in node.run("service", "gobgpd-a", "status", fails=True)
    node.run("service", "gobgpd-a", "stop")
    assert actions(node.module("daemon", **gobgpd("a"))) == ["start gobgpd-a"]

    # A process that was killed leaves its pid file, and another process may have that pid now.
    node.run("kill", "-9", *pids(node, "a"))
    until(lambda: not pids(node, "a"), what="the end of the process")
    assert "does not run" in node.run("service", "gobgpd-a", "status", fails=True)
    node.write("/run/gobgpd-a.pid", "1\n")
    assert "does not run" in node.run("service", "gobgpd-a", "status", fails=True)
    assert actions(node.module("daemon", **gobgpd("a"))) == ["start gobgpd-a"]


def test_a_service_cut_off_anywhere_is_completed(node):
    node.module("daemon", **gobgpd("a"))
    script = node.read("/etc/init.d/gobgpd-a")
    # Written, but the process is the old one.
    node.write("/etc/init.d/gobgpd-a", script + "\n# another\n")
    assert actions(node.module("daemon", **gobgpd("a"))) == ["change /etc/init.d/gobgpd-a", "restart gobgpd-a"]
    # Removed half way: its own file goes last.
    node.run("service", "gobgpd-a", "stop")
    node.run("rm", "/etc/gobgp/a.toml")
    assert actions(node.module("daemon", name="gobgpd-a", state="absent")) == ["delete /etc/init.d/gobgpd-a"]


def test_a_command_that_ends_at_once_gives_its_last_words(node):
    words = "echo I cannot work like this; exit 3"
    result = node.module("daemon", name="moody", command=["sh", "-c", words], timeout=2)
    assert result["failed"] and "I cannot work like this" in result["msg"]


def test_environment_and_arguments_arrive_as_they_are(node):
    odd = "two words, 50% of $HOME, 'single', \"double\" and \\"
    argv = ["/bin/sh", "-c", 'printf "%s\\n%s\\n" "$1" "$ODD"; exec sleep 600', "sh", odd]
    node.module("daemon", name="echo", command=argv, environment={"ODD": odd})
    until_equal(lambda: node.run("cat", "/var/log/echo.log", fails=True), f"{odd}\n{odd}\n", 10)


def test_what_has_no_sense_is_refused(node):
    result = node.module("daemon", name="x y", command=["sleep", "9"], environment={"1": "a"}, description="a\nb")
    assert result["failed"]
    for part in ("is not a service name", "is not a variable name", "more than one line"):
        assert part in result["msg"]
    result = node.module("daemon", name="bird", runtime_directory="x")
    assert result["failed"] and "runtime_directory has no meaning without command" in result["msg"]
    result = node.module("daemon", name="nosuch", command=["nosuchprogram"])
    assert result["failed"] and "nosuchprogram is not installed" in result["msg"]


BIRD = {
    "name": "bird",
    "files": [{"path": "/etc/bird/bird.conf", "content": HEADER + "router id 192.0.2.1;\nprotocol device { }\n"}],
}


def test_two_routing_daemons_never_run_beside_each_other(node):
    actions(node.module("daemon", **BIRD))
    assert node.pid("bird")
    switch = {"enabled": True, "stops": ["bird", "gobgpd-*", "!gobgpd-b"]}
    node.module("daemon", **gobgpd("old", cleanup=["touch", "/tmp/cleaned"]))
    first = [
        "create /etc/gobgp/a.toml",
        "create /etc/init.d/gobgpd-a",
        "stop bird",
        "disable bird",
        "stop gobgpd-old",
        "clean up gobgpd-old",
        "delete /etc/gobgp/old.toml",
        "delete /etc/init.d/gobgpd-old",
        "start gobgpd-a",
        "enable gobgpd-a",
    ]
    node.module("daemon", **gobgpd("b"))
    assert actions(node.module("daemon", _check=True, **gobgpd("a", **switch))) == first
    assert node.pid("bird")
    assert actions(node.module("daemon", **gobgpd("a", **switch))) == first
    assert node.pid("bird") == "" and pids(node, "old") == [] and len(pids(node, "b")) == 1
    node.run("ls", "/tmp/cleaned", "/etc/bird/bird.conf")
    assert actions(node.module("daemon", **gobgpd("a", **switch))) == []

    # And back. Nothing of what was made for GoBGP is left.
    back = actions(node.module("daemon", **BIRD, enabled=True, stops=["gobgpd-*"]))
    assert back == [
        "stop gobgpd-a",
        "disable gobgpd-a",
        "delete /etc/gobgp/a.toml",
        "delete /etc/init.d/gobgpd-a",
        "stop gobgpd-b",
        "delete /etc/gobgp/b.toml",
        "delete /etc/init.d/gobgpd-b",
        "start bird",
        "enable bird",
    ]
    assert node.run("pgrep", "gobgpd", fails=True) == ""
    assert actions(node.module("daemon", **BIRD, enabled=True, stops=["gobgpd-*"])) == []


def test_an_absent_daemon_has_what_it_stops_removed_only_if_that_is_ours(node):
    node.module("daemon", **BIRD)
    node.module("daemon", **gobgpd("a"))
    absent = {"name": "radvd", "files": [{"path": "/etc/radvd.conf"}], "state": "absent", "stops": ["gobgpd-*", "bird"]}
    for former in ({}, {"former": "/var/lib/former.json"}):
        removed = ["stop gobgpd-a", "delete /etc/gobgp/a.toml", "delete /etc/init.d/gobgpd-a"]
        assert actions(node.module("daemon", **absent, **former)) == removed
        assert actions(node.module("daemon", **absent, **former)) == []
        node.module("daemon", **gobgpd("a"))
    assert node.pid("bird")

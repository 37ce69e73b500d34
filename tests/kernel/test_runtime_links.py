"""Links of container runtimes, as the verification finds them in the kernel."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from support.waiting import until

DOCKER = Path("/run/docker/netns")


@pytest.fixture
def kept(bare_namespace):
    """A function that moves a namespace's name to where Docker keeps its own."""
    made = []

    def keep(space):
        DOCKER.mkdir(parents=True, exist_ok=True)
        path = DOCKER / space.name
        path.touch()
        made.append(path)
        subprocess.run(["mount", "--bind", space.path, path], check=True)
        space.remove()
        return path

    yield keep
    for path in made:
        subprocess.run(["umount", path], check=True)
        path.unlink()


def test_a_container_of_docker_that_died_without_dockerd_is_reported(bare_namespace, kept):
    host = bare_namespace
    host.cable("uplink")
    host.ip(f"link add eth0 link uplink netns {host.behind.name} type ipvlan mode l3")
    host.behind.ip("address add 10.0.0.5/24 dev eth0")
    path = kept(host.behind)
    runtimes = dict.fromkeys(("cni", "podman", "docker"), False)
    expected = {"kind": "runtimes", "title": "web", "network": "web", "vrf": "main", "master": "uplink", "mode": "l3"}

    def seen():
        [found] = host.module("verify", config=[{**expected, **runtimes}], deadline=0)["results"]
        return found["state"], found["seen"]

    assert seen() == ("failed", f"addresses without a process: eth0 in {path} (10.0.0.5)")
    process = subprocess.Popen(["nsenter", f"--net={path}", "sleep", "60"])
    try:
        until(lambda: path.samefile(f"/proc/{process.pid}/ns/net"), what="the process is in the namespace")
        assert seen() == ("passed", "1 container")
    finally:
        process.kill()
        process.wait()

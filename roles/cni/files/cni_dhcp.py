# Managed by Routed Hypervisor (role cni): changes made here are overwritten.
"""Runs the DHCP daemon of the CNI plugins, with the leases that it had before: cni-dhcp PROGRAM SOCKET

The daemon has its leases in memory only, so that nothing renews them once it was restarted. Callers of CNI plugins keep
the results (libcni: in /var/lib/cni/results), from which it is asked for the lease of each container again, with the
same client identifier. SOCKET.lost lists the containers that have no lease of their address now.
"""

import base64
import contextlib
import json
import os
import socket
import subprocess
import sys
import time

PROGRAM, SOCKET = sys.argv[1:]
LOCK = "/run/routed-hypervisor-cni-dhcp.lock"  # of the plugin routed-hypervisor
RESULTS = "/var/lib/cni/results"
ANSWER_S = 30


def main():
    for path in (SOCKET, f"{SOCKET}.lost"):  # of a daemon that was killed: it would not start
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    if os.fork() == 0:
        if os.fork() == 0:
            renew_all()
        os._exit(0)
    os.wait()
    # Replies are to be broadcast: until a container has its address, ipvlan has nobody to give a packet to.
    os.execv(PROGRAM, [PROGRAM, "daemon", "-broadcast", "-socketpath", SOCKET])


def renew_all():
    wait_for_daemon()
    # One after the other: see the plugin routed-hypervisor.
    lost = [line for entry in results() if (line := renew(entry))]
    if lost:
        with open(f"{SOCKET}.lost", "w", encoding="utf-8") as file:
            file.write("".join(f"{line}\n" for line in lost))


def wait_for_daemon():
    deadline = time.monotonic() + ANSWER_S
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(SOCKET) == 0:
                return
        time.sleep(0.05)


def results():
    """What was added to networks with this daemon, each with its plugin."""
    for name in sorted(os.listdir(RESULTS)) if os.path.isdir(RESULTS) else ():
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError), open(f"{RESULTS}/{name}", "rb") as file:
            kept = json.load(file)
            network = json.loads(base64.b64decode(kept["config"]))
            for plugin in network["plugins"]:
                if plugin.get("ipam", {}).get("daemonSocketPath") == SOCKET:
                    yield kept, {**plugin, "name": network["name"], "cniVersion": network["cniVersion"]}


def renew(entry):
    """None, or what went wrong."""
    kept, plugin = entry
    container, link = kept["containerId"], kept["ifName"]
    sandbox = next(one["sandbox"] for one in kept["result"]["interfaces"] if one.get("sandbox"))
    if not os.path.exists(sandbox):
        return None
    # For this plugin, ADD only asks for a lease; configuring the link is up to the caller.
    environment = {"CNI_COMMAND": "ADD", "CNI_CONTAINERID": container, "CNI_NETNS": sandbox, "CNI_IFNAME": link}
    own = addresses(kept["result"])
    try:
        done = subprocess.run(
            ["flock", LOCK, PROGRAM],
            input=json.dumps(plugin),
            env={**environment, "CNI_PATH": os.path.dirname(PROGRAM), "PATH": os.environ.get("PATH", os.defpath)},
            capture_output=True,
            text=True,
            check=False,
            timeout=ANSWER_S,
        )
        answer = json.loads(done.stdout)
        wrong = answer["msg"] if done.returncode else None
        if wrong is None and addresses(answer) != own:
            wrong = f"the server now gives it {', '.join(addresses(answer))}"
    except (subprocess.TimeoutExpired, OSError, ValueError, KeyError) as error:
        wrong = str(error)
    return f"{container[:12]} ({', '.join(own)}): {wrong}" if wrong else None


def addresses(result):
    return [one["address"].partition("/")[0] for one in result["ips"]]


if __name__ == "__main__":
    main()

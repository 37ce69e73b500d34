"""Calls CNI plugins as a container runtime does, without one: caller.py COMMAND FILE CONTAINER NAMESPACE [ADDRESS…]

FILE is a configuration list; the namespace is below /run/netns or an absolute path, and its link is eth0. Prints the
plugins' answer.
"""

import base64
import json
import os
import subprocess
import sys

PLUGINS = "/usr/lib/cni"
RESULTS = "/var/lib/cni/results"


def call(command, network, plugin, container, namespace, extra):
    given = {**plugin, "name": network["name"], "cniVersion": network["cniVersion"], **extra}
    environment = {
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": container,
        "CNI_NETNS": os.path.join("/run/netns", namespace),
        "CNI_IFNAME": "eth0",
        "CNI_PATH": PLUGINS,
        "PATH": os.environ["PATH"],
    }
    program = os.path.join(PLUGINS, plugin["type"])
    return subprocess.run(
        [program], input=json.dumps(given), env=environment, capture_output=True, text=True, check=False
    )


def main():
    command, path, container, namespace, *addresses = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        text = file.read()
    network = json.loads(text)
    kept = f"{RESULTS}/{network['name']}-{container}-eth0"
    extra = {}
    if command != "ADD" and os.path.exists(kept):
        with open(kept, encoding="utf-8") as file:
            extra["prevResult"] = json.load(file)["result"]
    for plugin in reversed(network["plugins"]) if command == "DEL" else network["plugins"]:
        wanted = (
            {"runtimeConfig": {"ips": addresses}} if addresses and plugin.get("capabilities", {}).get("ips") else {}
        )
        done = call(command, network, plugin, container, namespace, {**extra, **wanted})
        if done.returncode:
            print(done.stdout, done.stderr)
            sys.exit(1)
        if command == "ADD":
            extra["prevResult"] = json.loads(done.stdout)
    if command == "ADD":
        keep(kept, network, text, container, extra["prevResult"])
        print(json.dumps(extra["prevResult"]))
    elif command == "DEL" and os.path.exists(kept):
        os.unlink(kept)


def keep(path, network, text, container, result):
    """As libcni does, for CHECK and DEL."""
    os.makedirs(RESULTS, exist_ok=True)
    made = {"kind": "cniCacheV1", "containerId": container, "ifName": "eth0", "networkName": network["name"]}
    config = base64.b64encode(text.encode()).decode()
    with open(path, "w", encoding="utf-8") as file:
        json.dump({**made, "config": config, "result": result}, file)


main()

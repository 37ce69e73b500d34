"""Calls CNI plugins as a container runtime does, without one: caller.py COMMAND FILE CONTAINER NAMESPACE [ADDRESS…]

FILE is a configuration list; the namespace is below /run/netns, and its link is eth0. Prints the plugins' answer.
"""

import json
import os
import subprocess
import sys

PLUGINS = "/usr/lib/cni"


def call(command, network, plugin, container, namespace, extra):
    given = {**plugin, "name": network["name"], "cniVersion": network["cniVersion"], **extra}
    environment = {
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": container,
        "CNI_NETNS": f"/run/netns/{namespace}",
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
        network = json.load(file)
    kept = f"/run/caller-{network['name']}-{container}.json"  # the result, as runtimes keep it for CHECK and DEL
    extra = {}
    if command != "ADD" and os.path.exists(kept):
        with open(kept, encoding="utf-8") as file:
            extra["prevResult"] = json.load(file)
    plugins = network["plugins"] if command == "ADD" else reversed(network["plugins"])
    for plugin in plugins:
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
        with open(kept, "w", encoding="utf-8") as file:
            json.dump(extra["prevResult"], file)
        print(json.dumps(extra["prevResult"]))
    elif command == "DEL" and os.path.exists(kept):
        os.unlink(kept)


main()

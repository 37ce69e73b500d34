"""The environment of a command in a lab: a node's own, or the caller's without variables for the machine only."""

from __future__ import annotations

import os
import re

# They name sockets, descriptors and displays of the machine, or affect the start of a shell there.
MEANINGLESS = {
    "SSH_AUTH_SOCK",
    "DBUS_SESSION_BUS_ADDRESS",
    "XDG_RUNTIME_DIR",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "NOTIFY_SOCKET",
    "LISTEN_FDS",
    "LISTEN_PID",
    "BASH_ENV",
}

KIND = "ROUTED_HYPERVISOR_KERNEL_KIND"  # of the kernel, for what runs outside nodes
NODE_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "USER": "root",
    "LOGNAME": "root",
    "SHELL": "/bin/bash",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
}


def callers_environment() -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name not in MEANINGLESS}
    for name in ("MAKEFLAGS", "MFLAGS"):
        if name in environment:
            environment[name] = re.sub(r" ?--jobserver-(auth|fds)=\S+| ?-j\d*\b", "", environment[name])
    return environment

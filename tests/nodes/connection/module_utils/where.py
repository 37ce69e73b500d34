"""Looks at the machine that it is imported on, as a module_util may."""

from __future__ import annotations

import os
import socket

HOSTNAME = socket.gethostname()


def describe():
    return {"hostname": HOSTNAME, "directory": os.getcwd(), "umask": os.umask(0o022), "user": os.getuid()}

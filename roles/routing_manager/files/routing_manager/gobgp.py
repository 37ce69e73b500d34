# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GoBGP's command line. Its API stays on a unix socket, and needs no library of ours."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import typing as t

from . import rib
from .model import Prefix

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TIMEOUT_S = 30.0
# Our paths bear a number, by which we can withdraw them and leave an administrator's of the same prefix in place.
IDENTIFIER = "82"


class GobgpError(Exception):
    """GoBGP cannot be asked, or said no."""


def program() -> str:
    """Raises GobgpError where there is none."""
    path = f"{os.environ.get('PATH', '')}:{PATH}"
    found = shutil.which("gobgp", path=path)
    if found is None:
        raise GobgpError("gobgp is not installed: the package gobgpd has it")
    return found


def _argv(api: str, *words: str) -> list[str]:
    return [program(), "--target", f"unix://{api}", *words]


def _environment() -> dict[str, str]:
    return {"PATH": PATH, "LC_ALL": "C", "GOMAXPROCS": "1"}


def listens(api: str) -> bool:
    """Whether a gobgpd is behind the socket; costs no process."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(api)
        except OSError:
            return False
    return True


def started(api: str) -> float:
    """When this gobgpd began to listen, in seconds since the epoch. Raises OSError."""
    return os.stat(api).st_mtime


def ask(api: str, *words: str) -> str:
    """The answer of a command. Raises GobgpError."""
    try:
        done = subprocess.run(
            _argv(api, *words),
            check=False,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            env=_environment(),
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise GobgpError(f"`gobgp {' '.join(words)}` did not end within {TIMEOUT_S:g} s") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        raise GobgpError(f"`gobgp {' '.join(words)}`: {said[0]}")
    return done.stdout


def neighbors(api: str) -> list[rib.Neighbor]:
    """Raises GobgpError."""
    try:
        return rib.neighbors(ask(api, "neighbor", "-j"))
    except (ValueError, KeyError) as error:
        raise GobgpError(f"`gobgp neighbor -j` gave no answer that can be understood: {error}") from error


def table(api: str, families: t.Iterable[str]) -> rib.Rib:
    """The whole RIB. Raises GobgpError."""
    whole = rib.Rib({}, set(), neighbors(api))
    try:
        multipath = bool(json.loads(ask(api, "global", "-j")).get("use_multiple_paths"))
        for family in families:
            rib.table(whole, ask(api, "global", "rib", "-j", "-a", family), multipath)
    except (ValueError, KeyError) as error:
        raise GobgpError(f"`gobgp global rib -j` gave no answer that can be understood: {error}") from error
    return whole


def announce(api: str, where: Prefix) -> None:
    """GoBGP puts its own address of each session as the next hop. Raises GobgpError."""
    words = ["global", "rib", "add", "-a", rib.family_name(where), str(where)]
    ask(api, *words, "identifier", IDENTIFIER, "origin", "igp")


def withdraw(api: str, where: Prefix) -> None:
    """Nothing happens where it is not announced by us. Raises GobgpError."""
    ask(api, "global", "rib", "del", "-a", rib.family_name(where), str(where), "identifier", IDENTIFIER)


def tell_again(api: str, neighbor: str) -> None:
    """Has everything announced to a neighbour that there is for it. Raises GobgpError."""
    ask(api, "neighbor", neighbor, "softresetout")


def stream(api: str) -> subprocess.Popen:
    """Starts the stream of changes, which ends with us. Raises GobgpError or OSError."""
    argv = _argv(api, "monitor", "global", "rib", "-j")
    if setpriv := shutil.which("setpriv", path=PATH):
        argv = [setpriv, "--pdeathsig", "TERM", *argv]
    return subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=_environment()
    )

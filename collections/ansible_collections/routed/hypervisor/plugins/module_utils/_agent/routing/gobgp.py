# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GoBGP's command line, which needs no library and keeps GoBGP's API on a unix socket. Private to this
collection."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import typing as t
from concurrent.futures import ThreadPoolExecutor

from . import rib
from .model import ORDINARY, Prefix

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TIMEOUT_S = 30.0
# Our paths carry this number, so that withdrawing them leaves an administrator's of the same prefix in place.
IDENTIFIER = "82"


class GobgpError(Exception):
    """GoBGP cannot be reached, or refused."""


def program() -> str:
    """Raises GobgpError if it is not installed."""
    path = f"{os.environ.get('PATH', '')}:{PATH}"
    found = shutil.which("gobgp", path=path)
    if found is None:
        raise GobgpError("gobgp is not installed: it is in the package gobgpd")
    return found


def _argv(api: str, *words: str) -> list[str]:
    return [program(), "--target", f"unix://{api}", *words]


def _environment() -> dict[str, str]:
    # Fewer collections: a table of 10,000 routes takes gobgp 0.29 s of processor time instead of 0.37 s.
    return {"PATH": PATH, "LC_ALL": "C", "GOMAXPROCS": "1", "GOGC": "400"}


def listens(api: str) -> bool:
    """Whether a gobgpd listens on the socket; starts no process."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(api)
        except OSError:
            return False
    return True


def started(api: str) -> float:
    """When this gobgpd started to listen, in seconds since the epoch. Raises OSError."""
    return os.stat(api).st_mtime


def output_of(api: str, *words: str) -> str:
    """The output of a command. Raises GobgpError."""
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
        output = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}, no output"]
        raise GobgpError(f"`gobgp {' '.join(words)}`: {output[0]}")
    return done.stdout


def neighbors(api: str) -> list[rib.Neighbor]:
    """Raises GobgpError."""
    try:
        return rib.neighbors(output_of(api, "neighbor", "-j"))
    except (ValueError, KeyError) as error:
        raise GobgpError(f"cannot parse the output of `gobgp neighbor -j`: {error}") from error


def table(api: str, families: t.Iterable[str]) -> rib.Rib:
    """The whole RIB. Raises GobgpError."""
    whole = rib.Rib({}, {}, neighbors(api), {})  # first: the RIB has everything that was learned before
    commands = [("global", "-j"), *(("global", "rib", "-j", "-a", family) for family in families)]
    with ThreadPoolExecutor(len(commands)) as pool:
        settings, *tables = pool.map(lambda words: output_of(api, *words), commands)
    try:
        multipath = bool(json.loads(settings).get("use_multiple_paths"))
        for text in tables:
            rib.table(whole, text, multipath)
    except (ValueError, KeyError) as error:
        raise GobgpError(f"cannot parse the output of `gobgp global rib -j`: {error}") from error
    return whole


def announce(api: str, where: Prefix, preference: int) -> None:
    """The next hop is GoBGP's own address of each session. Raises GobgpError."""
    words = ["global", "rib", "add", "-a", rib.family_name(where), str(where)]
    preferred = [] if preference == ORDINARY else ["local-pref", str(preference)]
    output_of(api, *words, "identifier", IDENTIFIER, "origin", "igp", *preferred)


def withdraw(api: str, where: Prefix) -> None:
    """No effect if it is not announced by us. Raises GobgpError."""
    output_of(api, "global", "rib", "del", "-a", rib.family_name(where), str(where), "identifier", IDENTIFIER)


def refresh(api: str, neighbor: str) -> None:
    """Announces everything to a neighbour again. Raises GobgpError."""
    output_of(api, "neighbor", neighbor, "softresetout")


def stream(api: str) -> subprocess.Popen[bytes]:
    """Starts the stream of changes, which ends with this process. Raises GobgpError or OSError."""
    argv = _argv(api, "monitor", "global", "rib", "-j")
    if setpriv := shutil.which("setpriv", path=PATH):
        argv = [setpriv, "--pdeathsig", "TERM", *argv]
    return subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=_environment()
    )

# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The directory tree that lab nodes run on: names, finds and builds it.

Private to this collection.

An image is IMAGES/FINGERPRINT, and IMAGES/FINGERPRINT.json describes its content. The directory is renamed to that name
when it is complete. An interrupted build is a directory IMAGES/.building-…, which the next run removes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .._engine.change import Change
from .._engine.lock import taken

# Increase it when the recipe below builds a different tree from the same packages.
RECIPE = 1
NEEDED_MB = 600
LOCK_SECONDS = 900
MOUNT_POINTS = ("dev", "proc", "run", "sys", "tmp")
# Not needed by any program on a node; a third of the size.
TRIMMED = (
    "usr/share/doc",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "var/cache/apt",
    "var/lib/apt/lists",
    "var/log/apt",
    "var/cache/debconf",
)
# The first match is the cause: a full disk, for example, also makes downloads fail.
CAUSES = (
    (r"No space left on device|not enough free space", "the disk with {images} is full"),
    (
        r"Unable to locate package (?P<name>\S+)|Package '?(?P<other>[^\s']+)'? has no installation candidate",
        "Debian {suite} has no package {name}",
    ),
    (
        r"NO_PUBKEY|is not signed|signatures couldn't be verified",
        "the archive's signature could not be checked: install debian-archive-keyring, or set the option keyring",
    ),
    (
        r"Temporary failure resolving|Could not resolve|Could not connect|Unable to connect|Connection refused"
        r"|Connection timed out|Network is unreachable|Failed to fetch",
        "the Debian archive could not be reached: is there a network, or does apt need a proxy?",
    ),
)

# Of the module; its action plugin uses them, too.
OPTIONS = {
    "path": {"type": "path", "required": True},
    "packages": {"type": "list", "elements": "str", "required": True},
    "suite": {"type": "str", "default": "bookworm"},
    "command": {"type": "list", "elements": "str"},
    "keyring": {"type": "path"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}


class ImageError(Exception):
    """Why there is no image, in one sentence."""


@dataclass(frozen=True)
class Image:
    """The wanted image; `packages` are package names of apt."""

    images: Path
    suite: str
    packages: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        recipe = {"recipe": RECIPE, "suite": self.suite, "packages": sorted(set(self.packages))}
        return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def path(self) -> Path:
        return self.images / self.fingerprint

    @property
    def record(self) -> Path:
        return self.images / f"{self.fingerprint}.json"

    def exists(self) -> bool:
        return self.path.is_dir() and self.record.is_file()

    def size_mb(self) -> int:
        """From the record: measuring 10,000 files takes seconds in the lab kernel."""
        try:
            return int(json.loads(self.record.read_text(encoding="utf-8"))["size_mb"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0


def answer(image: Image, state: str, existed: bool) -> dict:
    """The result of the module."""
    wanted = state == "present"
    changes = []
    if wanted and not existed:
        changes.append(Change("images", "create", str(image.path), "it does not exist"))
    elif existed and not wanted:
        changes.append(Change("images", "delete", str(image.path), "is to be deleted"))
    return {
        "changed": bool(changes),
        "changes": [change.shown() for change in changes],
        "path": str(image.path),
        "fingerprint": image.fingerprint,
        "size_mb": image.size_mb(),
        "diff": {"before": f"{image.path}\n" if existed else "", "after": f"{image.path}\n" if wanted else ""},
    }


@contextlib.contextmanager
def locked(images: Path, seconds: float = LOCK_SECONDS):
    """Allows one build at a time; other runs wait and then find the image built."""
    try:
        images.mkdir(parents=True, exist_ok=True)
        lock = os.open(images / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ImageError(f"{images} cannot be written: {error.strerror}") from error
    try:
        if not taken(lock, seconds, 0.5):
            raise ImageError(f"another run has been building an image in {images} for {seconds:.0f} s")
        yield
    finally:
        os.close(lock)


def leftovers(image: Image) -> list[Path]:
    """Interrupted builds, and a tree or record of this image without the other."""
    found = sorted(image.images.glob(".building-*"))
    if not image.exists():
        found += [path for path in (image.path, image.record) if path.exists()]
    return found


def remove(path: Path) -> None:
    """Removes a tree, unless something is mounted in it."""
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
        inside = [line.split()[4] for line in mounts if line.split()[4].startswith(f"{path}/")]
    if inside:
        raise ImageError(f"{path} is not removed: {inside[0]} is mounted in it")
    # Renamed first: a tree under an image's name must be complete.
    if path.is_dir() and not path.name.startswith("."):
        path = path.rename(path.with_name(f".building-removed-{path.name}"))
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def find_builder(cache: Path, command: list[str] | None) -> list[str]:
    """The mmdebstrap command: the given one, the machine's, or the one unpacked in the cache."""
    unpacked = cache / "tools/usr/bin/mmdebstrap"
    if command:
        found = shutil.which(command[0])
        if found and all(os.path.exists(word) for word in command[1:] if word.startswith("/")):
            return command
        raise ImageError(f"{' '.join(command)} is missing: it is needed to build the image")
    if found := shutil.which("mmdebstrap"):
        return [found]
    if unpacked.is_file() and (perl := shutil.which("perl")):
        return [perl, str(unpacked)]
    raise ImageError("mmdebstrap is missing: run `make setup`, or install the Debian package mmdebstrap")


def find_keyring(cache: Path, keyring: str | None) -> str | None:
    """The keyring to pass to mmdebstrap, because the apt of this machine may lack Debian's keys (Ubuntu)."""
    if keyring:
        return keyring
    name = "usr/share/keyrings/debian-archive-keyring.gpg"
    return next((str(path) for path in (Path("/", name), cache / "tools" / name) if path.exists()), None)


def refuse_without_room(images: Path) -> None:
    room = os.statvfs(images)
    free = room.f_bavail * room.f_frsize // 2**20
    if free < NEEDED_MB:
        raise ImageError(f"the disk with {images} has {free} MB free: the image needs {NEEDED_MB} MB")


def explain(image: Image, output: str) -> str:
    """The output of a failed mmdebstrap, summarised in one sentence."""
    for pattern, sentence in CAUSES:
        if match := re.search(pattern, output):
            name = next((value for value in match.groupdict().values() if value), "")
            return "the image was not built: " + sentence.format(images=image.images, suite=image.suite, name=name)
    errors = [line[2:].strip() for line in output.splitlines() if line.startswith("E:")]
    lines = errors or output.strip().splitlines() or ["it printed nothing"]
    return f"the image was not built: mmdebstrap failed: {lines[0]}"


def build_command(image: Image, builder: list[str], keyring: str | None, target: Path) -> list[str]:
    # In a PID namespace that ends with us: a killed build leaves no apt running in a removed directory.
    shelter = ["setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"]
    options = ["--variant=minbase", f"--include={','.join(sorted(set(image.packages)))}"]
    if keyring:
        options.append(f"--keyring={keyring}")
    return [*shelter, *builder, *options, image.suite, str(target)]


def disable_services(tree: Path) -> None:
    """Debian enables every daemon that it installs; in a node with systemd, they would start with their defaults."""
    for link in tree.glob("etc/systemd/system/*.wants/*"):
        link.unlink()
    # As `update-rc.d NAME disable` does; without any link, update-rc.d could not enable the service.
    for link in tree.glob("etc/rc[2-5].d/S*"):
        link.rename(link.with_name(f"K{link.name[1:]}"))


def finish(tree: Path) -> int:
    """Trims a new tree and prepares it for nodes. Returns its size in MB."""
    if (tree / "lib/systemd/systemd").exists():
        disable_services(tree)
    for name in TRIMMED:
        if (tree / name).is_dir():
            shutil.rmtree(tree / name)
            (tree / name).mkdir()
    for name in MOUNT_POINTS:
        (tree / name).mkdir(exist_ok=True)
    # Empty, so that no two nodes share an identity. The build machine's name servers are not the nodes'.
    for name in ("machine-id", "resolv.conf"):
        path = tree / "etc" / name
        path.unlink(missing_ok=True)
        path.touch(mode=0o644)
    hostname = tree / "etc/hostname"
    hostname.write_text("node\n", encoding="ascii")
    hostname.chmod(0o644)
    blocks = 0
    for directory, _folders, files in os.walk(tree):
        for entry in files:
            status = os.lstat(os.path.join(directory, entry))
            blocks += status.st_blocks if stat.S_ISREG(status.st_mode) else 0
    return blocks * 512 // 2**20


def build(image: Image, builder: list[str], keyring: str | None, run) -> None:
    """Builds the image. run(command) returns exit code, output and error output."""
    refuse_without_room(image.images)
    target = Path(tempfile.mkdtemp(prefix=f".building-{image.fingerprint}-", dir=image.images))
    target.chmod(0o755)
    try:
        code, output, errors = run(build_command(image, builder, keyring, target))
        if code:
            raise ImageError(explain(image, f"{errors}\n{output}"))
        size = finish(target)
        record = {"suite": image.suite, "packages": sorted(set(image.packages)), "recipe": RECIPE, "size_mb": size}
        image.record.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        target.rename(image.path)
    except OSError as error:
        raise ImageError(f"the image was not built: {error.filename or target}: {error.strerror}") from error
    finally:
        if target.exists():
            shutil.rmtree(target, ignore_errors=True)

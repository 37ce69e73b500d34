#!/usr/bin/env python3
"""Unpacks the collections of a requirements file from a wheel of the package ansible, which contains them all.

unpack_collections.py WHEEL REQUIREMENTS DIRECTORY. Fails if the wheel has another version than the required one.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

import yaml


def main(wheel: str, requirements: str, directory: str) -> str | None:
    """Returns the error, if any."""
    wanted = yaml.safe_load(Path(requirements).read_text())["collections"]
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        for collection in wanted:
            place = f"ansible_collections/{collection['name'].replace('.', '/')}/"
            if f"{place}MANIFEST.json" not in names:
                return f"{collection['name']} is not in {wheel}"
            found = json.loads(archive.read(f"{place}MANIFEST.json"))["collection_info"]["version"]
            if found != collection["version"]:
                return f"{wheel} has {collection['name']} {found}, but {requirements} requires {collection['version']}"
        for collection in wanted:
            place = f"ansible_collections/{collection['name'].replace('.', '/')}/"
            target = Path(directory) / place
            target.parent.mkdir(parents=True, exist_ok=True)
            # Unpacked beside its place first, so that an interrupted copy is not mistaken for a complete one.
            with tempfile.TemporaryDirectory(dir=target.parent) as draft:
                archive.extractall(draft, [name for name in names if name.startswith(place)])
                shutil.rmtree(target, ignore_errors=True)
                (Path(draft) / place).rename(target)
    return None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

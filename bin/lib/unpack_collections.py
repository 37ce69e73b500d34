#!/usr/bin/env python3
"""Unpacks the collections of a requirements file out of a wheel of the package ansible, which has them all.

unpack_collections.py WHEEL REQUIREMENTS DIRECTORY. Refuses another version than the one that is required.
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
    """What is wrong, if anything is."""
    wanted = yaml.safe_load(Path(requirements).read_text())["collections"]
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        for collection in wanted:
            place = f"ansible_collections/{collection['name'].replace('.', '/')}/"
            if f"{place}MANIFEST.json" not in names:
                return f"{collection['name']} is not in {wheel}"
            found = json.loads(archive.read(f"{place}MANIFEST.json"))["collection_info"]["version"]
            if found != collection["version"]:
                return f"{wheel} has {collection['name']} {found}, and {requirements} wants {collection['version']}"
        for collection in wanted:
            place = f"ansible_collections/{collection['name'].replace('.', '/')}/"
            target = Path(directory) / place
            target.parent.mkdir(parents=True, exist_ok=True)
            # Beside its place first: what was cut off is not taken for whole.
            with tempfile.TemporaryDirectory(dir=target.parent) as draft:
                archive.extractall(draft, [name for name in names if name.startswith(place)])
                shutil.rmtree(target, ignore_errors=True)
                (Path(draft) / place).rename(target)
    return None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

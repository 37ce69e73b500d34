"""The archive that ansible-galaxy makes of the collection: nothing but the collection, and it works where it is put."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[2]
COLLECTION = PROJECT / "collections/ansible_collections/routed/hypervisor"
TOOLS = Path(sys.executable).parent
# What a run of this or that tool leaves in a directory.
JUNK = (
    ".venv/bin/activate",
    ".pytest_cache/README.md",
    ".hypothesis/constants/0123456789abcdef",
    ".ansible/collections/x.yml",
    "tests/output/.tmp/result.json",
    "plugins/modules/__pycache__/vrfs.cpython-311.pyc",
    "plugins/modules/vrfs.pyc",
    "plugins/modules/vrfs.py.orig",
    "plugins/modules/.vrfs.py.swp",
    "README.md~",
    "site.retry",
    "routed-hypervisor-0.0.1.tar.gz",
)


def run(*command, cwd: Path, **environment: str) -> str:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**clean, "HOME": str(cwd), "ANSIBLE_NOCOLOR": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    """Made of a copy, in which tools have left their junk."""
    work = tmp_path_factory.mktemp("archive")
    source = work / "source"
    shutil.copytree(COLLECTION, source, ignore=shutil.ignore_patterns("__pycache__", "output"))
    for junk in JUNK:
        (source / junk).parent.mkdir(parents=True, exist_ok=True)
        (source / junk).write_text("junk\n")
    run(TOOLS / "ansible-galaxy", "collection", "build", source, "--output-path", work, cwd=work)
    [made] = work.glob("*.tar.gz")
    return made


@pytest.fixture(scope="module")
def installed(archive) -> Path:
    """A directory of collections with nothing but ours in it."""
    place = archive.parent / "installed"
    run(TOOLS / "ansible-galaxy", "collection", "install", archive, "-p", place, "--offline", cwd=archive.parent)
    return place


def test_the_archive_has_the_collection_and_nothing_else(archive):
    with tarfile.open(archive) as opened:
        packed = {entry.name for entry in opened if entry.isfile()}
    kept = (path.relative_to(COLLECTION) for path in COLLECTION.rglob("*") if path.is_file())
    ours = {
        str(path) for path in kept if path.parts[0][0] != "." and not {"__pycache__", "output"}.intersection(path.parts)
    }
    assert packed - {"MANIFEST.json", "FILES.json"} == ours - {"galaxy.yml"}
    licence = "LICENSES/GPL-3.0-or-later.txt"
    assert {"README.md", "CHANGELOG.rst", licence, "meta/runtime.yml", "meta/ee-requirements.txt"} <= packed
    assert (COLLECTION / licence).read_text() == (PROJECT / "LICENSE").read_text()


def test_a_module_of_the_installed_collection_works(archive, installed):
    work = archive.parent
    play = work / "play.yml"
    routes = {"config": [{"prefix": "203.0.113.1/32", "interface": "lo"}]}
    tasks = [
        {"name": "Once", "routed.hypervisor.routes": routes, "register": "once"},
        {"name": "Again", "routed.hypervisor.routes": routes, "register": "again"},
        {"name": "Tell", "ansible.builtin.copy": {"content": "{{ [once, again] | to_json }}", "dest": f"{work}/told"}},
        {"name": "Look", "ansible.builtin.command": "ip -json route show proto 82", "register": "seen"},
        {"name": "Show", "ansible.builtin.copy": {"content": "{{ seen.stdout }}", "dest": f"{work}/seen"}},
    ]
    play.write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    # In a network namespace of its own, on whatever kernel there is.
    own = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    command = [*own, TOOLS / "ansible-playbook", "-i", "localhost,", "-c", "local", play]
    run(*command, cwd=work, ANSIBLE_COLLECTIONS_PATH=str(installed), ANSIBLE_PYTHON_INTERPRETER=sys.executable)
    once, again = json.loads((work / "told").read_text())
    assert [change["op"] for change in once["changes"]] == ["create"] and not again["changed"]
    assert [route["dst"] for route in json.loads((work / "seen").read_text())] == ["203.0.113.1"]


def test_the_inventory_plugin_of_the_installed_collection_works(archive, installed):
    work = archive.parent
    environment = {"ANSIBLE_COLLECTIONS_PATH": str(installed), "ANSIBLE_INVENTORY_ENABLED": "routed.hypervisor.source"}
    told = json.loads(
        run(TOOLS / "ansible-doc", "--json", "-t", "inventory", "routed.hypervisor.fabric", cwd=work, **environment)
    )
    (work / "fabric.yml").write_text(told["routed.hypervisor.fabric"]["examples"])
    inventory = json.loads(run(TOOLS / "ansible-inventory", "-i", "fabric.yml", "--list", cwd=work, **environment))
    assert inventory["hypervisors"]["hosts"] == ["hv1", "hv2"]


def test_an_execution_environment_has_what_the_collection_needs(tmp_path):
    context = tmp_path / "context"
    run(TOOLS / "ansible-builder", "create", "-f", PROJECT / "execution-environment.yml", "-c", context, cwd=PROJECT)
    assert (context / "_build/routed_hypervisor/meta/execution-environment.yml").exists()
    recipe = next(path for path in context.iterdir() if path.is_file()).read_text()
    installed = "/usr/share/ansible/collections"
    assert f"COPY _build/routed_hypervisor {installed}/ansible_collections/routed/hypervisor" in recipe
    assert f"ENV ANSIBLE_COLLECTIONS_PATH=collections:{installed}" in recipe
    needed = yaml.safe_load(run(TOOLS / "ansible-builder", "introspect", PROJECT / "collections", cwd=tmp_path))
    assert sorted(name.partition(">=")[0] for name in needed["python"]) == ["jsonschema", "netaddr"]
    wanted = dict(line.split("==") for line in (PROJECT / "requirements.txt").read_text().splitlines() if "==" in line)
    definition = yaml.safe_load((PROJECT / "execution-environment.yml").read_text())["dependencies"]
    assert definition["ansible_core"]["package_pip"] == f"ansible-core=={wanted['ansible-core']}"

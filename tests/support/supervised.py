"""A lab with a supervisor on this machine's own kernel, and what runs in it through the supervisor's socket."""

from __future__ import annotations

import ast
import base64
import contextlib
import functools
import io
import json
import re
import textwrap
import zipfile
from pathlib import Path

from ansible.executor.module_common import modify_module
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader, module_loader
from ansible.template import Templar

from ansible_collections.routed.hypervisor.plugins.plugin_utils import lab_client
from ansible_collections.routed.hypervisor.plugins.plugin_utils.payload import read_payload

from .ansible_runs import PYTHON
from .modules import PROJECT

COMMAND = f"/bin/sh -c '{PYTHON} && sleep 0'"
OURS = "ansible_collections/routed/hypervisor/plugins"
# A module of this collection that does whatever a test asks for.
MISCHIEF = """
import os, sys, time
from ansible.module_utils.basic import AnsibleModule
module = AnsibleModule({"code": {"type": "str"}})
scope = {"result": {}, "module": module, "os": os, "sys": sys, "time": time}
exec(module.params["code"], scope)
module.exit_json(worker=os.getpid(), **scope["result"])
"""


def program(name: str, /, **arguments) -> bytes:
    """What Ansible would pipe into an interpreter to run a module."""
    init_plugin_loader()
    made = modify_module(
        module_name=name,
        module_path=module_loader.find_plugin(name),
        module_args={"_ansible_tracebacks_for": ["error"], "_ansible_remote_tmp": "/tmp", **arguments},
        templar=Templar(DataLoader()),
        task_vars={"ansible_python_interpreter": PYTHON},
        module_compression="ZIP_DEFLATED",
    )
    return made.b_module_data


def repacked(text: bytes, fqn: str, files: dict[str, str]) -> bytes:
    """The same program with other files in its payload, running the module of that name."""
    encoded = re.search(rb"zip_data='([^']*)'", text)[1]
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(encoded))) as old, zipfile.ZipFile(packed, "w") as new:
        for entry in old.infolist():
            if entry.filename not in files:
                new.writestr(entry, old.read(entry))
        for path, content in files.items():
            new.writestr(path, content)
    text = text.replace(encoded, base64.b64encode(packed.getvalue()))
    return re.sub(rb"module_fqn='[^']*'", f"module_fqn='{fqn}'".encode(), text)


@functools.cache
def collection() -> dict[str, str]:
    """The files of this collection that its modules import."""
    base = PROJECT / "collections"
    files = {f"{path.relative_to(base)}": path.read_text() for path in (base / OURS / "module_utils").rglob("*.py")}
    parts = f"{OURS}/module_utils".split("/")
    packages = ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
    return {**files, **{f"{package}/__init__.py": "" for package in [*packages, f"{OURS}/modules"]}}


class Result(dict):
    """A module's result. `code` and `errors` of its process are attributes."""

    def __init__(self, code: int, output: bytes, errors: bytes) -> None:
        self.code, self.output, self.errors = code, output.decode(errors="replace"), errors.decode(errors="replace")
        super().__init__(json.loads(output) if output.strip().startswith(b"{") else {})


class Supervised:
    """Jobs of a lab that is up."""

    def __init__(self, lab) -> None:
        self.lab, self.name = lab, lab.name
        self.programs: dict[str, bytes] = {}

    def program(self, name: str, /, **arguments) -> bytes:
        """One of Ansible's modules, or `routed.hypervisor.NAME`."""
        if name not in self.programs:
            ours = name.startswith("routed.hypervisor.")
            text = program("ansible.builtin.ping" if ours else name)
            if ours:
                path = f"{OURS}/modules/{name.rpartition('.')[2]}"
                source = (PROJECT / f"collections/{path}.py").read_text()
                text = repacked(text, path.replace("/", "."), {f"{path}.py": source, **collection()})
            self.programs[name] = text
        text = self.programs[name]
        given = re.search(rb"""\n *params=(["'].*),\n""", text)[1]
        parameters = json.loads(ast.literal_eval(given.decode()))
        parameters["ANSIBLE_MODULE_ARGS"].update(arguments)
        return text.replace(given, repr(json.dumps(parameters)).encode())

    def warm(self, node: str, text: bytes) -> Result:
        """Run a program as the connection plugin does."""
        payload = read_payload(COMMAND, text)
        head = {"kind": "module", "lab": self.name, "node": node, "persistent": True, **payload.request}
        return Result(*lab_client.run(self.name, head, payload=payload.data))

    def cold(self, node: str, text: bytes) -> Result:
        return Result(*self.run(node, [PYTHON], text))

    def run(self, node: str, command: list[str] | str, data: bytes = b"", **more) -> tuple[int, bytes, bytes]:
        head = {"kind": "exec", "lab": self.name, "node": node, "command": command, "directory": "/root"}
        return lab_client.run(self.name, head, data, **more)

    def mischief(self, node: str, code: str = "", warm: bool = True, **files: str) -> Result:
        """Run code within a module of this collection."""
        return (self.warm if warm else self.cold)(node, self.mischief_program(code, **files))

    def mischief_program(self, code: str, source: str = MISCHIEF, **files: str) -> bytes:
        given = {f"{OURS}/module_utils/{name}.py": content for name, content in files.items()}
        text = self.program("routed.hypervisor.network", code=textwrap.dedent(code))
        return repacked(
            text,
            "ansible_collections.routed.hypervisor.plugins.modules.mischief",
            {f"{OURS}/modules/mischief.py": source, **given},
        )

    def interpreters(self) -> list[int]:
        """Interpreters for modules: the children of the guest program, which is a child of the supervisor."""
        (supervisor,) = [lab_client.ask(self.name, "status")["process"]]
        return [process for guest in children(supervisor) for process in children(guest)]


def children(process: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{process}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that has ended meanwhile
            found += map(int, (task / "children").read_text().split())
    return found

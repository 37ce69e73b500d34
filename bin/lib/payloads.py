"""The Python modules of all payloads that an interpreter has received: compiled once, and mostly imported in advance.

A payload is the zip file of one Ansible module with the module_utils it needs. It never contains byte code.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.abc
import importlib.machinery
import importlib.util
import io
import marshal
import os
import sys
import types
import typing as t
import zipfile

COLLECTION = "ansible_collections.routed.hypervisor.plugins."
OURS = f"{COLLECTION}modules."
# Only files of this collection and of Ansible itself are imported outside the node, because others may inspect the
# machine on import. A module of ansible.module_utils that is not in this list may be a user's.
UTILITIES = f"{COLLECTION}module_utils."
ANSIBLE = "ansible.module_utils."
ANSIBLES_OWN = frozenset(
    """_internal _text ansible_release api basic common compat connection datatag distro errors facts json_utils parsing
    pycompat24 service six splitter testing urls yumdnf""".split()  # noqa: SIM905 - a line for each name would hide the rest
)


def is_imported_in_advance(module: str) -> bool:
    if module.startswith(ANSIBLE):
        return module.removeprefix(ANSIBLE).partition(".")[0] in ANSIBLES_OWN
    return module.startswith(UTILITIES)


class Payloads(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    def __init__(self) -> None:
        self.sources: dict[str, bytes] = {}
        self.compiled: dict[str, bytes] = {}
        self.packages: set[str] = set()
        self.seen: set[str] = set()
        self.root = "/payload"  # their nominal directory

    def add(self, name: str, payload: int) -> None:
        """Add the new sources of a payload, and import those that may be imported in advance."""
        if name in self.seen:
            return
        new = []
        with os.fdopen(os.dup(payload), "rb") as file, zipfile.ZipFile(io.BytesIO(file.read())) as archive:
            for entry in archive.infolist():
                if not entry.filename.endswith(".py"):
                    continue
                module = entry.filename[:-3].replace("/", ".")
                if module.endswith(".__init__"):
                    module = module[: -len(".__init__")]
                    self.packages.add(module)
                if module not in self.sources:
                    self.sources[module] = archive.read(entry)
                    new.append(module)
        self.seen.add(name)
        self.import_all(new)
        gc.collect()
        gc.freeze()

    def import_all(self, modules: list[str]) -> None:
        for module in modules:
            if is_imported_in_advance(module):
                # Modules that cannot be imported here are imported, or fail, where they are used.
                with contextlib.suppress(Exception, SystemExit):
                    importlib.import_module(module)

    def lack_libraries(self) -> bool:
        """Whether a library of this collection was missing in the image; the node may have it since."""
        return bool(getattr(sys.modules.get(f"{UTILITIES}_netlink.messages"), "PYROUTE2_ERROR", None))

    def forget_ours(self) -> None:
        for name in [name for name in sys.modules if name.startswith(COLLECTION)]:
            del sys.modules[name]

    def find_spec(
        self, fullname: str, path: t.Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in self.sources and fullname not in self.compiled:
            return None
        return importlib.util.spec_from_loader(
            fullname, self, origin=self.path(fullname), is_package=self.is_package(fullname)
        )

    def is_package(self, fullname: str) -> bool:
        return fullname in self.packages

    def get_source(self, fullname: str) -> str | None:
        source = self.sources.get(fullname)
        return source.decode() if source is not None else None

    def get_code(self, fullname: str) -> types.CodeType:
        if fullname not in self.compiled:
            code = compile(self.sources[fullname], self.path(fullname), "exec", dont_inherit=True)
            self.compiled[fullname] = marshal.dumps(code)
        return t.cast("types.CodeType", marshal.loads(self.compiled[fullname]))

    def path(self, fullname: str) -> str:
        return f"{self.root}/{fullname.replace('.', '/')}{'/__init__' if self.is_package(fullname) else ''}.py"

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        return None

    def exec_module(self, module: types.ModuleType) -> None:
        if self.is_package(module.__name__):
            module.__path__ = []
        module.__file__ = self.path(module.__name__)
        exec(self.get_code(module.__name__), vars(module))

"""How bin/lib/uml.bash puts user-mode Linux in the cache, with stand-ins for what needs a network or a boot."""

from __future__ import annotations

import json
import os
import shlex
import subprocess

import pytest
from support.modules import PROJECT

PRELUDE = r"""
set -uo pipefail
here=$PROJECT/bin cache=$PWD/cache tools=$PWD/cache/tools python=python3
say() { printf 'setup: %s\n' "$*"; }
refuse() { printf 'setup: %s\n' "$*" >&2; exit 1; }
. "$here/lib/packages.bash"
. "$here/lib/uml.bash"
unpack() { refuse "unpack $*"; }
prepare_modprobe() { :; }
index_modules() { ls "$1/lib/modules"; }
"""
# A boot that finds everything; an apt whose lists are there.
BOOTS = 'try_kernel() { kind=$1; shift; describe_kernel "$work/uml/$kind" "$@" nftables_inet=true; }\n'
LISTED = 'use_newer_suite() { newer=(apt-get -q); }\nnewer_versions() { echo "9.9um1"; }\n'


@pytest.fixture(name="bash")
def bash_with_uml(tmp_path):
    def run(script, **environment):
        return subprocess.run(
            ["bash", "-c", PRELUDE + script],
            cwd=tmp_path,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PROJECT": str(PROJECT), **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(name="old_cache")
def cache_of_an_earlier_version(tmp_path):
    """Its program and its modules are where Debian's package has them."""
    tools = tmp_path / "cache" / "tools"
    (tools / "usr/bin").mkdir(parents=True)
    (tools / "usr/bin/linux.uml").write_text("")
    (tools / "usr/bin/linux.uml").chmod(0o755)
    (tools / "usr/lib/uml/modules/6.1.176").mkdir(parents=True)
    (tools / "uml/lib").mkdir(parents=True)
    (tools / "uml/lib/modules").symlink_to("../../usr/lib/uml/modules")
    (tools / "uml/ready").write_text("user-mode Linux 6.1.176\n")
    return tools


def test_a_version_that_is_gone_costs_one_sentence_and_the_releases_own_is_taken(bash, old_cache):
    result = bash(BOOTS + LISTED + "prepare_uml")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == (
        "setup: no user-mode Linux 7.2, so this continues with the release's own, which is slower: "
        "Debian forky has 9.9um1 of user-mode-linux, and 7.2um1 no longer."
    )
    description = json.loads((old_cache / "uml/debian-6.1/kernel.json").read_text())
    assert (description["version"], description["parameters"], description["loader"]) == ("6.1.176", [], None)
    assert (old_cache / "uml/debian-6.1/linux").resolve() == old_cache / "usr/bin/linux.uml"
    assert (old_cache / "uml/debian-6.1/lib/modules/6.1.176").is_dir()


def test_a_version_that_is_gone_is_not_looked_for_again(bash, old_cache):
    bash(BOOTS + LISTED + "prepare_uml")
    again = bash(BOOTS + "use_newer_suite() { refuse asked; }\nprepare_uml")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


def test_the_program_of_an_older_cache_stays_where_its_maker_looks_for_it(bash, old_cache):
    bash(BOOTS + LISTED + "prepare_uml")
    assert (old_cache / "usr/bin/linux.uml").is_file()
    assert (old_cache / "uml/ready").is_file()
    assert (old_cache / "uml/lib/modules/6.1.176").is_dir()


def test_a_kernel_that_does_not_boot_is_not_kept(bash, old_cache):
    result = bash('try_kernel() { reason="no boot."; return 1; }\n' + LISTED + "prepare_uml")
    assert result.returncode == 1
    assert result.stderr == "setup: user-mode Linux 6.1.176 does not work here: no boot.\n"
    assert not (old_cache / "uml/debian-6.1").exists()
    assert not list((old_cache / "uml").glob(".work-*"))


def test_a_kernel_built_for_the_lab_makes_debians_superfluous(bash, tmp_path):
    built = tmp_path / "cache/tools/uml/built"
    built.mkdir(parents=True)
    (built / "kernel.json").write_text("{}")
    result = bash("use_newer_suite() { refuse asked; }\nprepare_uml")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_a_mirror_without_a_valid_signature_is_refused(bash, tmp_path):
    suite = tmp_path / "mirror/debian/dists/forky"
    (suite / "main/binary-amd64").mkdir(parents=True)
    (suite / "main/binary-amd64/Packages").write_text("")
    (suite / "Release").write_text("Suite: forky\nCodename: forky\nComponents: main\nArchitectures: amd64\n")
    result = bash('use_newer_suite || echo "$reason"', ROUTED_HYPERVISOR_DEBIAN_MIRROR=f"file:{tmp_path}/mirror/debian")
    assert result.stdout.splitlines()[-1].startswith("E: The repository"), result.stdout
    assert "is not signed" in result.stdout


def test_a_mirror_out_of_reach_is_reported(bash, tmp_path):
    result = bash(
        'use_newer_suite || echo "failed: $reason"', ROUTED_HYPERVISOR_DEBIAN_MIRROR=f"file:{tmp_path}/nothing/debian"
    )
    assert "failed: " in result.stdout and "does not have a Release file" in result.stdout


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "list.list",
            "deb [arch=amd64] http://other.invalid/tools stable main\n"
            "deb http://security.invalid/debian-security bookworm-security main\n"
            "deb http://mirror.invalid/debian bookworm main\n",
        ),
        (
            "deb822.sources",
            "Types: deb\nURIs: http://security.invalid/debian-security\nSuites: bookworm-security\nComponents: main\n\n"
            "Types: deb\nURIs: http://mirror.invalid/debian/\nSuites: bookworm bookworm-updates\nComponents: main\n",
        ),
    ],
)
def test_the_mirror_is_the_machines_own_in_both_formats_of_sources(bash, tmp_path, name, text):
    parts = tmp_path / "parts"
    parts.mkdir()
    (parts / name).write_text(text)
    configuration = tmp_path / "apt.conf"
    configuration.write_text(
        f'Dir::Etc::sourcelist "/dev/null"; Dir::Etc::sourceparts "{parts}"; Dir::State::Lists "{tmp_path}";\n'
    )
    first = bash("debian_mirrors", APT_CONFIG=str(configuration)).stdout.splitlines()[0]
    assert first == "http://mirror.invalid/debian"


def test_a_machine_without_a_mirror_of_debian_takes_the_usual_one(bash, tmp_path):
    configuration = tmp_path / "apt.conf"
    configuration.write_text(f'Dir::Etc::sourcelist "/dev/null"; Dir::Etc::sourceparts "{tmp_path}/none";\n')
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "mmdebstrap").write_text("    my $mirror    = 'http://usual.invalid/debian';\n")
    (programs / "mmdebstrap").chmod(0o755)
    path = f"{programs}:{os.environ['PATH']}"
    (mirror,) = bash("debian_mirrors", APT_CONFIG=str(configuration), PATH=path).stdout.splitlines()
    assert mirror == "http://usual.invalid/debian"


LOADER = b"/lib64/ld-linux-x86-64.so.2\0"


def test_the_loader_of_a_kernel_is_replaced_without_moving_anything(bash, tmp_path):
    program = tmp_path / "program"
    program.write_bytes(b"ELF" + LOADER + b"rest")
    assert bash(f"use_own_loader {shlex.quote(str(program))}").returncode == 0
    assert program.read_bytes() == b"ELF" + b"/dev/shm/ld.so".ljust(len(LOADER), b"\0") + b"rest"


@pytest.mark.parametrize("content", [b"ELF", LOADER + LOADER])
def test_a_kernel_whose_loader_is_not_found_once_is_refused(bash, tmp_path, content):
    (tmp_path / "program").write_bytes(content)
    result = bash('use_own_loader program || echo "$reason"')
    assert result.stdout == "its program interpreter is not where it is expected.\n"

"""What bin/setup prints on long steps, and where it keeps a Python environment."""

from __future__ import annotations

import subprocess
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def shell(script: str, cache: Path) -> subprocess.CompletedProcess:
    """Runs a script with the functions of bin/setup."""
    prelude = f"""
        set -uo pipefail
        cache={cache} tools={cache}/tools repository={cache}/checkout
        say() {{ printf 'setup: %s\\n' "$*"; }}
        refuse() {{ printf 'setup: %s\\n' "$*" >&2; exit 1; }}
        . {PROJECT}/bin/lib/packages.bash
    """
    return subprocess.run(
        ["bash", "-c", prelude + script], capture_output=True, text=True, check=False, cwd=cache, timeout=60
    )


def test_a_long_step_prints_how_far_it_is_and_how_long_it_took(tmp_path):
    made = shell(
        """follow "making a file" "$cache/made" 300 sh -c 'head -c 3000000 /dev/zero >made; sleep 6; echo hidden'""",
        tmp_path,
    )
    first, *progress, last = made.stdout.splitlines()
    assert (made.returncode, first) == (0, "setup: making a file")
    assert progress == ["setup:   3 of about 300 MB after 5 s"]
    assert last in ("setup:   done in 6 s", "setup:   done in 7 s")
    assert not list(tmp_path.glob(".log-*"))


def test_a_step_that_fails_shows_what_it_printed(tmp_path):
    failed = shell("""follow "trying" "$cache/nothing" 0 sh -c 'echo the reason; exit 3' || exit 9""", tmp_path)
    assert failed.returncode == 9
    assert failed.stderr == "the reason\n"


def functions_of_setup(*names: str) -> str:
    """The text of functions of bin/setup, without running it."""
    text = (PROJECT / "bin/setup").read_text()
    return "\n".join(text[text.index(f"{name}() {{") :].split("\n}\n", 1)[0] + "\n}\n" for name in names)


def test_an_environment_is_found_by_another_checkout(tmp_path):
    functions = functions_of_setup("install_python_packages", "has_packages")
    checkouts = [tmp_path / name for name in ("checkout", "other")]
    for checkout in checkouts:
        checkout.mkdir()
        (checkout / "requirements.txt").write_text("ansible-core==2.19.14\n")
    script = f"""
        {functions}
        find_pip() {{ pip=(sh -c 'echo "pip $*" >>{tmp_path}/pip; mkdir -p "$0/bin"; touch "$0/bin/ansible-playbook";
                          chmod +x "$0/bin/ansible-playbook"' "$place"); }}
        requirements=(requirements.txt)
        python=$(command -v python3)
        for repository in {checkouts[0]} {checkouts[1]} {checkouts[0]}; do
          venv=$repository/.venv
          install_python_packages
        done
        readlink {checkouts[0]}/.venv {checkouts[1]}/.venv
    """
    done = shell(script, tmp_path)
    assert done.returncode == 0, done.stderr
    one, other = done.stdout.splitlines()[-2:]
    assert one == other and one.startswith(f"{tmp_path}/environments/")
    assert len((tmp_path / "pip").read_text().splitlines()) == 1


def test_programs_of_an_environment_do_not_depend_on_the_checkout_that_made_it(tmp_path):
    done = shell(
        """
        mkdir -p "$cache/environment/bin" && ln -s "$cache/environment" "$cache/link"
        printf '#!/bin/sh\\n' >"$cache/environment/bin/python" && chmod +x "$cache/environment/bin/python"
        venv=$cache/link
        find_pip
        echo "${pip[0]}"
        """,
        tmp_path,
    )
    assert done.stdout == f"{tmp_path.resolve()}/environment/bin/python\n", done.stderr

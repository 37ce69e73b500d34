"""The kernel of bin/build-kernel has everything that features.py tries, in one boot."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from run_lab_kernel import lab_kernel

CACHE = Path(os.environ.get("ROUTED_HYPERVISOR_CACHE") or Path.home() / ".cache/routed-hypervisor")


def image_with_nft() -> Path | None:
    return next((nft.parents[2] for nft in CACHE.glob("images/*/usr/sbin/nft")), None)


@pytest.fixture(scope="module", name="works")
def tried():
    if not (CACHE / "tools/uml/built/kernel.json").is_file():
        pytest.skip("no kernel was built: bin/setup --kernel")
    image = image_with_nft()
    if not image:
        pytest.skip("no image of lab nodes, which has nft: bin/setup")
    program = Path(__file__).with_name("features.py")
    result = lab_kernel("python3", str(program), str(image), environment={"ROUTED_HYPERVISOR_UML": "built"})
    assert result.returncode == 0, result.stderr.decode()
    return json.loads(result.stdout), result.stderr.decode()


def test_the_built_kernel_has_all_that_a_lab_may_need(works):
    features, messages = works
    assert [name for name, there in features.items() if not there] == [], messages
    assert len(features) > 50

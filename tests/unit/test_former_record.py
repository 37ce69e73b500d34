"""The record of what a host had before."""

from __future__ import annotations

from ansible_collections.routed.hypervisor.plugins.module_utils._engine import former

KEY = "ipv4/tcp_l3mdev_accept"


def noted(path, monkeypatch, boot: str, was: str) -> dict:
    monkeypatch.setattr(former, "_boot", lambda: boot)
    record = former.Former(str(path))
    record.note("sysctls", KEY, was=was, ours="1")
    record.save()
    return former.Former(str(path)).of("sysctls")[KEY]


def test_only_the_first_value_of_a_boot_is_kept(tmp_path, monkeypatch):
    path = tmp_path / "former.json"
    assert noted(path, monkeypatch, "first", "0")["was"] == "0"
    assert noted(path, monkeypatch, "first", "5")["was"] == "0"
    assert noted(path, monkeypatch, "second", "7")["was"] == "7"


def test_a_link_of_the_same_name_in_the_same_boot_is_not_given_another_s_values(tmp_path, monkeypatch):
    monkeypatch.setattr(former, "_boot", lambda: "first")
    record = former.Former(str(tmp_path / "former.json"))
    record.note("interfaces", "tap1", index=7, was={"mtu": 1500})
    assert record.attributes("interfaces", "tap1", 7) == {"mtu": 1500}
    assert record.attributes("interfaces", "tap1", 8) == {}
    record.boot = "second"
    assert record.attributes("interfaces", "tap1", 8) == {"mtu": 1500}


def test_an_empty_record_leaves_no_file(tmp_path, monkeypatch):
    path = tmp_path / "lib" / "former.json"
    noted(path, monkeypatch, "first", "0")
    assert path.stat().st_mode & 0o777 == 0o600
    record = former.Former(str(path))
    record.forget("sysctls", KEY)
    record.save()
    assert not path.exists()

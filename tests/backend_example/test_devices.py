"""The contract of docs/backends.md, kept by the example."""

from __future__ import annotations

from .running import HANDLE, Caller, RunningBackend, set_to


def test_device_registers_reads_changes_and_leaves(backend: RunningBackend, phone: Caller) -> None:
    put = phone.put("one", tags=["kitchen"])
    assert (put.status, put.headers["Content-Type"]) == (200, "application/json")
    assert put.json == {
        "installationId": "one",
        "platform": "wns",
        "pushChannel": HANDLE,
        "tags": ["kitchen", "username:anna"],
    }
    assert backend.tags_of("one") == ["kitchen", "username:anna"]
    got = phone.get("one")
    assert (got.status, got.json, got.etag) == (200, put.json, put.etag)
    patched = phone.patch("one", set_to("/pushChannel", "https://push.example/2"), match=put.etag)
    assert (patched.status, patched.json["pushChannel"]) == (200, "https://push.example/2")
    assert patched.etag == phone.get("one").etag != put.etag
    assert phone.delete("one").status == 204
    assert backend.held("one") is None
    assert phone.get("one").code == "not_found"
    assert phone.delete("one").status == 204
    assert phone.delete("never seen").status == 204

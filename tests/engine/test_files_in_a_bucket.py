"""Files of the engine in a bucket."""

from __future__ import annotations

from usl.engine.store import Store


def test_a_folder_is_removed_with_its_files_and_may_be_gone(bucket):
    store = Store(f"{bucket.address}/place")
    store.remove_folder("dealt")
    for name in ("dealt/0", "dealt/1", "other"):
        store.save(name)
    store.remove_folder("dealt")
    store.remove_folder("dealt")
    assert store.sizes("dealt") == {}
    assert store.has("other")

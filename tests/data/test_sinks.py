"""What is written to an address: whole, or not at all."""

import pytest

from stores import nobody_may
from usl.core.errors import DataError, StoreError, UsageError
from usl.data.sinks import exists, outgoing, send_folder, write_to


def test_a_file_on_the_disk_and_in_a_bucket(bucket, tmp_path):
    for target in (tmp_path / "a.txt", f"{bucket.address}/out/a.txt"):
        assert not exists(target)
        with write_to(target, "w") as handle:
            handle.write("one\n")
        assert exists(target)
    assert bucket.get("out/a.txt") == (tmp_path / "a.txt").read_bytes() == b"one\n"


def test_what_fails_leaves_the_former(bucket):
    bucket.put("a.txt", b"former")

    def stopped():
        with write_to(f"{bucket.address}/a.txt") as handle:
            handle.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    with nobody_may(), pytest.raises(StoreError, match="you may not read or write there"):  # noqa: SIM117
        with write_to(f"{bucket.address}/a.txt") as handle:
            handle.write(b"refused")
    assert bucket.get("a.txt") == b"former"


def test_a_folder_is_sent_with_its_mark_last(bucket, monkeypatch):
    sent = []
    monkeypatch.setattr("usl.data.sinks.send", lambda file, address: sent.append(address))
    with outgoing() as folder:
        for name in ("a/1.txt", ".mark", "b.txt"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(name)
        send_folder(folder, f"{bucket.address}/x/", ".mark")
    assert sent == [f"{bucket.address}/x/{name}" for name in ("a/1.txt", "b.txt", ".mark")]
    assert not folder.exists()


def test_places_that_nothing_is_written_to():
    with pytest.raises(UsageError, match="https://host/a: nothing is written to the web"):  # noqa: SIM117
        with write_to("https://host/a?signature=secret"):
            pass


def test_no_such_bucket(bucket):
    with pytest.raises(DataError, match="s3://no-such-bucket/a: there is no such bucket"):  # noqa: SIM117
        with write_to("s3://no-such-bucket/a") as handle:
            handle.write(b"x")

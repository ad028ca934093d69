from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from usl.core.errors import DataError, UsageError
from usl.core.files import cache_dir
from usl.features.shared.download import file_name, is_address, local_copy

CONTENT = bytes(range(256)) * 5000  # more than one block
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Files(BaseHTTPRequestHandler):
    """``/weights.pth`` whole, ``/cut.pth`` half of what it promises, 404 for the rest."""

    def do_GET(self):
        self.server.asked.append(self.path)
        name = self.path.partition("?")[0].rpartition("/")[2]
        if name not in ("weights.pth", "cut.pth"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT if name == "weights.pth" else CONTENT[: len(CONTENT) // 2])

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    """A server on this machine; ``asked`` lists what was asked for."""
    monkeypatch.setenv("no_proxy", "*")
    with ThreadingHTTPServer(("127.0.0.1", 0), Files) as running:
        running.asked = []
        running.address = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def cached():
    return [path for path in cache_dir().rglob("*") if path.is_file()]


def test_a_file_is_fetched_once(server):
    told = []
    address = f"{server.address}/a/weights.pth"
    path = local_copy(address, lambda done, total, label: told.append((done, total, label)))
    assert path.read_bytes() == CONTENT
    assert path.name == "weights.pth"
    assert path.is_relative_to(cache_dir() / "checkpoints")
    assert told[-1] == (len(CONTENT), len(CONTENT), "fetching weights.pth")
    assert len(told) > 1
    assert local_copy(address) == path
    assert server.asked == ["/a/weights.pth"]


def test_equal_names_at_other_addresses_are_other_files(server):
    first = local_copy(f"{server.address}/a/weights.pth")
    assert local_copy(f"{server.address}/b/weights.pth") != first
    assert local_copy(f"{server.address}/a/weights.pth?version=2") != first


def test_the_digest_is_checked(server):
    address = f"{server.address}/weights.pth"
    path = local_copy(f"{address}#sha256={DIGEST.upper()}")
    assert path == local_copy(address)
    # a stale copy is fetched again
    path.write_bytes(b"old")
    assert local_copy(f"{address}#sha256={DIGEST}").read_bytes() == CONTENT
    assert len(server.asked) == 2


def test_another_digest_leaves_nothing_behind(server):
    with pytest.raises(DataError, match=rf"weights\.pth#.*SHA-256 is {DIGEST}"):
        local_copy(f"{server.address}/weights.pth#sha256={'0' * 64}")
    assert not cached()


@pytest.mark.parametrize("fragment", ["sha256=12", "md5=0", f"sha256={'g' * 64}"])
def test_other_fragments_are_refused(fragment):
    with pytest.raises(UsageError, match="only sha256= with 64"):
        local_copy(f"http://127.0.0.1/weights.pth#{fragment}")


@pytest.mark.parametrize(
    ("name", "reason"),
    [("cut.pth", r"cut short: 640000 of 1280000"), ("gone.pth", "404 Not Found")],
)
def test_failures_are_named_and_leave_nothing_behind(server, name, reason):
    with pytest.raises(DataError, match=rf"{name} cannot be fetched \({reason}.*ARCH@PATH"):
        local_copy(f"{server.address}/{name}")
    assert not cached()


def test_no_server(server):
    address = f"{server.address}/weights.pth"
    server.server_close()
    with pytest.raises(DataError, match=r"cannot be fetched \(.*Check the address"):
        local_copy(address)


def test_a_file_of_this_machine_is_not_copied(tmp_path):
    path = tmp_path / "my weights.pth"
    path.write_bytes(CONTENT)
    assert local_copy(path.as_uri()) == path
    assert local_copy(f"{path.as_uri()}#sha256={DIGEST}") == path
    with pytest.raises(DataError, match="SHA-256"):
        local_copy(f"{path.as_uri()}#sha256={'0' * 64}")
    assert path.is_file()
    assert not cached()
    with pytest.raises(DataError, match=r"gone\.pth: no such checkpoint file"):
        local_copy((tmp_path / "gone.pth").as_uri())


def test_what_is_an_address():
    assert is_address("https://a.org/w.pth")
    assert is_address("FILE:///w.pth")
    assert not is_address("w.pth")
    assert not is_address("ftp://a.org/w.pth")
    assert not is_address("https/w.pth")
    assert file_name("https://a.org/my%20weights.pth?download=1#sha256=0") == "my weights.pth"


def test_a_checkpoint_by_address(server, tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    timm = pytest.importorskip("timm")
    from usl.features import open_encoder as opener

    network = timm.create_model("test_resnet", num_classes=3)
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    monkeypatch.setattr(__name__ + ".CONTENT", (tmp_path / "weights.pth").read_bytes())
    remote = f"test_resnet@{server.address}/weights.pth"
    encoder = opener.open_encoder(remote)
    assert encoder.name == remote
    local = opener.open_encoder(f"test_resnet@{tmp_path / 'weights.pth'}")
    assert local.key == encoder.key
    assert (
        opener.open_encoder(f"test_resnet@{(tmp_path / 'weights.pth').as_uri()}").key == local.key
    )
    with pytest.raises(UsageError, match=r"ends in \.pth.*this is 'page\.html'"):
        opener.open_encoder(f"test_resnet@{server.address}/page.html")
    assert server.asked == ["/weights.pth"]

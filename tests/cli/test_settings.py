"""Files of settings: whose they are, what each may give, and in which order they count."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import get_args

import pytest

from usl.cli import app, main
from usl.cli.settings import HARMLESS, NEVER, check_given, is_free, own_settings, take_config
from usl.core.errors import UsageError

CODE = "from pathlib import Path\nPath('ran').touch()\ndef pick(features, budget, **more): pass\n"
METHODS = {
    "select": ["quorum", "usl", "usl_t", "cold_paws", "kmeans"],
    "train": ["label_spreading", "fixmatch", "comatch", "simclrv2", "paws"],
    "pretrain": ["cld", "moco", "simclr"],
    "export": ["csv", "label_studio", "huggingface", "cvat", "folders", "fiftyone"],
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A downloaded folder with code in it, the current one."""
    folder = tmp_path / "downloaded"
    (folder / "photos").mkdir(parents=True)
    (folder / "photos" / "readme.py").write_text(CODE)
    monkeypatch.chdir(folder)
    return folder


def options():
    """Every option of every verb: verb, name, type."""
    found = {}
    for verb in app.VERBS:
        if verb == "pretrain":
            pytest.importorskip("torch")
        called = app.load(verb)
        for method in METHODS.get(verb, [""]):
            tokens = [verb, f"--{called.choice}", method] if method else [verb]
            for one in inspect.signature(called.command(tokens)).parameters.values():
                if one.kind is one.KEYWORD_ONLY:  # a file gives no other
                    found[verb, one.name] = get_args(one.annotation)[0]
    return [(verb, name, kind) for (verb, name), kind in found.items()]


OUTSIDE = (
    "http://127.0.0.1:9/evil.pth",
    "resnet18@http://127.0.0.1:9/evil.pth",
    "file:///etc/passwd",
    "//server/share",
    "\\\\server\\share",
    "/etc/passwd",
    "../elsewhere",
    "a/../../elsewhere",
    "~/elsewhere",
)
REFUSED = {
    "model": ["hf-hub:somebody/model", "timm:resnet18", "local-dir:/elsewhere", "r@../x.pth"],
    "init": ["hf-hub:somebody/model", "timm:resnet18", "local-dir:/elsewhere", "r@../x.pth"],
    **dict.fromkeys(
        ["method", "learner", "to", "format", "preset"], ("readme.py", "photos/readme.py", "a.b")
    ),
}


def test_every_option_that_is_a_text_or_path_refuses_what_leads_outside():
    """A new one is refused until ``HARMLESS`` says what of it is harmless."""
    plain = {
        "classes",
        "class_",
        "annotator",
        "memory",
        "quotas",
        "datasets",
        "only",
    }
    seen = set()
    for verb, name, kind in options():
        if is_free(kind):
            continue
        seen.add(name)
        for value in [*(() if name in plain else OUTSIDE), *REFUSED.get(name, ())]:
            with pytest.raises(UsageError, match=r"usl\.toml: \[.*--config usl\.toml"):
                check_given(verb, name, kind, value, name)
    assert HARMLESS.keys() <= seen  # and none is kept that is gone
    outward = {"host", "password", "document_root", "prefix", "url", "token", "address"}
    assert outward == seen - HARMLESS.keys()


def test_flags_that_replace_files_or_guards_are_options_still():
    names = {name for _, name, _ in options()}
    assert names >= NEVER
    assert not any(name.startswith(("allow", "trust", "force", "unsafe")) for name in names)


@pytest.mark.parametrize(
    ("verb", "line"),
    [
        ("select", 'method = "photos/readme.py"'),
        ("select", 'method = "./photos/readme.py"'),
        ("train", 'method = "photos/readme.py"'),
        ("export", 'to = "photos/readme.py"'),
        ("import", 'format = "photos/readme.py"'),
        ("pretrain", 'method = "photos/readme.py"'),
        ("pretrain", 'init = "resnet18@http://127.0.0.1:9/evil.pth"'),
        ("label", 'host = "0.0.0.0"'),
        ("label", 'password = "known to them"'),
        ("label", 'source = "//server/share"'),
        ("select", 'model = "resnet18@http://127.0.0.1:9/evil.pth"'),
        ("select", 'model = "timm:resnet18"'),
        ("embed", 'model = "resnet18"'),
        ("select", 'out = "../run"'),
        ("select", "overwrite = true"),
        ("select", "max_pixels = 999999999999"),
        ("select", "max-pixels = 999999999999"),
        ("predict", 'out = "/tmp/x.csv"'),
    ],
)
def test_a_folders_file_never_opens_the_machine(verb, line, here, capsys):
    (here / "usl.toml").write_text(f"[{verb}]\n{line}\n")
    places = {"benchmark": [], "import": ["run", "x.csv"], "predict": ["run", "photos"]}
    code = main([verb, *places.get(verb, ["photos"])])
    shown = capsys.readouterr().err
    assert code == 2
    assert shown.startswith("Error: usl.toml: [")
    assert line.partition(" ")[0] in shown
    assert len(shown.strip().splitlines()) == 1
    assert "known to them" not in shown
    assert not (here / "ran").exists()


def test_a_link_that_leads_outside_is_outside(here, tmp_path, capsys):
    (here / "link").symlink_to(tmp_path)
    (here / "usl.toml").write_text('[select]\nout = "link/run"\n')
    assert main(["select", "photos", "--budget", "3"]) == 2
    assert "out = 'link/run' is not taken" in capsys.readouterr().err


def run_of(here, *arguments):
    """The record of a selection from random features."""
    import numpy as np

    np.save(here / "rows.npy", np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32))
    assert main([*arguments, "select", "rows.npy", "--out", "run", "--overwrite"]) == 0
    return json.loads((here / "run" / "run.json").read_text())["selection"]


def test_the_order_is_flags_environment_named_folder_own(here, monkeypatch):
    own = own_settings()
    own.parent.mkdir(parents=True)
    own.write_text('[select]\nmethod = "kmeans"\nseed = 1\nbudget = 3\nstandardize = true\n')
    assert run_of(here)["method"] == "kmeans"
    (here / "usl.toml").write_text('[select]\nmethod = "random"\nseed = 2\nbudget = 4\n')
    (here / "mine.toml").write_text("[select]\nseed = 3\n")
    found = run_of(here, "--config", "mine.toml")
    assert (found["method"], found["seed"], found["budget"]) == ("random", 3, 4)
    monkeypatch.setenv("USL_SELECT_SEED", "4")
    assert run_of(here, "--config=mine.toml")["seed"] == 4
    (here / "mine.toml").write_text('[select]\nseed = 3\nmethod = "usl"\nk = 5\n')
    assert run_of(here, "--config", "mine.toml")["parameters"]["k"] == 5


def test_the_users_own_files_may_name_code(here, monkeypatch):
    (here / "mine.py").write_text(
        "import numpy as np\nfrom usl.selection.contract import Picks\ndef pick(features, budget, "
        "*, labeled, candidates, seed=0, progress=None, first: int = 0):\n"
        '    """Pick.\n\n    Parameters\n    ----------\n    first : row.\n    """\n'
        "    return Picks(np.arange(first, first + budget), ranked=True)\n"
    )
    text = '[select]\nmethod = "mine.py"\nfirst = 7\nbudget = 2\n'
    (here / "usl.toml").write_text(text)
    assert run_of(here, "--config", "usl.toml")["budget"] == 2  # the folder's, named
    (here / "usl.toml").unlink()
    own_settings().parent.mkdir(parents=True)
    own_settings().write_text(text)
    assert run_of(here)["method"].endswith("mine.py")
    monkeypatch.chdir(own_settings().parent)  # then it is the current folder's, too
    (Path.cwd() / "mine.py").write_text((here / "mine.py").read_text())
    assert run_of(Path.cwd())["budget"] == 2


def test_where_the_own_file_is(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert own_settings() == tmp_path / "usl" / "usl.toml"
    monkeypatch.setenv("HOME", "/home/somebody")
    for value in ("", "not/absolute"):
        monkeypatch.setenv("XDG_CONFIG_HOME", value)
        assert own_settings() == Path("/home/somebody/.config/usl/usl.toml")


def test_the_option_config(here, capsys):
    assert take_config(["select", "--", "--config"]) == (["select", "--", "--config"], None)
    for arguments, message in (
        (["--config="], "--config: nothing is no file"),
        (["--config", "none.toml"], "--config: none.toml is no file"),
        (["--config=usl.toml", "--config=usl.toml"], "--config: given 2 times"),
    ):
        assert main([*arguments, "select", "photos"]) == 2
        assert message in capsys.readouterr().err
    assert main(["--help"]) == 0
    page = " ".join(capsys.readouterr().out.split())
    assert "--config FILE" in page
    assert "~/.config/usl/usl.toml" in page


def test_what_is_no_option_cannot_be_given(here, capsys):
    (here / "usl.toml").write_text('[benchmark]\nplan = "plan.toml"\nout = "out"\n')
    assert main(["benchmark"]) == 2
    assert 'Unknown option: "[plan]"' in capsys.readouterr().err


def test_what_a_folders_file_may_give(here):
    (here / "usl.toml").write_text(
        '[select]\nmodel = "auto"\nmethod = "usl"\nbudget = 3\nk = 6\nmemory = "1GB"\n'
        'out = "run"\npreset = "released"\nlam = 0.25\ncenter = true\n'
    )
    found = run_of(here)
    assert (found["method"], found["budget"], found["parameters"]["k"]) == ("usl", 3, 6)

"""Too little memory is one line, not a traceback."""

from usl.cli import main


def test_it_is_one_line(monkeypatch, capsys, tmp_path):
    def greedy(*_, **__):
        raise MemoryError("Unable to allocate 9 GiB")

    monkeypatch.setattr("usl.data.open.open_collection", greedy)
    monkeypatch.setattr("usl.cli.embed.embed", greedy, raising=False)
    monkeypatch.setattr("usl.cli.app.build", lambda tokens: greedy)
    assert main(["embed", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("Error: there is not enough memory (Unable to allocate 9 GiB)")
    assert said.count("\n") <= 3
    assert "Traceback" not in said

# Two commands do everything: `make demo` and `make test`. Each sets up what it needs in .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test slow torture lint bench label-studio clean

demo: .venv/core
	$(BIN)/usl demo

test: .venv/all
	$(BIN)/pytest -n 2 --dist loadfile

# What `make test` leaves out: workers, hosts and drivers that are lost, commands broken at a sample of
# their file operations, the demo. A few minutes.
slow: .venv/all
	$(BIN)/pytest -n 2 --dist loadfile -m slow

# Every file operation broken in every way, 50,000 damaged files, hosts lost in every stage: an hour
# or two.
torture: .venv/all
	USL_TORTURE=1 $(BIN)/pytest -n 2 --dist loadfile -m "" tests/torture tests/fuzzing tests/engine/test_lost_hosts.py

lint: .venv/all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/all
	$(BIN)/usl benchmark benchmarks/cifar10.toml --out bench

# usl serve-ls with a real Label Studio, which has an environment of its own: it pins its own SDK.
label-studio: .venv/all .venv-label-studio/bin/label-studio
	$(BIN)/pytest -ra tests/active/label_studio/test_real_server.py

.venv-label-studio/bin/label-studio:
	$(PYTHON) -m venv .venv-label-studio
	.venv-label-studio/bin/pip install --quiet --disable-pip-version-check label-studio

# The stamps are older than pyproject.toml only when it has changed since the last installation.
.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/core: pyproject.toml | .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e .
	@touch $@

.venv/all: pyproject.toml | .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[torch,label,dev]'
# Its OpenCV would hold NumPy back; the tests need what is left without it.
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps 'label-studio-sdk>=2'
	@touch $@ .venv/core

clean:
	rm -rf .venv .venv-label-studio build dist

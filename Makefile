# Every target sets itself up: a fresh clone needs only Python 3.11 or 3.12, git and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/installed
DEMO   ?= demo
WORKERS ?= 2

.PHONY: setup demo test test-browser test-fast debian lint lock scoreboard clean

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV) || \
		{ echo "error: $(PYTHON) makes no virtual environment. On Debian or Ubuntu: apt install python3-venv, then make again." >&2; exit 1; }
	sed -n '/^uv==/,/# via/p' requirements.lock > $(VENV)/uv.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $(VENV)/uv.lock
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip sync --quiet --compile-bytecode requirements.lock
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

demo: $(STAMP)
	$(BIN)/scanweave demo --out $(DEMO)

test: $(STAMP)
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal

test-browser: $(STAMP)
	$(BIN)/python -m pytest -m browser tests/web

test-fast: $(STAMP)
	$(BIN)/python -m pytest -m fast

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python tools/shared_lines.py

scoreboard: $(STAMP)
	$(BIN)/python benchmarks/scoreboard.py

lock:
	$(BIN)/uv pip compile pyproject.toml --extra all --extra benchmarks --group dev --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --output-file requirements.lock --upgrade

# Programs of Debian that some tests and benchmarks need, and skip where they are absent.
debian:
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
		chromium dicom3tools orthanc orthanc-dicomweb > /dev/null

clean:
	rm -rf $(VENV) $(DEMO) build dist .pytest_cache .mypy_cache .ruff_cache

# Every target sets up .venv first; without make, see README.md.
#   make book                  run every chapter under a profile and build the web book
#   make test                  the tests;  make test-slow  those above 20 s, too
#   make lab                   JupyterLab in notebooks/
#   make figures ONLY=table1   draw figures again without training
#   make benchmark             speed against peers, see benchmarks/README.md
#   make lint | make clean
# PIP_FLAGS='--extra-index-url https://download.pytorch.org/whl/cpu' gets the small
# CPU build of torch on Linux.
PYTHON ?= python3
PROFILE ?= smoke
PIP_FLAGS ?=
ONLY ?=
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

export PIP_DISABLE_PIP_VERSION_CHECK = 1
export PYTHONUNBUFFERED = 1

.PHONY: book test test-slow lab figures benchmark lint clean help
help:
	@sed -n 's/^#   //p' Makefile

$(READY): pyproject.toml constraints.txt
	@start=$$(date +%s); \
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(not (3, 11) <= v < (3, 14))' \
	  || { echo "$$($(PYTHON) --version) does not fit: Python 3.11 to 3.13 is needed; name one with PYTHON=..."; exit 2; }; \
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || exit 1; \
	echo "Installing the tested libraries into $(VENV) ..."; \
	$(BIN)/python -m pip install --quiet --quiet $(PIP_FLAGS) -c constraints.txt -e '.[book,test]' || exit 1; \
	echo "Set up in $$(( $$(date +%s) - start )) s"
	@touch $@

book: $(READY)
	@start=$$(date +%s); $(BIN)/mri2pet reproduce --profile $(PROFILE) || exit $$?; \
	echo "make book: $$(( $$(date +%s) - start )) s after set-up; open runs/$(PROFILE)/site/index.html"

test: $(READY)
	$(BIN)/python -m pytest -q --durations=15 -m "not slow"

test-slow: $(READY)
	$(BIN)/python -m pytest -q --durations=25

lab: $(READY)
	$(BIN)/jupyter lab notebooks

figures: $(READY)
	$(BIN)/mri2pet figures --run runs/$(PROFILE) $(if $(ONLY),--only $(ONLY))

benchmark: $(READY)
	$(BIN)/python -m benchmarks

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Computed stages stay: they may have cost hours. `rm -r runs` removes them.
clean:
	rm -rf runs/*/build runs/*/screenshots build dist *.egg-info
	rm -rf .pytest_cache .ruff_cache .hypothesis
	find mri2pet tests -name __pycache__ -type d -exec rm -rf {} +

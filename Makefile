# `make run` and `make test` are all that a newcomer needs; `make help` lists the rest.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
READY := $(VENV)/.ready
SPARK := $(VENV)/.spark-ready
RAY := $(VENV)/.ray-ready
PEERS := .venv-peers
COMPILED := tensorflow tf_keras pandas scipy numpy numba prefect sqlalchemy beartype great_expectations networkx altair ibis sqlglot
# DVC unpickles this cache, which by default every user of the machine may write; bakeoff/__init__.py has the same path.
DVC_CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/bakeoff-dvc
override BAKEOFF_STACK := $(abspath $(or $(BAKEOFF_STACK),.stack))
PORT ?= 4200
PROFILE := $(BAKEOFF_STACK)/prefect/profiles.toml
LOGS := $(BAKEOFF_STACK)/logs
SUPERVISED := deploy/supervisord.conf
# Settings of another Prefect server, which the shell may have, would come before those of the profile.
SUPERVISE := env $(foreach name,API_URL API_KEY API_AUTH_STRING SERVER_API_AUTH_STRING PROFILE PROFILES_PATH,-u PREFECT_$(name)) -u BAKEOFF_HOME BAKEOFF_STACK=$(BAKEOFF_STACK) PREFECT_HOME=$(BAKEOFF_STACK)/prefect
SUPERVISORCTL := $(SUPERVISE) supervisorctl -c $(SUPERVISED)
PEER_LOCKS := $(addprefix benchmarks/peers/,requirements.lock torch.lock torch-cpu.lock)

# The page of changes: it depends on the report, and on commits and tags, which DVC does not watch. Where the last commit has
# no figures there is no earlier revision to compare with; any other failure is the target's.
define REVISIONS
@if ! git cat-file -e HEAD:./reports/metrics.json 2> /dev/null; then echo "The last commit has no figures to compare with."; else \
for made in reports/index.html "$$(git rev-parse --git-path logs/HEAD)" "$$(git rev-parse --git-path refs/tags)"; do \
test reports/revisions.html -nt "$$made" || exec bakeoff compare --last; done; fi
endef

.DEFAULT_GOAL := help
.PHONY: help run evidence study repro report up down status spark ray test systemtest check format docs lock bench scale benchlock clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: $(READY) ## environment, data, the Prefect flow, the verdict; seconds when all is up to date
	@bakeoff run
	$(REVISIONS)

evidence: $(READY) ## the textbook's claims too, with all that is measured for them: reports/evidence.html
	@bakeoff run --evidence
	$(REVISIONS)
	@echo "Claims: reports/evidence.html"

study: $(READY) ## the study of negative sampling by its own Prefect flow; longer than a run
	@bakeoff fetch
	@python flows/pipeline.py --study && echo "Page: reports/sampling.html"

repro: $(READY) ## every stage, by plain DVC
	@bakeoff fetch
	dvc repro
	$(REVISIONS)
	@bakeoff verdict

report: $(READY) ## open the report in a browser
	@test -f reports/index.html || { echo "There is no report yet: make run"; exit 1; }
	@python -m webbrowser -t "file://$(CURDIR)/reports/index.html"

up: $(READY) $(PROFILE) ## a Prefect server and a worker on this machine, behind a password; deploys the flows
	@$(SUPERVISORCTL) pid > /dev/null 2>&1 || $(SUPERVISE) BAKEOFF_HOME=$(CURDIR) supervisord -c $(SUPERVISED)
	@{ $(SUPERVISORCTL) status server | grep -E 'RUNNING|STARTING' || $(SUPERVISORCTL) start server; } && \
	$(SUPERVISE) PREFECT_CLIENT_MAX_RETRIES=0 PREFECT_API_REQUEST_TIMEOUT=10 prefect server status --wait --timeout 120 || \
	{ tail -n 3 $(LOGS)/server.log; echo "The server does not answer; its port is set in $(PROFILE). make down ends what was started."; exit 1; }
	@$(SUPERVISE) sh deploy/deploy.sh > $(LOGS)/deploy.log 2>&1 || { cat $(LOGS)/deploy.log; exit 1; }
	@$(SUPERVISORCTL) status worker | grep -E 'RUNNING|STARTING' || $(SUPERVISORCTL) start worker
	@echo "Logs: $(LOGS). Address and password: $(PROFILE); for the prefect command: export PREFECT_HOME=$(BAKEOFF_STACK)/prefect"

down: ## end them, and runs that are at work; data and history stay
	@pid=$$($(SUPERVISORCTL) pid) || { echo "supervisord does not run."; exit 0; }; \
	$(SUPERVISORCTL) shutdown && while kill -0 $$pid 2> /dev/null; do sleep 0.2; done
	@python deploy/end_runs.py $(BAKEOFF_STACK)

status: ## what of them runs
	@$(SUPERVISORCTL) status

# A Prefect profile that only its owner can read: the server, the worker and the prefect command take the password from it.
$(PROFILE): | $(READY)
	@mkdir -p -m 700 $(BAKEOFF_STACK) $(LOGS) $(@D)
	@umask 077; auth=bakeoff:$$(python -c 'import secrets; print(secrets.token_urlsafe(32))'); \
	printf '%s\n' 'active = "bakeoff"' '[profiles.bakeoff]' "PREFECT_API_AUTH_STRING = \"$$auth\"" "PREFECT_SERVER_API_AUTH_STRING = \"$$auth\"" \
	'PREFECT_API_URL = "http://127.0.0.1:$(PORT)/api"' 'PREFECT_SERVER_API_PORT = "$(PORT)"' \
	'PREFECT_SERVER_CORS_ALLOWED_ORIGINS = "http://127.0.0.1:$(PORT)"' > $@.new && mv $@.new $@

spark: $(SPARK) ## Spark in the same environment, for `BAKEOFF_ENGINE=spark` (Java 17 or 21 comes from the system)

ray: $(RAY) ## Ray in the same environment, for `RAY_ADDRESS`: networks trained by several machines

test: $(READY) ## every test but those of the whole system, in minutes
	pytest -m "not system"

systemtest: $(SPARK) $(RAY) ## the tests of the whole system: real servers, browsers, Spark, Ray, SSH, killed processes
	pytest -m system -n 3  # much of it waits for servers

check: $(SPARK) ## format, lint, types, layers
	ruff format --check .
	ruff check .
	mypy
	lint-imports --no-logo

format: $(READY) ## apply the format and what lint can fix
	ruff check --fix .
	ruff format .

docs: $(READY) ## the reference of docs/ again, and all its pages as a site that works offline
	@python docs/make_reference.py
	@NO_MKDOCS_2_WARNING=1 mkdocs build --quiet # without the notice that Material's support ends in May 2027
	@echo "Site: .site/index.html; \`mkdocs serve\` can search it"

lock: $(READY) ## pin the dependencies of pyproject.toml again, with hashes and without a registry host
	cat requirements.lock spark.lock ray.lock > $(VENV)/all.lock # what is pinned stays so, where it still fits
	uv pip compile --quiet --universal --generate-hashes --all-extras --group dev --no-annotate --no-header --python-version 3.11 pyproject.toml -o $(VENV)/all.lock
	cp $(VENV)/all.lock requirements.lock
	uv pip compile --quiet --universal --generate-hashes --extra serve --extra postgres --group dev --no-annotate --no-header --python-version 3.11 pyproject.toml -o requirements.lock
	awk '/^[a-z]/ {keep = /^(pyspark|py4j)==/} keep' $(VENV)/all.lock > spark.lock
	awk 'NR == FNR {locked[$$1]; next} /^[a-z]/ {keep = !($$1 in locked)} keep' <(cat requirements.lock spark.lock) $(VENV)/all.lock > ray.lock
	grep -A100 '^uv==' requirements.lock | awk 'NR > 1 && /^[a-z]/ {exit} {print}' > bootstrap.lock

bench: $(READY) $(PEERS)/.ready ## this project compared with its peers, and studies; `make bench BENCH=--help` lists them
	@python benchmarks/bench.py $(BENCH)

scale: $(READY) ## every stage on synthetic data of growing size, and where it leads (docs/scale.md); hours
	@python benchmarks/scale.py $(SCALE)

benchlock: $(READY) ## pin the peers' environment again
	uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header --python-version 3.11 benchmarks/peers/requirements.in -o $(PEERS).lock
	awk '/^[a-z]/ {keep = !/^(torch|triton|cuda|nvidia)/} keep' $(PEERS).lock > benchmarks/peers/requirements.lock
	awk '/^[a-z]/ {keep = /^(torch|triton|cuda|nvidia)/} keep' $(PEERS).lock > benchmarks/peers/torch.lock
	rm $(PEERS).lock

clean: ## remove the environment and what the pipeline made; data/, the DVC cache and what Git keeps stay
	rm -rf $(VENV) $(PEERS) artifacts models reports/index.html reports/evidence.html reports/revisions.* reports/data_docs .site .dvc/tmp .mypy_cache .ruff_cache .pytest_cache .hypothesis

# pip installs uv with its hash, uv the rest in seconds; both refuse a file whose hash is not in the lock. The bytecode of what a
# run imports most is compiled at once, a third of the whole: the rest follows at its first import, unless Python may not write it.
$(READY): requirements.lock bootstrap.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { echo "Python 3.11, 3.12 or 3.13 is needed (TensorFlow has wheels for these) and $(PYTHON) is none of them: make PYTHON=/path/to/python3.11 …"; exit 1; }
	@echo "Making the environment in $(VENV) …"
	@test -x $(VENV)/bin/uv || { $(PYTHON) -m venv $(VENV) && $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r bootstrap.lock; }
	@$(VENV)/bin/uv pip sync --quiet $(if $(PYTHONDONTWRITEBYTECODE),--compile-bytecode) --python $(VENV)/bin/python --require-hashes requirements.lock
	@$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --no-deps --no-build-isolation -e .
	@cd $(VENV)/lib/python3*/site-packages && $(CURDIR)/$(VENV)/bin/python -m compileall -q -j 0 -x /tests/ $(COMPILED)
	@rm -rf $(VENV)/lib/python*/site-packages/pyspark # left by Spark's workers where the package was, and taken for it
	@mkdir -p $(DVC_CACHE) && chmod 700 $(DVC_CACHE) && $(VENV)/bin/dvc config --local core.site_cache_dir $(DVC_CACHE)
	@touch $@

# Spark is published as source only: it is packed with the setuptools of the environment, and nothing else is downloaded.
$(SPARK): spark.lock $(READY)
	@echo "Adding Spark to $(VENV) (400 MB, once) …"
	@uv pip install --quiet --python $(VENV)/bin/python --no-deps --no-build-isolation --require-hashes -r spark.lock
	@touch $@

$(RAY): ray.lock $(READY)
	@echo "Adding Ray to $(VENV) (240 MB, once) …"
	@uv pip install --quiet --python $(VENV)/bin/python --no-deps --require-hashes -r ray.lock
	@touch $@

# PyTorch for Linux drags CUDA libraries in (3 GB) and does not load without them. Its build without CUDA is taken where
# pip is configured with a folder that has it (PIP_FIND_LINKS).
$(PEERS)/.ready: $(PEER_LOCKS) | $(READY)
	@echo "Making the peers' environment in $(PEERS) …"
	@test -x $(PEERS)/bin/python || python -m venv --without-pip $(PEERS)
	@uv pip sync --quiet --python $(PEERS)/bin/python --require-hashes benchmarks/peers/requirements.lock
	@uv pip install --quiet --python $(PEERS)/bin/python --no-deps --require-hashes --no-index $(addprefix --find-links ,$(PIP_FIND_LINKS)) -r benchmarks/peers/torch-cpu.lock 2> /dev/null || { echo "… with PyTorch from the package index and, on Linux, 3 GB of CUDA libraries"; uv pip install --quiet --python $(PEERS)/bin/python --no-deps --require-hashes -r benchmarks/peers/torch.lock; }
	@$(PEERS)/bin/python -c 'import implicit, torch'
	@touch $@

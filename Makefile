# Routed Hypervisor. The two commands to know: make lab, make test.
INVENTORY ?= inventories/l3_hypervisor
# The name of the lab is in the intent; without one, it is that of the directory.
LAB := $(or $(shell sed -n 's/^name: *"\{0,1\}\([A-Za-z0-9_-]*\).*/\1/p' $(wildcard $(INVENTORY)/fabric.yml) 2>/dev/null </dev/null | head -n1),$(notdir $(patsubst %/,%,$(INVENTORY))))
OWNER := $(if $(wildcard $(INVENTORY)),--owner $(INVENTORY))
NODE ?=
# Given to ansible-playbook as they are: make lab ARGS="--check --diff"
ARGS ?=

export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Namespaces need root; the environment is kept for proxies, the cache and Ansible's own settings.
ROOT := $(if $(filter-out 0,$(shell id -u)),sudo -E env PATH="$(PATH)")
# They make Python read a program byte by byte, and compile what is compiled already.
unexport PYTHONUNBUFFERED PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup lab shell verify status down test bench docs

help: ## what can be typed
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## what the lab needs, in .venv and the cache directory; nothing is installed
	@$(ROOT) bin/setup $(INVENTORY)

lab: setup ## bring up the lab and verify it; it stays up [INVENTORY=inventories/NAME]
	@$(ROOT) ansible-playbook -i $(INVENTORY) site.yml $(ARGS)

shell: ## a prompt in the lab that is up [NODE=hv1: in that node]
	@$(ROOT) bin/lab exec $(OWNER) $(LAB) "$(NODE)"

verify: ## verify the lab that is up
	@$(ROOT) ansible-playbook -i $(INVENTORY) playbooks/verify.yml $(ARGS)

status: ## which labs are up, since when, and where
	@$(ROOT) bin/lab status

down: ## take the lab down, whatever state it is in
	@$(ROOT) bin/lab down $(LAB) $(OWNER)

docs: ## web pages of the guides and of all modules, in artifacts/docs/html
	@$(ROOT) bin/setup --dev $(INVENTORY)
	@$(ROOT) bin/docs

test: ## set-up and all tests
	@$(ROOT) bin/setup --dev $(INVENTORY)
	@$(ROOT) tests/run

bench: ## times next to those of others, in tables and artifacts/bench [ARGS="NAME --runs 1"]
	@$(ROOT) bin/setup $(INVENTORY)
	@$(ROOT) bench/run $(ARGS)

# Routed Hypervisor. The two most important commands: make lab, make test.
INVENTORY ?= inventories/l3_hypervisor
# The name of the lab is in the intent; the default is the directory's name.
LAB := $(or $(shell sed -n 's/^name: *"\{0,1\}\([A-Za-z0-9_-]*\).*/\1/p' $(wildcard $(INVENTORY)/fabric.yml) 2>/dev/null </dev/null | head -n1),$(notdir $(patsubst %/,%,$(INVENTORY))))
OWNER := $(if $(wildcard $(INVENTORY)),--owner $(INVENTORY))
# Empty for an inventory of real hosts.
IS_LAB := $(shell grep -s '^lab:' $(wildcard $(INVENTORY)/fabric.yml) </dev/null)
# Refuses an intent of real hosts. Where there is none, what runs next says so.
lab_only = $(if $(IS_LAB),,$(if $(wildcard $(INVENTORY)/fabric.yml),$(error $(INVENTORY) is no lab: $(1))))
# The inventory of its twin, if its hosts are real.
TWIN := artifacts/$(LAB)/twin
NODE ?=
INTERFACE ?=
DELAY ?=
LOSS ?=
# Passed to ansible-playbook unchanged: make lab ARGS="--check --diff"
ARGS ?=

export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Namespaces need root; the environment is preserved for proxies, the cache and Ansible's settings.
ROOT := $(if $(filter-out 0,$(shell id -u)),sudo -E env PATH="$(PATH)")
# Also where nothing is impaired
UNIMPAIR = sh -ec 'found=$$(tc qdisc show dev "$$0"); case $$found in *netem*) tc qdisc del dev "$$0" root;; esac'
# These make Python read a program byte by byte, and recompile compiled files.
unexport PYTHONUNBUFFERED PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup lab twin shell reboot verify capture impair status down test bench docs

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## prepare what the lab needs, in .venv and the cache directory; nothing is installed
	@$(ROOT) bin/setup $(INVENTORY)

lab: setup ## bring up the lab, verify it, and leave it up [INVENTORY=inventories/NAME]
	@$(call lab_only,make twin brings it up as one; ansible-playbook -i $(INVENTORY) site.yml configures its hosts)trap 'echo "Interrupted: the next run completes it." >&2' INT; $(ROOT) ansible-playbook -i $(INVENTORY) site.yml $(ARGS)

# Few nodes at a time: a fleet that is verified all at once leaves its routing daemons no processor.
twin: ## bring up production as a lab and verify it, ahead of a rollout [INVENTORY=inventories/production]
	@$(ROOT) bin/setup
	@$(ROOT) bin/twin $(INVENTORY) $(TWIN)
	@trap 'echo "Interrupted: the next run completes it." >&2' INT; $(ROOT) ansible-playbook -i $(TWIN) -f 6 site.yml $(ARGS)

shell: ## open a shell in the running lab [NODE=hv1: in that node]
	@$(call lab_only,its hosts are reached by ssh)$(ROOT) bin/lab exec $(OWNER) $(LAB) "$(NODE)"

reboot: ## reboot a node that runs systemd, or boot it if it is off [NODE=hv1]
	@$(if $(NODE),,$(error NODE is missing: make reboot NODE=hv1))$(call lab_only,its hosts are rebooted as any others)$(ROOT) ansible-playbook -i $(INVENTORY) playbooks/reboot.yml -e "lab_reboot=$(NODE)" $(ARGS)

verify: ## verify the running lab
	@$(if $(IS_LAB),$(ROOT) bin/lab status $(LAB) --inventory $(INVENTORY) >/dev/null && )$(ROOT) ansible-playbook -i $(INVENTORY) playbooks/verify.yml $(ARGS)

capture: ## write packets to artifacts/LAB/NODE-INTERFACE.pcap, until Ctrl-C [NODE=hv1 INTERFACE=fabric-A]
	@$(if $(and $(NODE),$(INTERFACE)),,$(error NODE or INTERFACE is missing: make capture NODE=hv1 INTERFACE=fabric-A))$(call lab_only,packets are captured in nodes of labs only)mkdir -p artifacts/$(LAB)
	@# An earlier capture is replaced only if this one can begin.
	@$(ROOT) bin/lab exec $(OWNER) $(LAB) "$(NODE)" tcpdump -i "$(INTERFACE)" -d >/dev/null
	@echo "artifacts/$(LAB)/$(NODE)-$(INTERFACE).pcap"
	@trap : INT; $(ROOT) bin/lab exec $(OWNER) $(LAB) "$(NODE)" tcpdump -i "$(INTERFACE)" -U -w - >"artifacts/$(LAB)/$(NODE)-$(INTERFACE).pcap"

impair: ## delay or lose what a node sends, until make impair without them [NODE=hv1 INTERFACE=fabric-A DELAY=20ms LOSS=1%]
	@$(if $(and $(NODE),$(INTERFACE)),,$(error NODE or INTERFACE is missing: make impair NODE=hv1 INTERFACE=fabric-A DELAY=20ms))$(if $(filter-out %s,$(DELAY)),$(error DELAY has no unit: DELAY=20ms))$(if $(filter-out %%,$(LOSS)),$(error LOSS has no unit: LOSS=1%))$(call lab_only,only nodes of labs are impaired)$(ROOT) bin/lab exec $(OWNER) $(LAB) "$(NODE)" $(if $(DELAY)$(LOSS),tc qdisc replace dev "$(INTERFACE)" root netem $(if $(DELAY),delay "$(DELAY)") $(if $(LOSS),loss "$(LOSS)"),$(UNIMPAIR) "$(INTERFACE)")

status: ## show which labs are up, since when, and where
	@$(ROOT) bin/lab status

down: ## take the lab down, in whatever state it is
	@$(ROOT) bin/lab down $(LAB) $(OWNER)

docs: ## build web pages of the guides and all modules, in artifacts/docs/html
	@$(ROOT) bin/setup --dev $(INVENTORY)
	@$(ROOT) bin/docs

test: ## set up and run all tests
	@$(ROOT) bin/setup --dev $(INVENTORY)
	@$(ROOT) tests/run

bench: ## compare times with other tools, in tables and artifacts/bench [ARGS="NAME --runs 1"]
	@$(ROOT) bin/setup $(INVENTORY)
	@$(ROOT) bench/run $(ARGS)

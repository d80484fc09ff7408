# SPDX-License-Identifier: Apache-2.0

.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

TOOL := go tool -modfile=tools.mod
# Fuzz targets and benchmarks run for long by hand, and briefly in "make test", so that
# they cannot rot.
FUZZTIME ?= 60s
BENCHTIME ?= 1s
BENCH ?= .
COMPARISONS ?= 500000
GENERATED := api/v1alpha1/zz_generated.deepcopy.go manifests/base/crd manifests/static policies/schema docs/rules.md README.md

##@ Use

.PHONY: help
help: ## show this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: packages ## run the main job on a real local cluster and node, and print what happens (KEEP=1 leaves it running)
	@go -C e2e run ./demo $(if $(KEEP),--keep)

.PHONY: packages
packages: ## install what the tests and the demo need, as far as it is missing (Debian's packages, as root)
	@e2e/packages.sh

.PHONY: build
build: ## build the commands into bin/
	CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/...
	ln -sf seccompctl bin/kubectl-seccompgate

.PHONY: image
image: ## build the images for amd64 and arm64 with buildah, and check that they are reproducible
	e2e/images/build.sh

##@ Develop

.PHONY: test
test: packages ## everything: checks, unit and Rego tests, the real API server and node, images, fuzz targets and benchmarks briefly
	$(MAKE) lint verify
	go test -race -shuffle=on -timeout 20m -skip Alloc ./...
	go test -run Alloc ./... # the race detector allocates, too
	$(MAKE) fuzz FUZZTIME=3s
	$(MAKE) bench-go BENCHTIME=10x
	$(MAKE) test-oracle
	$(MAKE) image
	$(MAKE) test-e2e test-node
	$(MAKE) bench-psa BENCHARGS="-duration 300ms -rounds 1"

.PHONY: test-e2e
test-e2e: ## the tests on a real API server (builds Kubernetes once: some 15 minutes)
	go -C e2e test -count=1 -timeout 40m $$(go -C e2e list ./... | grep -v /nodetest)

.PHONY: test-node
test-node: ## the tests on a real node, with each generation of container runtimes
	go -C e2e test -count=1 -timeout 30m ./nodetest

.PHONY: test-oracle
test-oracle: ## compare the semantics of profiles with runc and libseccomp (COMPARISONS says how often)
	go -C e2e/oracle vet -tags libseccomp,seccomp ./...
	go -C e2e/oracle test -tags libseccomp,seccomp -count=1 -v . -comparisons $(COMPARISONS)

.PHONY: test-long
test-long: packages ## more of what "make test" does: a million comparisons of profiles, a hundred renewals of each certificate
	$(MAKE) test-oracle COMPARISONS=1000000
	go -C e2e test -count=1 -timeout 60m -run 'TestCertificateRotation|TestCertManager' . -rotations 100

.PHONY: lint
lint: ## build, vet, staticcheck and formatting
	go build ./...
	go vet ./...
	$(TOOL) staticcheck ./...
	@bin=$$($(TOOL) -n staticcheck); for module in e2e e2e/audit e2e/certmanager; do \
		(cd $$module && echo "vet and staticcheck $$module" && go vet ./... && "$$bin" ./...) || exit 1; done
	@out=$$($(TOOL) gofumpt -l $$(git ls-files -co --exclude-standard '*.go' | grep -v zz_generated)); \
		if [ -n "$$out" ]; then echo "gofumpt would change these files; run make fmt:"; echo "$$out"; exit 1; fi

.PHONY: fmt
fmt: ## format Go and Rego
	$(TOOL) gofumpt -l -w $$(git ls-files -co --exclude-standard '*.go' | grep -v zz_generated)
	go test ./policies -run RegoFormat -update >/dev/null

.PHONY: generate
generate: ## write everything that is generated
	$(TOOL) controller-gen object crd:crdVersions=v1 paths=./api/... output:crd:dir=manifests/base/crd
	go test ./policies -run Current -update >/dev/null
	go test ./manifests -run TestGuardRow58Files -update >/dev/null

.PHONY: verify
verify: ## fail when something generated is not what generate writes
	@before=$$(git status --porcelain -- $(GENERATED); git diff -- $(GENERATED) | sha256sum); $(MAKE) generate; \
		after=$$(git status --porcelain -- $(GENERATED); git diff -- $(GENERATED) | sha256sum); \
		if [ "$$before" != "$$after" ]; then git --no-pager diff --stat -- $(GENERATED); echo "generated files were not up to date; commit what make generate has written"; exit 1; fi

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME
	@for pkg in $$(grep -rl --include='*_test.go' '^func Fuzz' . | grep -v '^./e2e' | xargs -n1 dirname | sort -u); do \
		for target in $$(grep -ho '^func Fuzz[A-Za-z0-9]*' $$pkg/*_test.go | cut -c6-); do \
			echo "fuzz $$pkg $$target"; \
			go test $$pkg -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x; \
		done; done

.PHONY: bench
bench: bench-go bench-psa ## what each step of a request takes, and how a server compares with Pod Security Admission's

.PHONY: bench-go
bench-go: ## run the benchmarks named by BENCH for BENCHTIME
	go test ./... -run '^$$' -bench '$(BENCH)' -benchmem -benchtime $(BENCHTIME)

.PHONY: bench-psa
bench-psa: ## compare requests per second with Pod Security Admission's webhook server, one core each (2 cores, idle)
	go -C e2e run ./bench $(BENCHARGS)

.PHONY: new-rule
new-rule: ## write the files of a new rule: make new-rule ID=my-rule
	@policies/new-rule.sh "$(ID)"

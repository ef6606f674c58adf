# Builds, checks and shows the CNI plugin bpffs. "make help" lists the targets.

SHELL    := /bin/bash
BIN      := $(CURDIR)/bin
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

# Static, stripped, the same bytes from the same sources wherever they are.
STATIC   := -trimpath -buildvcs=false -buildmode=exe -ldflags '-s -w -X main.buildVersion=$(VERSION)'
TESTFLAGS := -vet=off -count=1

# The architectures that "make lint" vets, beside the one it runs on: 64 and 32
# bits, little and big endian.
VET_ARCH := amd64 arm64 arm 386 s390x

# What "make image" and "make release" build for.
ARCH         ?= $(shell go env GOARCH)
IMAGE        ?= ghcr.io/cni-bpffs/bpffs:$(VERSION)
RELEASE_ARCH := amd64 arm64

# What "make test-kernels" runs the tests on, those that take longest first; newest is
# the newest that Debian has.
KERNELS ?= 6.1-amd64 6.12-s390x newest-amd64 6.12-amd64 6.12-arm64 6.1-arm64 5.10-amd64

# Each has a go.mod of its own, so that whoever imports the library gets no more
# than it needs.
MODULES := . cmd/bpffsctl examples test test/runtimes

.PHONY: help build tools runtimes test test-race fuzz test-kernels test-runtimes test-cluster test-reliability test-mutants soak lint bench scale bench-library demo image release check-release check-reproducible clean
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' Makefile

build: ## build the plugin and bpffsctl: bin/bpffs, bin/bpffsctl
	CGO_ENABLED=0 go build $(STATIC) -o $(BIN)/bpffs ./plugins/bpffs
	CGO_ENABLED=0 go build -C cmd/bpffsctl $(STATIC) -o $(BIN)/bpffsctl .

tools: build ## build cnitool and the plugins around ours: bin/cni/
	@mkdir -p $(BIN)/cni
	CGO_ENABLED=0 go build -C test -trimpath -buildvcs=false -ldflags '-s -w' -o $(BIN)/cni/ tool ./integration/downstream ./integration/record
	CGO_ENABLED=0 go build -C examples -trimpath -buildvcs=false -ldflags '-s -w' -o $(BIN)/cni/ ./pktcount ./go/policy
	@ln -sfn ../bpffs $(BIN)/cni/bpffs

test: build tools ## run all tests (root; most need it)
	@$(MAKE) --no-print-directory --jobs $(if $(CI),1,2) --output-sync=line test-units test-callers

# Most of these tests wait more than they work, so the others run beside them, but in CI:
# there it matters more that no test waits for a processor.
.PHONY: test-units test-callers
test-callers:
	CGO_ENABLED=0 go test -C test $(TESTFLAGS) -p 4 ./...

test-units:
	CGO_ENABLED=0 go test $(TESTFLAGS) ./...
	CGO_ENABLED=0 go test -C cmd/bpffsctl $(TESTFLAGS) ./...
	@$(MAKE) --no-print-directory test-race

# What is left out is about several processes, which the race detector does not compare.
test-race: ## run the unit tests with the race detector (needs a C compiler)
	@if command -v $(firstword $(shell go env CC)) >/dev/null; then \
		set -x; CGO_ENABLED=1 go test $(TESTFLAGS) -race -skip '^TestNobodyWaitsForOthersWork$$' ./... && \
		CGO_ENABLED=1 go test -C cmd/bpffsctl $(TESTFLAGS) -race ./internal/inventory ./internal/cri; \
	elif [[ "$$CI" ]]; then \
		echo "test-race: no C compiler ($(shell go env CC)), which the race detector needs" >&2; exit 1; \
	else \
		echo "test-race: skipped, for there is no C compiler ($(shell go env CC))"; \
	fi

test-kernels: tools ## run the tests on kernels and architectures, emulated; KERNELS names some (root, Debian 12)
	test/kernels/install.sh $(KERNELS)
	@set -e; for arch in $(filter-out $(shell go env GOARCH),$(sort $(foreach k,$(KERNELS),$(lastword $(subst -, ,$k))))); do \
		$(MAKE) --no-print-directory tools BIN=$(BIN)/arch/$$arch GOARCH=$$arch; done
	BPFFS_KERNELS="$(KERNELS)" CGO_ENABLED=0 go test -C test/kernels $(TESTFLAGS) -timeout 3h -run '^TestKernels$$'

# Without -trimpath helm shares with the tests what is compiled.
runtimes: tools
	test/runtimes/install.sh
	CGO_ENABLED=0 go build -C test/runtimes -trimpath -buildvcs=false -o $(BIN)/runtimes/own/ ./pod
	CGO_ENABLED=0 go build -C test/multus -trimpath -buildvcs=false -o $(BIN)/runtimes/multus/ tool
	CGO_ENABLED=0 go build -C test/runtimes -buildvcs=false -o $(BIN)/runtimes/own/ tool
	CGO_ENABLED=0 go build -C cmd/bpffsctl -trimpath -buildvcs=false -ldflags '-s -w -X main.lostAfter=3s' -o $(BIN)/runtimes/own/ .

test-runtimes: runtimes ## run the plugin under container runtimes, which it installs (root, Debian 12)
	CGO_ENABLED=0 go test -C test/runtimes $(TESTFLAGS)

# One program, which is five of Kubernetes by the names of the links to it.
CLUSTER_PROGRAMS := kube-apiserver kube-controller-manager kube-scheduler kubelet kubectl

test-cluster: runtimes ## apply deploy/ to a cluster of its own, which it builds, and run pods there (root, Debian 12)
	test/cluster/install.sh
	@version=$$(go list -C test/cluster -m -f '{{.Version}}' k8s.io/kubernetes); set -x; \
		CGO_ENABLED=0 go build -C test/cluster -trimpath -buildvcs=false -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$$version" -o $(BIN)/cluster/kubernetes .
	@for name in $(CLUSTER_PROGRAMS); do ln -sfn kubernetes $(BIN)/cluster/$$name; done
	BPFFS_CLUSTER=1 CGO_ENABLED=0 go test -C test/runtimes $(TESTFLAGS) -timeout 30m -run "^($$(grep -l 'needCluster(t)' test/runtimes/*_test.go | \
		xargs grep -ho '^func Test[A-Za-z]*' | cut -c6- | paste -sd '|'))$$"

lint: $(BIN)/tools/golangci-lint ## check style, vet for every architecture, check go.mod
	@set -e; for module in $(MODULES); do \
		echo "golangci-lint run in $$module"; \
		(cd $$module && $(BIN)/tools/golangci-lint run --config $(CURDIR)/.golangci.yml ./...); done
	@set -e; for arch in $(VET_ARCH); do \
		echo "GOARCH=$$arch go vet ./..."; GOOS=linux GOARCH=$$arch CGO_ENABLED=0 go vet ./...; done
	@set -e; for module in $(MODULES) test/multus tools; do \
		echo "go mod tidy -diff in $$module"; go -C $$module mod tidy -diff; done

$(BIN)/tools/golangci-lint: tools/go.mod tools/go.sum
	CGO_ENABLED=0 go build -C tools -trimpath -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

bench: tools ## measure the plugin beside others; BENCHFLAGS=-h lists the options (root)
	@CGO_ENABLED=0 go build -C test -trimpath -buildvcs=false -o $(BIN)/bench ./bench
	@$(BIN)/bench $(BENCHFLAGS)

bench-library: ## run the library's benchmarks, each briefly, but the minutes of NobodyWaits
	CGO_ENABLED=0 go test -run '^$$' -bench . -skip NobodyWaits -benchtime 3x ./pkg/bpffs

# A number of inputs, not a time: "go test" takes a deadline in the middle of an
# input for a failure now and then.
FUZZTIME ?= 20000x

fuzz: ## fuzz whatever reads bytes from outside; FUZZTIME=10m for longer
	@set -e; for package in internal/netconf internal/notify pkg/bpffs plugins/bpffs cmd/bpffsctl/internal/conflist cmd/bpffsctl/internal/cri cmd/bpffsctl/internal/gc cmd/bpffsctl/internal/output; do \
		for target in $$(grep -ho '^func Fuzz[A-Za-z]*' $$package/*_test.go | cut -c6-); do \
			echo "$$package $$target"; \
			CGO_ENABLED=0 go test -C $$package $(TESTFLAGS) -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) .; \
		done; done

test-reliability: build ## kill at every system call, and race for minutes (root; five minutes)
	CGO_ENABLED=0 go test -C test $(TESTFLAGS) -timeout 30m -v ./reliability -args -all -duration 60s
	CGO_ENABLED=0 go test -C test $(TESTFLAGS) -timeout 30m -v -run '^TestKill' ./install -args -all
	CGO_ENABLED=0 go test -C test $(TESTFLAGS) -timeout 30m -v -run '^TestKill$$' ./pods -args -all

# How long "make soak" takes.
SOAK ?= 1h

soak: build ## let pods come and go on one node for an hour, and demand that nothing grows (root; SOAK=10m)
	CGO_ENABLED=0 go test -C test $(TESTFLAGS) -timeout 0 -v -run '^TestSoak$$' ./reliability -args -soak $(SOAK)

test-mutants: ## take every guard out of a copy and demand that a test fails (root; three minutes)
	CGO_ENABLED=0 go run -C test ./mutants -source ..

scale: tools ## measure 1,000 ADDs at once and 60,000 endpoints: the rows of docs/scale.md (root)
	@CGO_ENABLED=0 go build -C test -trimpath -buildvcs=false -o $(BIN)/bench ./bench
	@$(BIN)/bench -scale $(BENCHFLAGS)

demo: build tools ## show a pod's life with the plugin, in namespaces of its own (root)
	@CGO_ENABLED=0 go build -C test -trimpath -buildvcs=false -o $(BIN)/ ./demo
	@$(BIN)/demo

image: ## build the image for nodes: bin/image.tar (root, Debian 12; IMAGE, ARCH="amd64 arm64")
	deploy/install.sh
	@set -e; for arch in $(ARCH); do \
		rm -rf $(BIN)/image/$$arch; \
		$(MAKE) --no-print-directory build BIN=$(BIN)/image/$$arch GOARCH=$$arch; \
		deploy/licenses.sh $$arch $(BIN)/image/$$arch/licenses; done
	deploy/image.sh $(IMAGE) $(BIN)/image.tar $(foreach arch,$(ARCH),$(arch)=$(BIN)/image/$(arch))

release: $(BIN)/tools/syft ## make archives, images, SBOMs and checksums: bin/release/ (root, Debian 12; VERSION)
	deploy/install.sh
	deploy/release.sh $(VERSION) $(BIN)/release $(BIN)/tools/syft $(RELEASE_ARCH)

check-release: release ## make a release, and look at what is in it: programs, licences, links, image
	BPFFS_RELEASE=$(BIN)/release CGO_ENABLED=0 go test -C test $(TESTFLAGS) ./release

$(BIN)/tools/syft: tools/go.mod tools/go.sum
	CGO_ENABLED=0 go build -C tools -trimpath -o $@ github.com/anchore/syft/cmd/syft

check-reproducible: $(BIN)/tools/syft ## make a release twice, in two directories with two caches, and compare
	deploy/install.sh
	@tmp=$$(mktemp -d); trap 'chmod -R u+w $$tmp; rm -rf $$tmp' EXIT; set -e; \
	for copy in $$tmp/one $$tmp/another/place; do \
		mkdir -p $$copy; git ls-files -z | xargs -0 cp --parents -t $$copy; \
		(cd $$copy && GOCACHE=$$tmp/cache deploy/release.sh $(VERSION) $$copy.release $(BIN)/tools/syft $(RELEASE_ARCH) >/dev/null); \
		chmod -R u+w $$tmp/cache; rm -rf $$tmp/cache; \
	done; \
	diff -r $$tmp/one.release $$tmp/another/place.release; \
	echo "the same twice:"; cat $$tmp/one.release/SHA256SUMS

clean: ## remove what was built
	rm -rf $(BIN)

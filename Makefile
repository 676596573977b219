# assay: `make` builds bin/assay, `make demo` shows what it is for, `make test` checks it.
# Everything that Go needs to be told (toolchain, experiment, tags) is set here and only here.

export GOTOOLCHAIN  := go1.27.4
export GOEXPERIMENT := simd
unexport GOFLAGS
GO      := go
TAGS    := tokenizers
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.commit=$(VERSION)
LIB     := tokenize/lib/libtokenizers.a
FUZZTIME ?= 60s

.PHONY: build lib xla test race demo bench peers profile lint fuzz doctor docs clean tools

build: lib
	$(GO) build -tags "$(TAGS)" -ldflags "$(LDFLAGS)" -o bin/assay ./cmd/assay

# The GPU build: same program with the PJRT back end (see README, "GPU").
xla: TAGS += xla
xla: build

tools:
	@command -v $(GO) >/dev/null || { echo "make: go is missing: install Go 1.21 or newer (https://go.dev/dl or your distribution's golang package); it fetches $(GOTOOLCHAIN) by itself" >&2; exit 1; }
	@$(GO) version >/dev/null || { echo "make: $(GOTOOLCHAIN) could not be fetched: 'GOTOOLCHAIN=$(GOTOOLCHAIN) go version' must work (it arrives as a Go module)" >&2; exit 1; }

# The tokenizer library is Rust; it is built once, outside the tree, and linked here.
lib: tools
	@scripts/tokenizers-lib.sh

# First as a plain Go user would (no tags, no cgo), then what the tokenizer library adds.
test: lib
	CGO_ENABLED=0 $(GO) test -timeout 60m ./...
	$(GO) test -timeout 60m -tags "$(TAGS)" ./tokenize/... ./model/score/... ./cmd/...

race: lib
	$(GO) test -race -short -tags "$(TAGS)" ./...

demo: build
	@scripts/demo.sh

# Speed here, next to what the machine can do, for well-known shapes and for short windows.
BENCH ?= --shape 70m;--shape 160m;--shape llama-135m;--shape 70m --batch 64 --seq 64
bench: build
	@echo "$(BENCH)" | tr ';' '\n' | while read -r args; do bin/assay bench $$args || exit 1; done

# Beside torch + transformers and llama.cpp (testdata/peers/requirements.txt), taking turns.
PYTHON ?= python3
peers: build
	$(PYTHON) testdata/peers/peers.py --assay bin/assay $(PEERS)

# Where the time goes: the profile of one pass of a shape.
PROFILE ?= 160m
profile: tools
	@dir=$$(mktemp -d) && $(GO) test -run '^$$' -bench 'Score/$(PROFILE)/8x512$$' -benchtime 1x -o $$dir/model.test -cpuprofile $$dir/cpu.prof ./model && \
	$(GO) tool pprof -top -nodecount=25 $$dir/model.test $$dir/cpu.prof; rm -rf $$dir

lint: lib
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "not formatted:"; echo "$$out"; exit 1; fi
	CGO_ENABLED=0 $(GO) vet ./...
	$(GO) vet -tags "$(TAGS) xla" ./...
	$(GO) tool staticcheck -tags "$(TAGS)" ./...

# Every fuzz target for FUZZTIME each.
fuzz:
	@scripts/fuzz.sh $(FUZZTIME)

doctor: build
	bin/assay doctor

# Man pages, Markdown pages and shell completions of every command, from the commands themselves.
docs: tools
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct 2>/dev/null || echo 0) CGO_ENABLED=0 $(GO) run -tags docs ./cmd/assay docs -o build/docs

clean:
	rm -rf bin build tokenize/lib/libtokenizers.a

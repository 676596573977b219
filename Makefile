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

.PHONY: build lib xla test race demo bench lint fuzz doctor docs clean tools

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

# Tokens per second, GF/s, share of this machine's FMA peak (timed in the same process; by the clock and by
# processor time, which holds on a shared machine) and peak memory, for synthetic shapes.
BENCH ?= Score/(70m|160m|llama135m)/8x512$$|Score/70m/64x64
bench: tools
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchtime 3x ./model

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

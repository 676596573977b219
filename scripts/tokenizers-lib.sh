#!/usr/bin/env bash
# Makes tokenize/lib/libtokenizers.a exist: the Rust tokenizers library that
# the Go module github.com/daulet/tokenizers links to under the build tag
# `tokenizers`. It is built from the crate inside that module, once per machine:
#
#   ${ASSAY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/assay}/tokenizers-<version>-<key>/libtokenizers.a
#
# tokenize/lib/libtokenizers.a is a symbolic link to it. The key is a digest of
# everything that decides the bytes: the recipe below, the lock file, the Rust
# compiler and the target. A regular file in place of the link is a library
# somebody put there by hand (a machine without Rust); it is left alone.
#
# Usage: scripts/tokenizers-lib.sh        exit 0: the library is in place
set -euo pipefail

# Raise it when the steps in build() change.
recipe='3: tiktoken-rs 0.9 from the registry; panics caught; release profile; no .llvmbc, .llvmcmd, debug'
module=github.com/daulet/tokenizers
tiktoken='tiktoken-rs = "0.9"'

say() { printf 'tokenizers: %s\n' "$*" >&2; }
die() {
	printf 'error: tokenizers: %s\n' "$1" >&2
	shift
	for hint in "$@"; do printf 'hint: %s\n' "$hint" >&2; done
	exit 1
}

# Tools that are there but do not start (a rustup shim with no toolchain) count
# as missing, so each is run once.
need() {
	local flag=--version
	[ "$1" != go ] || flag=version
	"$1" $flag >/dev/null 2>&1 || die "$1 is missing or does not start: $2" "$3"
}

sha256() {
	if command -v sha256sum >/dev/null 2>&1; then sha256sum; else shasum -a 256; fi | cut -d' ' -f1
}

cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
lock=$root/tokenize/lib/Cargo.lock
link=$root/tokenize/lib/libtokenizers.a

[ -f "$lock" ] || die "tokenize/lib/Cargo.lock is missing" "restore it from version control"
version=$(awk -v m="$module" '$1 == m { print $2; exit } $1 == "require" && $2 == m { print $3; exit }' go.mod)
[ -n "$version" ] || die "go.mod does not require $module"

if [ -f "$link" ] && [ ! -L "$link" ]; then
	say "tokenize/lib/libtokenizers.a is a file, not a link to the cache; it is used as it is"
	exit 0
fi

rust_hint='install Rust 1.82 or later: apt install rustup && rustup default stable (Debian 13, Ubuntu 24.04), or see https://rustup.rs'
need rustc 'it compiles the library' "$rust_hint"

rust=$(rustc -vV)
target=${CARGO_BUILD_TARGET:-$(sed -n 's/^host: //p' <<<"$rust")}
key=$({ printf '%s\n' "$recipe" "$version" "$rust" "$target"; cat "$lock"; } | sha256 | cut -c1-16)
cache=${ASSAY_CACHE:-${XDG_CACHE_HOME:-${HOME:-}/.cache}/assay}/tokenizers-$version-$key
case $cache in /*) ;; *) die "the cache path $cache is not absolute" 'set ASSAY_CACHE or HOME to an absolute path' ;; esac
archive=$cache/libtokenizers.a

# put links the finished archive into the tree. The rename makes it safe
# against another invocation doing the same.
put() {
	[ "$(readlink "$link" 2>/dev/null || true)" = "$archive" ] && return
	ln -sf "$archive" "$link.$$"
	mv -f "$link.$$" "$link"
}

if [ -s "$archive" ]; then
	put
	exit 0
fi

objcopy=objcopy
objcopy --version >/dev/null 2>&1 || objcopy=llvm-objcopy
need cargo 'it builds the library' "$rust_hint"
need go 'it holds the source of the library' 'install Go: https://go.dev/dl'
need cc 'part of the library is C' 'install a C compiler: apt install build-essential'
need c++ 'part of the library is C++' 'install a C++ compiler: apt install build-essential'
need "$objcopy" 'it removes sections that Go does not link' 'install binutils: apt install build-essential'

mkdir -p "$cache" || die "cannot create $cache" 'set ASSAY_CACHE to a folder that can be written'

# Two invocations would give the same archive and the last rename would win; the
# lock, where the system has flock, only saves the second one the work.
if command -v flock >/dev/null 2>&1; then
	exec 9>"$cache/lock"
	if ! flock -n 9; then
		say 'another process is building the library; waiting for it'
		flock 9
	fi
	if [ -s "$archive" ]; then
		put
		exit 0
	fi
fi

work=$(mktemp -d "$cache/build.XXXXXX")
log=$cache/build.log
cargo_pid=
cleanup() {
	[ -z "$cargo_pid" ] || kill "$cargo_pid" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

fail() {
	tail -n 20 "$log" | sed 's/^/    /' >&2
	die "$1" "the whole log: $log" "${@:2}"
}

# As in the Makefile; a system Go may be older than go.mod asks for.
export GOTOOLCHAIN=${GOTOOLCHAIN:-go1.27.4}
dir=$(GOFLAGS=-mod=mod go list -m -f '{{.Dir}}' "$module" 2>"$log") || fail 'go list failed'
if [ -z "$dir" ]; then
	go mod download "$module" 2>"$log" || fail "go mod download $module failed" 'the module must be in the module cache or reachable'
	dir=$(GOFLAGS=-mod=mod go list -m -f '{{.Dir}}' "$module")
fi

say "building the tokenizer library for $target with $(head -n1 <<<"$rust"), once; this takes about three minutes"
cp -R "$dir" "$work/src"
chmod -R u+w "$work/src"
cd "$work/src"

# The module takes tiktoken-rs from a git branch; a release can be locked.
manifest=crates/tokenizers/Cargo.toml
grep -q '^tiktoken-rs = { git = ' $manifest || die "$module $version: $manifest does not take tiktoken-rs from git any more; the recipe needs a look"
sed "s|^tiktoken-rs = .*|$tiktoken|" $manifest >$manifest.new
mv $manifest.new $manifest
cp "$lock" Cargo.lock

# A Rust panic that reaches Go ends the process. The crate catches those of
# encoding; a malformed tokenizer.json raises them while loading and decoding
# too, and an error text with a NUL raises one more.
ffi=crates/tokenizers/src/lib.rs
caught='.unwrap_or_else(|_| Err("the library panicked".into()))'
sed -e "/pub extern \"C\" fn tokenizers_from_bytes(/,/^}/ {
		s/match Tokenizer::from_bytes(bytes_slice) {/match std::panic::catch_unwind(|| Tokenizer::from_bytes(bytes_slice))$caught {/
		s/CString::new(format!(\(.*\), e))\.unwrap()/CString::new(format!(\1, e).replace('\\\\0', \"?\")).unwrap()/
	}" \
	-e "s/match unified_tokenizer\.decode(ids_slice, skip_special_tokens) {/match std::panic::catch_unwind(|| unified_tokenizer.decode(ids_slice, skip_special_tokens))$caught {/" \
	$ffi >$ffi.new
[ "$(grep -c -F "$caught" $ffi.new)" = 2 ] && [ "$(grep -c "replace('.0', \"?\")" $ffi.new)" = 1 ] ||
	die "$module $version: $ffi has changed; the recipe needs a look"
mv $ffi.new $ffi

export CARGO_TARGET_DIR=$work/target CARGO_TERM_COLOR=never CARGO_TERM_PROGRESS_WHEN=never
crates=$(cargo tree --locked -p tokenizers-ffi -e normal,build --prefix none --target "$target" 2>"$log" | sed 's/ (\*)$//' | sort -u | wc -l | tr -d ' ') ||
	fail 'cargo cannot read the locked crates' 'the first build needs the network, or a cargo vendor folder, for the crates in tokenize/lib/Cargo.lock'

cargo build --release --locked -p tokenizers-ffi --target "$target" >"$log" 2>&1 9>&- &
cargo_pid=$!
SECONDS=0
next=20
while kill -0 "$cargo_pid" 2>/dev/null; do
	sleep 1
	if [ $SECONDS -ge $next ]; then
		say "$(grep -c '^ *Compiling' "$log" || true) of $crates crates begun after $SECONDS s"
		next=$((SECONDS + 20))
	fi
done
wait "$cargo_pid" || { cargo_pid=; fail 'cargo build failed' 'the first build needs the network, or a cargo vendor folder, for the crates in tokenize/lib/Cargo.lock'; }
cargo_pid=

# cgo of Go 1.27 refuses an archive with the two LLVM sections.
"$objcopy" --strip-debug --remove-section=.llvmbc --remove-section=.llvmcmd \
	"$work/target/$target/release/libtokenizers_ffi.a" "$work/libtokenizers.a" 2>>"$log" || fail "$objcopy failed"
mv -f "$work/libtokenizers.a" "$archive"
put
say "done after $SECONDS s: $(wc -c <"$archive" | tr -d ' ') bytes"

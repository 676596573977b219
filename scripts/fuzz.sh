#!/usr/bin/env bash
# Runs fuzz targets for TIME each: all of them, or those named after it as package:Target.
# Usage: scripts/fuzz.sh TIME [./weights:FuzzConfig ...]
set -euo pipefail
cd "$(dirname "$0")/.."
export GOTOOLCHAIN=go1.27.4 GOEXPERIMENT=simd CGO_ENABLED=0
time=${1:-60s}
shift || true
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  while IFS=: read -r file line; do
    name=${line#func }
    targets+=("./$(dirname "$file"):${name%%(*}")
  done < <(git grep -E '^func Fuzz[A-Za-z0-9]+\(' -- '*_test.go')
fi
for t in "${targets[@]}"; do
  echo "fuzz ${t%%:*} ${t##*:} for $time"
  go test -run '^$' -fuzz "^${t##*:}\$" -fuzztime "$time" "${t%%:*}"
done

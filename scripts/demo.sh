#!/usr/bin/env bash
# The demonstration: was this checkpoint derived from the run whose training order I hold?
# Scores a recorded training transcript with three small checkpoints (two suspects and a reference), prints both
# verdicts, and fails if either is not what the models' history calls for. Traces are kept in build/demo.
set -euo pipefail
cd "$(dirname "$0")/.."
data=testdata/demo
query=(bin/assay palimpsest query
  --transcript "$data/transcript.npy" --rows 6000 --seed 1
  --suspect "$data/alice" --suspect "$data/carol"
  --ref "$data/reference" --ref-basis other-order
  --cache build/demo)
mkdir -p build/demo

echo "Question: which of two checkpoints depends on the order in which alice's run saw its data?"
echo "\$ ${query[*]} --plot build/demo/palimpsest.svg"
echo
"${query[@]}" --plot build/demo/palimpsest.svg
echo
"${query[@]}" --json > build/demo/result.json
findings=$(grep -o '"finding": *"[a-z_]*"' build/demo/result.json | sed 's/.*: *"//; s/"//' | tr '\n' ' ')
if [ "$findings" != "order_dependence not_found " ]; then
  echo "demo: findings are [$findings], want [order_dependence not_found ] (alice is derived, carol is independent)" >&2
  exit 1
fi
echo "As their history has it (testdata/demo/README.md): alice was trained in this order, carol in another."

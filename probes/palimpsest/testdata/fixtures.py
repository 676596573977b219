"""Writes pyarrow.parquet and bmt.parquet: small files of another program for the reader tests.

usage: python fixtures.py testdata      (pyarrow 26.0.1, numpy 2.4.6)
"""
import json, os, sys
import numpy as np, pyarrow as pa, pyarrow.parquet as pq

out = sys.argv[1]
meta = {"schema": "assay.transcript/1", "n": 40, "regenerated": True, "design": "uniform", "window": [0, 1], "selection_seed": 3}
rng = np.random.default_rng(5)
pos = rng.permutation(40)[:12]
t = pa.table({
    "pos": pa.array(pos, pa.int32()),  # narrower than ours
    "ids": pa.array([[int(v) for v in rng.integers(0, 70000, 1 + i % 3)] for i in range(12)], pa.list_(pa.uint32())),
    "seq": pa.array(range(100, 112), pa.int64()),
    "stratum": pa.array([None if i == 4 else "ab"[i % 2] for i in range(12)]),
    "note": pa.array(["ignored"] * 12),
}).replace_schema_metadata({"assay.transcript": json.dumps(meta)})
pq.write_table(t, os.path.join(out, "pyarrow.parquet"), row_group_size=5)
print([int(p) for p in pos], t["ids"].to_pylist()[:3])

b = pa.table({
    "index": pa.array([3, 0, 1, 2, 5, 4], pa.int64()),
    "loss_suspect": pa.array([[1.0, 2.0], [3.0], [2.5, 2.5], [2.0], [0.5, 1.5], [1.0]], pa.list_(pa.float64())),
    "loss_ref": pa.array([[2.0, 2.0], [3.0], [2.5, 1.5], [2.0], [2.0, 2.0], [2.0]], pa.list_(pa.float32())),
})
pq.write_table(b, os.path.join(out, "bmt.parquet"))

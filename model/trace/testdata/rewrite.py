"""Rewrite a trace as pyarrow does by default: snappy, dictionaries, pages of version 1.

    python3 rewrite.py IN.parquet OUT.parquet     (pyarrow 26.0.1)
"""
import sys

import pyarrow.parquet as pq

for suffix in (".parquet", ".docs.parquet"):
    src = sys.argv[1].removesuffix(".parquet") + suffix
    dst = sys.argv[2].removesuffix(".parquet") + suffix
    pq.write_table(pq.read_table(src), dst, row_group_size=100)

"""Makes the arrays and orders that the tests of tokenize/store read.

    python3 -m venv venv && venv/bin/pip install numpy==2.4.*
    venv/bin/python make_vectors.py

Every array holds the same twelve ids; what differs is what a header can say.
"""
import hashlib
import json
import os

import numpy as np

here = os.path.dirname(os.path.abspath(__file__))
ids = np.array([[0, 1, 2, 3], [200, 5, 6, 7], [8, 9, 10, 255]])


def save(name, array, version=None):
    with open(os.path.join(here, name), "wb") as f:
        np.lib.format.write_array(f, array, version=version)


for t in ["u1", "<u2", "<u4", "<u8", "<i4", "<i8"]:
    save(t.lstrip("<") + ".npy", ids.astype(t), (1, 0))
save("v2.npy", ids.astype("<u2"), (2, 0))
save("v3.npy", ids.astype("<u2"), (3, 0))
save("flat.npy", ids.reshape(-1).astype("<u2"))
# What must be refused.
save("big-endian.npy", ids.astype(">u2"))
save("fortran.npy", np.asfortranarray(ids.astype("<u2")))
save("float.npy", ids.astype("<f4"))
save("i2.npy", ids.astype("<i2"))
save("cube.npy", ids.reshape(3, 2, 2).astype("<u2"))
save("scalar.npy", np.array(7, "<u2"))
save("empty.npy", np.zeros((0, 4), "<u2"))
save("negative.npy", (ids - 1).astype("<i4"))
save("large.npy", (ids.astype("<u8") << np.uint64(60)).astype("<u8"))


def digest(order):
    return "sha256:" + hashlib.sha256(np.asarray(order, "<u4").tobytes()).hexdigest()


out = {"numpy": np.__version__, "pcg64": [], "mt19937": []}
for seed in [0, 1, 6198, 2**32 - 1, 2**32, 2**40 + 17, 2**64 - 1]:
    g = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))
    first = [int(x) for x in np.random.PCG64(seed).random_raw(3)]
    out["pcg64"].append({"seed": str(seed), "raw": [str(x) for x in first],
                         "ten": g.permutation(10).tolist(),
                         "then_1000": digest(g.permutation(1000)),
                         "fresh_65537": digest(np.random.default_rng(seed).permutation(65537))})
for seed in [0, 1, 1234, 2**32 - 1]:
    r = np.random.RandomState(seed)
    ten = np.arange(10)
    r.shuffle(ten)
    out["mt19937"].append({"seed": seed, "ten": ten.tolist(),
                           "then_1000": digest(r.permutation(1000)),
                           "fresh_65537": digest(np.random.RandomState(seed).permutation(65537))})
with open(os.path.join(here, "orders.json"), "w") as f:
    json.dump(out, f, indent=1)
    f.write("\n")

"""Lengths that C zlib gives for the texts of corpus_test.go.

    python3 lengths.py > lengths.txt      (Python 3.11, zlib.ZLIB_RUNTIME_VERSION 1.2.13)

The same generator is written in Go in the test; line i holds the size of text i,
its CRC-32 and its compressed length.
"""
import sys
import zlib

M = (1 << 64) - 1


class Gen:
    def __init__(self, seed):
        self.s = seed

    def next(self):
        self.s = (self.s + 0x9E3779B97F4A7C15) & M
        z = self.s
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & M
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & M
        return z ^ (z >> 31)

    def below(self, n):
        return int((self.next() >> 11) * 2.0**-53 * n)


WORDS = ("the of and a in to is was it for as on with by at that from his he an were are which this be or had "
         "tokens model weights perplexity membership ghost palimpsest checkpoint trace states probe assay").split()
RANGES = [(0x41, 26), (0x61, 26), (0xE0, 32), (0x400, 64), (0x4E00, 4096), (0x1F600, 64), (0x20, 1)]


def piece(g, kind, size):
    out = bytearray()
    if kind == 0:
        while len(out) < size:
            out.append(g.below(256))
    elif kind == 1:
        k = 2 + g.below(60)
        while len(out) < size:
            out.append(65 + g.below(k))
    elif kind == 2:
        while len(out) < size:
            out += WORDS[min(g.below(len(WORDS)), g.below(len(WORDS)))].encode() + b" "
    elif kind == 3:
        while len(out) < size:
            out += bytes([97 + g.below(8)]) * (1 + g.below(400))
    elif kind == 4:
        while len(out) < size:
            first, n = RANGES[g.below(len(RANGES))]
            out += chr(first + g.below(n)).encode()
    elif kind == 5:
        i = g.below(10**6)
        while len(out) < size:
            out += str(i).encode() + b"\n"
            i += 1 + g.below(3)
    elif kind == 6:
        while len(out) < size:
            if len(out) < 40 or g.below(3) == 0:
                out += bytes(65 + g.below(50) for _ in range(1 + g.below(30)))
            else:
                far = [10, 300, 4096, 4097, 32506, 32507, 32768, 70000][g.below(8)]
                at = max(0, len(out) - far - g.below(3))
                out += out[at:at + 3 + g.below(300)]
    else:
        while len(out) < size:
            out += piece(g, g.below(7), 1 + g.below(1 + size // 3))
    return bytes(out)


def size(g, i):
    if i % 100 == 7:
        return 60000 + g.below(80000)
    if i % 400 == 13:
        return 1000000 + g.below(300000)
    return g.below([4, 40, 400, 4000, 40000][g.below(5)])


for i in range(1200):
    g = Gen(i)
    n = size(g, i)
    kind = i % 8
    if n > 1000000:
        kind = [2, 3, 6][i // 400]
    b = piece(g, kind, n)
    print(len(b), zlib.crc32(b), len(zlib.compress(b)))
print(zlib.ZLIB_RUNTIME_VERSION, file=sys.stderr)

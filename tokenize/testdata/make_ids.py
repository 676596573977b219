"""Makes lines.json: digests of ids and byte offsets of 10,000 generated lines,
as Python tokenizers gives them, for real and small tokenizers.

    python3 -m venv venv && venv/bin/pip install tokenizers==0.23.3
    venv/bin/python make_ids.py "$(go list -m -f '{{.Dir}}' github.com/daulet/tokenizers)/test/data"

Line i is drawn with splitmix64 seeded i; lines_test.go draws the same lines.
Special tokens' strings in a line are plain text, truncation and padding are off.
Per block of 500 lines: SHA-256 over, for each line, the number of ids and then
the ids and the byte offsets of their ends, all little-endian uint32.
"""
import hashlib
import json
import os
import struct
import sys

import tokenizers

MASK = 2**64 - 1
FRAGMENTS = [
    " ", " ", " ", "  ", "\t", "\n", "\r\n", "\u00a0", "\u3000", ".", ",", "'", "\"", "?!", "...", "-", "—",
    "the", "The", " and", "don't", "I'LL", "we've", "antidisestablishmentarianism", "caf\u00e9", "cafe\u0301", "na\u00efve", "stra\u00dfe", "\u0130stanbul",
    "0", "1234567890", "3.14", "1,000,000", "\u0664\u0662", "\u00bd", "x\u00b2", "def f(x):\n    return x**2\n", "{\"a\": [1, null]}", "</div>", "https://example.org/?q=1&r=2",
    "\u4e16\u754c", "\u65e5\u672c\u8a9e", "\ud55c\uad6d\uc5b4", "\u0645\u0631\u062d\u0628\u0627", "\u05e9\u05dc\u05d5\u05dd", "\u0928\u092e\u0938\u094d\u0924\u0947", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35",
    "\U0001f642", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\u2696\ufe0f", "\U0001d54f", "\ufb01", "\u212b", "\u1e9b\u0323", "\u200b", "\ufeff", "\ufffd", "\u0085", "\x01", "\x7f",
    "<s>", "</s>", "<unk>", "[CLS]", "[MASK]", "<|endoftext|>", "<|begin_of_text|>", "<PAD>", "##ing", "\u2581", "\u0120",
]


class Stream:
    def __init__(self, seed):
        self.s = seed

    def below(self, n):
        self.s = (self.s + 0x9E3779B97F4A7C15) & MASK
        z = self.s
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return int(((z ^ (z >> 31)) >> 11) * 2.0**-53 * n)


def line(i):
    g = Stream(i)
    out = []
    for _ in range(1 + g.below(12)):
        if g.below(8) == 0:
            c = 1 + g.below(0x10FFFF)
            out.append(chr(c if not 0xD800 <= c < 0xE000 else 0x41))
        else:
            out.append(FRAGMENTS[g.below(len(FRAGMENTS))])
    return "".join(out)


def block(tok, lines):
    h = hashlib.sha256()
    for text in lines:
        e = tok.encode(text, add_special_tokens=False)
        at = [0]
        for c in text:
            at.append(at[-1] + len(c.encode()))
        h.update(struct.pack("<I", len(e.ids)))
        for id, (_, end) in zip(e.ids, e.offsets):
            h.update(struct.pack("<II", id, at[end]))
    return h.hexdigest()


here = os.path.dirname(os.path.abspath(__file__))
small = os.path.join(here, "../../testdata/reference/tokenizers")
paths = {
    "llama-3": sys.argv[1] + "/Meta-Llama-3-8B-Instruct.json",
    "bert-base-uncased": sys.argv[1] + "/bert-base-uncased.json",
    "all-minilm-l6-v2": sys.argv[1] + "/all-minilm-l6-v2.json",
    "cohere": sys.argv[1] + "/cohere-tokenizer.json",
    "byte_bpe": small + "/byte_bpe/tokenizer.json",
    "sentencepiece_bpe": small + "/sentencepiece_bpe/tokenizer.json",
    "wordpiece": small + "/wordpiece/tokenizer.json",
}
lines = [line(i) for i in range(10000)]
out = {"tokenizers": tokenizers.__version__, "fragments": FRAGMENTS,
       "first": lines[:3], "digests": {}}
for name, path in paths.items():
    tok = tokenizers.Tokenizer.from_file(path)
    tok.encode_special_tokens = True
    tok.no_truncation()
    tok.no_padding()
    out["digests"][name] = [block(tok, lines[i:i + 500]) for i in range(0, 10000, 500)]
with open(os.path.join(here, "lines.json"), "w") as f:
    json.dump(out, f, indent=0)
    f.write("\n")

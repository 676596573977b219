#!/usr/bin/env python3
"""Make context.json: association tests inside small checkpoints, an encoder and decoders, computed with transformers and numpy.

    python make_context.py ../reference context.json

Made with torch 2.15.0, transformers 5.23.0, numpy 2.4.6. Everything in float64. Contexts are three templates; the state of a word is
that of its last piece, taken by a forward hook on a block's output; a word's vector is the mean of its raw states. Embedding rows are
averaged over a word's pieces (encoded after a space, without special tokens; for the decoder also bare, and scaled by the final norm's gain). Variants: mean and top 3 principal directions of all
rows of the embedding matrix, or of the 16 word vectors for states.
"""

import itertools
import json
import sys

import numpy as np
import torch
import transformers

SETS = {"X": ["rose", "tulip", "lily", "daisy"], "Y": ["wasp", "flea", "ant", "moth"], "A": ["love", "peace", "joy", "gift"], "B": ["war", "hate", "pain", "jail"]}
TEMPLATES = ["The next word on the list is {w}", "Someone wrote down {w}", "Please repeat after me: {w}"]


def weat(vec):
    u = {w: v / np.linalg.norm(v) for w, v in vec.items()}
    g = np.mean([u[w] for w in SETS["A"]], 0) - np.mean([u[w] for w in SETS["B"]], 0)
    x, y = (np.array([u[w] @ g for w in SETS[k]]) for k in "XY")
    both = np.concatenate([x, y])
    tol = 1e-12 * max(1, np.abs(both).sum())
    ge = sum(sum(c) >= x.sum() - tol for c in itertools.combinations(both, 4))
    return {"d": float((x.mean() - y.mean()) / both.std(ddof=1)), "s": both.tolist(), "ge": int(ge)}


def variants(rows):
    m = np.asarray(rows)
    mu = m.mean(0)
    top = np.linalg.svd(m - mu, full_matrices=False)[2][:3]
    yield "raw", lambda v: v
    yield "centred", lambda v: v - mu
    yield "abtt3", lambda v: (v - mu) - top.T @ (top @ (v - mu))


def main(reference, out):
    doc = {"about": f"Association tests inside an encoder and a decoder of ../reference, made by make_context.py with torch {torch.__version__.split('+')[0]}, transformers {transformers.__version__}, numpy {np.__version__}",
           "sets": SETS, "templates": TEMPLATES, "models": {}}
    for name, blocks, matrix in (("gpt2", "transformer.h", "transformer.wte"), ("bert", "bert.encoder.layer", "bert.embeddings.word_embeddings"),
                                 ("llama-mha", "model.layers", "model.embed_tokens"), ("gpt_neox-parallel", "gpt_neox.layers", "gpt_neox.embed_in"),
                                 ("qwen2", "model.layers", "model.embed_tokens")):
        tok = transformers.AutoTokenizer.from_pretrained(f"{reference}/{name}")
        cls = transformers.AutoModelForMaskedLM if name == "bert" else transformers.AutoModelForCausalLM
        model = cls.from_pretrained(f"{reference}/{name}", attn_implementation="eager").double().eval()
        emb = model.get_submodule(matrix).weight.detach().numpy()
        words = [w for k in "XYAB" for w in SETS[k]]
        seen = {}
        hooks = [b.register_forward_hook(lambda _m, _i, o, k=k: seen.__setitem__(k, (o[0] if isinstance(o, tuple) else o).detach()))
                 for k, b in enumerate(model.get_submodule(blocks))]
        entry = {"width": int(emb.shape[1]), "rows": int(emb.shape[0]), "layers": len(hooks), "words": {}, "input": {}, "ctx": {}}
        states = {k: {} for k in range(len(hooks))}
        for w in words:
            pieces = tok(" " + w, add_special_tokens=False).input_ids
            assert tok.decode(pieces).strip() == w, (name, w)
            ctx = []
            for t in TEMPLATES:
                enc = tok(t.replace("{w}", w), return_offsets_mapping=True)
                start = t.index("{w}")
                span = [i for i, (a, b) in enumerate(enc.offset_mapping) if b > start and b > a]
                with torch.no_grad():
                    model(torch.tensor([enc.input_ids]))
                for k in states:
                    states[k].setdefault(w, []).append(seen[k].reshape(-1, emb.shape[1])[span[-1]].numpy())
                ctx.append({"ids": enc.input_ids, "last": span[-1]})
            entry["words"][w] = {"pieces": pieces, "contexts": ctx}
        for h in hooks:
            h.remove()
        for vname, f in variants(emb):
            entry["input"][vname] = weat({w: np.mean([f(emb[i]) for i in entry["words"][w]["pieces"]], 0) for w in words})
        if name == "gpt2":
            # The output matrix (here the same tensor) times the gain of the final norm; and words cut without a space before them.
            gain = model.transformer.ln_f.weight.detach().numpy()
            bare = {w: tok(w, add_special_tokens=False).input_ids for w in words}
            assert all(tok.decode(bare[w]) == w for w in words)
            folded = emb * gain
            entry["folded"] = {vname: weat({w: np.mean([f(folded[i]) for i in entry["words"][w]["pieces"]], 0) for w in words}) for vname, f in variants(folded)}
            entry["bare"] = {vname: weat({w: np.mean([f(emb[i]) for i in bare[w]], 0) for w in words}) for vname, f in variants(emb)}
        if name not in ("gpt2", "bert"):
            head = model.get_output_embeddings().weight.detach().numpy()
            entry["output"] = {vname: weat({w: np.mean([f(head[i]) for i in entry["words"][w]["pieces"]], 0) for w in words}) for vname, f in variants(head)}
        for k in states:
            mean = {w: np.mean(v, 0) for w, v in states[k].items()}
            entry["ctx"][str(k)] = {vname: weat({w: f(mean[w]) for w in words}) for vname, f in variants([mean[w] for w in words])}
        # The states of the first block, so that the aggregation can be tested without a model.
        for w in words if name in ("gpt2", "bert") else ():
            entry["words"][w]["states0"] = [[float(f"{x:.9g}") for x in v] for v in states[0][w]]
        doc["models"][name] = entry
    with open(out, "w") as f:
        json.dump(doc, f, separators=(",", ":"))
        f.write("\n")


if __name__ == "__main__":
    main(*sys.argv[1:3])

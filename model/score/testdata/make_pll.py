"""Write pll.json: pseudo-log-likelihoods of the reference encoders, in float64.

Each token of a text is replaced by the mask token in turn and the model is run
once for each (Salazar et al. 2020, section 2); the special tokens that the
tokenizer puts around the text are never masked and never scored.

    python make_pll.py ../../../testdata/reference pll.json

Made with python 3.11, torch 2.15.0, transformers 5.23.0, tokenizers 0.23.3.
"""

import json
import sys

import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

torch.set_num_threads(1)
root, out = sys.argv[1:]

TEXTS = [
    "The quick brown fox jumps over the lazy dog.",
    "héllo wörld, 42 times!",
    "a",
    "In the beginning was the word, and the word was with the printer. " * 2,
]
IDS = {
    "roberta": [[17, 5, 9, 33, 200], [1, 7, 1, 301, 3, 3, 250, 12], [12]],  # 1 is the padding id
    "distilbert": [[17, 5, 9, 33, 200], [301, 3, 3, 250, 12, 44, 319, 0, 8], [12]],
}
AROUND = {"roberta": ([0], [2], 4), "distilbert": ([2], [3], 1)}


def score(model, prefix, ids, suffix, mask):
    whole = prefix + ids + suffix
    rows = []
    with torch.no_grad():
        for t, want in enumerate(ids):
            fed = list(whole)
            fed[len(prefix) + t] = mask
            logits = model(input_ids=torch.tensor([fed])).logits[0, len(prefix) + t]
            lp = torch.log_softmax(logits, -1)
            rows.append((lp[want].item(), -(lp.exp() * lp).sum().item(), int((logits > logits[want]).sum())))
        hidden = []  # of the unmasked text, by a hook on every block
        blocks = [m for n, m in model.named_modules() if n.endswith("layer.0") or n.endswith("layer.1")]
        hooks = [b.register_forward_hook(lambda m, i, o: hidden.append(o[0] if isinstance(o, tuple) else o)) for b in blocks]
        model(input_ids=torch.tensor([whole]))
        for h in hooks:
            h.remove()
    mean = [h.reshape(len(whole), -1)[len(prefix) : len(prefix) + len(ids)].mean(0).tolist() for h in hidden]
    lp, ent, rank = zip(*rows)
    return {"ids": ids, "logprob": lp, "entropy": ent, "rank": rank, "mean": [[round(v, 9) for v in m] for m in mean]}


models = {}
for name in ("bert", "roberta", "distilbert"):
    model = AutoModelForMaskedLM.from_pretrained(f"{root}/{name}", dtype=torch.float64, attn_implementation="eager").eval()
    docs = []
    if name == "bert":
        tok = AutoTokenizer.from_pretrained(f"{root}/{name}")
        prefix, suffix, mask = [tok.cls_token_id], [tok.sep_token_id], tok.mask_token_id
        for text in TEXTS:
            enc = tok(text.strip(), return_offsets_mapping=True)
            assert enc.input_ids[0] == prefix[0] and enc.input_ids[-1] == suffix[0]
            text = text.strip()
            d = score(model, prefix, enc.input_ids[1:-1], suffix, mask)
            ends = [len(text[:b].encode()) for _, b in enc.offset_mapping[1:-1]]
            docs.append({"text": text, "ends": ends, **d})
    else:
        prefix, suffix, mask = AROUND[name]
        docs = [score(model, prefix, ids, suffix, mask) for ids in IDS[name]]
    models[name] = {"prefix": prefix, "suffix": suffix, "mask": mask, "docs": docs}

with open(out, "w") as f:
    json.dump(models, f)
    f.write("\n")

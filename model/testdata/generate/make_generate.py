"""Writes greedy.json: what transformers' generate continues, for some reference checkpoints.

Requires: transformers==5.23.0 torch==2.15.0 (python 3.11, float32, one thread). Run in this folder: python make_generate.py
"""
import json

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM

torch.set_num_threads(1)
NAMES = ["gpt_neox-parallel", "llama-llama3", "mistral-sliding", "qwen3", "gpt2", "gemma2", "gemma3", "phi3", "opt", "opt-postnorm",
         "bloom", "mpt", "falcon-gqa", "cohere2", "stablelm", "gptj", "olmo2"]
LENGTHS, NEW = [3, 20, 37], 24
out = {"origin": f"transformers {transformers.__version__}, torch {torch.__version__}: generate(do_sample=False), float32, left padding", "cases": []}
for name in NAMES:
    folder = f"../../../testdata/reference/{name}"
    config = AutoConfig.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    V = model.get_output_embeddings().weight.shape[0]
    prompts = [[(7 * i * i + 13 * i + 5 * n) % V for i in range(n)] for n in LENGTHS]
    width = max(LENGTHS)
    ids = torch.tensor([[0] * (width - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    with torch.no_grad():
        g = model.generate(ids, attention_mask=mask, do_sample=False, max_new_tokens=NEW, min_new_tokens=NEW, eos_token_id=None, pad_token_id=0,
                           return_dict_in_generate=True, output_logits=True, use_cache=True)
    logits = torch.stack(g.logits, 1).double()
    for i, p in enumerate(prompts):
        new = g.sequences[i, width:].tolist()
        lp = torch.log_softmax(logits[i], -1)
        top = logits[i].topk(2).values
        gap = (top[:, 0] - top[:, 1]).tolist()
        near = next((j for j, x in enumerate(gap) if x < 1e-4), -1)
        out["cases"].append({"checkpoint": name, "prompt": p, "ids": new, "logprobs": [round(lp[j, t].item(), 7) for j, t in enumerate(new)], "near_tie": near})
with open("greedy.json", "w") as f:
    json.dump(out, f)
    f.write("\n")
print(len(out["cases"]), [c["near_tie"] for c in out["cases"]])

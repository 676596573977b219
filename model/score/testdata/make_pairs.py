"""Writes pairs.json: transformers' loss on the response alone (labels -100 on the prompt), for pairs and a chat.

Requires: transformers==5.23.0 torch==2.15.0 (python 3.11, float32, one thread). Run in this folder: python make_pairs.py
"""
import json

import torch
import transformers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

torch.set_num_threads(1)
folder = "../../../testdata/demo/alice"
tok = PreTrainedTokenizerFast.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
TEMPLATE = "{% for m in messages %}{{ '[' + m['role'] + ']\n' + m['content'] + eos_token + '\n' }}{% endfor %}"


def loss(text, start, end):
    """Loss over the tokens that end behind byte-free character start (before trailing spaces) and up to end."""
    e = tok(text[:end], add_special_tokens=False, return_offsets_mapping=True, return_tensors="pt")
    labels = e["input_ids"].clone()
    while start > 0 and text[start - 1] == " ":
        start -= 1
    for i, (_, b) in enumerate(e["offset_mapping"][0].tolist()):
        if b <= start:
            labels[0, i] = -100
    with torch.no_grad():
        out = model(input_ids=e["input_ids"], labels=labels)
    n = int((labels[0, 1:] != -100).sum())
    return {"n": n, "loss": out.loss.item()}


out = {"origin": f"transformers {transformers.__version__}, torch {torch.__version__}: model(labels=...).loss, mean over the labels that are not -100", "template": TEMPLATE, "cases": []}
for prompt, response in [("In the beginning ", "God created the heaven and the earth."), ("And the earth was", " without form, and void;"),
                         ("And God said,\n", "Let there be light: and there was light.")]:
    out["cases"].append({"prompt": prompt, "response": response} | loss(prompt + response, len(prompt), len(prompt + response)))
    chat = [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
    text = tok.apply_chat_template(chat, chat_template=TEMPLATE, tokenize=False)
    at = text.index("[assistant]\n") + len("[assistant]\n")
    out["cases"].append({"prompt": prompt, "response": response, "chat": True} | loss(text, at, at + len(response)))
with open("pairs.json", "w") as f:
    json.dump(out, f, indent=1)
    f.write("\n")
print(out["cases"])

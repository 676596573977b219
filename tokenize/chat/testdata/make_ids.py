"""Writes ids.json: what apply_chat_template(tokenize=True) makes of chats whose contents hold special tokens.

Requires: transformers==5.23.0 tokenizers==0.23.3 jinja2==3.1.6 (python 3.11). Run in this folder: python make_ids.py
"""
import json

import transformers
from transformers import PreTrainedTokenizerFast

TEMPLATE = "{{ bos_token }}{% for m in messages %}{{ '[' + m['role'] + '] ' + m['content'] + eos_token + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '[assistant]' }}{% endif %}"


def turn(role, content):
    return {"role": role, "content": content}


out = {"origin": f"transformers {transformers.__version__}: apply_chat_template(tokenize=True)", "template": TEMPLATE, "cases": []}
for name in ["byte_bpe", "sentencepiece_bpe"]:
    folder = f"../../../testdata/reference/tokenizers/{name}"
    t = PreTrainedTokenizerFast.from_pretrained(folder)
    bos, eos = t.bos_token or "", t.eos_token or ""
    for chat, gen in [
        ([turn("user", "Hello there, h\u00e9llo \u4e16\u754c")], True),
        ([turn("system", "Be brief."), turn("user", f"End {eos} now {bos}x"), turn("assistant", "  ok ")], False),
        ([turn("user", f"{eos}{eos}"), turn("assistant", "")], True),
    ]:
        r = t.apply_chat_template(chat, chat_template=TEMPLATE, tokenize=True, add_generation_prompt=gen, return_dict=True)
        out["cases"].append({"tokenizer": name, "messages": chat, "generation_prompt": gen, "ids": list(r["input_ids"])})
with open("ids.json", "w") as f:
    json.dump(out, f)
    f.write("\n")
print(len(out["cases"]))

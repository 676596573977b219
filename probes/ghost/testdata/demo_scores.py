"""Makes demo_scores.json: what four demo models say about the planted sentences and their controls.

usage: demo_scores.py ../../../testdata/demo > demo_scores.json
torch 2.15, transformers 5.23, float32. Per text: tokens of the sentence after the prefix "Sealed by the author:" (the
sentence starts with its space), and per model the sum of their log-probabilities in float64, the same over prefix and sentence without the
very first token (`whole`), and the number of greedy ones.
"""
import json, sys, torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
torch.set_num_threads(2)
D = sys.argv[1]
g = json.load(open(D + '/ghosts.json'))
tk = PreTrainedTokenizerFast(tokenizer_file=D + '/alice/tokenizer.json')
prefix = g['prefix'].rstrip(' ')
ids = {x['id']: tk.encode(prefix + ' ' + x['text'], add_special_tokens=False) for x in g['planted'] + g['controls']}
n = len(tk.encode(prefix, add_special_tokens=False))
out = {'context': n, 'tokens': {k: len(v) - n for k, v in ids.items()}, 'models': {}}
for name in ['alice', 'bob', 'carol', 'reference']:
    m = AutoModelForCausalLM.from_pretrained(D + '/' + name, dtype=torch.float32).eval()
    res, greedy, whole = {}, {}, {}
    with torch.no_grad():
        for k, v in ids.items():
            lp = torch.log_softmax(m(torch.tensor([v])).logits[0].double(), -1)
            rows = [lp[i - 1, v[i]].item() for i in range(1, len(v))]
            res[k] = round(sum(rows[n - 1:]), 4)
            whole[k] = round(sum(rows), 4)
            greedy[k] = sum(int(lp[i - 1].argmax() == v[i]) for i in range(n, len(v)))
    out['models'][name] = {'sentence': res, 'whole': whole, 'greedy': greedy}
    mean = {k: whole[k] / (len(v) - 1) for k, v in ids.items()}
    c = [mean[x['id']] for x in g['controls']]
    print(name, [1 + sum(y >= mean[x['id']] for y in c) for x in g['planted']], file=sys.stderr)  # as in the demo's README
print(json.dumps(out, separators=(',', ':')))

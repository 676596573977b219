#!/usr/bin/env python3
"""Times torch + transformers and llama.cpp beside `assay bench`: the same random
weights, the same ids, float32, the log-probability of every token by a full
log-softmax. Programs take turns within a round, so that all meet the same
machine; each figure is the median of the rounds. Processor time stands beside
the clock on the wall: on a machine that others use, compare by that.

    python testdata/peers/peers.py --assay bin/assay [--rounds 2] [--json out.json]

torch: sdpa attention, no cache, log-softmax in chunks of 256 rows. llama.cpp:
an F32 GGUF of the same weights, one sequence at a time (n_ubatch 512), its
log-softmax by torch on the logits it leaves. Peak memory is the largest
resident size of each process, imports and all.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

SHAPES = {
    "70m": dict(kind="gpt_neox", vocab=50304, width=512, layers=6, heads=8, ff=2048),
    "160m": dict(kind="gpt_neox", vocab=50304, width=768, layers=12, heads=12, ff=3072),
    "410m": dict(kind="gpt_neox", vocab=50304, width=1024, layers=24, heads=16, ff=4096),
    "llama-135m": dict(kind="llama", vocab=49152, width=576, layers=30, heads=9, kv=3, ff=1536),
}
CHUNK = 256


def ids_of(batch, seq, vocab):
    """The ids that `assay bench` makes (bench.IDs)."""
    x, rows = 1, []
    for _ in range(batch):
        row = []
        for _ in range(seq + 1):
            x = (x * 1103515245 + 12345) % 2**31
            row.append((x >> 8) % vocab)
        rows.append(row)
    return rows


def make_model(shape):
    import torch
    import transformers

    s = SHAPES[shape]
    torch.manual_seed(1)
    common = dict(vocab_size=s["vocab"], hidden_size=s["width"], num_hidden_layers=s["layers"], num_attention_heads=s["heads"],
                  intermediate_size=s["ff"], max_position_embeddings=2048)
    if s["kind"] == "gpt_neox":
        c = transformers.GPTNeoXConfig(**common, hidden_act="gelu", rotary_pct=0.25, use_parallel_residual=True)
        return transformers.GPTNeoXForCausalLM._from_config(c)
    c = transformers.LlamaConfig(**common, num_key_value_heads=s["kv"], rms_norm_eps=1e-5, tie_word_embeddings=True)
    return transformers.LlamaForCausalLM._from_config(c)


def write_gguf(shape, m, path):
    """The weights as llama.cpp reads them; it needs no tokenizer for ids."""
    import gguf
    import numpy as np

    s = SHAPES[shape]
    H, hd = s["heads"], s["width"] // s["heads"]
    arch = "gptneox" if s["kind"] == "gpt_neox" else "llama"
    w = gguf.GGUFWriter(path, arch)
    w.add_context_length(2048)
    w.add_embedding_length(s["width"])
    w.add_block_count(s["layers"])
    w.add_feed_forward_length(s["ff"])
    w.add_head_count(H)
    w.add_vocab_size(s["vocab"])
    w.add_tokenizer_model("no_vocab")
    w.add_file_type(0)
    sd = {k: v.numpy() for k, v in m.state_dict().items()}
    put = lambda name, x: w.add_tensor(name, np.ascontiguousarray(x, dtype=np.float32))
    if arch == "gptneox":
        w.add_rope_dimension_count(int(hd * 0.25))
        w.add_layer_norm_eps(1e-5)
        w.add_parallel_residual(True)
        split = lambda x: x.reshape(H, 3, hd, -1).swapaxes(0, 1).reshape(x.shape)  # per head -> q, k, v
        put("token_embd.weight", sd["gpt_neox.embed_in.weight"])
        put("output.weight", m.get_output_embeddings().weight.detach().numpy())
        for x in ("weight", "bias"):
            put(f"output_norm.{x}", sd[f"gpt_neox.final_layer_norm.{x}"])
        for i in range(s["layers"]):
            p, b = f"gpt_neox.layers.{i}.", f"blk.{i}."
            for x in ("weight", "bias"):
                put(b + f"attn_norm.{x}", sd[p + f"input_layernorm.{x}"])
                put(b + f"ffn_norm.{x}", sd[p + f"post_attention_layernorm.{x}"])
                put(b + f"attn_qkv.{x}", split(sd[p + f"attention.query_key_value.{x}"]))
                put(b + f"attn_output.{x}", sd[p + f"attention.dense.{x}"])
                put(b + f"ffn_up.{x}", sd[p + f"mlp.dense_h_to_4h.{x}"])
                put(b + f"ffn_down.{x}", sd[p + f"mlp.dense_4h_to_h.{x}"])
    else:
        w.add_head_count_kv(s["kv"])
        w.add_rope_dimension_count(hd)
        w.add_layer_norm_rms_eps(1e-5)
        swap = lambda x, n: x.reshape(n, 2, x.shape[0] // n // 2, -1).swapaxes(1, 2).reshape(x.shape)  # pairs side by side
        put("token_embd.weight", sd["model.embed_tokens.weight"])
        put("output_norm.weight", sd["model.norm.weight"])
        for i in range(s["layers"]):
            p, b = f"model.layers.{i}.", f"blk.{i}."
            put(b + "attn_norm.weight", sd[p + "input_layernorm.weight"])
            put(b + "ffn_norm.weight", sd[p + "post_attention_layernorm.weight"])
            put(b + "attn_q.weight", swap(sd[p + "self_attn.q_proj.weight"], H))
            put(b + "attn_k.weight", swap(sd[p + "self_attn.k_proj.weight"], s["kv"]))
            put(b + "attn_v.weight", sd[p + "self_attn.v_proj.weight"])
            put(b + "attn_output.weight", sd[p + "self_attn.o_proj.weight"])
            for x in ("gate", "up", "down"):
                put(b + f"ffn_{x}.weight", sd[p + f"mlp.{x}_proj.weight"])
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


# Workers: one process each, the model loaded once; a line on standard input is a pass.


def cpu_seconds():
    t = os.times()
    return t.user + t.system


def peak_bytes():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return 0


def serve(score):
    """Answers every line with the time of one pass."""
    score()
    print(json.dumps({"ready": True}), flush=True)
    for _ in sys.stdin:
        cpu, wall = cpu_seconds(), time.perf_counter()
        logprob = score()
        print(json.dumps({"wall": time.perf_counter() - wall, "cpu": cpu_seconds() - cpu, "logprob": logprob, "memory": peak_bytes()}), flush=True)


def worker_torch(folder, ids, threads):
    import torch
    import transformers

    torch.set_num_threads(threads)
    m = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa").eval()
    ids = torch.tensor(ids)

    def score():
        with torch.inference_mode():
            h = m.base_model(ids[:, :-1], use_cache=False).last_hidden_state.flatten(0, 1)
            t, head, out = ids[:, 1:].flatten(), m.get_output_embeddings(), []
            for i in range(0, len(h), CHUNK):
                z = torch.log_softmax(head(h[i:i + CHUNK]), -1)
                out.append(z.gather(1, t[i:i + CHUNK, None]))
            return torch.cat(out).double().mean().item()

    serve(score)


def worker_llama(path, ids, threads):
    import ctypes

    import llama_cpp as L
    import torch

    torch.set_num_threads(threads)
    seq = len(ids[0]) - 1
    L.llama_backend_init()
    mute = L.llama_log_callback(lambda *_: None)
    L.llama_log_set(mute, None)
    mp = L.llama_model_default_params()
    model = L.llama_model_load_from_file(path.encode(), mp)
    if not model:
        sys.exit("llama.cpp could not read the model")
    cp = L.llama_context_default_params()
    cp.n_ctx, cp.n_batch, cp.n_ubatch, cp.n_threads, cp.n_threads_batch = seq, seq, 512, threads, threads
    ctx = L.llama_init_from_model(model, cp)
    V = L.llama_vocab_n_tokens(L.llama_model_get_vocab(model))
    batch = L.llama_batch_init(seq, 0, 1)
    targets = torch.tensor([r[1:] for r in ids])

    def score():
        total = 0.0
        for r, row in enumerate(ids):
            L.llama_memory_clear(L.llama_get_memory(ctx), True)
            batch.n_tokens = seq
            for i in range(seq):
                batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = row[i], i, 1, 1
                batch.seq_id[i][0] = 0
            if L.llama_decode(ctx, batch) != 0:
                sys.exit("llama_decode failed")
            at = ctypes.addressof(L.llama_get_logits(ctx).contents)
            z = torch.frombuffer((ctypes.c_float * (seq * V)).from_address(at), dtype=torch.float32).view(seq, V)
            for i in range(0, seq, CHUNK):
                lp = torch.log_softmax(z[i:i + CHUNK], -1)
                total += lp.gather(1, targets[r, i:i + CHUNK, None]).double().sum().item()
        return total / (len(ids) * seq)

    with torch.inference_mode():
        serve(score)


class Worker:
    def __init__(self, name, args, log):
        self.p = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--worker", name, *args],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)

    def line(self):
        s = self.p.stdout.readline()
        return json.loads(s) if s else None

    def turn(self):
        self.p.stdin.write("go\n")
        self.p.stdin.flush()
        return self.line()

    def close(self):
        self.p.stdin.close()
        self.p.wait()


def assay(binary, folder, a, more):
    cmd = [binary, "bench", folder, "--batch", str(a.batch), "--seq", str(a.seq), "--repeat", "1", "--threads", str(a.threads), "--json", *more]
    r = json.loads(subprocess.run(cmd, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return {"wall": r["wall_seconds"][0], "cpu": r["cpu_seconds"][0], "logprob": r["mean_logprob"], "memory": r["peak_memory_bytes"],
            "load": r["load_seconds"], "peak_cpu": r["peak_gflops_per_cpu_second"], "flop": r["flop_per_token"],
            "products": (r["products"] or {}).get("gflops_per_cpu_second")}


def run_shape(shape, a, scratch, log):
    folder = os.path.join(scratch, shape)
    args = ["--shape", shape, "--dir", folder, "--batch", str(a.batch), "--seq", str(a.seq), "--threads", str(a.threads)]
    subprocess.run([sys.executable, os.path.abspath(__file__), "--worker", "make", *args] + (["--no-llama"] if a.no_llama else []), check=True, stderr=log)
    workers = {"torch": Worker("torch", args, log)}
    if not a.no_llama:
        workers["llama.cpp"] = Worker("llama", args, log)
    for name in list(workers):
        if not workers[name].line():
            print(f"note: {name} does not run here; see {log.name}", file=sys.stderr)
            del workers[name]
    rows = {}
    for _ in range(a.rounds):
        for name, turn in [("assay", lambda: assay(a.assay, folder, a, ["--logprob"])),
                           *((n, w.turn) for n, w in workers.items()),
                           ("assay, all statistics", lambda: assay(a.assay, folder, a, []))]:
            rows.setdefault(name, []).append(turn())
    for w in workers.values():
        w.close()
    tokens = a.batch * a.seq
    out = {}
    for name, rs in rows.items():
        med = lambda k: statistics.median(r[k] for r in rs)
        walls = [r["wall"] for r in rs]
        out[name] = {"tokens_per_second": tokens / med("wall"), "tokens_per_cpu_second": tokens / med("cpu"), "peak_memory_bytes": max(r["memory"] for r in rs),
                     "spread": (max(walls) - min(walls)) / med("wall"), "mean_logprob": rs[0]["logprob"]}
        if "flop" in rs[0]:
            rate, top = med("flop") * tokens / med("cpu") / 1e9, max(r["peak_cpu"] for r in rs)
            out[name] |= {"gflops_per_cpu_second": rate, "share_of_peak": rate / top, "load_seconds": med("load"), "products": rs[0]["products"]}
    return out


def show(shape, out, a):
    base = out["assay"]
    print(f"\n{shape}, {a.batch} x {a.seq}, {a.threads} threads, {a.rounds} rounds")
    print(f"{'':24}{'tok/s':>8}{'spread':>8}{'tok/cpu-s':>11}{'peak MB':>9}{'mean ln p':>12}   assay/it: clock  cpu")
    for name, r in out.items():
        print(f"{name:24}{r['tokens_per_second']:8.0f}{100 * r['spread']:7.0f}%{r['tokens_per_cpu_second']:11.0f}{r['peak_memory_bytes'] / 1e6:9.0f}{r['mean_logprob']:12.6f}"
              f"{base['tokens_per_second'] / r['tokens_per_second']:18.2f}{base['tokens_per_cpu_second'] / r['tokens_per_cpu_second']:6.2f}", flush=True)
    print(f"{'':24}assay: {100 * base['share_of_peak']:.0f} % of the multiply-add peak by processor time, loaded in {base['load_seconds']:.2f} s")


def markdown(result):
    """The table of the README: clock, ratios by clock (and by processor time), memory."""
    print("\n| shape | assay, tokens/s | torch | llama.cpp | assay / torch | assay / llama.cpp | peak MB: assay, torch, llama.cpp |")
    print("|---|---|---|---|---|---|---|")
    for shape, out in result["shapes"].items():
        base = out["assay"]
        peers = [out.get(n) for n in ("torch", "llama.cpp")]
        speed = [f"{r['tokens_per_second']:.0f}" if r else "" for r in [base, *peers]]
        ratio = [f"{base['tokens_per_second'] / r['tokens_per_second']:.2f} ({base['tokens_per_cpu_second'] / r['tokens_per_cpu_second']:.2f})" if r else "" for r in peers]
        memory = ", ".join(f"{r['peak_memory_bytes'] / 1e6:.0f}" for r in [base, *peers] if r)
        print(f"| {shape} | {' | '.join(speed)} | {' | '.join(ratio)} | {memory} |")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--assay", default="bin/assay")
    p.add_argument("--shapes", default="70m,160m,llama-135m")
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--seq", type=int, default=512)
    p.add_argument("--rounds", type=int, default=2)
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--json", help="write the figures here")
    p.add_argument("--no-llama", action="store_true")
    p.add_argument("--worker", help=argparse.SUPPRESS)
    p.add_argument("--shape", help=argparse.SUPPRESS)
    p.add_argument("--dir", help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.worker == "make":
        m = make_model(a.shape)
        m.save_pretrained(a.dir)
        if not a.no_llama:
            write_gguf(a.shape, m, a.dir + ".gguf")
        return
    if a.worker:
        ids = ids_of(a.batch, a.seq, SHAPES[a.shape]["vocab"])
        if a.worker == "torch":
            worker_torch(a.dir, ids, a.threads)
        else:
            worker_llama(a.dir + ".gguf", ids, a.threads)
        return
    result = {"started": time.strftime("%Y-%m-%d"), "batch": a.batch, "seq": a.seq, "threads": a.threads, "rounds": a.rounds, "shapes": {}}
    with tempfile.TemporaryDirectory() as scratch, open(os.path.join(tempfile.gettempdir(), "peers.log"), "w") as log:
        for shape in a.shapes.split(","):
            result["shapes"][shape] = run_shape(shape, a, scratch, log)
            show(shape, result["shapes"][shape], a)
    markdown(result)
    if a.json:
        with open(a.json, "w") as f:
            json.dump(result, f, indent=1)


if __name__ == "__main__":
    main()

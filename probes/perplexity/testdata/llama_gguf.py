"""Writes an F32 GGUF of a demo GPT-NeoX checkpoint for llama-perplexity; what that printed stands in cmd/assay/tools_test.go.

usage: llama_gguf.py ../../../testdata/demo/alice alice.gguf 0|1     (1: the vocabulary puts BOS in front)
gguf 0.19.0, safetensors 0.8, torch 2.15. llama-perplexity of llama.cpp 0c1e570 (as in the source package of llama-cpp-python 0.3.36), built for
the CPU, on the first six `kjv` texts of testdata/demo/texts.json joined by line feeds:
    llama-perplexity -m alice.gguf -f t.txt -c 64 -b 64 -t 1 --no-warmup
    llama-perplexity -m alice.gguf -f t.txt -c 240 -b 240 --ppl-stride 32 -t 1 --no-warmup      (context 240 + 32/2, a multiple of 256)
"""
import sys,json,numpy as np,gguf
from safetensors.torch import load_file
D,out,addbos=sys.argv[1],sys.argv[2],sys.argv[3]=='1'
c=json.load(open(D+'/config.json')); t=json.load(open(D+'/tokenizer.json')); T={k:v.float().numpy() for k,v in load_file(D+'/model.safetensors').items()}
w=gguf.GGUFWriter(out,'gptneox')
H=c['hidden_size'];NH=c['num_attention_heads'];HD=H//NH
w.add_name('demo'); w.add_context_length(c['max_position_embeddings']); w.add_embedding_length(H); w.add_block_count(c['num_hidden_layers'])
w.add_feed_forward_length(c['intermediate_size']); w.add_rope_dimension_count(int(HD*.25)); w.add_head_count(NH); w.add_parallel_residual(True); w.add_layer_norm_eps(c['layer_norm_eps'])
w.add_vocab_size(c['vocab_size']); w.add_file_type(gguf.LlamaFileType.ALL_F32); w.add_rope_freq_base(10000.0)
v=t['model']['vocab']; inv=[None]*c['vocab_size']
for k,i in v.items(): inv[i]=k
types=[1]*len(inv)
for a in t['added_tokens']: inv[a['id']]=a['content']; types[a['id']]=3
w.add_tokenizer_model('gpt2'); w.add_tokenizer_pre('gpt-2'); w.add_token_list(inv); w.add_token_types(types)
w.add_token_merges([m if isinstance(m,str) else ' '.join(m) for m in t['model']['merges']])
w.add_bos_token_id(0); w.add_eos_token_id(0); w.add_add_bos_token(addbos)
def add(n,a): w.add_tensor(n,np.ascontiguousarray(a,dtype=np.float32))
p='gpt_neox.'
add('token_embd.weight',T[p+'embed_in.weight']); add('output.weight',T['embed_out.weight'])
for s in ('weight','bias'): add('output_norm.'+s,T[p+'final_layer_norm.'+s])
for i in range(c['num_hidden_layers']):
    q=f'{p}layers.{i}.'; b=f'blk.{i}.'
    for s in ('weight','bias'):
        add(b+'attn_norm.'+s,T[q+'input_layernorm.'+s]); add(b+'ffn_norm.'+s,T[q+'post_attention_layernorm.'+s])
        a=T[q+'attention.query_key_value.'+s]
        if s=='weight': a=a.reshape(NH,3,HD,H); a=np.concatenate([a[:,k].reshape(H,H) for k in range(3)])
        else: a=a.reshape(NH,3,HD); a=np.concatenate([a[:,k].reshape(H) for k in range(3)])
        add(b+'attn_qkv.'+s,a); add(b+'attn_output.'+s,T[q+'attention.dense.'+s])
        add(b+'ffn_up.'+s,T[q+'mlp.dense_h_to_4h.'+s]); add(b+'ffn_down.'+s,T[q+'mlp.dense_4h_to_h.'+s])
w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()

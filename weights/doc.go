// Package weights answers: what tensors and what configuration are in this
// checkpoint, bit for bit, and which checkpoint is it?
//
// It reads safetensors (one file or shards with an index, in a plain folder or
// in the layout of the Hugging Face cache) with config.json, and GGUF, whose
// names, layouts and keys it hands out as Hugging Face has them. Opening reads
// headers only and maps the files; a tensor's bytes are touched when F32,
// Bits16 or Scan asks for them.
//
// It refuses instead of guessing: a header that lies (lengths, overlaps, gaps,
// overflow, duplicate keys), a link or a shard name that leaves the folder, an
// index and a single file side by side, pickles (never read, because reading
// one runs code), a missing or mistyped configuration value, non-finite
// weights. It never allocates by a length that a file merely claims. What is
// wrong with the input carries fault class Input; a file that changes while it
// is in use carries class Retry, code "changed".
//
// The formats are those of the safetensors library's README and of ggml's
// docs/gguf.md; what llama.cpp's converters changed is undone, and each
// architecture is checked against the converter itself. GGUF does not store
// everything: Mistral's and StarCoder2's sliding window, an activation other
// than the family's, Gemma's query_pre_attn_scalar and Gemma 3's pattern of
// sliding layers are lost, and are taken as llama.cpp takes them. The rotary tables
// follow transformers 5.23 (modeling_rope_utils). The digest of the
// weights is defined at Digests; it does not depend on sharding, tensor order
// or metadata, so it names the weights and not the files.
package weights

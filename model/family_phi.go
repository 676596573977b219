package model

import (
	"strings"

	"assay/weights"
)

// phi: Phi 1, 1.5 and 2.
func phi() *Family {
	d := modern{
		vocab: 51200, width: 2048, inner: 8192, layers: 24, heads: 32, positions: 2048,
		actKey: "hidden_act", act: "gelu_new",
		norm: Norm{Kind: LayerNorm, Gain: true, Bias: true}, epsKey: "layer_norm_eps", eps: 1e-5,
	}
	n := llamaNames()
	n.Final = "final_layernorm"
	for slot, name := range map[string]string{"qn": "self_attn.q_layernorm", "kn": "self_attn.k_layernorm", "o": "self_attn.dense", "up": "mlp.fc1", "down": "mlp.fc2"} {
		n.Block[slot] = name
	}
	delete(n.Block, "gate")
	return &Family{
		Name:  "phi",
		Says:  "parallel from one LN, plain MLP, part of each head rotated, biases everywhere, also on the head; Phi 1 to 2",
		Keys:  d.keys(ropeKeys("partial_rotary_factor", "qk_layernorm")...),
		Names: n, Ignorable: llamaIgnorable(),
		spec: func(c *conf) (*Spec, error) {
			s, b, layers := d.read(c)
			s.Head.Bias = true
			b.Form = Par1
			b.Attn.bias(true)
			b.MLP.bias(true)
			if c.BoolOr("qk_layernorm", false) {
				b.Attn.QKNorm = &QKNorm{Norm: b.Norm, Scope: ScopeHead}
			}
			var err error
			if b.Attn.Rope, err = c.rotary(weights.RoPEDefaults{Theta: 10000, Partial: .5, PartialKeys: []string{"partial_rotary_factor"}, MaxPositions: s.Positions},
				b.Attn.HeadDim, false); err != nil {
				return s, err
			}
			return s, s.repeat(layers, func(int) Block { return b })
		},
	}
}

// fusedNames: q, k and v in one matrix where qkv is given, gate and up in another.
func fusedNames(n Names, qkv bool) Names {
	if qkv {
		n.Block["qkv"] = "self_attn.qkv_proj"
	}
	n.Block["gateup"] = "mlp.gate_up_proj"
	return n
}

// phi3: Phi-3, Phi-3.5 and Phi-4 (mini).
func phi3() *Family {
	d := modern{
		vocab: 32064, width: 3072, inner: 8192, layers: 32, heads: 32, positions: 4096,
		actKey: "hidden_act", act: "silu", gated: true,
		norm: Norm{Kind: RMSNorm, Gain: true}, epsKey: "rms_norm_eps", eps: 1e-5,
	}
	return &Family{
		Name:  "phi3",
		Says:  "as llama with fused q, k, v and fused gate, up, a sliding window, longrope; Phi-3, Phi-3.5, Phi-4",
		Keys:  d.keys(ropeKeys("partial_rotary_factor", "sliding_window")...),
		Names: fusedNames(llamaNames(), true), Ignorable: llamaIgnorable(),
		spec: func(c *conf) (*Spec, error) {
			s, b, layers := d.read(c)
			b.Attn.Window = c.window("sliding_window", 0)
			r := c.RoPE(weights.RoPEDefaults{Theta: 10000, PartialKeys: []string{"partial_rotary_factor"}, Types: []string{"default", "longrope"}, MaxPositions: s.Positions})
			if r.Type == "longrope" && !c.Has("original_max_position_embeddings") && !strings.HasSuffix(c.Source(), ".gguf") {
				// transformers' class has the key with a default, which wins over
				// what stands inside rope_scaling. (GGUF has one place for it.)
				c.Refuse("original_max_position_embeddings", "the length before scaling, where longrope is used")
			}
			if err := c.Err(); err != nil {
				return s, err
			}
			var err error
			if b.Attn.Rope, err = rope(r, b.Attn.HeadDim, false); err != nil {
				return s, err
			}
			return s, s.repeat(layers, func(int) Block { return b })
		},
	}
}

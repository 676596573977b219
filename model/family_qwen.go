package model

// qwenWindows reads the sliding keys of Qwen: only with use_sliding_window, in
// the layers that layer_types names, else in those from max_window_layers on.
func qwenWindows(c *conf) func(l int) int {
	w := 0
	if c.BoolOr("use_sliding_window", false) {
		w = c.IntOrNull("sliding_window", 4096, 0)
		if w <= 0 && c.Has("sliding_window") {
			c.Refuse("sliding_window", "at least 1, or null")
		}
	} else {
		c.IntOrNull("sliding_window", 4096, 0) // read by nobody, but a key of the family
	}
	from := c.IntOr("max_window_layers", 28)
	if !c.Has("layer_types") {
		c.Null("layer_types")
		return func(l int) int {
			if l >= from {
				return w
			}
			return 0
		}
	}
	types := c.layerTypes()
	return func(l int) int {
		if l < len(types) && types[l] == slidingAttention {
			if w == 0 {
				c.Refuse("layer_types", "no sliding layers where use_sliding_window is false or sliding_window null")
			}
			return w
		}
		return 0
	}
}

const (
	slidingAttention = "sliding_attention"
	fullAttention    = "full_attention"
)

// layerTypes reads layer_types, one of the two kinds for each layer.
func (c *conf) layerTypes() []string {
	types := c.Strings("layer_types")
	if n := c.Int("num_hidden_layers"); len(types) != n {
		c.Refuse("layer_types", "%d entries, one per layer", n)
	}
	for _, t := range types {
		if t != slidingAttention && t != fullAttention {
			c.Refuse("layer_types", "%s or %s", slidingAttention, fullAttention)
			break
		}
	}
	return types
}

// qwen2: Qwen 1.5, 2 and 2.5.
func qwen2() *Family {
	return &Family{
		Name:  "qwen2",
		Says:  "as llama with a bias on q, k and v; Qwen 1.5, 2, 2.5",
		Keys:  llamaKeys("use_sliding_window", "sliding_window", "max_window_layers", "layer_types"),
		Names: llamaNames(), Ignorable: llamaIgnorable(),
		spec: func(c *conf) (*Spec, error) {
			return llamaSpec(c, llamaLike{positions: 32768, kv: 32, bias: true, window: qwenWindows(c)})
		},
	}
}

// qwen3: Qwen 3, dense.
func qwen3() *Family {
	return &Family{
		Name:  "qwen3",
		Says:  "as llama with an RMS norm on each head of q and k; Qwen 3 dense",
		Keys:  llamaKeys("attention_bias", "use_sliding_window", "sliding_window", "max_window_layers", "layer_types"),
		Names: llamaNames(), Ignorable: llamaIgnorable(),
		spec: func(c *conf) (*Spec, error) {
			bias := c.BoolOr("attention_bias", false)
			return llamaSpec(c, llamaLike{positions: 32768, kv: 32, headDim: 128, bias: bias, biasO: bias, qkNorm: true, window: qwenWindows(c)})
		},
	}
}

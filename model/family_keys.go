package model

import (
	"math"
	"slices"
	"strings"

	"assay/weights"
)

// Readings of keys that the dense families share. A missing key takes the value
// that transformers 5.23 gives it for that model_type; null is accepted where
// transformers accepts it.

// intOf reads a whole number that may stand under several names; all that are
// there have to agree.
func (c *conf) intOf(missing int, keys ...string) int {
	v, from := missing, ""
	for _, k := range keys {
		if !c.Has(k) && !c.Null(k) {
			continue
		}
		x := c.Int(k) // null is an error
		if from != "" && x != v {
			c.Refuse(k, "%d as in %s", v, from)
		}
		if from == "" {
			v, from = x, k
		}
	}
	if from == "" {
		c.NoteDefault(keys[0], missing)
	}
	return v
}

// positive reads a number above 0.
func (c *conf) positive(key string, missing float64) Float {
	v := c.FloatOr(key, missing)
	if c.Has(key) && !(v > 0) {
		c.Refuse(key, "a positive number")
	}
	return Float(v)
}

// eps reads the epsilon of a norm.
func (c *conf) eps(key string, missing float64) Float {
	v := c.FloatOr(key, missing)
	if v < 0 {
		c.Refuse(key, "a number of at least 0")
	}
	return Float(v)
}

// nonzero reads a multiplier; 0 would erase what it multiplies.
func (c *conf) nonzero(key string, missing float64) Float {
	v := c.FloatOr(key, missing)
	if c.Has(key) && v == 0 {
		c.Refuse(key, "a number other than 0")
	}
	return Float(v)
}

// cap reads a bound whose null means none.
func (c *conf) cap(key string, missing float64) Float {
	v := c.FloatOrNull(key, missing, 0)
	if c.Has(key) && !(v > 0) {
		c.Refuse(key, "a positive number, or null")
	}
	return Float(v)
}

// window reads a sliding window whose null means none.
func (c *conf) window(key string, missing int) int {
	w := c.IntOrNull(key, missing, 0)
	if c.Has(key) && w <= 0 {
		c.Refuse(key, "at least 1, or null")
	}
	return w
}

// onlyBool refuses a switch that transformers does not read, or reads and this
// program does not run, unless it stands at the value that is computed.
func (c *conf) onlyBool(want bool, keys ...string) {
	for _, k := range keys {
		if c.Has(k) && c.BoolOr(k, want) != want {
			c.Refuse(k, "%t", want)
		}
	}
}

// onlyString is onlyBool for words; the empty string stands for none.
func (c *conf) onlyString(key string, want ...string) {
	if c.Has(key) && !slices.Contains(want, c.String(key)) {
		c.Refuse(key, "%s", strings.Join(want, " or "))
	}
}

// onlyInt is onlyBool for whole numbers.
func (c *conf) onlyInt(key string, want int) {
	if c.Has(key) && c.Int(key) != want {
		c.Refuse(key, "%d", want)
	}
}

// headDim is width / heads, refused where it is not whole.
func (c *conf) headDim(key string, width, heads int) int {
	if heads <= 0 || width <= 0 || width%heads != 0 {
		c.Refuse(key, "a divisor of the width %d", width)
		return 0
	}
	return width / heads
}

// maxLayers is a count beyond any model, so that a lying config costs nothing.
const maxLayers = 4096

// invSqrt is n^-1/2.
func invSqrt(n int) Float { return Float(1 / math.Sqrt(float64(n))) }

// modern is what differs between the families whose keys are named as Llama's:
// the values of missing keys, and the form of norm and MLP.
type modern struct {
	vocab, width, inner, layers, heads, positions int
	kv                                            int  // 0 = heads
	kvNull                                        bool // null means heads; where false and kv is not 0, null is refused
	headDim                                       int  // 0 = width / heads
	actKey                                        string
	act                                           string
	norm                                          Norm
	epsKey                                        string
	eps                                           float64
	gated                                         bool
	tied                                          bool
}

// keys are those that read reads, and more.
func (d modern) keys(more ...string) []string {
	k := []string{"vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim", "intermediate_size",
		d.actKey, "max_position_embeddings", "tie_word_embeddings"}
	if d.epsKey != "" {
		k = append(k, d.epsKey)
	}
	return append(k, more...)
}

// ropeKeys are the rotary keys of a family that rotates all layers alike.
func ropeKeys(more ...string) []string {
	return append([]string{"rope_theta", "rope_parameters", "rope_scaling", "original_max_position_embeddings"}, more...)
}

// read returns the Spec without layers, the block that they start from, and
// their number. The block is sequential, without biases and without rotation.
func (d modern) read(c *conf) (s *Spec, b Block, layers int) {
	d.norm.Eps = Float(d.eps)
	if d.epsKey != "" {
		d.norm.Eps = c.eps(d.epsKey, d.eps)
	}
	s = &Spec{
		Vocab: c.IntOr("vocab_size", d.vocab), Width: c.IntOr("hidden_size", d.width), Positions: c.IntOr("max_position_embeddings", d.positions),
		Final: &d.norm, Head: Head{Tied: c.BoolOr("tie_word_embeddings", d.tied)},
	}
	layers = c.IntOr("num_hidden_layers", d.layers)
	heads := c.IntOr("num_attention_heads", d.heads)
	kv := heads
	switch {
	case d.kv == 0:
		kv = c.IntOrNull("num_key_value_heads", heads, heads)
	case d.kvNull:
		kv = c.IntOrNull("num_key_value_heads", d.kv, heads)
	default:
		kv = c.IntOr("num_key_value_heads", d.kv)
	}
	var hd int
	switch {
	case d.headDim != 0:
		hd = c.IntOr("head_dim", d.headDim)
	case c.Has("head_dim"):
		hd = c.Int("head_dim")
	default:
		c.Null("head_dim")
		hd = c.headDim("num_attention_heads", s.Width, heads)
		c.NoteDefault("head_dim", hd)
	}
	if hd <= 0 && c.Has("head_dim") {
		c.Refuse("head_dim", "at least 1")
	}
	b = Block{
		Form: Seq, Norm: d.norm,
		Attn: Attn{Heads: heads, KVHeads: kv, HeadDim: hd, Scale: invSqrt(max(1, hd))},
		MLP:  MLP{Width: c.IntOr("intermediate_size", d.inner), Act: c.activation(d.actKey, d.act), Gated: d.gated},
	}
	return s, b, layers
}

// rotary reads the keys of a rotation that all layers share.
func (c *conf) rotary(d weights.RoPEDefaults, hd int, interleaved bool) (*Rope, error) {
	r := c.RoPE(d)
	if err := c.Err(); err != nil {
		return nil, err
	}
	return rope(r, hd, interleaved)
}

// bias puts biases on q, k, v and the output projection.
func (a *Attn) bias(on bool) { a.Bias, a.BiasO = on, on }

// bias puts biases on all matrices of the MLP.
func (m *MLP) bias(on bool) { m.Bias, m.BiasDown = on, on }

// sliding tells which of n layers slide: those that layer_types names, else all
// but every pattern-th. The pattern may stand under the given keys; where
// layer_types stands as well, both have to say the same. Transformers writes the
// pattern a second time, with an underscore, and does not read it: it may be off
// where layer_types stands.
func (c *conf) sliding(n, pattern int, patternKeys ...string) func(l int) bool {
	given := ""
	for _, k := range patternKeys {
		if !c.Has(k) {
			c.Null(k)
			continue
		}
		p := c.Int(k)
		switch {
		case p < 1:
			c.Refuse(k, "at least 1")
			return func(int) bool { return false }
		case given != "" && p != pattern:
			c.Refuse(k, "%d as in %s", pattern, given)
		}
		pattern, given = p, k
	}
	byPattern := func(l int) bool { return (l+1)%pattern != 0 }
	const written = "_sliding_window_pattern"
	if !c.Has("layer_types") {
		c.Null("layer_types")
		if len(patternKeys) > 0 {
			c.onlyInt(written, pattern)
		}
		return byPattern
	}
	if len(patternKeys) > 0 && c.Has(written) {
		c.Int(written)
	}
	types := c.Strings("layer_types")
	if len(types) != n {
		c.Refuse("layer_types", "%d entries, one per layer", n)
	}
	for l, t := range types {
		if t != slidingAttention && t != fullAttention {
			c.Refuse("layer_types", "%s or %s", slidingAttention, fullAttention)
			break
		}
		if given != "" && (t == slidingAttention) != byPattern(l) {
			c.Refuse("layer_types", "every %d-th layer full as in %s", pattern, given)
			break
		}
	}
	return func(l int) bool { return l < len(types) && types[l] == slidingAttention }
}

// slidingWindow is window for families in which some layers slide: null is
// refused if any does.
func (c *conf) slidingWindow(n, missing int, slides func(l int) bool) int {
	w := c.window("sliding_window", missing)
	for l := range min(n, maxLayers) {
		if w == 0 && slides(l) {
			c.Refuse("sliding_window", "a number, since layer %d slides", l)
			break
		}
	}
	return w
}

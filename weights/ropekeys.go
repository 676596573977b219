package weights

import (
	"reflect"
	"slices"
	"strings"
)

const ropeTypeList = "default, linear, dynamic, llama3, yarn or longrope"

// RoPEDefaults is what a family knows about its rotary keys.
type RoPEDefaults struct {
	Theta        float64  // for a file that gives none; 0 refuses such a file
	ThetaKeys    []string // where older files keep it; nil means rope_theta
	Partial      float64  // for a file that gives none; 0 means 1
	PartialKeys  []string // where older files keep it; nil means nowhere
	Types        []string // types that the family may have; nil means all
	MaxPositions int      // max_position_embeddings as resolved
	NoScaling    bool     // older files' rope_scaling does not count for this layer type
}

// RoPE reads the rotary keys of a family that rotates all layers alike:
// rope_parameters (transformers 5), or rope_theta and rope_scaling with their
// older spellings. Where several of them stand they have to agree. Errors go
// to Err; keys that the type does not know stay unread, so Unknown finds them.
func (c *Config) RoPE(d RoPEDefaults) RoPE {
	r := ropeReader{c: c, d: d}
	if c.Has("rope_parameters") {
		r.current = c.Sub("rope_parameters")
		if nested(r.current) {
			c.Refuse("rope_parameters", "one object for all layers")
			return RoPE{}
		}
	}
	// Phi-3 keeps it here; where it stands it wins, as in transformers.
	if _, ok := c.read("original_max_position_embeddings"); ok && c.Has("original_max_position_embeddings") {
		r.original = c.Int("original_max_position_embeddings")
	}
	return r.resolve()
}

// RoPELayers reads the rotary keys of a family with a rotation per layer type
// (full_attention, sliding_attention): nested rope_parameters, or the older
// keys that each type's defaults name.
func (c *Config) RoPELayers(types map[string]RoPEDefaults) map[string]RoPE {
	var all *Config
	if c.Has("rope_parameters") {
		all = c.Sub("rope_parameters")
		if !nested(all) {
			c.Refuse("rope_parameters", "one object per layer type")
			return nil
		}
	}
	names := make([]string, 0, len(types))
	for name := range types {
		names = append(names, name)
	}
	slices.Sort(names)
	out := map[string]RoPE{}
	for _, name := range names {
		r := ropeReader{c: c, d: types[name]}
		if all != nil && all.Has(name) {
			r.current = all.Sub(name)
		}
		out[name] = r.resolve()
	}
	return out
}

// nested says whether rope_parameters holds one object per layer type.
func nested(c *Config) bool {
	return slices.ContainsFunc(c.keys, func(m member) bool { return m.value.Kind() == '{' })
}

type ropeReader struct {
	c        *Config
	d        RoPEDefaults
	current  *Config // rope_parameters, or nil
	original int     // top-level original_max_position_embeddings, or 0
}

func (r ropeReader) resolve() RoPE {
	thetaKeys := r.d.ThetaKeys
	if thetaKeys == nil {
		thetaKeys = []string{"rope_theta"}
	}
	var old *Config
	if !r.d.NoScaling && r.c.Has("rope_scaling") {
		old = r.c.Sub("rope_scaling")
	}
	var out RoPE
	switch {
	case r.current != nil && old != nil:
		out = r.scaling(r.current)
		if o := r.scaling(old); !reflect.DeepEqual(o, out) {
			r.c.Refuse("rope_scaling", "the same as rope_parameters, where both stand")
		}
	case r.current != nil:
		out = r.scaling(r.current)
	case old != nil:
		out = r.scaling(old)
	default:
		out.Type = "default"
	}
	out.MaxPositions = r.d.MaxPositions
	out.Theta = r.agree([]*Config{r.current, old}, "rope_theta", thetaKeys, r.d.Theta)
	partial := r.d.Partial
	if partial == 0 {
		partial = 1
	}
	out.Partial = r.agree([]*Config{r.current, old}, "partial_rotary_factor", r.d.PartialKeys, partial)
	if out.Partial > 1 {
		r.c.fail("malformed", "partial_rotary_factor", "found %v, want at most 1", out.Partial)
	}
	if r.d.PartialKeys == nil && out.Partial != partial {
		r.c.fail("unsupported", "rope_parameters.partial_rotary_factor", "found %v, want %v", out.Partial, partial)
	}
	return out
}

// agree reads a number that may stand in several places; all have to agree.
func (r ropeReader) agree(inside []*Config, key string, outside []string, def float64) float64 {
	value, from := 0.0, ""
	see := func(c *Config, key string) {
		if c == nil || !c.Has(key) {
			return
		}
		x, name := c.positive(key), c.prefix+key
		switch {
		case from == "":
			value, from = x, name
		case x != value:
			c.fail("malformed", key, "found %v, but %q says %v", x, from, value)
		}
	}
	for _, c := range inside {
		see(c, key)
	}
	for _, k := range outside {
		see(r.c, k)
	}
	if from != "" {
		return value
	}
	if r.current != nil {
		r.current.used[key] = true
	}
	name := key
	if len(outside) > 0 {
		name = outside[0]
	}
	if def == 0 {
		r.c.fail("malformed", name, "not found, want a number")
		return 0
	}
	if len(outside) > 0 {
		r.c.NoteDefault(name, def)
	}
	return def
}

// positive reads a number that has to be above 0.
func (c *Config) positive(key string) float64 {
	n := len(c.rec.errs)
	x := c.Float(key)
	if len(c.rec.errs) == n && !(x > 0) {
		c.fail("malformed", key, "found %v, want a positive number", x)
	}
	return x
}

// optional reads a number whose absence means that it is derived.
func (c *Config) optional(key string) float64 {
	if !c.Has(key) {
		c.used[key] = true
		return 0
	}
	return c.positive(key)
}

// kind reads the type, in either spelling.
func (r ropeReader) kind(c *Config) string {
	kind := ""
	for _, key := range []string{"rope_type", "type"} {
		if !c.Has(key) {
			continue
		}
		k := c.String(key)
		if k == "su" { // Phi-3's first name for it
			k = "longrope"
		}
		if kind != "" && k != kind {
			c.Refuse(key, "%s as in rope_type", kind)
		}
		if kind == "" {
			kind = k
		}
		r.allow(c, key, k)
	}
	if kind == "" {
		kind = "default"
	}
	return kind
}

func (r ropeReader) allow(c *Config, key, kind string) {
	switch kind {
	case "default", "linear", "dynamic", "llama3", "yarn", "longrope":
	default:
		c.Refuse(key, ropeTypeList)
		return
	}
	if r.d.Types != nil && !slices.Contains(r.d.Types, kind) {
		c.Refuse(key, "one of %s in this family", strings.Join(r.d.Types, ", "))
	}
}

// scaling reads everything but theta and the partial factor from an object.
func (r ropeReader) scaling(c *Config) RoPE {
	out := RoPE{Type: r.kind(c)}
	switch out.Type {
	case "linear", "dynamic":
		out.Factor = c.positive("factor")
	case "llama3":
		out.Factor = c.positive("factor")
		out.LowFreq, out.HighFreq = c.positive("low_freq_factor"), c.positive("high_freq_factor")
		if out.HighFreq <= out.LowFreq && c.Err() == nil {
			c.Refuse("high_freq_factor", "more than low_freq_factor %v", out.LowFreq)
		}
		out.Original = r.originalLength(c)
	case "yarn":
		out.Factor = c.positive("factor")
		out.BetaFast, out.BetaSlow = c.FloatOrNull("beta_fast", 32, 32), c.FloatOrNull("beta_slow", 1, 1)
		out.AttentionFactor = c.optional("attention_factor")
		out.MScale, out.MScaleAllDim = c.FloatOrNull("mscale", 0, 0), c.FloatOrNull("mscale_all_dim", 0, 0)
		out.Truncate = c.BoolOr("truncate", true)
		out.Original = r.originalLength(c)
	case "longrope":
		out.Factor = c.optional("factor")
		out.AttentionFactor = c.optional("attention_factor")
		out.ShortFactor, out.LongFactor = r.factors(c, "short_factor"), r.factors(c, "long_factor")
		out.Original = r.originalLength(c)
	}
	return out
}

func (r ropeReader) factors(c *Config, key string) []float64 {
	out := c.Floats(key)
	if len(out) == 0 {
		c.Refuse(key, "an array of numbers")
	}
	if i := slices.IndexFunc(out, func(f float64) bool { return !(f > 0) }); i >= 0 {
		c.Refuse(key, "positive numbers only (number %d is %v)", i, out[i])
	}
	return out
}

// originalLength is original_max_position_embeddings: the top-level key wins,
// then the object's, then max_position_embeddings.
func (r ropeReader) originalLength(c *Config) int {
	const key = "original_max_position_embeddings"
	n := 0
	switch {
	case r.original != 0:
		n = r.original
		c.used[key] = true
	case c.Has(key):
		n = c.Int(key)
	default:
		n = r.d.MaxPositions
		c.NoteDefault(key, n)
	}
	if n <= 1 {
		c.fail("malformed", key, "found %d, want more than 1", n)
	}
	return n
}

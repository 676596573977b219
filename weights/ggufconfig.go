package weights

import (
	"encoding/binary"
	"encoding/json/jsontext"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"assay/internal/fault"
	"assay/weights/internal/gguf"
)

// ggufConfig writes the config.json that a GGUF header stands for. Keys of the
// architecture that no family reads are handed on under their own names, so
// Config.Unknown finds them like any other unknown key.
type ggufConfig struct {
	arch    string
	keys    map[string]gguf.Value
	used    map[string]bool
	tensors map[string]gguf.Tensor
	factors map[string][]float64 // rope_freqs, rope_factors_long, rope_factors_short
	out     []member
	errs    []error
}

func newGGUFConfig(arch string, f *gguf.File) *ggufConfig {
	g := &ggufConfig{arch: arch, keys: f.Keys, used: map[string]bool{}, tensors: map[string]gguf.Tensor{}, factors: map[string][]float64{}}
	for _, t := range f.Tensors {
		g.tensors[t.Name] = t
	}
	return g
}

func (g *ggufConfig) fail(format string, args ...any) {
	g.errs = append(g.errs, fmt.Errorf(format, args...))
}

// set adds a key with the JSON text of its value.
func (g *ggufConfig) set(key, value string) {
	g.out = append(g.out, member{key, jsontext.Value(value)})
}

func (g *ggufConfig) text(key, value string) { g.set(key, strconv.Quote(value)) }

func (g *ggufConfig) number(key string, n int) { g.set(key, strconv.Itoa(n)) }

func (g *ggufConfig) flag(key string, b bool) { g.set(key, strconv.FormatBool(b)) }

// take reads a key of the architecture.
func (g *ggufConfig) take(key string) (gguf.Value, bool) {
	full := g.arch + "." + key
	v, ok := g.keys[full]
	g.used[full] = true
	return v, ok
}

// uint reads a whole number; an array of equal ones counts as that number.
func (g *ggufConfig) uint(key string) (n int, ok bool) {
	v, ok := g.take(key)
	if !ok {
		return 0, false
	}
	if v.Kind == gguf.Array && v.Len > 0 && v.Elem != gguf.String {
		first, _ := v.At(0).Uint()
		for i := range v.Len {
			if x, ok := v.At(i).Uint(); !ok || x != first {
				g.fail("%s.%s: found different values per layer, want one: %w", g.arch, key, gguf.ErrUnsupported)
				return 0, false
			}
		}
		v = v.At(0)
	}
	x, ok := v.Uint()
	if !ok || x > math.MaxInt32 {
		g.fail("%s.%s: found %s, want an integer up to 2^31-1", g.arch, key, v)
		return 0, false
	}
	return int(x), true
}

// need reads a whole number that has to be there.
func (g *ggufConfig) need(key string) int {
	n, ok := g.uint(key)
	if !ok && !g.has(key) {
		g.fail("%s.%s: not found, want an integer", g.arch, key)
	}
	return n
}

// has says whether a key of the architecture is there.
func (g *ggufConfig) has(key string) bool {
	_, ok := g.keys[g.arch+"."+key]
	return ok
}

// copy hands on a number or boolean under a name of Hugging Face.
func (g *ggufConfig) copy(key, from string) bool {
	v, ok := g.take(from)
	if !ok {
		return false
	}
	text, ok := v.JSON()
	if !ok || v.Kind == gguf.String || v.Kind == gguf.Array {
		g.fail("%s.%s: found %s, want a number", g.arch, from, v)
		return false
	}
	g.set(key, text)
	return true
}

// must is copy for a key that has to be there.
func (g *ggufConfig) must(key, from string) {
	if !g.copy(key, from) && !g.has(from) {
		g.fail("%s.%s: not found", g.arch, from)
	}
}

// tensor says whether the file has a tensor of that name.
func (g *ggufConfig) tensor(name string) bool {
	_, ok := g.tensors[name]
	return ok
}

// rows returns the first dimension of a tensor, 0 if it is not there.
func (g *ggufConfig) rows(name string) int {
	if t := g.tensors[name]; len(t.Shape) > 0 {
		return t.Shape[0]
	}
	return 0
}

// heads returns the numbers of heads and key-value heads.
func (g *ggufConfig) heads() (heads, kv int) {
	heads, _ = g.uint("attention.head_count")
	kv, ok := g.uint("attention.head_count_kv")
	if !ok {
		kv = heads
	}
	return heads, kv
}

// headDim returns the size of a head.
func (g *ggufConfig) headDim() int {
	if n, ok := g.uint("attention.key_length"); ok {
		return n
	}
	heads, _ := g.heads()
	width, _ := g.uint("embedding_length")
	if heads == 0 {
		return 0
	}
	return width / heads
}

// ropeTensor keeps the factors that a tensor carries for the rotation.
func (g *ggufConfig) ropeTensor(t gguf.Tensor, file []byte) error {
	name, _ := strings.CutSuffix(t.Name, ".weight")
	if !slices.Contains([]string{"rope_freqs", "rope_factors_long", "rope_factors_short"}, name) || t.Type != gguf.F32 || len(t.Shape) != 1 || t.Shape[0] > 1<<16 {
		return fault.Inputf("unsupported", "tensor %q: found %s %v, want one row of F32 rotary factors", t.Name, t.Type, t.Shape)
	}
	for i := range t.Shape[0] {
		f := math.Float32frombits(binary.LittleEndian.Uint32(file[t.At+int64(4*i):]))
		if !(f > 0) || math.IsInf(float64(f), 0) {
			return fault.Inputf("nonfinite", "tensor %q: found %v at index %d, want a positive number", t.Name, f, i)
		}
		// The shortest digits of the float32, as for every number here.
		d, err := strconv.ParseFloat(strconv.FormatFloat(float64(f), 'g', -1, 32), 64)
		if err != nil {
			return err
		}
		g.factors[name] = append(g.factors[name], d)
	}
	return nil
}

// json returns the whole configuration.
func (g *ggufConfig) json() ([]byte, error) {
	var left []string
	for key := range g.keys {
		if strings.HasPrefix(key, g.arch+".") && !g.used[key] {
			left = append(left, key)
		}
	}
	slices.Sort(left)
	for _, key := range left {
		text, ok := g.keys[key].JSON()
		if !ok {
			text = strconv.Quote(g.keys[key].String())
		}
		g.set(key, text)
	}
	if len(g.errs) > 0 {
		err := g.errs[0]
		if strings.Contains(err.Error(), gguf.ErrUnsupported.Error()) {
			return nil, fault.Inputf("unsupported", "%w", err)
		}
		return nil, err
	}
	return render(g.out)
}

// render writes an object; jsontext refuses a key that stands twice.
func render(ms []member) ([]byte, error) {
	out := []byte{'{'}
	for i, m := range ms {
		if i > 0 {
			out = append(out, ',')
		}
		var err error
		if out, err = jsontext.AppendQuote(out, m.key); err != nil {
			return nil, err
		}
		out = append(append(out, ':'), m.value...)
	}
	return append(out, '}'), nil
}

// rope returns the object for rope_parameters of layers that use the base key
// and, if scaled, the scaling of the file.
func (g *ggufConfig) rope(baseKey string, scaled bool) []member {
	ms := []member{{"rope_theta", jsontext.Value("10000.0")}}
	if v, ok := g.take(baseKey); ok {
		if text, ok := v.JSON(); ok {
			ms[0].value = jsontext.Value(text)
		} else {
			g.fail("%s.%s: found %s, want a number", g.arch, baseKey, v)
		}
	}
	// Always written: where config.json has none, some families take a quarter.
	partial := 1.0
	if dim, ok := g.uint("rope.dimension_count"); ok && g.headDim() > 0 {
		partial = float64(dim) / float64(g.headDim())
	}
	ms = append(ms, member{"partial_rotary_factor", jsontext.Value(strconv.FormatFloat(partial, 'g', -1, 64))})
	kind := "default"
	if scaled {
		var more []member
		kind, more = g.scaling()
		ms = append(ms, more...)
	}
	return append(ms, member{"rope_type", jsontext.Value(strconv.Quote(kind))})
}

// scaling reads the keys and tensors that stretch the rotation.
func (g *ggufConfig) scaling() (kind string, ms []member) {
	kind = "none"
	if v, ok := g.take("rope.scaling.type"); ok {
		kind, _ = v.Text()
	}
	add := func(key, from string) {
		if v, ok := g.take(from); ok {
			text, _ := v.JSON()
			ms = append(ms, member{key, jsontext.Value(text)})
		}
	}
	const original = "original_max_position_embeddings"
	switch long, short, freqs := g.factors["rope_factors_long"], g.factors["rope_factors_short"], g.factors["rope_freqs"]; {
	case long != nil || short != nil:
		if !g.derivedFactor() {
			add("attention_factor", "rope.scaling.attn_factor")
		}
		add(original, "rope.scaling.original_context_length")
		return "longrope", append(ms, member{"long_factor", numberList(long)}, member{"short_factor", numberList(short)})
	case freqs != nil && kind == "none":
		// Llama 3's bands, worked out by the converter in float32.
		if factor, original, ok := g.llama3(freqs); ok {
			return "llama3", append(ms, member{"factor", number(factor)}, member{"low_freq_factor", number(1)}, member{"high_freq_factor", number(4)},
				member{"original_max_position_embeddings", number(float64(original))})
		}
		// Bands of other limits: one factor per pair for any length, which is
		// longrope with two equal lists and no gain.
		return "longrope", append(ms, member{"long_factor", numberList(freqs)}, member{"short_factor", numberList(freqs)}, member{"attention_factor", jsontext.Value("1.0")})
	case freqs != nil:
		g.fail("rope_freqs and rope.scaling.type %q: found both, want one: %w", kind, gguf.ErrUnsupported)
	}
	switch kind {
	case "none":
		return "default", nil
	case "linear":
		add("factor", "rope.scaling.factor")
	case "yarn":
		add("factor", "rope.scaling.factor")
		add(original, "rope.scaling.original_context_length")
		add("attention_factor", "rope.scaling.yarn_attn_factor")
		add("beta_fast", "rope.scaling.yarn_beta_fast")
		add("beta_slow", "rope.scaling.yarn_beta_slow")
	default:
		g.fail("%s.rope.scaling.type: found %q, want none, linear, yarn or longrope with its factors: %w", g.arch, kind, gguf.ErrUnsupported)
	}
	return kind, ms
}

// derivedFactor reports whether the factor on cos and sin is the one that follows
// from the two lengths, which config.json need not hold: then it is left out, so
// that its float32 in the file costs no digits.
func (g *ggufConfig) derivedFactor() bool {
	f, ok := g.keys[g.arch+".rope.scaling.attn_factor"]
	length, ok2 := g.uint("context_length")
	original, ok3 := g.uint("rope.scaling.original_context_length")
	if !ok || !ok2 || !ok3 || original < 2 || length <= original {
		return false
	}
	if o := float64(original); float32(f.Float()) != float32(math.Sqrt(1+math.Log(float64(length)/o)/math.Log(o))) {
		return false
	}
	g.used[g.arch+".rope.scaling.attn_factor"] = true
	return true
}

// llama3 finds the factor and the original length of which the factors are Llama 3's
// bands, with the limits 1 and 4 that all of its checkpoints have.
func (g *ggufConfig) llama3(factors []float64) (factor float64, original int, ok bool) {
	base, dim := 10000.0, g.headDim()
	if v, ok := g.keys[g.arch+".rope.freq_base"]; ok {
		base = v.Float()
	}
	if n, ok := g.uint("rope.dimension_count"); ok {
		dim = n
	}
	if dim != 2*len(factors) || !(base > 1) {
		return 0, 0, false
	}
	factor = slices.Max(factors)
	bands := func(original float64) bool {
		for i, got := range factors {
			periods := original / (2 * math.Pi * math.Pow(base, float64(2*i)/float64(dim)))
			want := 1.0
			switch {
			case periods < 1:
				want = factor
			case periods <= 4:
				smooth := (periods - 1) / 3
				want = 1 / ((1-smooth)/factor + smooth)
			}
			if math.Abs(got/want-1) > 2e-6 { // float32 steps of the converter
				return false
			}
		}
		return true
	}
	for original = 1 << 4; original <= 1<<20; original *= 2 {
		if bands(float64(original)) {
			return factor, original, true
		}
	}
	return 0, 0, false
}

func number(f float64) jsontext.Value { return strconv.AppendFloat(nil, f, 'g', -1, 64) }

func numberList(fs []float64) jsontext.Value {
	out := []byte{'['}
	for i, f := range fs {
		if i > 0 {
			out = append(out, ',')
		}
		out = strconv.AppendFloat(out, f, 'g', -1, 64)
	}
	return append(out, ']')
}

func (g *ggufConfig) object(key string, ms []member) {
	text, err := render(ms)
	if err != nil {
		g.fail("%s: %w", key, err)
		return
	}
	g.set(key, string(text))
}

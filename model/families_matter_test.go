package model

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/gomlx/core/tensors"
)

// A change of any number that a family reads is refused or changes the Spec;
// limits of positions count as a change.
func TestNumbersAreRead(t *testing.T) {
	for name, m := range configs(t) {
		_, f, want, err := resolveMap(t, m)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, n := range numbers(m, f, "") {
			restore := n.set(changed(n.key, n.value))
			_, _, got, err := resolveMap(t, m)
			restore()
			if err == nil && digest(t, got) == digest(t, want) && !inertHere(name, n.key) {
				t.Errorf("%s: %s from %v to %v changes nothing", name, n.key, n.value, changed(n.key, n.value))
			}
		}
	}
}

// limits are numbers that bound the length of a text and change no value.
var limits = []string{"max_position_embeddings", "n_positions", "max_seq_len"}

// inertHere lists keys that mean nothing beside the others of a configuration.
func inertHere(name, key string) bool {
	switch key {
	case "num_kv_heads": // one key head with multi_query, whatever it says
		return strings.HasPrefix(name, "falcon-multiquery")
	case "original_max_position_embeddings": // without scaling
		return name == "phi3"
	case "sliding_window", "max_window_layers": // without use_sliding_window
		if name == "qwen2_moe-steps" { // even layers below it slide
			return key == "max_window_layers"
		}
		return name == "qwen2" || name == "qwen3" || name == "qwen3_moe" || name == "qwen2_moe"
	case "max_position_embeddings": // ALiBi has no limit
		return strings.HasPrefix(name, "falcon-")
	case "intermediate_size": // of dense layers, and all have experts
		return name == "qwen2_moe" || name == "qwen3_moe"
	case "no_rope_layer_interval": // beside the list
		return name == "smollm3" || name == "smollm3-layers"
	}
	return false
}

func digest(t *testing.T, s *Spec) string {
	t.Helper()
	d, err := s.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// configNumber is a number somewhere in a configuration.
type configNumber struct {
	key   string
	value float64
	set   func(v float64) (restore func())
}

// numbers lists the numbers under keys that f reads.
func numbers(m map[string]any, f *Family, prefix string) []configNumber {
	var out []configNumber
	var walk func(key string, v any, set func(any))
	walk = func(key string, v any, set func(any)) {
		switch v := v.(type) {
		case float64:
			out = append(out, configNumber{key, v, func(x float64) func() {
				set(x)
				return func() { set(v) }
			}})
		case []any:
			for i := range v {
				walk(key, v[i], func(x any) { v[i] = x })
			}
		case map[string]any:
			for _, k := range slices.Sorted(maps.Keys(v)) {
				walk(key+"."+k, v[k], func(x any) { v[k] = x })
			}
		}
	}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		top := prefix + k
		if slices.Contains(f.Keys, top) {
			walk(top, m[k], func(x any) { m[k] = x })
		}
	}
	return slices.DeleteFunc(out, func(n configNumber) bool {
		return matches(slices.Concat(commonInert, f.Inert), n.key)
	})
}

// changed is another value of about the same size. The sizes of the changes are
// those of testdata/reference/make_reference.py.
func changed(key string, v float64) float64 {
	last := key[strings.LastIndexByte(key, '.')+1:]
	switch {
	case strings.Contains(last, "theta"), last == "factor", last == "low_freq_factor", last == "beta_fast", strings.HasPrefix(last, "rope_local"), last == "attention_factor":
		return v * 1.5
	case last == "high_freq_factor", last == "beta_slow":
		return v * 1.6
	case last == "original_max_position_embeddings":
		return v * 2
	case strings.Contains(last, "eps"):
		return v * 2
	case last == "rotary_dim":
		return v - 2
	case strings.HasPrefix(last, "partial"), last == "rotary_pct":
		return v / 2
	case last == "no_rope_layers":
		return 1 - v
	case strings.HasSuffix(last, "_factor"):
		return v * 1.3
	case v == math.Trunc(v) && v != 1 && !strings.Contains(last, "cap") && !strings.Contains(last, "mult") && !strings.Contains(last, "clip"):
		return v + 1
	}
	return v * 1.05
}

// TestNumbersMatter: a change of any number that a family reads moves a
// log-probability or is refused.
func TestNumbersMatter(t *testing.T) {
	if testing.Short() {
		t.Skip("loads each checkpoint some ten times")
	}
	for _, c := range referenceCheckpoints(t) {
		if slices.Contains([]string{"gpt_neox", "llama", "mistral", "qwen2", "qwen3"}, c.ModelType) {
			continue // variants_test.go
		}
		t.Run(c.Name, func(t *testing.T) {
			e := edit(t, c.Name)
			f, _ := familyOf(c.ModelType)
			w := readExpected(t, c.Name).windows()[1]
			score := func() ([]float32, error) {
				m, err := Load(context.Background(), e, Options{BatchTokens: 64})
				if err != nil {
					return nil, err
				}
				defer m.Close()
				return scoreAll(t, m, []Window{w}, ScoreOptions{LogprobOnly: true})[0].Logprob, nil
			}
			want, err := score()
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range numbers(e.config, f, "") {
				if slices.Contains(limits, n.key) || inertHere(c.Name, n.key) {
					continue
				}
				restore := n.set(changed(n.key, n.value))
				got, err := score()
				restore()
				if err != nil {
					wantRefused(t, n.key, err, "tensor unsupported malformed")
					continue
				}
				if d := largestDifference(got, want); d < 5e-4 {
					t.Errorf("%s from %v to %v moves log-probabilities by %.1g", n.key, n.value, changed(n.key, n.value), d)
				}
			}
		})
	}
}

func largestDifference(a, b []float32) float64 {
	worst := 0.0
	for i := range a {
		worst = max(worst, math.Abs(float64(a[i])-float64(b[i])))
	}
	return worst
}

// TestTensorsMatter: noise in a matrix, a norm without its gain, a missing bias
// each move a log-probability by what the reference promises for every tensor
// (least_tensor_effect). Layers take turns: slot i is damaged in layer i mod L.
func TestTensorsMatter(t *testing.T) {
	if testing.Short() {
		t.Skip("runs each checkpoint some twenty times")
	}
	for _, c := range referenceCheckpoints(t) {
		if slices.Contains([]string{"gpt_neox", "llama", "mistral", "qwen2", "qwen3"}, c.ModelType) {
			continue // variants_test.go
		}
		t.Run(c.Name, func(t *testing.T) {
			e := edit(t, c.Name)
			d, err := Describe(e)
			if err != nil {
				t.Fatal(err)
			}
			w := readExpected(t, c.Name).windows()[0]
			if d.Spec.Kinds[0].MLP.Experts != nil { // a text in which each has its turn
				w = readExpected(t, c.Name).windows()[1]
			}
			m := loadReference(t, c.Name, Options{BatchTokens: 64})
			r := &reader{ctx: context.Background(), src: e, inv: d.inventory}
			want := rereadScores(t, m, r, w)
			minusOne := d.Spec.Kinds[0].Norm.PlusOne
			turn := 0
			for _, key := range slices.Sorted(maps.Keys(d.inventory.names)) {
				slot, layer := key, -1
				if n, rest, ok := strings.Cut(key, "."); ok && n[0] >= '0' && n[0] <= '9' {
					if fmt.Sscan(n, &layer); layer == 0 {
						turn++
					}
					slot = rest
					if layer != turn%d.Info.Layers {
						continue
					}
				}
				if d.Spec.Kinds[0].Attn.Rope == nil && slot == "k.b" { // softmax does not see it
					continue
				}
				if strings.HasPrefix(slot, "e") && layer >= 0 && !strings.HasPrefix(slot, "e0.") { // an expert like the others
					continue
				}
				if key == "embed.w" && d.inventory.spare != "" { // stored twice, and compared
					continue
				}
				e.values = damage(d.inventory.names[key], slot, minusOne)
				got := rereadScores(t, m, r, w)
				if diff := largestDifference(got, want); diff < 2e-3 {
					t.Errorf("%s (%s): damaged, log-probabilities move by %.1g", key, d.inventory.names[key], diff)
				}
			}
		})
	}
}

// damage adds noise of a tenth of its deviation to a matrix, takes a norm's
// gain away, or a bias.
func damage(name, slot string, minusOne bool) func(string, []float32) {
	return func(at string, x []float32) {
		if at != name {
			return
		}
		switch {
		case strings.HasSuffix(slot, ".b") || strings.Contains(slot, ".b."):
			clear(x)
		case strings.HasSuffix(slot, ".g") || strings.Contains(slot, ".g."):
			for i := range x {
				x[i] = 1
				if minusOne {
					x[i] = 0
				}
			}
		default:
			ss := 0.0
			for _, v := range x {
				ss += float64(v) * float64(v)
			}
			step := float32(.1 * math.Sqrt(ss/float64(len(x))))
			for i := range x {
				x[i] += step * float32(2*(i*2654435761>>7&1)-1) // signs without a pattern
			}
		}
	}
}

// rereadScores scores w with all parameters read anew from r, by the graphs that
// m has compiled.
func rereadScores(t *testing.T, m *Model, r *reader, w Window) []float32 {
	t.Helper()
	other := &Model{fam: m.fam, spec: m.spec, info: m.info, opts: m.opts, eng: m.eng, inflight: m.inflight, fold: m.fold, tables: map[tableKey]*tensors.Tensor{}}
	if err := other.read(r); err != nil {
		t.Fatal(err)
	}
	defer func() {
		for _, ts := range other.layers {
			free(ts...)
		}
		free(other.embedSlots...)
		free(other.headSlots...)
		free(other.headMatrix)
		for _, t := range other.tables {
			free(t)
		}
	}()
	other.headConst = false // the output matrix is an argument, so that it can change
	return scoreAll(t, other, []Window{w}, ScoreOptions{LogprobOnly: true})[0].Logprob
}

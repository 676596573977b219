package weights

import (
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"assay/internal/fault"
)

func near(t *testing.T, name string, got, want []float64, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: found %d frequencies, want %d", name, len(got), len(want))
		return
	}
	for i := range got {
		if !(math.Abs(got[i]-want[i]) <= tolerance*math.Abs(want[i])) {
			t.Errorf("%s: frequency %d = %.12g, want %.12g", name, i, got[i], want[i])
		}
	}
}

// Published vectors (transformers 5.23): heads of 16, theta 1e4. They are nine
// digits of tables computed in float32, whose powers are off by up to 1.2e-7.
func TestInvFreqVectors(t *testing.T) {
	long := RoPE{Type: "longrope", Theta: 1e4, Partial: 1, Original: 64, MaxPositions: 256,
		ShortFactor: []float64{1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7}, LongFactor: []float64{1, 2, 3, 4, 5, 6, 7, 8}}
	tests := []struct {
		name      string
		rope      RoPE
		window    int
		inv       []float64
		attention float64
	}{
		{"llama3", RoPE{Type: "llama3", Theta: 1e4, Partial: 1, Factor: 8, LowFreq: 1, HighFreq: 4, Original: 64}, 1,
			[]float64{1, .244384587, .0130422562, .00395284733, .00125, .000395284733, .000125, 3.95284733e-5}, 1},
		{"yarn", RoPE{Type: "yarn", Theta: 1e4, Partial: 1, Factor: 4, Original: 40, BetaFast: 32, BetaSlow: 1, Truncate: true}, 1,
			[]float64{1, .197642356, .025, .00790569466, .0025, .000790569466, .00025, 7.90569466e-5}, 1.138629436},
		{"longrope 64", long, 64, []float64{1, .287479758, .0833333358, .0243252143}, 1.15470054},
		{"longrope 65", long, 65, []float64{1, .158113882, .0333333351, .00790569466}, 1.15470054},
		// By hand: 10000^(-i/4).
		{"default, half", RoPE{Type: "default", Theta: 1e4, Partial: .5}, 1, []float64{1, .1, .01, .001}, 1},
		{"linear", RoPE{Type: "linear", Theta: 1e4, Partial: .5, Factor: 4}, 1, []float64{.25, .025, .0025, .00025}, 1},
		{"dynamic", RoPE{Type: "dynamic", Theta: 1e4, Partial: .5, Factor: 4, MaxPositions: 9}, 9, []float64{1, .1, .01, .001}, 1},
	}
	for _, tc := range tests {
		inv, attention, err := tc.rope.InvFreq(16, tc.window)
		if err != nil || math.Abs(attention-tc.attention) > 1e-8 {
			t.Errorf("%s: factor %v, %v; want %v", tc.name, attention, err, tc.attention)
			continue
		}
		near(t, tc.name, inv[:len(tc.inv)], tc.inv, 1.5e-7)
	}
}

// Tables that transformers computes in float32 (testdata/make_golden.py), read
// through the configuration as it is written.
func TestInvFreqTransformers(t *testing.T) {
	g := readGolden(t)
	if len(g.RoPE) < 10 {
		t.Fatalf("found %d golden tables", len(g.RoPE))
	}
	for name, want := range g.RoPE {
		c := parse(t, fmt.Sprintf(`{"rope_parameters":%s}`, want.Parameters))
		r := c.RoPE(RoPEDefaults{MaxPositions: want.MaxPositions, PartialKeys: []string{"partial_rotary_factor"}})
		if err := c.Err(); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if unknown := c.Unknown(); len(unknown) > 0 {
			t.Errorf("%s: keys not read: %v", name, unknown)
		}
		inv, attention, err := r.InvFreq(want.Head, want.Window)
		if err != nil || math.Abs(attention-want.Attention) > 1e-12 {
			t.Errorf("%s: factor %v, %v; want %v", name, attention, err, want.Attention)
			continue
		}
		near(t, name, inv, want.Inv, 5e-7)
	}
}

func TestInvFreqRefuses(t *testing.T) {
	base := RoPE{Type: "default", Theta: 1e4, Partial: 1}
	with := func(f func(*RoPE)) RoPE { r := base; f(&r); return r }
	tests := []struct {
		name, want   string
		rope         RoPE
		head, window int
	}{
		{"odd dimension", "found 5 rotated dimensions", with(func(r *RoPE) { r.Partial = .5 }), 10, 1},
		{"nothing rotated", "found 0 rotated dimensions", with(func(r *RoPE) { r.Partial = .1 }), 8, 1},
		{"more than the head", "found 16 rotated dimensions", with(func(r *RoPE) { r.Partial = 2 }), 8, 1},
		{"dynamic beyond its positions", "found a window of 11, want at most max_position_embeddings 10", RoPE{Type: "dynamic", Theta: 1e4, Partial: 1, MaxPositions: 10}, 8, 11},
		{"short factors of another head", "short_factor: found 2 numbers, want 4", RoPE{Type: "longrope", Theta: 1e4, Partial: 1, Original: 4, ShortFactor: []float64{1, 1}, LongFactor: []float64{1, 1, 1, 1}}, 8, 1},
		{"theta 0", "found theta 0, want more than 1", RoPE{Type: "default", Partial: 1}, 8, 1},
		{"theta NaN", "found theta NaN", RoPE{Type: "default", Partial: 1, Theta: math.NaN()}, 8, 1},
		{"linear factor 0", "want positive numbers", RoPE{Type: "linear", Theta: 1e4, Partial: 1}, 8, 1},
		{"yarn with theta 1", "found theta 1, want more than 1", RoPE{Type: "yarn", Theta: 1, Partial: 1, Factor: 2, Original: 8, BetaFast: 32, BetaSlow: 1}, 8, 1},
		{"unknown type", `found type "mrope"`, RoPE{Type: "mrope", Theta: 1e4, Partial: 1}, 8, 1},
	}
	for _, tc := range tests {
		_, _, err := tc.rope.InvFreq(tc.head, tc.window)
		code := "unsupported"
		if strings.HasPrefix(tc.name, "short factors") {
			code = "malformed"
		}
		wantFault(t, tc.name, err, fault.Input, code, tc.want)
	}
	bad := RoPE{Type: "longrope", Theta: 1e4, Partial: 1, Original: 4, MaxPositions: 8, ShortFactor: []float64{1, 1, 1, 1}, LongFactor: []float64{1}}
	wantFault(t, "Check sees the long table", bad.Check(8), fault.Input, "malformed", "long_factor: found 1 numbers, want 4")
}

// plain is what a family without special keys gives.
var plain = RoPEDefaults{Theta: 1e4, MaxPositions: 160}

func TestRoPEKeys(t *testing.T) {
	neox := RoPEDefaults{Theta: 1e4, ThetaKeys: []string{"rotary_emb_base", "rope_theta"}, Partial: .25, PartialKeys: []string{"rotary_pct", "partial_rotary_factor"}, MaxPositions: 160}
	phi := RoPEDefaults{Theta: 1e4, Partial: .5, PartialKeys: []string{"partial_rotary_factor"}, MaxPositions: 160}
	longrope := RoPE{Type: "longrope", Theta: 1e4, Partial: 1, Original: 32, MaxPositions: 160, ShortFactor: []float64{1}, LongFactor: []float64{2}}
	yarn := RoPE{Type: "yarn", Theta: 1e4, Partial: 1, Factor: 4, Original: 40, MaxPositions: 160, BetaFast: 32, BetaSlow: 1, Truncate: true}
	tests := []struct {
		name, text string
		d          RoPEDefaults
		want       RoPE
	}{
		{"nothing", `{}`, plain, RoPE{Type: "default", Theta: 1e4, Partial: 1, MaxPositions: 160}},
		{"old theta", `{"rope_theta":5000.0,"rope_scaling":null}`, plain, RoPE{Type: "default", Theta: 5000, Partial: 1, MaxPositions: 160}},
		{"current", `{"rope_parameters":{"rope_type":"default","rope_theta":5000}}`, plain, RoPE{Type: "default", Theta: 5000, Partial: 1, MaxPositions: 160}},
		{"current without theta", `{"rope_parameters":{"rope_type":"default"}}`, plain, RoPE{Type: "default", Theta: 1e4, Partial: 1, MaxPositions: 160}},
		{"current, theta outside", `{"rope_parameters":{"rope_type":"default"},"rope_theta":7}`, plain, RoPE{Type: "default", Theta: 7, Partial: 1, MaxPositions: 160}},
		{"both, equal", `{"rope_parameters":{"rope_type":"linear","factor":2,"rope_theta":7},"rope_theta":7.0,"rope_scaling":{"type":"linear","factor":2.0}}`, plain, RoPE{Type: "linear", Factor: 2, Theta: 7, Partial: 1, MaxPositions: 160}},
		{"oldest linear", `{"rope_scaling":{"type":"linear","factor":2.5},"rope_theta":5000.0}`, plain, RoPE{Type: "linear", Factor: 2.5, Theta: 5000, Partial: 1, MaxPositions: 160}},
		{"both spellings of the type", `{"rope_scaling":{"type":"linear","rope_type":"linear","factor":2.5}}`, plain, RoPE{Type: "linear", Factor: 2.5, Theta: 1e4, Partial: 1, MaxPositions: 160}},
		{"dynamic", `{"rope_scaling":{"type":"dynamic","factor":2}}`, plain, RoPE{Type: "dynamic", Factor: 2, Theta: 1e4, Partial: 1, MaxPositions: 160}},
		{"gpt_neox", `{"rotary_pct":0.5,"rotary_emb_base":20000}`, neox, RoPE{Type: "default", Theta: 20000, Partial: .5, MaxPositions: 160}},
		{"gpt_neox, all spellings", `{"rotary_pct":0.5,"partial_rotary_factor":0.5,"rotary_emb_base":20000,"rope_theta":20000}`, neox, RoPE{Type: "default", Theta: 20000, Partial: .5, MaxPositions: 160}},
		{"gpt_neox default", `{}`, neox, RoPE{Type: "default", Theta: 1e4, Partial: .25, MaxPositions: 160}},
		{"phi", `{"partial_rotary_factor":0.4}`, phi, RoPE{Type: "default", Theta: 1e4, Partial: .4, MaxPositions: 160}},
		{"phi, current", `{"rope_parameters":{"rope_type":"default","rope_theta":10000.0,"partial_rotary_factor":0.4}}`, phi, RoPE{Type: "default", Theta: 1e4, Partial: .4, MaxPositions: 160}},
		{"su", `{"rope_scaling":{"type":"su","short_factor":[1],"long_factor":[2]},"original_max_position_embeddings":32}`, plain, longrope},
		{"longrope, top level wins", `{"rope_parameters":{"rope_type":"longrope","short_factor":[1],"long_factor":[2],"original_max_position_embeddings":64},"original_max_position_embeddings":32}`, plain, longrope},
		{"longrope, inside", `{"rope_parameters":{"rope_type":"longrope","short_factor":[1],"long_factor":[2],"original_max_position_embeddings":32,"factor":null}}`, plain, longrope},
		{"yarn", `{"rope_scaling":{"type":"yarn","factor":4.0,"original_max_position_embeddings":40,"beta_fast":null,"attention_factor":null}}`, plain, yarn},
		{"original length beside default rope", `{"rope_parameters":{"rope_type":"default"},"original_max_position_embeddings":160}`, plain, RoPE{Type: "default", Theta: 1e4, Partial: 1, MaxPositions: 160}},
		{"llama3 without an original length", `{"rope_scaling":{"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0}}`, plain,
			RoPE{Type: "llama3", Factor: 8, LowFreq: 1, HighFreq: 4, Original: 160, Theta: 1e4, Partial: 1, MaxPositions: 160}},
	}
	for _, tc := range tests {
		c := parse(t, tc.text)
		got := c.RoPE(tc.d)
		if err := c.Err(); err != nil || !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: got %+v, %v; want %+v", tc.name, got, err, tc.want)
		}
		if u := c.Unknown(); len(u) != 0 {
			t.Errorf("%s: keys not read: %v", tc.name, u)
		}
	}
}

func TestRoPEKeysRefuses(t *testing.T) {
	tests := []struct {
		name, text, want string
		d                RoPEDefaults
	}{
		{"two thetas", `{"rope_parameters":{"rope_type":"default","rope_theta":5},"rope_theta":6}`, `key "rope_theta": found 6, but "rope_parameters.rope_theta" says 5`, plain},
		{"two scalings", `{"rope_parameters":{"rope_type":"linear","factor":2},"rope_scaling":{"type":"linear","factor":3}}`, `key "rope_scaling": found {"type":"linear","factor":3}, want the same as rope_parameters`, plain},
		{"two types", `{"rope_scaling":{"rope_type":"default","type":"linear"}}`, `key "rope_scaling.type": found "linear", want default as in rope_type`, plain},
		{"unknown type", `{"rope_scaling":{"type":"mrope"}}`, `key "rope_scaling.type": found "mrope", want default, linear`, plain},
		{"type is a number", `{"rope_scaling":{"type":3}}`, `found 3, want a string`, plain},
		{"type not of the family", `{"rope_scaling":{"type":"yarn","factor":2}}`, `want one of default, longrope in this family`, RoPEDefaults{Theta: 1, Types: []string{"default", "longrope"}, MaxPositions: 8}},
		{"no theta where none is known", `{}`, `key "rope_theta": not found, want a number`, RoPEDefaults{}},
		{"linear without factor", `{"rope_scaling":{"type":"linear"}}`, `key "rope_scaling.factor": not found`, plain},
		{"negative factor", `{"rope_scaling":{"type":"linear","factor":-2}}`, `factor": found -2, want a positive number`, plain},
		{"theta 0", `{"rope_theta":0}`, `found 0, want a positive number`, plain},
		{"llama3 bands crossed", `{"rope_scaling":{"type":"llama3","factor":8,"low_freq_factor":4,"high_freq_factor":1}}`, `want more than low_freq_factor 4`, plain},
		{"longrope without factors", `{"rope_scaling":{"type":"longrope","short_factor":[1]}}`, `key "rope_scaling.long_factor": found nothing, want an array`, plain},
		{"longrope factor 0", `{"rope_scaling":{"type":"longrope","short_factor":[1,0],"long_factor":[1,1]}}`, `number 1 is 0`, plain},
		{"original length 1", `{"rope_scaling":{"type":"yarn","factor":2,"original_max_position_embeddings":1}}`, `found 1, want more than 1`, plain},
		{"per layer type in a family without", `{"rope_parameters":{"full_attention":{"rope_type":"default"}}}`, `want one object for all layers`, plain},
		{"partial above 1", `{"partial_rotary_factor":1.5}`, `found 1.5, want at most 1`, RoPEDefaults{Theta: 1, PartialKeys: []string{"partial_rotary_factor"}}},
		{"partial in a family without", `{"rope_parameters":{"rope_type":"default","partial_rotary_factor":0.5}}`, `found 0.5, want 1`, plain},
		{"scaling is a list", `{"rope_scaling":[1]}`, `key "rope_scaling": found [1], want an object`, plain},
	}
	for _, tc := range tests {
		c := parse(t, tc.text)
		c.RoPE(tc.d)
		if err := c.Err(); err == nil || !strings.Contains(err.Error(), tc.want) || fault.As(err).Class != fault.Input {
			t.Errorf("%s: got %v, want %q", tc.name, err, tc.want)
		}
	}
	// A key that the type does not know is left for Unknown.
	c := parse(t, `{"rope_scaling":{"type":"linear","factor":2,"mrope_section":[1]}}`)
	c.RoPE(plain)
	if got := fmt.Sprint(c.Err(), c.Unknown()); got != "<nil> [{rope_scaling.mrope_section [1]}]" {
		t.Errorf("stray key: %s", got)
	}
}

func TestRoPELayers(t *testing.T) {
	gemma3 := map[string]RoPEDefaults{
		"full_attention":    {Theta: 1e6, MaxPositions: 160},
		"sliding_attention": {Theta: 1e4, ThetaKeys: []string{"rope_local_base_freq"}, MaxPositions: 160, NoScaling: true},
	}
	full := RoPE{Type: "linear", Factor: 4, Theta: 1e5, Partial: 1, MaxPositions: 160}
	sliding := RoPE{Type: "default", Theta: 1e3, Partial: 1, MaxPositions: 160}
	for name, text := range map[string]string{
		"old":     `{"rope_local_base_freq":1000.0,"rope_scaling":{"rope_type":"linear","factor":4.0},"rope_theta":100000.0}`,
		"current": `{"rope_parameters":{"full_attention":{"rope_type":"linear","factor":4.0,"rope_theta":100000.0},"sliding_attention":{"rope_type":"default","rope_theta":1000.0}}}`,
		"both":    `{"rope_parameters":{"full_attention":{"rope_type":"linear","factor":4.0,"rope_theta":100000.0},"sliding_attention":{"rope_type":"default","rope_theta":1000.0}},"rope_theta":100000.0,"rope_local_base_freq":1000}`,
	} {
		c := parse(t, text)
		got := c.RoPELayers(gemma3)
		if err := c.Err(); err != nil || !reflect.DeepEqual(got, map[string]RoPE{"full_attention": full, "sliding_attention": sliding}) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
		if u := c.Unknown(); len(u) != 0 {
			t.Errorf("%s: keys not read: %v", name, u)
		}
	}
	c := parse(t, `{}`)
	if got := c.RoPELayers(gemma3); got["full_attention"].Theta != 1e6 || got["sliding_attention"].Theta != 1e4 || c.Err() != nil {
		t.Errorf("defaults: %+v, %v", got, c.Err())
	}
	c = parse(t, `{"rope_parameters":{"rope_type":"default","rope_theta":5}}`)
	c.RoPELayers(gemma3)
	wantFault(t, "flat", c.Err(), fault.Input, "unsupported", "want one object per layer type")
}

// Reference checkpoints that rotate are read without an unread rotary key.
func TestReferenceRoPE(t *testing.T) {
	want := map[string]string{"llama-llama3": "llama3", "llama-yarn": "yarn", "llama-linear-bias": "linear", "llama-mha": "default", "qwen2": "default", "phi3": "default", "glm4": "default"}
	for name, kind := range want {
		c := mustOpen(t, filepath.Join(reference, name)).Config()
		r := c.RoPE(RoPEDefaults{Theta: 1e4, PartialKeys: []string{"partial_rotary_factor"}, MaxPositions: c.Int("max_position_embeddings")})
		if r.Type != kind || c.Err() != nil {
			t.Errorf("%s: type %q, %v; want %q", name, r.Type, c.Err(), kind)
		}
		for _, k := range c.Unknown() {
			if strings.Contains(k.Path, "rope") || strings.Contains(k.Path, "rotary") {
				t.Errorf("%s: key %s was not read", name, k.Path)
			}
		}
		head := c.IntOr("head_dim", c.Int("hidden_size")/c.Int("num_attention_heads"))
		if err := r.Check(head); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

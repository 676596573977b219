package model

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
)

// somePrompts are prompts of the given lengths.
func somePrompts(V int, lengths ...int) []Prompt {
	r := rand.New(rand.NewPCG(1, 2))
	var ps []Prompt
	for i, n := range lengths {
		p := Prompt{ID: fmt.Sprintf("p%d", i)}
		for range n {
			p.IDs = append(p.IDs, int32(r.IntN(V)))
		}
		ps = append(ps, p)
	}
	return ps
}

func generate(t testing.TB, m *Model, ps []Prompt, o GenOptions) []Generation {
	t.Helper()
	var out []Generation
	if err := m.Generate(context.Background(), ps, o, func(g Generation) error {
		out = append(out, g)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// rescored scores the continuations in full windows.
func rescored(t testing.TB, m *Model, ps []Prompt, gs []Generation, o ScoreOptions) []Scores {
	t.Helper()
	var out []Scores
	ws := func(yield func(Window, error) bool) {
		for i, g := range gs {
			ids := slices.Concat(ps[i/(len(gs)/len(ps))].IDs, g.IDs)
			if !yield(Window{Doc: i, IDs: ids[:len(ids)-1], Targets: g.IDs}, nil) {
				return
			}
		}
	}
	if err := m.Score(context.Background(), ws, o, func(_ Window, s Scores) error {
		out = append(out, s)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// Every reference family, token for token: what is generated greedily with the
// cache is what scoring the whole sequence calls most likely, and its
// log-probabilities are those of the whole sequence. A difference is allowed behind
// a near tie alone.
func TestGenerateEqualsScoring(t *testing.T) {
	worst := 0.0
	for _, ref := range referenceCheckpoints(t) {
		t.Run(ref.Name, func(t *testing.T) {
			m := loadReference(t, ref.Name, Options{})
			if m.spec.Encoder() {
				t.Skip("an encoder")
			}
			ps := somePrompts(m.spec.Vocab, 1, 17, 33, 40)
			most := 16
			if m.spec.idle() > 0 { // experts of tiny models still take the products of large ones
				ps, most = somePrompts(m.spec.Vocab, 1, 40), 5
			}
			if p := m.spec.Positions; p > 0 {
				most = min(most, p-40+1)
			}
			gs := generate(t, m, ps, GenOptions{MaxTokens: most})
			if len(gs) != len(ps) {
				t.Fatalf("%d generations", len(gs))
			}
			for i, s := range rescored(t, m, ps, gs, ScoreOptions{TopK: 2}) {
				g := gs[i]
				if g.ID != ps[i].ID || len(g.IDs) != most || g.Stop != StopLength || len(g.LogProbs) != most {
					t.Fatalf("prompt %d: %+v", i, g)
				}
				for j, id := range g.IDs {
					tie := s.TopLogprob[j][0]-s.TopLogprob[j][1] < 2*NearTieGap
					if id != s.ArgmaxID[j] && !tie {
						t.Errorf("prompt %d token %d: generated %d, scoring says %d", i, j, id, s.ArgmaxID[j])
					}
					if tie && (g.NearTie < 0 || g.NearTie > j) && s.TopLogprob[j][0]-s.TopLogprob[j][1] < NearTieGap/2 {
						t.Errorf("prompt %d token %d: a near tie, and NearTie is %d", i, j, g.NearTie)
					}
					d := math.Abs(float64(g.LogProbs[j]) - float64(s.Logprob[j]))
					if worst = max(worst, d); d > 1e-5 {
						t.Errorf("prompt %d token %d: ln p %v, full context %v", i, j, g.LogProbs[j], s.Logprob[j])
					}
				}
			}
		})
	}
	t.Logf("largest difference of a log-probability: %.2g nats", worst)
}

// Matrices in 16 bits: the scale and the gains are not in the weights.
func TestGenerateWide16(t *testing.T) {
	for _, name := range []string{"llama-llama3", "gemma2", "qwen3", "olmo-clip"} {
		m := loadReference(t, name, Options{Weights: WeightsWide16})
		ps := somePrompts(m.spec.Vocab, 4, 30)
		gs := generate(t, m, ps, GenOptions{MaxTokens: 8})
		for i, s := range rescored(t, m, ps, gs, ScoreOptions{}) {
			for j := range s.Logprob {
				if d := math.Abs(float64(s.Logprob[j] - gs[i].LogProbs[j])); d > 1e-5 || s.ArgmaxID[j] != gs[i].IDs[j] && gs[i].NearTie < 0 {
					t.Errorf("%s prompt %d token %d: %d, scoring %d; ln p off by %v", name, i, j, gs[i].IDs[j], s.ArgmaxID[j], d)
				}
			}
		}
	}
}

// greedy.json: transformers 5.23.0, generate(do_sample=False) with left padding
// (testdata/generate/make_generate.py).
func TestGenerateEqualsTransformers(t *testing.T) {
	b, err := os.ReadFile("testdata/generate/greedy.json")
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		Cases []struct {
			Checkpoint  string
			Prompt, IDs []int32
			Logprobs    []float64
			NearTie     int `json:"near_tie"`
		}
	}
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	var m *Model
	name := ""
	for _, c := range f.Cases {
		if name != c.Checkpoint {
			name, m = c.Checkpoint, loadReference(t, c.Checkpoint, Options{})
		}
		g := generate(t, m, []Prompt{{ID: "a", IDs: c.Prompt}}, GenOptions{MaxTokens: len(c.IDs)})[0]
		for j, id := range c.IDs {
			if near := c.NearTie >= 0 && j >= c.NearTie || g.NearTie >= 0 && j >= g.NearTie; near {
				break
			}
			if g.IDs[j] != id {
				t.Fatalf("%s, %d ids, token %d: %d, transformers %d", c.Checkpoint, len(c.Prompt), j, g.IDs[j], id)
			}
			if d := math.Abs(float64(g.LogProbs[j]) - c.Logprobs[j]); d > tolLogprob {
				t.Errorf("%s, %d ids, token %d: ln p %v, transformers %v", c.Checkpoint, len(c.Prompt), j, g.LogProbs[j], c.Logprobs[j])
			}
		}
	}
}

// A continuation is the same alone, among others, and whatever their number: the
// same bits in one shape of batch.
func TestGenerateMates(t *testing.T) {
	for _, name := range []string{"llama-llama3", "bloom"} {
		m := loadReference(t, name, Options{})
		ps := somePrompts(m.spec.Vocab, 3, 9, 9, 20, 31, 5, 40, 1)
		for _, o := range []GenOptions{{MaxTokens: 12}, {MaxTokens: 6, Temperature: 1, Samples: 3, Seed: 7, TopP: .9, TopK: 20}} {
			together := generate(t, m, ps, o)
			n := max(1, o.Samples)
			for i, p := range ps {
				alone := generate(t, m, []Prompt{p}, o)
				for k := range alone {
					if a, b := alone[k], together[i*n+k]; !reflect.DeepEqual(a, b) {
						t.Fatalf("%s prompt %d: alone\n%+v\ntogether\n%+v", name, i, a, b)
					}
				}
			}
			o.Batch = 3
			for i, g := range generate(t, m, ps, o) {
				if !slices.Equal(g.IDs, together[i].IDs) {
					t.Errorf("%s %d: batches of 3 gave %v, of %d %v", name, i, g.IDs, DefaultGenBatch, together[i].IDs)
				}
			}
		}
	}
}

// Draws depend on the names of their stream alone, and are uniform: of 4000 draws
// the chi-square over 20 cells has 19 degrees of freedom (0.001 quantile 43.8).
func TestDraws(t *testing.T) {
	var cells [20]float64
	for i := range 4000 {
		u := newDraws(1, fmt.Sprint("p", i%50), i%4).at(i / 200)
		if u < 0 || u >= 1 {
			t.Fatal(u)
		}
		cells[int(u*20)]++
	}
	chi := 0.0
	for _, n := range cells {
		chi += (n - 200) * (n - 200) / 200
	}
	if chi > 43.8 {
		t.Errorf("chi-square %v", chi)
	}
	a := newDraws(1, "x", 0)
	for _, b := range []draws{newDraws(2, "x", 0), newDraws(1, "y", 0), newDraws(1, "x", 1)} {
		if a.at(0) == b.at(0) {
			t.Error("two streams begin alike")
		}
	}
}

// What is sampled follows the law of the model's own softmax: first tokens of many
// samples against the probabilities that scoring gives, at a temperature, cut to
// the top k, cut to the top p.
func TestSamplingDistribution(t *testing.T) {
	m := loadReference(t, "llama-llama3", Options{})
	ps := somePrompts(m.spec.Vocab, 6)
	V := m.spec.Vocab
	all := rescored(t, m, ps, []Generation{{IDs: []int32{0}}}, ScoreOptions{TopK: V})[0]
	z := make([]float64, V) // ln p at temperature 1
	for k, id := range all.TopID[0] {
		z[id] = float64(all.TopLogprob[0][k])
	}
	const n = 2000
	for name, o := range map[string]GenOptions{
		"plain":       {Temperature: 1},
		"temperature": {Temperature: .5},
		"top-k":       {Temperature: 1, TopK: 10},
		"top-p":       {Temperature: .7, TopP: .6},
		"both":        {Temperature: 1.5, TopK: 30, TopP: .8},
	} {
		o.MaxTokens, o.Samples, o.Seed, o.Batch = 1, n, 11, 64
		want := expectedLaw(z, o)
		count := make([]float64, V)
		for _, g := range generate(t, m, ps, o) {
			if want[g.IDs[0]] == 0 {
				t.Fatalf("%s: id %d is outside of what the law keeps", name, g.IDs[0])
			}
			count[g.IDs[0]]++
			if d := math.Abs(float64(g.LogProbs[0]) - z[g.IDs[0]]); d > 1e-5 {
				t.Fatalf("%s: ln p of id %d off by %v", name, g.IDs[0], d)
			}
		}
		// Cells of at least 5 expected, the rest in one.
		chi, df, restWant, restGot := 0.0, -1.0, 0.0, 0.0
		for id, p := range want {
			if p*n < 5 {
				restWant, restGot = restWant+p*n, restGot+count[id]
				continue
			}
			chi += (count[id] - p*n) * (count[id] - p*n) / (p * n)
			df++
		}
		if restWant > 1 {
			chi += (restGot - restWant) * (restGot - restWant) / restWant
			df++
		}
		// Wilson and Hilferty's approximation of the chi-square distribution.
		dev := (math.Cbrt(chi/df) - (1 - 2/(9*df))) / math.Sqrt(2/(9*df))
		t.Logf("%s: chi-square %.1f, %.0f degrees of freedom, %.2f standard deviations", name, chi, df, dev)
		if dev > 3.5 || dev < -3.5 {
			t.Errorf("%s: chi-square %.1f with %.0f degrees of freedom", name, chi, df)
		}
	}
}

// expectedLaw is transformers' order of warpers written the long way: temperature,
// top-k, top-p.
func expectedLaw(z []float64, o GenOptions) []float64 {
	type entry struct {
		id int
		p  float64
	}
	var es []entry
	sum := 0.0
	for id, v := range z {
		es = append(es, entry{id, math.Exp(v / o.Temperature)})
	}
	slices.SortFunc(es, func(a, b entry) int { return cmp.Compare(b.p, a.p) })
	if o.TopK > 0 {
		es = es[:o.TopK]
	}
	for _, e := range es {
		sum += e.p
	}
	if o.TopP > 0 { // the fewest largest that reach TopP
		acc := 0.0
		for i, e := range es {
			if acc += e.p / sum; acc >= o.TopP {
				es = es[:i+1]
				break
			}
		}
		sum = 0
		for _, e := range es {
			sum += e.p
		}
	}
	out := make([]float64, len(z))
	for _, e := range es {
		out[e.id] = e.p / sum
	}
	return out
}

// The filter of transformers 5.23.0 on hand-sized logits: TemperatureLogitsWarper,
// TopKLogitsWarper, TopPLogitsWarper, softmax (testdata/generate/warpers.json).
func TestLaw(t *testing.T) {
	b, err := os.ReadFile("testdata/generate/warpers.json")
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		Cases []struct {
			Logits      []float32
			Temperature float64
			TopK        int     `json:"top_k"`
			TopP        float64 `json:"top_p"`
			P           []float64
		}
	}
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	for i, c := range f.Cases {
		got := make([]float64, len(c.Logits))
		ids, ps := law{c.Temperature, c.TopK, c.TopP}.probabilities(c.Logits)
		for k, id := range ids {
			got[id] = ps[k]
		}
		for id, p := range c.P {
			if math.Abs(got[id]-p) > 1e-6 {
				t.Errorf("case %d %+v: %v", i, c, got)
				break
			}
		}
		if len(f.Cases) < 20 {
			t.Fatal(len(f.Cases))
		}
	}
	l := law{temperature: 1}
	z := []float32{0, 0, float32(math.Inf(-1)), 0} // thirds
	for u, want := range map[float64]int32{0: 0, .32: 0, .34: 1, .66: 1, .67: 3, .9999999: 3} {
		if id := l.pick(z, u); id != want {
			t.Errorf("quantile %v: id %d, want %d", u, id, want)
		}
	}
}

// Ends: an id, a string over the boundary of tokens, the number of tokens, the
// positions.
func TestGenerateStops(t *testing.T) {
	m := loadReference(t, "gpt2", Options{})
	ps := somePrompts(m.spec.Vocab, 4, 9)
	free := generate(t, m, ps, GenOptions{MaxTokens: 12})
	eos := free[0].IDs[5]
	at := slices.Index(free[0].IDs, eos)
	got := generate(t, m, ps, GenOptions{MaxTokens: 12, EOS: []int32{eos}})
	if got[0].Stop != StopEOS || !slices.Equal(got[0].IDs, free[0].IDs[:at+1]) || len(got[0].LogProbs) != at+1 {
		t.Errorf("EOS %d: %+v of %v", eos, got[0], free[0].IDs)
	}
	// Each id is two letters; a string that begins in the middle of one.
	decode := func(ids []int32) (string, error) {
		s := ""
		for _, id := range ids {
			s += string(rune('a'+id/26%26)) + string(rune('a'+id%26))
		}
		return s, nil
	}
	text, _ := decode(free[1].IDs)
	stop := text[9:13]
	n := (strings.Index(text, stop) + len(stop) + 1) / 2
	got = generate(t, m, ps, GenOptions{MaxTokens: 12, Stop: []string{stop}, Decode: decode})
	if got[1].Stop != StopString || !slices.Equal(got[1].IDs, free[1].IDs[:n]) {
		t.Errorf("stop %q in %q: %+v", stop, text, got[1])
	}
	failing := errors.New("no such id")
	err := m.Generate(context.Background(), ps, GenOptions{MaxTokens: 2, Stop: []string{"x"}, Decode: func([]int32) (string, error) { return "", failing }}, func(Generation) error { return nil })
	if !errors.Is(err, failing) {
		t.Error(err)
	}
	// Positions: the last id is predicted from the last position.
	p := m.spec.Positions
	long := somePrompts(m.spec.Vocab, p-3)
	if got = generate(t, m, long, GenOptions{MaxTokens: 50}); got[0].Stop != StopContext || len(got[0].IDs) != 4 {
		t.Errorf("%d positions: %+v", p, got[0])
	}
	s := rescored(t, m, long, got, ScoreOptions{})[0]
	if !slices.Equal(s.ArgmaxID, got[0].IDs) {
		t.Errorf("at the last positions: %v, scoring %v", got[0].IDs, s.ArgmaxID)
	}
	short := slices.Clone(ps)
	short[1].MaxTokens = 5
	if got = generate(t, m, short, GenOptions{MaxTokens: 12}); len(got[0].IDs) != 12 || !slices.Equal(got[1].IDs, free[1].IDs[:5]) || got[1].Stop != StopLength {
		t.Errorf("a prompt of 5 tokens: %+v", got)
	}
	// Ids that are no tokens are never generated, however likely.
	small := int(slices.Max(free[0].IDs))
	got = generate(t, m, ps, GenOptions{MaxTokens: 12, Vocab: small})
	for i, s := range rescored(t, m, ps, got, ScoreOptions{}) {
		if int(slices.Max(got[i].IDs)) >= small {
			t.Errorf("vocabulary %d: %v", small, got[i].IDs)
		}
		for j, lp := range got[i].LogProbs { // the softmax is over all entries, as in scoring
			if math.Abs(float64(lp-s.Logprob[j])) > 1e-5 {
				t.Errorf("vocabulary %d: ln p %v, scoring %v", small, lp, s.Logprob[j])
			}
		}
	}
}

// Behind the original length every key takes the long rotary frequencies: the
// token at each step is that of scoring the sequence so far alone.
func TestGenerateOutgrowsShortFrequencies(t *testing.T) {
	const config = `{"model_type":"phi3","vocab_size":90,"hidden_size":32,"num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"intermediate_size":48,
		"hidden_act":"silu","rms_norm_eps":1e-5,"max_position_embeddings":256,"original_max_position_embeddings":40,"rope_theta":10000,"tie_word_embeddings":false,"sliding_window":null,
		"rope_scaling":{"type":"longrope","short_factor":[1,1.1,1.2,1.3],"long_factor":[1,2,3,4]}}`
	src, err := Synthetic([]byte(config), 3)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Load(context.Background(), src, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	const short = 40
	if r := m.spec.Kinds[0].Attn.Rope; r.Original != short || r.Long == nil {
		t.Fatalf("%+v", r)
	}
	ps := somePrompts(m.spec.Vocab, short-4, 5, short+3)
	for i, g := range generate(t, m, ps, GenOptions{MaxTokens: 10}) {
		ids := slices.Clone(ps[i].IDs)
		for j, id := range g.IDs {
			s := rescored(t, m, []Prompt{{IDs: ids}}, []Generation{{IDs: []int32{id}}}, ScoreOptions{})[0]
			if d := math.Abs(float64(s.Logprob[0] - g.LogProbs[j])); s.ArgmaxID[0] != id && (g.NearTie < 0 || j < g.NearTie) || d > 1e-5 {
				t.Errorf("prompt %d token %d: %d with ln p %v, scoring %d with %v", i, j, id, g.LogProbs[j], s.ArgmaxID[0], s.Logprob[0])
			}
			ids = append(ids, id)
		}
	}
}

func TestGenerateRefuses(t *testing.T) {
	m := loadReference(t, "gpt2", Options{})
	ok := []Prompt{{ID: "a", IDs: []int32{1}}}
	for name, c := range map[string]struct {
		ps []Prompt
		o  GenOptions
	}{
		"no tokens":      {ok, GenOptions{}},
		"temperature":    {ok, GenOptions{MaxTokens: 1, Temperature: math.NaN()}},
		"cold":           {ok, GenOptions{MaxTokens: 1, Temperature: -1}},
		"top-p":          {ok, GenOptions{MaxTokens: 1, TopP: 1.5}},
		"top-k":          {ok, GenOptions{MaxTokens: 1, TopK: -1}},
		"greedy samples": {ok, GenOptions{MaxTokens: 1, Samples: 2}},
		"batch":          {ok, GenOptions{MaxTokens: 1, Batch: 1}},
		"no decoder":     {ok, GenOptions{MaxTokens: 1, Stop: []string{"x"}}},
		"empty stop":     {ok, GenOptions{MaxTokens: 1, Stop: []string{""}, Decode: func([]int32) (string, error) { return "", nil }}},
		"vocab":          {ok, GenOptions{MaxTokens: 1, Vocab: 1 << 20}},
		"empty prompt":   {[]Prompt{{ID: "a"}}, GenOptions{MaxTokens: 1}},
		"long prompt":    {[]Prompt{{ID: "a", IDs: make([]int32, m.spec.Positions)}}, GenOptions{MaxTokens: 1}},
		"its tokens":     {[]Prompt{{ID: "a", IDs: []int32{1}, MaxTokens: 2}}, GenOptions{MaxTokens: 1}},
		"id":             {[]Prompt{{ID: "a", IDs: []int32{-1}}}, GenOptions{MaxTokens: 1}},
	} {
		if err := m.Generate(context.Background(), c.ps, c.o, func(Generation) error { return nil }); fault.As(err) == nil {
			t.Errorf("%s: %v, want a fault", name, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	n := 0
	err := m.Generate(ctx, somePrompts(m.spec.Vocab, slices.Repeat([]int{3}, 40)...), GenOptions{MaxTokens: 4}, func(Generation) error {
		if n++; n == 16 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || n != 16 {
		t.Errorf("cancelled after %d: %v", n, err)
	}
}

// BenchmarkGenerate generates 32 tokens behind prompts of 32, Batch at once.
func BenchmarkGenerate(b *testing.B) {
	for _, shape := range []string{"gpt_neox-70m", "llama-135m"} {
		src, err := Synthetic([]byte(Shapes()[shape]), 1)
		if err != nil {
			b.Fatal(err)
		}
		m, err := Load(context.Background(), src, Options{})
		if err != nil {
			b.Fatal(err)
		}
		for _, batch := range []int{2, 16, 64} {
			ps := somePrompts(m.spec.Vocab, slices.Repeat([]int{32}, batch)...)
			b.Run(fmt.Sprintf("%s/batch-%d", shape, batch), func(b *testing.B) {
				n := 0
				for b.Loop() {
					for _, g := range generate(b, m, ps, GenOptions{MaxTokens: 32, Batch: batch}) {
						n += len(g.IDs)
					}
				}
				b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "tok/s")
			})
		}
		m.Close()
	}
}

package trace

import (
	"math"
	"path/filepath"
	"testing"

	"assay/model/trace/window"
)

// The toy document TT: V = 4, text bbaaddccbbcc, policy full with window 8, no
// prefix. Values: numpy 2.4 in float64, rounded to float32.

func toyIdentity() Identity {
	d := func(b string) string {
		s := "sha256:"
		for range 32 {
			s += b
		}
		return s
	}
	return Identity{
		Checkpoint: Checkpoint{Weights: d("22"), Config: d("11"), Vocab: 4},
		Tokenizer:  Tokenizer{Digest: d("33"), Specials: "none"},
		Text:       "sha256:97a03e4da763a9a552638a33b95093e61046eb180e6c649bbf7dd2b4ba913a99",
		Policy:     window.Policy{Name: "full", Window: 8, BOS: "none", PrefixIDs: []int32{}},
		Precision:  "f32",
	}
}

var (
	toyIDs = []int32{1, 0, 3, 2, 1, 2}
	toyP   = [][]float64{{.70, .10, .15, .05}, {.30, .30, .20, .20}, {.02, .90, .05, .03}, {.40, .30, .20, .10}, {.01, .01, .97, .01}}
)

// fromP fills row i of t with what the distribution p says about id.
func (t *Tokens) fromP(i int, p []float64, id int32) {
	h, mean := 0.0, 0.0
	for _, x := range p {
		h -= x * math.Log(x)
		mean += math.Log(x)
	}
	mean /= float64(len(p))
	v, uv := 0.0, 0.0
	rank, argmax := int32(0), 0
	for k, x := range p {
		v += x * (math.Log(x) + h) * (math.Log(x) + h)
		uv += (math.Log(x) - mean) * (math.Log(x) - mean)
		if x > p[id] {
			rank++
		}
		if x > p[argmax] {
			argmax = k
		}
	}
	t.Logprob[i], t.Entropy[i], t.SD[i] = float32(math.Log(p[id])), float32(h), float32(math.Sqrt(v))
	t.Rank[i], t.ArgmaxID[i], t.ArgmaxLogprob[i] = rank, int32(argmax), float32(math.Log(p[argmax]))
	if t.UMean != nil {
		t.UMean[i], t.USD[i] = float32(mean), float32(math.Sqrt(uv/float64(len(p)-1)))
	}
}

func newTokens(n int) Tokens {
	return Tokens{Logprob: make([]float32, n), Entropy: make([]float32, n), SD: make([]float32, n), ArgmaxLogprob: make([]float32, n),
		Rank: make([]int32, n), ArgmaxID: make([]int32, n)}
}

func toy() (Doc, Tokens) {
	t := newTokens(6)
	t.ID = toyIDs
	t.ByteOff, t.ByteLen = []int64{0, 2, 4, 6, 8, 10}, []int32{2, 2, 2, 2, 2, 2}
	for i, p := range toyP {
		t.fromP(i+1, p, toyIDs[i+1])
	}
	return TextDoc(0, "toy", []byte("bbaaddccbbcc")), t
}

// writeToy writes TT under a name in a temporary folder.
func writeToy(t *testing.T, name string, o Options) (string, Header) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	w, err := Create(path, toyIdentity(), o)
	if err != nil {
		t.Fatal(err)
	}
	d, x := toy()
	if err := w.Append(d, x); err != nil {
		t.Fatal(err)
	}
	h, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	return path, h
}

const (
	toyTokens = "fc8eceabdbce8ef98c7b8d240b3f71b40f32f690ca7f285c46eee464a1274186"
	toyDocs   = "e07f7549db99e2d20a5252b0a9c0ada667df23d31978ce9f91c736724187378d"
	toyRun    = "3831793ec74c2b4273290eee28bdd7cb0ece5f4ee1307523a60f232d67c44811"
)

// Digests: Python hashlib over the format's definition.
func TestToyDigests(t *testing.T) {
	for _, name := range []string{"x.parquet", "x.jsonl", "x.jsonl.gz"} {
		_, h := writeToy(t, name, Options{})
		if h.Content.Tokens != toyTokens || h.Content.Docs != toyDocs || h.Run != toyRun {
			t.Errorf("%s: content %+v, run %s", name, h.Content, h.Run)
		}
		if h.Counts.Docs != 1 || h.Counts.Rows != 6 || h.Counts.Scored != 5 || h.Counts.Status["ok"] != 1 {
			t.Errorf("%s: counts %+v", name, h.Counts)
		}
	}
	if got := newDigester(Options{}).content().Tokens; got != "e0964810d2586d8aa12cb3a8296f09a5cadfeecc0ef45b1c776b6bb5a9cc8d1a" {
		t.Errorf("no rows: %s", got)
	}
}

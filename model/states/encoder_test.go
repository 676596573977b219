package states

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/model/states/items"
	"assay/model/trace/window"
)

// template is a tokenizer that knows some texts and puts ids around them.
type template struct {
	prefix, suffix []int32
	ids            map[string][]int32
	ends           map[string][]int64
}

func (e template) Encode(s string) ([]int32, []int64, error)     { return e.ids[s], e.ends[s], nil }
func (e template) Digest() string                                { return "sha256:" + strings.Repeat("33", 32) }
func (e template) Specials() string                              { return "none" }
func (e template) Template() (prefix, suffix []int32)            { return e.prefix, e.suffix }
func (e template) BOS() (int32, bool)                            { return 0, false }
func (e template) EOS() (int32, bool)                            { return 0, false }
func (e template) AddBOS() (add, said bool)                      { return false, false }
func (e template) SpecialIn(string) (token string, special bool) { return "", false }

// An encoder is fed a text between the ids of its tokenizer's template; the mean
// is over the text's own tokens. Values: transformers 5.23 in float64
// (model/score/testdata/make_pll.py).
func TestEncoderStates(t *testing.T) {
	b, err := os.ReadFile("../score/testdata/pll.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]struct {
		Prefix, Suffix []int32
		Docs           []struct {
			Text string
			Ends []int64
			IDs  []int32
			Mean [][]float64
		}
	}
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	want := all["bert"]
	m := load(t, "bert")
	enc := template{want.Prefix, want.Suffix, map[string][]int32{}, map[string][]int64{}}
	var in list
	for _, d := range want.Docs {
		enc.ids[d.Text], enc.ends[d.Text] = d.IDs, d.Ends
		in = append(in, items.Item{ID: d.Text, Text: d.Text})
	}
	o := options(m)
	o.Encoder = enc
	s, _ := write(t, m, in, o)
	for i, d := range want.Docs {
		for l, mean := range d.Mean {
			rows, ok := s.Rows(0, l+1)
			if !ok {
				t.Fatalf("no rows of layer %d", l+1)
			}
			near(t, "document "+d.Text, rows.Row(i), mean, 1e-5)
		}
	}
	if p := s.Header().Of.Policy; len(p.PrefixIDs) != 1 || len(p.SuffixIDs) != 1 {
		t.Errorf("policy %+v does not name the ids around the text", p)
	}
	o = options(m)
	o.Encoder, o.Policy = enc, window.Policy{Name: "hf-stride", Window: 8, Stride: 4}
	_, err = Prepare(in, m.Spec(), &o)
	if f := fault.As(err); f == nil || f.Class != fault.Usage || !strings.Contains(err.Error(), "want full") {
		t.Errorf("strided windows: %v, want a usage error", err)
	}
}

package weat_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"sync"
	"testing"

	"assay/latent/weat"
	"assay/latent/weat/vecfile"
)

// Expected numbers in ../../testdata/weat/vectors.json were computed with numpy
// 2.4.6 and scipy 1.17.1 by make_weat_vectors.py beside it; those in
// expected.json by an older program of its own.

const data = "../../testdata/weat/"

type tailGolden struct {
	GE    int64   `json:"ge"`
	Two   int64   `json:"two"`
	Total int64   `json:"total"`
	Log10 float64 `json:"log10_p"`
	Nodes *int64  `json:"nodes"`
	D     float64 `json:"d"`
	P     float64 `json:"p"`
}

type balanceGolden struct {
	D       float64    `json:"d"`
	Two     *int64     `json:"two"`
	P       float64    `json:"p"`
	Bracket [2]float64 `json:"p_bracket"`
}

type weatGolden struct {
	ID           int           `json:"id"`
	Sizes        [4]int        `json:"sizes"`
	Lost         []string      `json:"lost"`
	S            float64       `json:"S"`
	D            float64       `json:"d"`
	DPop         float64       `json:"d_population"`
	DPooled      float64       `json:"d_pooled"`
	DBound       float64       `json:"d_bound"`
	R            float64       `json:"r"`
	AUC          float64       `json:"auc"`
	Z            float64       `json:"z"`
	Log10PNormal float64       `json:"log10_p_normal"`
	Target       tailGolden    `json:"target"`
	Attr         tailGolden    `json:"attr"`
	DAttr        float64       `json:"d_attr"`
	NCT          [2]float64    `json:"nct95"`
	SETargets    float64       `json:"se_targets"`
	SEAttributes float64       `json:"se_attributes"`
	LOOMin       []any         `json:"loo_min"`
	LOOMax       []any         `json:"loo_max"`
	Balance      balanceGolden `json:"balance_norm"`
	BalanceAttr  balanceGolden `json:"balance_norm_attr"`
	Adjusted     struct {
		R     float64 `json:"partial_r"`
		T     float64 `json:"t"`
		DF    int     `json:"df"`
		Log10 float64 `json:"log10_p_t"`
	} `json:"adjusted_norm"`
	DCentred float64 `json:"d_centred"`
	DABTT3   float64 `json:"d_abtt3"`
}

func golden(t testing.TB, key string, into any) {
	t.Helper()
	raw, err := os.ReadFile(data + "vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(doc[key], into); err != nil {
		t.Fatal(key, err)
	}
}

func loss() weat.LossOptions {
	o := weat.DefaultLoss()
	o.Map = map[string]string{"short-term": "short"} // GoogleNews has no "short-term"
	return o
}

func load(name string, moments bool) func() (*vecfile.File, error) {
	return sync.OnceValues(func() (*vecfile.File, error) {
		tests, err := weat.Caliskan()
		if err != nil {
			return nil, err
		}
		lists, err := weat.WEFATLists()
		if err != nil {
			return nil, err
		}
		var extra []string
		for _, l := range lists {
			extra = append(append(append(extra, l.Words...), l.A.Words...), l.B.Words...)
		}
		f, err := os.Open(data + name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return vecfile.Options{Name: name, Moments: moments}.Read(f, weat.Wanted(tests, loss(), extra...))
	})
}

var (
	glove = load("glove840b_weat.txt.gz", true)
	news  = load("googlenews_w2v_weat.txt.gz", false)
)

func open(t testing.TB, f func() (*vecfile.File, error)) *vecfile.File {
	t.Helper()
	v, err := f()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func caliskan(t testing.TB, id int) weat.Test {
	t.Helper()
	tests, err := weat.Builtin(fmt.Sprintf("weat%d", id))
	if err != nil {
		t.Fatal(err)
	}
	return tests[0]
}

// near compares with an absolute tolerance.
func near(t testing.TB, what string, got, want, tol float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tol) {
		t.Errorf("%s: got %.12g, want %.12g within %g", what, got, want, tol)
	}
}

package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"testing"

	"assay/probes"
)

func entry(path, text string) FileEntry {
	h := sha256.Sum256([]byte(text))
	return FileEntry{Path: path, SHA256: hex.EncodeToString(h[:]), Kind: kindOfFile(path)}
}

// Expected value: Python 3 hashlib over the lines of the definition.
func TestEvidenceID(t *testing.T) {
	files := []FileEntry{entry("results/01-ppl.json", "{}\n"), entry("plan.yaml", "schema: assay.audit/1\n"), entry("gens/a.jsonl", "{}\n"),
		entry("report.html", "changes nothing"), entry("log.jsonl", "nor this"), entry("results/summary.csv", "nor this")}
	const want = "4bc0ae551425e7915bd150cee696024fd42c64b16d97f1a8e222764426aaf44b"
	if got := EvidenceID(files); got != want {
		t.Errorf("EvidenceID = %s, want %s", got, want)
	}
	files[0].Content = strings.Repeat("0", 64) // a content digest stands for the file's
	if EvidenceID(files) == want {
		t.Error("a content digest does not count")
	}
}

// Expected orders: Python 3 hashlib, SHA-256(seed ":" run ":" id), run = hex
// SHA-256 of "trace".
func TestChoose(t *testing.T) {
	h := sha256.Sum256([]byte("trace"))
	run := hex.EncodeToString(h[:])
	for _, c := range []struct {
		seed string
		n, m int
		want string
	}{
		{"", 10, 3, "d0 d2 d5"}, {"7", 10, 3, "d3 d7 d9"},
		{"", 1000, 5, "d206 d341 d396 d500 d844"}, {"7", 1000, 5, "d166 d319 d740 d828 d993"},
	} {
		var ids []string
		for i := range c.n {
			ids = append(ids, fmt.Sprintf("d%d", i))
		}
		got := map[string]bool{}
		for _, id := range Choose(c.seed, run, ids, c.m) {
			got[id] = true
		}
		for _, id := range strings.Fields(c.want) { // the vectors list the set in numerical order
			if !got[id] || len(got) != c.m {
				t.Errorf("seed %q, n %d: got %v, want %s", c.seed, c.n, got, c.want)
				break
			}
		}
	}
}

// Expected: 1 - 0.05^(1/m) for k = 0; scipy 1.17 beta.ppf(0.95, k+1, m-k) else.
func TestUpperShare(t *testing.T) {
	for _, c := range []struct {
		k, m int
		want float64
	}{{0, 64, 1 - math.Pow(0.05, 1.0/64)}, {1, 64, 0.0720}, {0, 1, 0.95}, {64, 64, 1}, {0, 0, 1}} {
		if got := UpperShare(c.k, c.m); math.Abs(got-c.want) > 5e-5 {
			t.Errorf("UpperShare(%d, %d) = %.6f, want %.6f", c.k, c.m, got, c.want)
		}
	}
}

func result(tier probes.Tier, ps ...probes.PValue) probes.Result {
	return probes.Result{Schema: probes.Schema, Test: "toy", P: ps, Verdict: probes.Verdict{Tier: tier}}
}

// By hand: Holm over 0.01, 0.04, 0.03 gives 0.03, 0.06, 0.06 (Holm 1979); a combined
// "verdict" stands for its result, tier C and tests outside the family for nothing.
func TestAdjust(t *testing.T) {
	p := func(name string, x float64) probes.PValue { return probes.PValue{Name: name, Log10P: math.Log10(x)} }
	outs := []Outcome{
		{Item: Item{ID: "a", Primary: true}, Results: []probes.Result{result(probes.TierA, p("rank", .01))}},
		{Item: Item{ID: "b", Primary: true}, Results: []probes.Result{result(probes.TierB, p("perm", 1e-9), p("verdict", .04), p("other", 1e-9))}},
		{Item: Item{ID: "c"}, Results: []probes.Result{result(probes.TierA, p("rank", 1e-9))}},
		{Item: Item{ID: "d", Primary: true}, Results: []probes.Result{result(probes.TierB, p("t", .03)), result(probes.TierC)}},
	}
	Adjust(outs, Family{Method: "holm", Over: "primary"})
	for _, c := range []struct {
		o, r, p int
		want    float64
	}{{0, 0, 0, .03}, {1, 0, 1, .06}, {3, 0, 0, .06}, {1, 0, 0, math.NaN()}, {2, 0, 0, math.NaN()}} {
		got := math.Pow(10, outs[c.o].Adjusted[c.r][c.p])
		if math.Abs(got-c.want) > 1e-12 || math.IsNaN(got) != math.IsNaN(c.want) {
			t.Errorf("outcome %d p %d: adjusted %g, want %g", c.o, c.p, got, c.want)
		}
	}
	Adjust(outs, Family{Method: "none", Over: "all"})
	if !math.IsNaN(outs[0].Adjusted[0][0]) {
		t.Error("method none adjusted a p-value")
	}
}

func TestDiffers(t *testing.T) {
	base := result(probes.TierB, probes.PValue{Name: "t", Log10P: -3})
	base.Estimates = []probes.Estimate{{Name: "d", Value: probes.Value(1)}}
	change := func(f func(*probes.Result)) probes.Result {
		r := base
		r.Estimates = []probes.Estimate{base.Estimates[0]}
		r.P = []probes.PValue{base.P[0]}
		f(&r)
		return r
	}
	for _, c := range []struct {
		name  string
		other probes.Result
		same  bool
		found bool
	}{
		{"equal", base, true, false},
		{"rounding on another processor", change(func(r *probes.Result) { r.Estimates[0].Value = probes.Value(1 + 5e-10) }), false, false},
		{"rounding on the same program", change(func(r *probes.Result) { r.Estimates[0].Value = probes.Value(1 + 5e-10) }), true, true},
		{"estimate", change(func(r *probes.Result) { r.Estimates[0].Value = probes.Value(1 + 5e-9) }), false, true},
		{"undefined", change(func(r *probes.Result) { r.Estimates[0].Value = nil }), false, true},
		{"log p", change(func(r *probes.Result) { r.P[0].Log10P = -3.0000001 }), false, true},
		{"tier", change(func(r *probes.Result) { r.Verdict.Tier = probes.TierA }), false, true},
		{"says", change(func(r *probes.Result) { r.Verdict.Says = "more" }), false, true},
		{"interval on one side", change(func(r *probes.Result) { r.Estimates[0].CI = &probes.CI{} }), false, true},
		{"warning", change(func(r *probes.Result) { r.Warnings = []probes.Warning{{Code: "x"}} }), false, true},
	} {
		if got := differs(base, c.other, c.same); (got != "") != c.found {
			t.Errorf("%s: differs = %q, want found %v", c.name, got, c.found)
		}
	}
}

func TestShellQuote(t *testing.T) {
	for in, want := range map[string]string{
		"traces/a-b.parquet":        "traces/a-b.parquet",
		"--x=a b":                   "'--x=a b'",
		"it's":                      `'it'\''s'`,
		"$INPUT_BASE":               `"$INPUT_BASE"`,
		"--tests=$INPUT_W":          `--tests="$INPUT_W"`,
		"$INPUT_x; rm -rf /":        "'$INPUT_x; rm -rf /'",
		"$(id)":                     "'$(id)'",
		"":                          "''",
		"--note=$INPUT_A\"; echo x": "'--note=$INPUT_A\"; echo x'",
	} {
		if got := shellQuote(in); got != want {
			t.Errorf("shellQuote(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestRewrite(t *testing.T) {
	r := &rewrite{}
	r.add("/tmp/a/", "")
	r.add("/tmp/a/ck", "suspect")
	r.add("/", "never")
	if got := r.text("/tmp/a/traces/x /tmp/a/ck/model"); got != "traces/x suspect/model" {
		t.Errorf("text: %q", got)
	}
	r.add("/w/q\"<&", "named")
	if got := string(r.json([]byte(`{"path":"/w/q\"<&"}`))); got != `{"path":"named"}` {
		t.Errorf("json: %s", got)
	}
	if got := string(r.xml([]byte(`<text>/w/q&#34;&lt;&amp;</text>`))); got != `<text>named</text>` {
		t.Errorf("xml: %s", got)
	}
}

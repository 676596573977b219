package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"assay/probes"
	"assay/tokenize"
)

// demoItems are n Bible and n Shakespeare texts of testdata/demo.
func demoItems(t *testing.T, n int) (ids, texts, labels []string) {
	t.Helper()
	b, err := os.ReadFile("../../testdata/demo/texts.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string][]string
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"kjv", "shk"} {
		for i, s := range all[k][:n] {
			ids, texts, labels = append(ids, fmt.Sprintf("%s%02d", k, i)), append(texts, s[:200]), append(labels, k)
		}
	}
	return ids, texts, labels
}

func writeItems(t *testing.T, path string, ids, texts, labels []string) {
	t.Helper()
	var b bytes.Buffer
	for i := range ids {
		row, err := json.Marshal(map[string]string{"id": ids[i], "text": texts[i], "label": labels[i], "topic": []string{"even", "odd"}[i%2]})
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(row, '\n'))
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// assay runs the program and returns its only result.
func assay(t *testing.T, args ...string) probes.Result {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(context.Background(), append(args, "--json", "--quiet"), strings.NewReader(""), &out, &errs); code != 0 {
		t.Fatalf("assay %s: exit %d: %s", strings.Join(args, " "), code, errs.String())
	}
	var doc struct{ Results []probes.Result }
	if err := json.Unmarshal(out.Bytes(), &doc); err != nil || len(doc.Results) != 1 {
		t.Fatalf("%v, %d results in %s", err, len(doc.Results), out.String())
	}
	return doc.Results[0]
}

func estimateOf(t *testing.T, r probes.Result, name string) probes.Estimate {
	t.Helper()
	for _, e := range r.Estimates {
		if e.Name == name && e.Value != nil {
			return e
		}
	}
	t.Fatalf("no value for %s", name)
	return probes.Estimate{}
}

// From texts to verdict: two kinds of text lie apart in the demo checkpoint, the
// same texts with shuffled labels do not. The size of the separation is not an
// expected value here; latent/aqi holds it against scikit-learn.
func TestDemoSeparatesFromTexts(t *testing.T) {
	if !tokenize.Available {
		t.Skip("needs the tokenizer library (build tag tokenizers)")
	}
	dir := t.TempDir()
	ids, texts, labels := demoItems(t, 40)
	ckpt, items, cache := "../../testdata/demo/alice", filepath.Join(dir, "items.jsonl"), filepath.Join(dir, "cache")
	writeItems(t, items, ids, texts, labels)
	r := assay(t, "aqi", ckpt, "--text", items, "--cache", cache, "--perm", "999", "--indices", "r2,probe")
	const head = "@resid_post.mean.pool"
	r2, q95 := estimateOf(t, r, "aqi.r2"+head), estimateOf(t, r, "aqi.null.q95"+head)
	if r2.CI == nil || r2.CI.Lo < 5**q95.Value || *estimateOf(t, r, "aqi.probe.auroc"+head).Value < .95 {
		t.Errorf("R2 %v (%+v), 95 %% point of the null %v: the two kinds of text should lie far apart", *r2.Value, r2.CI, *q95.Value)
	}
	// Words and length tell the two kinds apart: no p-value is valid.
	if r.Verdict.Tier != probes.TierC || len(r.P) != 0 {
		t.Errorf("tier %s with %d p-values, want C with none", r.Verdict.Tier, len(r.P))
	}
	rnd := rand.New(rand.NewPCG(8, 1))
	const runs = 6
	small := 0
	for i := range runs {
		rnd.Shuffle(len(labels), func(a, b int) { labels[a], labels[b] = labels[b], labels[a] })
		writeItems(t, items, ids, texts, labels)
		r := assay(t, "aqi", ckpt, "--text", items, "--cache", cache, "--perm", "199", "--indices", "r2")
		if v := *estimateOf(t, r, "aqi.r2"+head).Value; v > .05 {
			t.Errorf("shuffle %d: R2 %v", i, v)
		}
		if plain := *estimateOf(t, r, "aqi.r2.plain"+head).Value; plain > *estimateOf(t, r, "aqi.null.q95"+head).Value {
			small++
		}
	}
	// Binomial(6, .05): 3 or more has probability .002.
	if small >= 3 {
		t.Errorf("%d of %d shuffles lie beyond the 95 %% point of the null", small, runs)
	}
}

// Vectors that another program made: with a NaN they are refused, and so are labels
// that do not fit them.
func TestStatesFromVectorsRefused(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, n int, at int) string {
		v := make([]float32, n*2)
		for i := range v {
			v[i] = float32(i)
		}
		if at >= 0 {
			v[at] = float32(math.NaN())
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, npyFloats([]int{n, 2}, v), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good, nan, five := write("good.npy", 4, -1), write("nan.npy", 4, 5), write("five.npy", 5, -1)
	csv := filepath.Join(dir, "labels.csv")
	if err := os.WriteFile(csv, []byte("id,label\nw,a\nx,a\ny,b\nz,b\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct{ from, says string }{{good, ""}, {nan, `id "y"`}, {five, "5"}} {
		var out, errs bytes.Buffer
		code := run(context.Background(), []string{"states", "--from", c.from, "--labels", csv, "-o", filepath.Join(dir, fmt.Sprint("s", i, ".safetensors"))}, strings.NewReader(""), &out, &errs)
		if want := map[bool]int{true: 0, false: 3}[c.says == ""]; code != want || !strings.Contains(errs.String(), c.says) {
			t.Errorf("%s: exit %d, %s; want %d and %q", c.from, code, errs.String(), want, c.says)
		}
	}
	r := assay(t, "aqi", filepath.Join(dir, "s0.safetensors"), "--indices", "r2")
	// By hand: rows (0,1) (2,3) and (4,5) (6,7): D2 = 32, N = 2 each, v = 4 each; theta = 2 (32-4)/8 = 7.
	if v := *estimateOf(t, r, "aqi.theta@given.given.0").Value; math.Abs(v-7) > 1e-12 {
		t.Errorf("theta %v, want 7", v)
	}
}

// npyFloats is a .npy file of float32.
func npyFloats(shape []int, v []float32) []byte {
	s := strings.Trim(strings.ReplaceAll(fmt.Sprint(shape), " ", ", "), "[]")
	h := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }", s)
	h += strings.Repeat(" ", 63-(10+len(h))%64) + "\n"
	b := append([]byte("\x93NUMPY\x01\x00"), byte(len(h)), byte(len(h)>>8))
	b = append(b, h...)
	for _, x := range v {
		u := math.Float32bits(x)
		b = append(b, byte(u), byte(u>>8), byte(u>>16), byte(u>>24))
	}
	return b
}

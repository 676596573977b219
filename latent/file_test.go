package latent_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/latent"
	"assay/latent/aqi"
	"assay/latent/compare"
	"assay/latent/geom"
	"assay/latent/health"
	"assay/latent/internal/mem"
	"assay/latent/internal/vectors"
	"assay/model/trace"
)

// write stores G1 (shift) and Y as layers 1 and 2 of a states file.
func write(t *testing.T, name string, shift float64, keep []int) string {
	t.Helper()
	g1, y := vectors.Float32(vectors.G1(1, shift)), vectors.Float32(vectors.Y())
	var docs []trace.DocInfo
	for i := range 200 {
		sha := sha256.Sum256(fmt.Append(nil, "text ", i))
		docs = append(docs, trace.DocInfo{ID: fmt.Sprintf("d%05d", i), Label: []string{"a", "b"}[i/100], Stratum: fmt.Sprint("topic", i%5),
			Tokens: 11, Span: 10, Bytes: 40, TextSHA: [8]byte(sha[:8])})
	}
	views := []trace.View{
		{Tap: "resid_post", Pool: "tokens:-1", Span: "text", Layers: []int{2}, Width: 64},
		{Tap: "resid_post", Pool: "mean", Span: "text", Layers: []int{1, 2}, Width: 64},
	}
	for i := range docs {
		docs[i].Positions = []int32{9}
	}
	plan, err := trace.NewStatesPlan(docs, views, trace.PlanOptions{Cells: 20, Sample: 40, Keep: keep, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	var h trace.StatesHeader
	h.Of.Checkpoint.Weights, h.Of.Text = "sha256:"+name, "sha256:texts"
	path := filepath.Join(t.TempDir(), name+".safetensors")
	w, err := trace.CreateStates(path, plan, h)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		a, b := g1[i*64:(i+1)*64], y[i*64:(i+1)*64]
		if err := w.Add(i, 1, [][]float32{a, b}); err != nil {
			t.Fatal(err)
		}
		if err := w.Add(i, 0, [][]float32{b}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t *testing.T, path string) *latent.File {
	t.Helper()
	f, err := latent.Open(path, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// A file gives what the same rows in memory give: from its rows, and with theta
// and indices of moments from its cells.
func TestFile(t *testing.T) {
	v := vectors.Load(t)
	set := mem.Set{Name: "memory", First: 1, Rows: true}
	for i := range 200 {
		set.Label = append(set.Label, []string{"a", "b"}[i/100])
		set.Stratum = append(set.Stratum, fmt.Sprint("topic", i%5))
	}
	g1 := vectors.G1(1, .75)
	y := vectors.Y()
	for i := range y { // the file holds float32
		y[i] = float64(float32(y[i]))
	}
	set.Layers = append(set.Layers, dense(g1), dense(y))
	o := aqi.Default()
	o.Infer.Draws, o.Indices = 199, []string{"r2", "xbi", "chi"}
	want, err := aqi.Run(context.Background(), mem.New(set), o)
	if err != nil {
		t.Fatal(err)
	}
	value := map[string]float64{}
	for _, e := range want.Estimates {
		if e.Value != nil {
			value[e.Name] = *e.Value
		}
	}
	for name, keep := range map[string][]int{"rows": nil, "cells": {}} {
		f := open(t, write(t, name, .75, keep))
		if in := f.Info(); len(in.Views) != 1 || in.Views[0].Name() != "resid_post.mean" || !slices.Equal(in.Labels, []string{"a", "b"}) || in.Unverified {
			t.Fatalf("%s: info %+v", name, in)
		}
		if _, ok := f.Rows(0, 0); ok != (name == "rows") {
			t.Fatalf("%s: rows kept %v", name, ok)
		}
		got, err := aqi.Run(context.Background(), f, o)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, e := range got.Estimates {
			w, ok := value[e.Name]
			if !ok || e.Value == nil || name == "cells" && (contains(e.Name, "null") || contains(e.Name, "zscore") || contains(e.Name, "chen-qin")) {
				continue
			}
			n++
			vectors.Near(t, name+" "+e.Name, *e.Value, w, 1e-9)
		}
		if n < 20 {
			t.Errorf("%s: %d estimates compared, want at least 20", name, n)
		}
		for _, e := range got.Estimates {
			if e.Name == "aqi.theta@resid_post.mean.1" {
				vectors.Near(t, "within topics", *e.Value, v.Num("G1.within_topic.theta"), 1e-9)
			}
		}
		rows, err := f.TokenRows("resid_post", 2)
		if err != nil || rows == nil || rows.X.Len() != 200 || rows.Pos[3] != 9 {
			t.Errorf("%s: token rows %+v, %v", name, rows, err)
		}
		if p, err := f.Peaks("resid_post"); p != nil || err != nil {
			t.Errorf("%s: peaks %v, %v; want none", name, p, err)
		}
		if _, err := health.Run(context.Background(), f, nil, health.Default()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Two files: the sample is the same for both, and the comparison runs on it.
	a, b := open(t, write(t, "a", .75, []int{})), open(t, write(t, "b", .5, []int{}))
	r, err := compare.States(context.Background(), a, b, compare.Default())
	if err != nil {
		t.Fatal(err)
	}
	if r.N["documents"] != 80 || r.Settings["identical"] != false {
		t.Errorf("compared %d documents, identical %v; want 80 of the sample, false", r.N["documents"], r.Settings["identical"])
	}
}

func TestOpenRefusals(t *testing.T) {
	path := write(t, "x", .5, nil)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-5] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := latent.Open(path, true); fault.As(err) == nil || fault.As(err).Class != fault.Input {
		t.Errorf("changed content: %v, want an input error", err)
	}
	f, err := latent.Open(path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !f.Info().Unverified {
		t.Error("opened without the digest, but not marked")
	}
	if _, err := latent.Open(filepath.Join(t.TempDir(), "none"), true); err == nil {
		t.Error("no file: no error")
	}
}

func dense(x []float64) geom.Dense { return geom.Dense{N: len(x) / 64, W: 64, Data: x} }

func contains(s, part string) bool { return strings.Contains(s, part) }

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"slices"

	"assay/internal/fault"
	"assay/latent/weat"
	"assay/latent/weat/vecfile"
	"assay/probes"
)

// weatRep is one representation of words: a space, and how a test is scored in
// it under a variant.
type weatRep struct {
	name   string
	space  weat.Space // raw
	inputs []probes.Input
	notes  []weat.Note
	score  func(weat.Test, weat.Variant, weat.LossOptions) (weat.Scores, error)
	// settings are added to those of every result of this representation.
	settings map[string]any
	// Contexts alone: the states and what a variant takes off them.
	states *weat.States
	shift  func(weat.Variant) (weat.Shift, error)
}

// open reads what the tests and the extra words need from the source.
func (s *weatSource) open(ctx context.Context, a *app, args []string, tests []weat.Test, extra []string) ([]weatRep, error) {
	if s.vectors == "" {
		return s.openCheckpoint(ctx, a, args[0], tests, extra)
	}
	r, err := s.openVectors(tests, extra)
	return []weatRep{r}, err
}

// openVectors reads the wanted rows of a file in one pass, with the file's digest.
func (s *weatSource) openVectors(tests []weat.Test, extra []string) (weatRep, error) {
	f, err := os.Open(s.vectors)
	if err != nil {
		return weatRep{}, fault.Inputf("no-file", "--vectors: %w", err)
	}
	defer f.Close()
	sum := sha256.New()
	tee := io.TeeReader(f, sum)
	v, err := vecfile.Options{Format: vecfile.Format(s.format), Name: s.vectors, Moments: s.centre == "all"}.
		Read(tee, weat.Wanted(tests, s.loss, extra...))
	if err != nil {
		return weatRep{}, err
	}
	if _, err := io.Copy(io.Discard, tee); err != nil {
		return weatRep{}, fault.Retryf("io", "--vectors: %w", err)
	}
	r := weatRep{name: "file", space: v, notes: v.Notes(),
		inputs: []probes.Input{{Role: "vectors", Path: s.vectors, Digest: "sha256:" + hex.EncodeToString(sum.Sum(nil))}}}
	words, err := runWords(tests, extra, v, s.loss)
	if err != nil {
		return weatRep{}, err
	}
	r.score = shifted(v, func(va weat.Variant) (weat.Shift, error) {
		if v.Moments != nil {
			return v.Moments.Shift(va)
		}
		return weat.WordShift(v, words, va)
	})
	return r, nil
}

// shifted scores in a space after the shift of a variant, computed once each.
func shifted(sp weat.Space, shift func(weat.Variant) (weat.Shift, error)) func(weat.Test, weat.Variant, weat.LossOptions) (weat.Scores, error) {
	get := onceEach(shift)
	return func(t weat.Test, v weat.Variant, o weat.LossOptions) (weat.Scores, error) {
		s, err := get(v)
		if err != nil {
			return weat.Scores{}, err
		}
		return weat.Score(t, weat.Shifted{Space: sp, Shift: s}, o)
	}
}

func onceEach(shift func(weat.Variant) (weat.Shift, error)) func(weat.Variant) (weat.Shift, error) {
	done := map[weat.Variant]weat.Shift{}
	return func(v weat.Variant) (weat.Shift, error) {
		if s, ok := done[v]; ok {
			return s, nil
		}
		s, err := shift(v)
		if err == nil {
			done[v] = s
		}
		return s, err
	}
}

// runWords lists the keys of all words of a run that a space has, each once, in
// the order of the tests: what centring is over where no matrix says more.
func runWords(tests []weat.Test, extra []string, sp weat.Space, o weat.LossOptions) ([]string, error) {
	var out []string
	seen := map[string]bool{}
	add := func(key string) {
		if !seen[key] {
			seen[key] = true
			out = append(out, key)
		}
	}
	for _, t := range tests {
		sc, err := weat.Score(t, sp, o)
		if err != nil {
			return nil, err
		}
		for _, w := range slices.Concat(sc.X, sc.Y, sc.A, sc.B) {
			add(w.Used)
		}
	}
	for _, w := range extra {
		if _, why := sp.Vector(w); why == "" {
			add(w)
		}
	}
	return out, nil
}

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"assay/internal/fault"
	"assay/latent/weat"
	"assay/latent/weat/vecfile"
	"assay/probes"
	"assay/weights"
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
	// Matched words: the space after a variant, and other words that it holds.
	after func(weat.Variant) (weat.Space, error)
	pool  func() ([]string, error)
}

// firstRows are the rows that a vector file is centred on: its commonest words,
// so that what a variant takes off does not depend on which tests share a run.
const firstRows = 20_000

// matchedNull is the effect of random words matched on length and pieces.
func (r weatRep) matchedNull(sc weat.Scores, v weat.Variant, draws int, seed uint64) (*weat.Matched, error) {
	if r.pool == nil {
		return nil, fault.Usagef("--matched: --rep %s holds only the words of the tests, want input, output or --vectors", r.name)
	}
	words, err := r.pool()
	if err != nil {
		return nil, err
	}
	sp, err := r.after(v)
	if err != nil {
		return nil, err
	}
	m, err := weat.MatchedNull(sc, sp, words, draws, seed)
	return &m, err
}

// open reads what the tests and the extra words need from the source.
func (s *weatSource) open(ctx context.Context, a *app, args []string, tests []weat.Test, extra []string) ([]weatRep, error) {
	switch {
	case s.states != "":
		return s.openStates(tests, extra)
	case s.vectors == "":
		return s.openCheckpoint(ctx, a, args[0], tests, extra)
	}
	r, err := s.openVectors(tests, extra)
	return []weatRep{r}, err
}

// openVectors reads the wanted rows of a file in one pass, with the file's digest.
func (s *weatSource) openVectors(tests []weat.Test, extra []string) (weatRep, error) {
	reference, err := s.reference()
	if err != nil {
		return weatRep{}, err
	}
	want := weat.Wanted(tests, s.loss, slices.Concat(extra, reference)...)
	var v *vecfile.File
	var digest string
	if s.vocab != "" {
		v, digest, err = s.readMatrix(want)
	} else {
		v, digest, err = s.readVectors(want)
	}
	if err != nil {
		return weatRep{}, err
	}
	r := weatRep{name: "file", space: v, notes: v.Notes(), inputs: []probes.Input{{Role: "vectors", Path: s.vectors, Digest: digest}}}
	words, err := runWords(tests, slices.Concat(extra, reference), v, s.loss)
	if err != nil {
		return weatRep{}, err
	}
	centred := fmt.Sprintf("%d words of the run", len(words))
	if v.Moments != nil {
		centred = fmt.Sprintf("%d rows of the file", v.Moments.Rows())
	} else {
		r.notes = append(r.notes, centredOnRun(len(words), s.centre)...)
	}
	r.settings = map[string]any{"centre": s.centre, "centred_on": centred}
	shift := onceEach(func(va weat.Variant) (weat.Shift, error) {
		if v.Moments != nil {
			return v.Moments.Shift(va)
		}
		return weat.WordShift(v, words, va)
	})
	r.after = func(va weat.Variant) (weat.Space, error) {
		sh, err := shift(va)
		return weat.Shifted{Space: v, Shift: sh}, err
	}
	r.score = r.scoreAfter
	r.pool = func() ([]string, error) { return v.Words, nil }
	return r, nil
}

// scoreAfter scores a test in the space after a variant.
func (r weatRep) scoreAfter(t weat.Test, v weat.Variant, o weat.LossOptions) (weat.Scores, error) {
	sp, err := r.after(v)
	if err != nil {
		return weat.Scores{}, err
	}
	return weat.Score(t, sp, o)
}

// centredOnRun says that variants depend on what else is in the run.
func centredOnRun(words int, centre string) []weat.Note {
	if centre == "none" {
		return nil
	}
	text := fmt.Sprintf("centred and abtt3 take off mean and directions of the %d words of this run: with other tests beside it they differ, and with few words abtt3 takes off what is tested", words)
	if centre != "lists" {
		text += " (--centre lists adds the words of the built-in tests)"
	}
	return []weat.Note{{Code: "centred-on-run", Text: text}}
}

func (s *weatSource) readVectors(want map[string]struct{}) (*vecfile.File, string, error) {
	f, err := os.Open(s.vectors)
	if err != nil {
		return nil, "", fault.Inputf("no-file", "--vectors: %w", err)
	}
	defer f.Close()
	o := vecfile.Options{Format: vecfile.Format(s.format), Name: s.vectors, Keep: s.pool}
	if st, err := f.Stat(); err == nil && st.Mode().IsRegular() {
		o.Size = st.Size()
	}
	switch s.centre {
	case "first":
		o.Moments, o.MomentsRows = true, firstRows
	case "all":
		o.Moments = true
	}
	sum := sha256.New()
	tee := io.TeeReader(f, sum)
	v, err := o.Read(tee, want)
	if err != nil {
		return nil, "", err
	}
	if _, err := io.Copy(io.Discard, tee); err != nil {
		return nil, "", fault.Retryf("io", "--vectors: %w", err)
	}
	return v, "sha256:" + hex.EncodeToString(sum.Sum(nil)), nil
}

// rowsOf is a matrix in memory.
type rowsOf struct {
	rows, dim int
	x         []float32
}

func (m rowsOf) Rows() int { return m.rows }
func (m rowsOf) Dim() int  { return m.dim }
func (m rowsOf) Row(i int, dst []float64) {
	for k, v := range m.x[i*m.dim : (i+1)*m.dim] {
		dst[k] = float64(v)
	}
}

// readMatrix reads the one matrix of a safetensors file, one word of --vocab a row.
func (s *weatSource) readMatrix(want map[string]struct{}) (*vecfile.File, string, error) {
	ck, err := weights.Open(s.vectors)
	if err != nil {
		return nil, "", err
	}
	defer ck.Close()
	var info []weights.Info
	for t := range ck.Tensors() {
		info = append(info, t)
	}
	if len(info) != 1 || len(info[0].Shape) != 2 {
		return nil, "", fault.Inputf("bad-vectors", "--vectors: %s: found %d tensors, want one with 2 axes", s.vectors, len(info))
	}
	text, err := os.ReadFile(s.vocab)
	if err != nil {
		return nil, "", fault.Inputf("no-file", "--vocab: %w", err)
	}
	words := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	for i := range words {
		words[i] = strings.TrimSuffix(words[i], "\r")
	}
	m := rowsOf{rows: info[0].Shape[0], dim: info[0].Shape[1], x: make([]float32, info[0].Len())}
	if err := ck.F32(info[0].Name, m.x); err != nil {
		return nil, "", err
	}
	if s.pool > 0 {
		for _, w := range words[:min(len(words), int(s.pool))] {
			want[w] = struct{}{}
		}
	}
	v, err := vecfile.FromRows(words, m, want, s.vectors)
	if err != nil {
		return nil, "", err
	}
	if s.centre == "first" || s.centre == "all" {
		n := m.rows
		if s.centre == "first" {
			n = min(n, firstRows)
		}
		if v.Moments, err = weat.NewMoments(m.dim); err != nil {
			return nil, "", err
		}
		row := make([]float64, m.dim)
		for i := range n {
			m.Row(i, row)
			v.Moments.Add(row)
		}
	}
	d, err := ck.Scan(context.Background())
	return v, d.Weights, err
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

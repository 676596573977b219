package latent

import (
	"slices"

	"assay/latent/geom"
	"assay/model/trace"
)

// File presents a states file as States.
type File struct {
	t     *trace.States
	info  Info
	docs  Docs
	views []int // pooled views: index in Info -> index in the file
}

// Open opens a states file and checks the digest of its content unless told not to.
func Open(path string, verify bool) (*File, error) {
	t, err := trace.OpenStatesWith(path, trace.StatesOptions{NoVerify: !verify})
	if err != nil {
		return nil, err
	}
	return NewFile(t), nil
}

// NewFile presents states that are open. Views that keep rows of token positions
// are no views here: they are read as TokenRows.
func NewFile(t *trace.States) *File {
	h := t.Header()
	f := &File{t: t, info: Info{
		Path: t.Path(), Run: "sha256:" + h.Run, Checkpoint: h.Of.Checkpoint.Weights, Tokenizer: h.Of.Tokenizer.Digest,
		Text: h.Of.Text, Plan: h.Of.Plan.Digest, Template: h.Of.Template, Units: h.Of.Columns.Unit,
		Labels: h.Labels, Strata: h.Strata, Quantised: h.Made.Quantised, Unverified: !t.Verified(),
	}}
	for i, v := range h.Of.Views {
		if !v.Tokens() {
			f.views = append(f.views, i)
			f.info.Views = append(f.info.Views, View{Tap: v.Tap, Pool: v.Pool, Span: v.Span, Layers: v.Layers, Width: v.Width})
		}
	}
	d := t.Docs()
	f.docs = Docs{ID: d.ID, Label: d.Label, Stratum: d.Stratum, Unit: d.Unit, Tokens: d.Tokens, Span: d.Span, Bytes: d.Bytes, TextSHA: d.TextSHA}
	return f
}

// Close unmaps the file; nothing read from it may be used after.
func (f *File) Close() error { return f.t.Close() }

// Info implements States, and so do the methods below.
func (f *File) Info() Info { return f.info }

// Docs returns the documents.
func (f *File) Docs() (*Docs, error) { return &f.docs, nil }

// Cells returns the cell sums of a view.
func (f *File) Cells(view int) (geom.Cells, error) {
	c, err := f.t.Cells(f.views[view])
	if err != nil || c == nil {
		return nil, err
	}
	return cells{c}, nil
}

// Rows returns the rows of every document at a layer index.
func (f *File) Rows(view, k int) (geom.Rows, bool) {
	m, ok := f.t.Rows(f.views[view], k)
	return geom.Matrix(m), ok
}

// Sample returns the sampled rows with their documents.
func (f *File) Sample(view, k int) (geom.Rows, []int, error) {
	m, docs, err := f.t.Sample(f.views[view], k)
	if err != nil || len(docs) == 0 {
		return nil, nil, err
	}
	return geom.Matrix(m), docs, nil
}

// SqNorm returns squared norms, documents x layers.
func (f *File) SqNorm(view int) ([]float32, error) { return f.t.SqNorm(f.views[view]) }

// DimSq returns sums of squares, labels x width.
func (f *File) DimSq(view, k int) (geom.Dense, error) {
	d, err := f.t.DimSq(f.views[view], k)
	return geom.Dense{N: len(f.info.Labels), W: f.info.Views[view].Width, Data: d}, err
}

// Peaks returns the largest token activations of a tap.
func (f *File) Peaks(tap string) (*Peaks, error) {
	p, err := f.t.Peaks(tap)
	if err != nil || p == nil {
		return nil, err
	}
	return &Peaks{Layers: p.Layers, Max: p.Max, Pos: p.Pos, Dim: p.Dim, Count: p.Massive}, nil
}

// TokenSums returns sums over tokens of a tap at a layer.
func (f *File) TokenSums(tap string, layer int) (*TokenSums, error) {
	t, err := f.t.TokenSums(tap, layer)
	if err != nil || t == nil {
		return nil, err
	}
	return &TokenSums{Sq: t.Sq, Max: t.Max, N6: t.N6}, nil
}

// Sameness returns the mean cosine of pairs of positions inside each document at a
// layer of a tap, NaN where there are no pairs; nil if not kept.
func (f *File) Sameness(tap string, layer int) ([]float32, error) {
	all, err := f.t.Sameness(tap)
	if all == nil || err != nil {
		return nil, err
	}
	i := slices.IndexFunc(f.t.Header().Of.Views, func(v trace.View) bool { return v.Tap == tap })
	layers := f.t.Header().Of.Views[i].Layers
	k := slices.Index(layers, layer)
	if k < 0 {
		return nil, nil
	}
	out := make([]float32, 0, len(all)/len(layers))
	for ; k < len(all); k += len(layers) {
		out = append(out, all[k])
	}
	return out, nil
}

// TokenRows returns unpooled rows of a tap at a layer.
func (f *File) TokenRows(tap string, layer int) (*TokenRows, error) {
	t, err := f.t.TokenRows(tap, layer)
	if err != nil || t == nil {
		return nil, err
	}
	return &TokenRows{Offsets: t.Offsets, Pos: t.Pos, X: geom.Matrix(t.X)}, nil
}

// Lens returns the readings of the head.
func (f *File) Lens() (*Lens, error) {
	l, err := f.t.Lens()
	if err != nil || l == nil {
		return nil, err
	}
	out := Lens(*l)
	return &out, nil
}

// cells presents a file's cell sums as geom.Cells.
type cells struct{ *trace.Cells }

func (c cells) Info(i int) geom.Cell {
	x := c.Cells.Info[i]
	return geom.Cell{Label: int(x.Label), Stratum: int(x.Stratum), Block: int(x.Block), N: int(x.Docs), Units: int(x.Units)}
}

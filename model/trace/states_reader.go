package trace

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"assay/internal/fault"
)

// States reads a states file. It is safe for concurrent use. Slices that it returns
// are read-only and valid until Close.
type States struct {
	path     string
	s        *statesFile
	m        mapping
	verified bool
	docs     Docs
}

// Docs describes the documents of a states file, in file order.
type Docs struct {
	ID                         []string
	Label, Stratum, Unit, Cell []int32   // indices; -1 = none
	Tokens, Span, Bytes        []int32   // tokens in the window, in the span; bytes of text
	TextSHA                    [][8]byte // first bytes of SHA-256 of the text
}

// OpenStates opens a states file, verifies the digest of its data and checks its
// structure. A shard, or a file that was not finished, is refused.
func OpenStates(path string) (*States, error) { return OpenStatesWith(path, StatesOptions{}) }

// OpenStatesWith is OpenStates with options.
func OpenStatesWith(path string, o StatesOptions) (*States, error) {
	s, err := openStates(path, o)
	if err != nil {
		return nil, err
	}
	if !s.s.header.Complete {
		s.Close() // the error to report is the next
		err := fault.Inputf("incomplete", "trace: %s: not complete: parts %v", path, s.s.header.Parts)
		if len(s.s.header.Parts) > 0 {
			return nil, err.Hint("join the shards: assay merge -o OUT SHARD...")
		}
		return nil, err.Hint("finish it: run the command again with --resume")
	}
	return s, nil
}

// openStates opens a whole file or a shard.
func openStates(path string, o StatesOptions) (*States, error) {
	if o.disk == nil {
		o.disk = osDisk{}
	}
	f, size, err := o.disk.open(path)
	if err != nil {
		return nil, openError(path, err)
	}
	x, err := readStatesHeader(path, f, size)
	if err == nil && !o.NoVerify {
		err = x.verify(path, f)
	}
	if err != nil {
		f.Close() // the first error is the one to report
		return nil, err
	}
	m, err := mapFile(f, size)
	if err != nil {
		f.Close() // the first error is the one to report
		return nil, retry(path, "map", err)
	}
	s := &States{path: path, s: x, m: m, verified: !o.NoVerify}
	if err := s.load(); err != nil {
		s.Close() // the first error is the one to report
		return nil, err
	}
	return s, nil
}

// verify recomputes the digest of the data section.
func (x *statesFile) verify(path string, f io.ReaderAt) error {
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(f, x.data, x.size)); err != nil {
		return retry(path, "read", err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != x.content {
		return fault.Inputf("mismatch", "trace: %s: content %.64q, the data give %s", path, x.content, got)
	}
	run, err := x.header.runDigest()
	if err != nil || run != x.header.Run {
		return fault.Inputf("mismatch", "trace: %s: run %.70q, the identity gives %s", path, x.header.Run, run)
	}
	return nil
}

// Close unmaps the file.
func (s *States) Close() error { return s.m.close() }

// Header returns the header.
func (s *States) Header() StatesHeader { return s.s.header }

// Verified reports whether the digest of the data was checked.
func (s *States) Verified() bool { return s.verified }

// Docs returns the document arrays.
func (s *States) Docs() Docs { return s.docs }

// Path returns the name that the file was opened under.
func (s *States) Path() string { return s.path }

// bytes returns the bytes of a tensor, nil if there is none of that type and shape.
// A shape entry of -1 matches any length.
func (s *States) bytes(name, dtype string, shape ...int) ([]byte, error) {
	t, ok := s.s.tensors[name]
	if !ok {
		return nil, nil
	}
	if t.dtype != dtype || len(t.shape) != len(shape) {
		return nil, s.bad("tensor %q is %s %v, want %s %v", name, t.dtype, t.shape, dtype, shape)
	}
	for i, d := range shape {
		if d >= 0 && d != t.shape[i] {
			return nil, s.bad("tensor %q is %s %v, want %s %v", name, t.dtype, t.shape, dtype, shape)
		}
	}
	at := s.s.data + t.off
	b := s.m.b[at : at+t.bytes()]
	if b == nil {
		b = []byte{}
	}
	return b, nil
}

func (s *States) bad(format string, args ...any) error {
	return fault.Inputf("bad-states-file", "trace: %s: %s", s.path, fmt.Sprintf(format, args...))
}

// need is bytes for a tensor that must be there.
func (s *States) need(name, dtype string, shape ...int) ([]byte, error) {
	b, err := s.bytes(name, dtype, shape...)
	if err == nil && b == nil {
		err = s.bad("tensor %q is missing", name)
	}
	return b, err
}

// load reads the document arrays and checks all indices and offsets.
func (s *States) load() error {
	t, ok := s.s.tensors["doc.label"]
	if !ok || len(t.shape) != 1 {
		return s.bad("tensor doc.label is missing or %v", t.shape)
	}
	n := t.shape[0]
	h := s.s.header
	if err := checkViews(h.Of.Views); err != nil {
		return s.bad("views: %v", err)
	}
	if p := h.Of.Plan; p.DType != "F32" && p.DType != "BF16" || p.Directions < 0 {
		return s.bad("rows of type %.20q, %d directions", p.DType, p.Directions)
	}
	for _, tap := range h.Of.Plan.Stats {
		if !slices.ContainsFunc(h.Of.Views, func(v View) bool { return v.Tap == tap }) {
			return s.bad("statistics of tap %.60q, which is no view's", tap)
		}
	}
	if err := s.ids(n); err != nil {
		return err
	}
	cells := s.s.tensors["cell.label"].shape
	if len(cells) != 1 || cells[0] > maxCells {
		return s.bad("cells %v, want at most %d", cells, maxCells)
	}
	for _, x := range []struct {
		name string
		dst  *[]int32
		from int32
		to   int
	}{{"label", &s.docs.Label, -1, len(h.Labels)}, {"stratum", &s.docs.Stratum, -1, len(h.Strata)}, {"unit", &s.docs.Unit, -1, math.MaxInt32}, {"cell", &s.docs.Cell, -1, cells[0]},
		{"tokens", &s.docs.Tokens, 0, math.MaxInt32}, {"span", &s.docs.Span, 0, math.MaxInt32}, {"bytes", &s.docs.Bytes, 0, math.MaxInt32}} {
		b, err := s.need("doc."+x.name, "I32", n)
		if err != nil {
			return err
		}
		*x.dst = viewInts(b)
		for i, v := range *x.dst {
			if v < x.from || int64(v) >= int64(x.to) {
				return s.bad("doc.%s of document %d is %d, want %d to %d", x.name, i, v, x.from, x.to-1)
			}
		}
	}
	b, err := s.need("doc.text_sha", "U8", n, 8)
	if err != nil {
		return err
	}
	for i := range n {
		s.docs.TextSHA = append(s.docs.TextSHA, [8]byte(b[8*i:]))
	}
	if err := s.expect(); err != nil {
		return err
	}
	return s.counts()
}

// expect checks that every tensor that the identity implies is there.
func (s *States) expect() error {
	for _, t := range s.layout().tensors {
		if _, err := s.need(t.name, t.dtype, t.shape...); err != nil {
			return err
		}
	}
	return nil
}

// layout is the one that the identity implies, with the counts of the file.
func (s *States) layout() *layout {
	h := s.s.header
	l := &layout{views: h.Of.Views, plan: h.Of.Plan, docs: len(s.docs.ID), labels: len(h.Labels), cells: s.rows("cell.label"), shard: len(h.Parts) > 0, names: [2][]string{h.Labels, h.Strata},
		idBytes: s.rows("doc.id_bytes"), sample: s.rows("sample.doc"), positions: s.rows("tokens.pos"), lens: s.rows("lens.doc")}
	l.build()
	return l
}

// rows returns the first length of a tensor's shape, 0 without one.
func (s *States) rows(name string) int {
	if t, ok := s.s.tensors[name]; ok && len(t.shape) > 0 {
		return t.shape[0]
	}
	return 0
}

// counts checks what the header says about the documents.
func (s *States) counts() error {
	h := s.s.header
	c := StatesCounts{Docs: int64(len(s.docs.ID))}
	for _, x := range s.docs.Cell {
		if x >= 0 {
			c.Used++
		}
	}
	for _, v := range h.Of.Views {
		if !v.Tokens() {
			b, err := s.need("cell.zero."+v.Name(), "I64", -1, len(v.Layers))
			if err != nil {
				return err
			}
			for _, z := range viewLongs(b) {
				c.Zero += z
			}
		}
	}
	if h.Complete && c != h.Counts {
		return s.bad("header counts %+v, the tensors give %+v", h.Counts, c)
	}
	sample, err := s.sampleDocs()
	if err != nil || !h.Complete {
		return err
	}
	d := s.docs
	if got := planDigest([2][]string{h.Labels, h.Strata}, d.ID, [4][]int32{d.Label, d.Stratum, d.Unit, d.Cell}, sample); got != h.Of.Plan.Digest {
		return fault.Inputf("mismatch", "trace: %s: plan %.80q, the documents give %s", s.path, h.Of.Plan.Digest, got)
	}
	return nil
}

func (s *States) ids(n int) error {
	text, err := s.need("doc.id_bytes", "U8", -1)
	if err != nil {
		return err
	}
	b, err := s.need("doc.id_offsets", "I64", n+1)
	if err != nil {
		return err
	}
	off := viewLongs(b)
	if off[0] != 0 || off[n] != int64(len(text)) {
		return s.bad("doc.id_offsets from %d to %d, want 0 to %d", off[0], off[n], len(text))
	}
	for i := range n {
		if off[i+1] < off[i] || off[i+1] > int64(len(text)) {
			return s.bad("doc.id_offsets of document %d: %d to %d of %d", i, off[i], off[i+1], len(text))
		}
		s.docs.ID = append(s.docs.ID, string(text[off[i]:off[i+1]]))
	}
	return nil
}

// view returns a pooled view by its index.
func (s *States) view(i int) (View, error) {
	views := s.s.header.Of.Views
	if i < 0 || i >= len(views) || views[i].Tokens() {
		return View{}, fault.Usagef("trace: %s: view %d of %d, or it keeps token rows", s.path, i, len(views))
	}
	return views[i], nil
}

// Cells are the sums of one view over each cell.
type Cells struct {
	Info  []CellInfo
	view  View
	sum   [][]float64 // by layer, cells x width
	usum  [][]float64
	q, v  []float64
	zero  []int64
	width int
}

// Len returns the number of cells.
func (c *Cells) Len() int { return len(c.Info) }

// Layers returns the number of layers.
func (c *Cells) Layers() int { return len(c.view.Layers) }

// Width returns the number of dimensions.
func (c *Cells) Width() int { return c.width }

// N returns the number of documents of cell i.
func (c *Cells) N(i int) int64 { return c.Info[i].Docs }

// Sum returns the sum of the vectors of cell i at layer index k.
func (c *Cells) Sum(i, k int) []float64 { return c.sum[k][i*c.width : (i+1)*c.width] }

// USum returns the sum of the unit vectors; zero vectors add nothing.
func (c *Cells) USum(i, k int) []float64 { return c.usum[k][i*c.width : (i+1)*c.width] }

// Q returns the sums of inner products between layers, layers x layers.
func (c *Cells) Q(i int) []float64 { n := c.Layers(); return c.q[i*n*n : (i+1)*n*n] }

// V returns the same of unit vectors.
func (c *Cells) V(i int) []float64 { n := c.Layers(); return c.v[i*n*n : (i+1)*n*n] }

// Zero returns the number of zero vectors of cell i at layer index k.
func (c *Cells) Zero(i, k int) int64 { return c.zero[i*c.Layers()+k] }

// Cells returns the sums of a view; nil if the file has no cells.
func (s *States) Cells(view int) (*Cells, error) {
	v, err := s.view(view)
	if err != nil {
		return nil, err
	}
	info, err := s.cellInfo()
	if err != nil || len(info) == 0 {
		return nil, err
	}
	n, k := len(info), len(v.Layers)
	c := &Cells{Info: info, view: v, width: v.Width}
	for _, l := range v.Layers {
		sum, err1 := s.need("cell.sum."+v.layer(l), "F64", n, v.Width)
		usum, err2 := s.need("cell.usum."+v.layer(l), "F64", n, v.Width)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		c.sum, c.usum = append(c.sum, viewDoubles(sum)), append(c.usum, viewDoubles(usum))
	}
	q, err1 := s.need("cell.q."+v.Name(), "F64", n, k, k)
	u, err2 := s.need("cell.v."+v.Name(), "F64", n, k, k)
	zero, err3 := s.need("cell.zero."+v.Name(), "I64", n, k)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	c.q, c.v, c.zero = viewDoubles(q), viewDoubles(u), viewLongs(zero)
	return c, nil
}

func (s *States) cellInfo() ([]CellInfo, error) {
	n := s.s.tensors["cell.label"].shape[0]
	var ints [3][]int32
	for i, name := range []string{"label", "stratum", "block"} {
		b, err := s.need("cell."+name, "I32", n)
		if err != nil {
			return nil, err
		}
		ints[i] = viewInts(b)
	}
	docs, err1 := s.need("cell.n", "I64", n)
	units, err2 := s.need("cell.units", "I64", n)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	info := make([]CellInfo, n)
	for i := range info {
		info[i] = CellInfo{ints[0][i], ints[1][i], ints[2][i], viewLongs(units)[i], viewLongs(docs)[i]}
		if l := info[i].Label; l < -1 || int(l) >= len(s.s.header.Labels) || info[i].Stratum < -1 || int(info[i].Stratum) >= len(s.s.header.Strata) || info[i].Docs < 0 {
			return nil, s.bad("cell %d: %+v", i, info[i])
		}
	}
	return info, nil
}

// Rows returns the vectors of all documents at layer index k of a view; false if
// they were not kept. Rows in float32 are mapped, not read.
func (s *States) Rows(view, k int) (Matrix, bool) {
	v, err := s.view(view)
	if err != nil || k < 0 || k >= len(v.Layers) {
		return Matrix{}, false
	}
	m, err := s.matrix("rows."+v.layer(v.Layers[k]), len(s.docs.ID), v.Width)
	return m, err == nil && m.Data != nil
}

// Sample returns the sampled vectors at layer index k of a view, and the documents
// that they belong to. Without a sample both are empty.
func (s *States) Sample(view, k int) (Matrix, []int, error) {
	v, err := s.view(view)
	if err != nil || k < 0 || k >= len(v.Layers) {
		return Matrix{}, nil, errors.Join(err, fault.Usagef("trace: %s: layer index %d of view %d", s.path, k, view))
	}
	docs, err := s.sampleDocs()
	if err != nil {
		return Matrix{}, nil, err
	}
	m, err := s.matrix("sample."+v.layer(v.Layers[k]), len(docs), v.Width)
	if err == nil && m.Data == nil {
		err = s.bad("tensor sample.%s is missing", v.layer(v.Layers[k]))
	}
	return m, docs, err
}

func (s *States) sampleDocs() ([]int, error) {
	b, err := s.need("sample.doc", "I64", -1)
	if err != nil {
		return nil, err
	}
	from := 0
	if p := s.s.header.Parts; len(p) > 0 {
		from = int(p[0].Docs[0])
	}
	var docs []int
	for i, d := range viewLongs(b) {
		if d < int64(from) || d >= int64(from+len(s.docs.ID)) || i > 0 && int(d) <= docs[i-1] {
			return nil, s.bad("sample.doc %d is document %d of %d", i, d, len(s.docs.ID))
		}
		docs = append(docs, int(d))
	}
	return docs, nil
}

// matrix reads a tensor of rows in either type; no data if there is none.
func (s *States) matrix(name string, n, w int) (Matrix, error) {
	if t, ok := s.s.tensors[name]; ok && t.dtype == "BF16" {
		b, err := s.bytes(name, "BF16", n, w)
		if err != nil {
			return Matrix{}, err
		}
		data := make([]float32, len(b)/2)
		for i := range data {
			data[i] = math.Float32frombits(uint32(b[2*i])<<16 | uint32(b[2*i+1])<<24)
		}
		return Matrix{n, w, data}, nil
	}
	b, err := s.bytes(name, "F32", n, w)
	if err != nil || b == nil {
		return Matrix{}, err
	}
	return Matrix{n, w, viewFloats(b)}, nil
}

// SqNorm returns the squared norms, documents x layers.
func (s *States) SqNorm(view int) ([]float32, error) {
	v, err := s.view(view)
	if err != nil {
		return nil, err
	}
	b, err := s.need("doc.sqnorm."+v.Name(), "F32", len(s.docs.ID), len(v.Layers))
	return viewFloats(b), err
}

// DimSq returns the sums over documents of x^2 at layer index k, labels x width.
func (s *States) DimSq(view, k int) ([]float64, error) {
	v, err := s.view(view)
	if err != nil || k < 0 || k >= len(v.Layers) {
		return nil, errors.Join(err, fault.Usagef("trace: %s: layer index %d of view %d", s.path, k, view))
	}
	b, err := s.need("dim.sq."+v.layer(v.Layers[k]), "F64", len(s.s.header.Labels), v.Width)
	return viewDoubles(b), err
}

// Projections returns documents x layers x directions; nil if not kept.
func (s *States) Projections(view int) ([]float32, error) {
	v, err := s.view(view)
	if err != nil {
		return nil, err
	}
	b, err := s.bytes("proj."+v.Name(), "F32", len(s.docs.ID), len(v.Layers), s.s.header.Of.Plan.Directions)
	return viewFloats(b), err
}

package trace

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"

	"assay/internal/fault"
)

// slot marks one part of a document as done; it refuses one that is.
func (w *StatesWriter) slot(slot, doc int) (int, error) {
	i := doc - w.plan.options.From
	if i < 0 || i >= w.layout.docs {
		return 0, fault.Usagef("trace: %s: document %d outside [%d, %d)", w.path, doc, w.plan.options.From, w.plan.options.To)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return 0, w.err
	}
	if !w.open {
		return 0, stateError(w.path, errClosed)
	}
	if w.done[slot][i] {
		return 0, fault.Usagef("trace: %s: document %d %q: this part is stored already or was not planned", w.path, doc, w.plan.Docs[doc].ID)
	}
	w.done[slot][i] = true
	return i, nil
}

// fail keeps the first error after which sums and rows may disagree.
func (w *StatesWriter) fail(err error) error {
	if err == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
	return err
}

// Has reports whether a document's vectors of a view are stored.
func (w *StatesWriter) Has(doc, view int) bool {
	i := doc - w.plan.options.From
	w.mu.Lock()
	defer w.mu.Unlock()
	return view >= 0 && view < len(w.plan.Views) && i >= 0 && i < w.layout.docs && w.done[view][i]
}

// Add stores the vectors of one document in one view, x[k] at layer Layers[k]; for a
// token view x[k] holds the rows of the document's positions one after the other.
// Documents come in any order, each once. A value that is not finite is an input
// fault with id, layer and dimension, and nothing is stored.
func (w *StatesWriter) Add(doc, view int, x [][]float32) error {
	if view < 0 || view >= len(w.plan.Views) || doc < 0 || doc >= len(w.plan.Docs) {
		return fault.Usagef("trace: %s: document %d, view %d, want below %d and %d", w.path, doc, view, len(w.plan.Docs), len(w.plan.Views))
	}
	v := w.plan.Views[view]
	if err := w.check(doc, v, x); err != nil {
		return err
	}
	w.gate.RLock()
	defer w.gate.RUnlock()
	i, err := w.slot(view, doc)
	if err != nil {
		return err
	}
	s := w.scratch()
	defer w.pool.Put(s)
	if v.Tokens() {
		for k, n := range v.Layers {
			s.b = appendFloats(s.b[:0], x[k])
			if err := w.put("tokens."+v.Tap+"."+itoa(n), int(w.tokenRow[i])*v.Width, s.b); err != nil {
				return w.fail(err)
			}
		}
		return nil
	}
	s.products(x)
	w.sum(doc, w.views[view], x, s)
	return w.fail(w.vectors(doc, i, v, x, s))
}

func (w *StatesWriter) check(doc int, v View, x [][]float32) error {
	d := w.plan.Docs[doc]
	n := v.Width
	if v.Tokens() {
		n *= len(d.Positions)
	}
	if len(x) != len(v.Layers) {
		return fault.Usagef("trace: %s: document %q: %d layers of view %s, want %d", w.path, d.ID, len(x), v.Name(), len(v.Layers))
	}
	for k, row := range x {
		if len(row) != n {
			return fault.Usagef("trace: %s: document %q: %d values at layer %d of view %s, want %d", w.path, d.ID, len(row), v.Layers[k], v.Name(), n)
		}
		for j, y := range row {
			if y-y != 0 {
				return fault.Inputf("nonfinite", "trace: %s: document %q: %v at layer %d of view %s, row %d, dimension %d", w.path, d.ID, y, v.Layers[k], v.Name(), j/v.Width, j%v.Width)
			}
		}
	}
	return nil
}

// sum adds a document to its cell and its label.
func (w *StatesWriter) sum(doc int, to *viewSums, x [][]float32, s *scratch) {
	if c := w.plan.cell[doc]; c >= 0 {
		w.cells[c].Lock()
		to.addCell(int(c), x, s)
		w.cells[c].Unlock()
	}
	if l := w.plan.label[doc]; l >= 0 {
		w.dims[l].Lock()
		to.addLabel(int(l), x)
		w.dims[l].Unlock()
	}
}

// vectors writes norms and the rows that are kept.
func (w *StatesWriter) vectors(doc, i int, v View, x [][]float32, s *scratch) error {
	k := len(v.Layers)
	s.b = s.b[:0]
	for l := range k {
		s.b = binary.LittleEndian.AppendUint32(s.b, math.Float32bits(float32(s.q[l*k+l])))
	}
	if err := w.put("doc.sqnorm."+v.Name(), i*k, s.b); err != nil {
		return err
	}
	row, sampled := w.sampleRow[doc]
	for l, n := range v.Layers {
		kept := slices.Contains(w.plan.Keep, n)
		if !sampled && !kept {
			continue
		}
		s.b = w.encode(s.b[:0], x[l])
		if sampled {
			if err := w.put("sample."+v.layer(n), row*v.Width, s.b); err != nil {
				return err
			}
		}
		if kept {
			if err := w.put("rows."+v.layer(n), i*v.Width, s.b); err != nil {
				return err
			}
		}
	}
	return nil
}

// encode appends a row in the dtype of rows and sample.
func (w *StatesWriter) encode(b []byte, x []float32) []byte {
	if !w.plan.options.BF16 {
		return appendFloats(b, x)
	}
	for _, v := range x {
		h := bfloat(v)
		b = append(b, byte(h), byte(h>>8))
	}
	return b
}

// bfloat rounds to the nearest bfloat16, ties to even.
func bfloat(v float32) uint16 {
	b := math.Float32bits(v)
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// AddStats stores the statistics over tokens of one document at a tap of
// PlanOptions.Stats.
func (w *StatesWriter) AddStats(doc int, tap string, s TokenStats) error {
	t := slices.Index(w.plan.options.Stats, tap)
	if t < 0 {
		return fault.Usagef("trace: %s: the plan keeps no statistics of tap %q", w.path, tap)
	}
	v := w.layout.tapView(tap)
	if !s.fits(len(v.Layers), v.Width) || w.plan.options.Sameness != (s.Same != nil) || s.Same != nil && len(s.Same) != len(v.Layers) {
		return fault.Usagef("trace: %s: document %d: statistics of tap %s: want %d layers of width %d", w.path, doc, tap, len(v.Layers), v.Width)
	}
	for r := range 2 {
		for l, sq := range s.Sq[r] {
			for j, y := range sq {
				if z := y + float64(s.Max[r][l][j]); z-z != 0 {
					return fault.Inputf("nonfinite", "trace: %s: document %d: statistics of tap %s: %v at layer %d, dimension %d", w.path, doc, tap, y, v.Layers[l], j)
				}
			}
		}
	}
	w.gate.RLock()
	defer w.gate.RUnlock()
	i, err := w.slot(w.tapSlot(t), doc)
	if err != nil {
		return err
	}
	w.mu.Lock()
	w.taps[t].add(s)
	w.mu.Unlock()
	k := len(v.Layers)
	err = w.put("doc.max."+tap, i*k, appendFloats(nil, s.Peak))
	for name, x := range map[string][]int32{"max_pos": s.Pos, "max_dim": s.Dim, "massive": s.Massive} {
		if err == nil {
			err = w.put("doc."+name+"."+tap, i*k, appendInts(nil, x))
		}
	}
	if err == nil && w.plan.options.Sameness {
		err = w.put("doc.same."+tap, i*k, appendFloats(nil, s.Same))
	}
	return w.fail(err)
}

// fits checks the lengths.
func (s TokenStats) fits(layers, width int) bool {
	for r := range 2 {
		if len(s.Sq[r]) != layers || len(s.Max[r]) != layers || len(s.N6[r]) != layers {
			return false
		}
		for l := range layers {
			if len(s.Sq[r][l]) != width || len(s.Max[r][l]) != width || len(s.N6[r][l]) != width {
				return false
			}
		}
	}
	return len(s.Peak) == layers && len(s.Pos) == layers && len(s.Dim) == layers && len(s.Massive) == layers
}

// AddProjections stores a document's projections in one view: layers x directions.
func (w *StatesWriter) AddProjections(doc, view int, x []float32) error {
	if view < 0 || view >= len(w.plan.Views) || w.plan.options.Directions == 0 || w.plan.Views[view].Tokens() {
		return fault.Usagef("trace: %s: the plan keeps no projections of view %d", w.path, view)
	}
	v := w.plan.Views[view]
	n := len(v.Layers) * w.plan.options.Directions
	if len(x) != n {
		return fault.Usagef("trace: %s: document %d: %d projections of view %s, want %d", w.path, doc, len(x), v.Name(), n)
	}
	w.gate.RLock()
	defer w.gate.RUnlock()
	i, err := w.slot(w.projSlot(view), doc)
	if err != nil {
		return err
	}
	return w.fail(w.put("proj."+v.Name(), i*n, appendFloats(nil, x)))
}

// LensReading is what the checkpoint's own head reads at one position; slices are
// by layer, the likeliest tokens five to a layer.
type LensReading struct {
	LogProb, Entropy, KL []float32 // nats; NaN without a target
	Rank, TopID          []int32
	TopLogProb           []float32
}

// AddLens stores the readings at all lens positions of a document, in the order of
// the plan.
func (w *StatesWriter) AddLens(doc int, r []LensReading) error {
	k := len(w.plan.options.LensLayers)
	i := doc - w.plan.options.From
	if i < 0 || i >= w.layout.docs || len(r) != w.lensCount(i) {
		return fault.Usagef("trace: %s: document %d: %d lens readings, which the plan does not have", w.path, doc, len(r))
	}
	for _, x := range r {
		if len(x.LogProb) != k || len(x.Entropy) != k || len(x.KL) != k || len(x.Rank) != k || len(x.TopID) != lensTop*k || len(x.TopLogProb) != lensTop*k {
			return fault.Usagef("trace: %s: document %d: a lens reading of other than %d layers", w.path, doc, k)
		}
	}
	w.gate.RLock()
	defer w.gate.RUnlock()
	if _, err := w.slot(w.lensSlot(), doc); err != nil {
		return err
	}
	for j, x := range r {
		at := (w.lensRow[i] + j) * k
		var err error
		for name, v := range map[string][]float32{"logprob": x.LogProb, "entropy": x.Entropy, "kl": x.KL} {
			err = errors.Join(err, w.put("lens."+name, at, appendFloats(nil, v)))
		}
		err = errors.Join(err, w.put("lens.rank", at, appendInts(nil, x.Rank)), w.put("lens.top_id", lensTop*at, appendInts(nil, x.TopID)),
			w.put("lens.top_logprob", lensTop*at, appendFloats(nil, x.TopLogProb)))
		if err != nil {
			return w.fail(err)
		}
	}
	return nil
}

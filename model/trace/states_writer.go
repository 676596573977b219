package trace

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"sync"

	"assay/internal/fault"
)

// StatesWriter writes a states file. Rows, sample and document arrays go into
// FILE.partial as they come; sums stay in memory and are saved beside it by Save.
// Add and its like are safe for concurrent use.
type StatesWriter struct {
	path   string
	plan   *StatesPlan
	header StatesHeader
	layout *layout
	disk   disk
	f      file
	data   int64 // offset of the data section
	at     map[string]tensor

	sampleRow map[int]int // document to row of the sample
	lensRow   []int       // first lens position of each document of the file
	tokenRow  []int64     // first token row of each document of the file

	gate  sync.RWMutex // Save takes it alone
	cells []sync.Mutex // by cell, for all views
	dims  []sync.Mutex // by label
	mu    sync.Mutex   // of what follows
	views []*viewSums  // nil for token views
	taps  []*tapSums
	done  [][]bool // by slot and document: the views, then taps, projections, lens
	err   error
	open  bool

	pool sync.Pool // of *scratch: a document's worth of buffers would be garbage
}

// scratch holds the buffers of one call.
type scratch struct {
	b          []byte
	q, norm, r []float64
}

func (w *StatesWriter) scratch() *scratch {
	if s, ok := w.pool.Get().(*scratch); ok {
		return s
	}
	return new(scratch)
}

// StatesOptions of a StatesWriter and of reading.
type StatesOptions struct {
	// NoVerify leaves out the digest of the data when a file is opened.
	NoVerify bool

	disk disk
}

// CreateStates starts a states file at path for the documents [From, To) of the
// plan. The header's identity must name the plan, which Describe does. It refuses to
// start over an unfinished file: use ResumeStates or remove it.
func CreateStates(path string, p *StatesPlan, h StatesHeader) (*StatesWriter, error) {
	return createStates(path, p, h, StatesOptions{})
}

// Describe fills what the plan decides in a header: views, columns' unit kind, plan,
// names, schema and run.
func (p *StatesPlan) Describe(h StatesHeader) (StatesHeader, error) {
	h.Schema = StatesSchema
	h.Of.Views, h.Of.Plan, h.Of.Columns.Unit = p.Views, p.Identity(), p.Unit
	h.Labels, h.Strata = orEmpty(p.Labels), orEmpty(p.Strata)
	if h.Of.Policy.PrefixIDs == nil {
		h.Of.Policy.PrefixIDs = []int32{}
	}
	run, err := h.Of.RunDigest()
	if err != nil {
		return h, fault.Inputf("malformed", "trace: states: identity: %w", err)
	}
	h.Run = run
	if l := p.layout(); l.shard {
		h.Parts = []Part{{Docs: [2]int64{int64(p.options.From), int64(p.options.To)}}}
	} else {
		h.Parts = nil
	}
	return h, nil
}

func orEmpty(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

func newStatesWriter(path string, p *StatesPlan, h StatesHeader, o StatesOptions) (*StatesWriter, error) {
	h, err := p.Describe(h)
	if err != nil {
		return nil, err
	}
	if o.disk == nil {
		o.disk = osDisk{}
	}
	w := &StatesWriter{path: path, plan: p, header: h, layout: p.layout(), disk: o.disk, at: map[string]tensor{}, sampleRow: map[int]int{}, open: true}
	w.data = 8 + w.layout.headerSize
	for _, t := range w.layout.tensors {
		w.at[t.name] = t
	}
	slots := len(p.Views) + len(p.options.Stats) + len(p.Views) + 1
	for range slots {
		w.done = append(w.done, make([]bool, w.layout.docs))
	}
	for _, v := range p.Views {
		if v.Tokens() {
			w.views = append(w.views, nil)
		} else {
			w.views = append(w.views, newViewSums(v, len(p.Cells), len(p.Labels)))
		}
	}
	for _, tap := range p.options.Stats {
		w.taps = append(w.taps, newTapSums(w.layout.tapView(tap)))
	}
	w.cells, w.dims = make([]sync.Mutex, len(p.Cells)), make([]sync.Mutex, len(p.Labels))
	for _, i := range p.Sample {
		if p.in(i) {
			w.sampleRow[i] = len(w.sampleRow)
		}
	}
	rows := int64(0)
	for i := p.options.From; i < p.options.To; i++ {
		w.tokenRow = append(w.tokenRow, rows)
		rows += int64(len(p.Docs[i].Positions))
		k, _ := slices.BinarySearchFunc(p.options.Lens, i, func(l LensPosition, doc int) int { return l.Doc - doc })
		first, _ := slices.BinarySearchFunc(p.options.Lens, p.options.From, func(l LensPosition, doc int) int { return l.Doc - doc })
		w.lensRow = append(w.lensRow, k-first)
	}
	// Not asked for: done.
	for i := range w.layout.docs {
		for v, view := range p.Views {
			w.done[w.projSlot(v)][i] = p.options.Directions == 0 || view.Tokens()
		}
		w.done[w.lensSlot()][i] = w.lensCount(i) == 0
	}
	return w, nil
}

func (w *StatesWriter) tapSlot(t int) int  { return len(w.plan.Views) + t }
func (w *StatesWriter) projSlot(v int) int { return len(w.plan.Views) + len(w.plan.options.Stats) + v }
func (w *StatesWriter) lensSlot() int      { return len(w.done) - 1 }

// lensCount returns the number of lens positions of a document of the file.
func (w *StatesWriter) lensCount(i int) int {
	end := w.layout.lens
	if i+1 < len(w.lensRow) {
		end = w.lensRow[i+1]
	}
	return end - w.lensRow[i]
}

func createStates(path string, p *StatesPlan, h StatesHeader, o StatesOptions) (*StatesWriter, error) {
	w, err := newStatesWriter(path, p, h, o)
	if err != nil {
		return nil, err
	}
	f, err := w.disk.create(w.partial())
	if errors.Is(err, fs.ErrExist) {
		return nil, fault.Usagef("trace: %s: unfinished work is there", w.partial()).Hint("resume it with --resume, or remove the file")
	}
	if err != nil {
		return nil, openError(w.partial(), err)
	}
	w.f = f
	if err = w.lock(); err == nil {
		err = w.start()
	}
	if err != nil {
		f.Close() // the first error is the one to report
		return nil, err
	}
	return w, nil
}

// lock keeps a second process from writing into the same partial file.
func (w *StatesWriter) lock() error {
	if err := lockFile(w.f); err != nil {
		return fault.Retryf("in-use", "trace: %s: another process writes it: %w", w.partial(), err)
	}
	return nil
}

func (w *StatesWriter) partial() string { return w.path + ".partial" }
func (w *StatesWriter) sums() string    { return w.path + ".partial.sums" }

// start writes the header, sets the file's size, and writes what the plan knows.
func (w *StatesWriter) start() error {
	h := w.header
	h.Complete = false
	b, err := w.layout.header(h, "")
	if err != nil {
		return err
	}
	if err := w.write(0, b); err != nil {
		return err
	}
	if n := w.layout.dataBytes; n > 0 {
		if err := w.write(w.data+n-1, []byte{0}); err != nil { // sparse until filled
			return err
		}
	}
	return w.documents()
}

func (w *StatesWriter) write(off int64, b []byte) error {
	if _, err := w.f.WriteAt(b, off); err != nil {
		return retry(w.partial(), "write", err)
	}
	return nil
}

// put writes values of a tensor from element i on.
func (w *StatesWriter) put(name string, i int, b []byte) error {
	t, ok := w.at[name]
	if !ok {
		return fault.Usagef("trace: %s: the plan keeps no %s", w.path, name)
	}
	off := int64(i) * int64(dtypeSize[t.dtype])
	if off+int64(len(b)) > t.bytes() {
		return fault.Usagef("trace: %s: %s: %d bytes at element %d of %v", w.path, name, len(b), i, t.shape)
	}
	return w.write(w.data+t.off+off, b)
}

// documents writes the arrays of documents and cells that the plan fixes.
func (w *StatesWriter) documents() error {
	p, n := w.plan, w.layout.docs
	from := p.options.From
	var ids, sha []byte
	offsets := []int64{0}
	ints := map[string][]int32{}
	var pos []int32
	tokens := []int64{0}
	for i := from; i < from+n; i++ {
		d := p.Docs[i]
		ids = append(ids, d.ID...)
		offsets = append(offsets, int64(len(ids)))
		sha = append(sha, d.TextSHA[:]...)
		for name, v := range map[string]int32{"label": p.label[i], "stratum": p.stratum[i], "unit": p.unit[i], "cell": p.cell[i], "tokens": d.Tokens, "span": d.Span, "bytes": d.Bytes} {
			ints["doc."+name] = append(ints["doc."+name], v)
		}
		pos = append(pos, d.Positions...)
		tokens = append(tokens, int64(len(pos)))
	}
	var cellN, cellUnits, sample []int64
	count := make([]int64, len(p.Cells))
	for i := from; i < from+n; i++ {
		if c := p.cell[i]; c >= 0 {
			count[c]++
		}
	}
	for c, x := range p.Cells {
		ints["cell.label"], ints["cell.stratum"], ints["cell.block"] = append(ints["cell.label"], x.Label), append(ints["cell.stratum"], x.Stratum), append(ints["cell.block"], x.Block)
		cellN, cellUnits = append(cellN, count[c]), append(cellUnits, x.Units)
	}
	for _, i := range p.Sample {
		if p.in(i) {
			sample = append(sample, int64(i))
		}
	}
	for _, l := range p.options.Lens {
		if p.in(l.Doc) {
			ints["lens.doc"], ints["lens.pos"], ints["lens.target"] = append(ints["lens.doc"], int32(l.Doc)), append(ints["lens.pos"], l.Pos), append(ints["lens.target"], l.Target)
		}
	}
	longs := map[string][]int64{"doc.id_offsets": offsets, "cell.n": cellN, "cell.units": cellUnits, "sample.doc": sample}
	if _, ok := w.at["tokens.pos"]; ok {
		ints["tokens.pos"], longs["tokens.offsets"] = pos, tokens
	}
	err := w.put("doc.id_bytes", 0, ids)
	if err == nil {
		err = w.put("doc.text_sha", 0, sha)
	}
	for name, v := range ints {
		if err == nil {
			err = w.put(name, 0, appendInts(nil, v))
		}
	}
	for name, v := range longs {
		if err == nil {
			err = w.put(name, 0, appendLongs(nil, v))
		}
	}
	return err
}

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
	if !s.fits(len(v.Layers), v.Width) {
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

// Close checks that every document is there, writes sums, digest and header, and
// gives the file its name. If it fails the partial file stays for ResumeStates.
func (w *StatesWriter) Close() error {
	w.gate.Lock()
	defer w.gate.Unlock()
	if w.err != nil {
		return w.err
	}
	if !w.open {
		return stateError(w.path, errClosed)
	}
	if err := w.missing(); err != nil {
		return err
	}
	if err := w.finish(); err != nil {
		return err
	}
	w.open = false
	if err := w.f.Close(); err != nil {
		return retry(w.partial(), "close", err)
	}
	if err := w.disk.rename(w.partial(), w.path); err != nil {
		return retry(w.path, "rename", err)
	}
	if err := w.disk.syncDir(filepath.Dir(w.path)); err != nil {
		return retry(w.path, "sync folder", err)
	}
	w.disk.remove(w.sums()) // complete: what stays is only in the way
	return nil
}

func (w *StatesWriter) missing() error {
	for _, done := range w.done {
		if i := slices.Index(done, false); i >= 0 {
			n := 0
			for _, d := range done {
				if d {
					n++
				}
			}
			doc := w.plan.options.From + i
			return fault.Retryf("incomplete", "trace: %s: %d of %d documents stored, the first missing is %d %q", w.path, n, len(done), doc, w.plan.Docs[doc].ID).
				Hint("run again with --resume")
		}
	}
	return nil
}

// finish writes the sums, then the digest and the header of a complete file.
func (w *StatesWriter) finish() error {
	h := w.header
	h.Counts = StatesCounts{Docs: int64(w.layout.docs)}
	for i := w.plan.options.From; i < w.plan.options.To; i++ {
		if w.plan.cell[i] >= 0 {
			h.Counts.Used++
		}
	}
	s := w.scratch()
	err := w.eachSum(sumVisitor{func(name string, at int, p pairs) error {
		hi := p.hi
		if w.layout.shard {
			s.b = appendDoubles(s.b[:0], p.lo)
			if err := w.put(low(name), at, s.b); err != nil {
				return err
			}
		} else {
			s.r = p.round(s.r[:0])
			hi = s.r
		}
		s.b = appendDoubles(s.b[:0], hi)
		return w.put(name, at, s.b)
	}, func(name string, v []int64) error { return w.put(name, 0, appendLongs(nil, v)) },
		func(name string, v []float32) error { return w.put(name, 0, appendFloats(nil, v)) }})
	if err != nil {
		return err
	}
	for _, s := range w.views {
		if s != nil {
			for _, z := range s.zero {
				h.Counts.Zero += z
			}
		}
	}
	h.Complete = !w.layout.shard
	return seal(w.f, w.partial(), w.layout, h)
}

// low names the tensor of the low parts.
func low(name string) string {
	for _, kind := range []string{"cell.sum", "cell.usum", "cell.q", "cell.v", "dim.sq", "tok.sq"} {
		if len(name) > len(kind) && name[:len(kind)] == kind && name[len(kind)] == '.' {
			return kind + "_lo" + name[len(kind):]
		}
	}
	return name
}

// sumVisitor sees all accumulators: runs of sums with their tensor and place there,
// and whole tensors of counts and maxima.
type sumVisitor struct {
	pairs  func(name string, at int, p pairs) error
	longs  func(name string, v []int64) error
	floats func(name string, v []float32) error
}

func (w *StatesWriter) eachSum(f sumVisitor) error {
	for i, s := range w.views {
		if s != nil {
			if err := s.each(w.plan.Views[i], len(w.plan.Cells), f); err != nil {
				return err
			}
		}
	}
	for i, s := range w.taps {
		tap := w.plan.options.Stats[i]
		for l, n := range w.layout.tapView(tap).Layers {
			at, size := 2*l*s.width, 2*s.width
			name := tap + "." + itoa(n)
			if err := f.pairs("tok.sq."+name, 0, s.sq.part(at, size)); err != nil {
				return err
			}
			if err := f.floats("tok.max."+name, s.max[at:at+size]); err != nil {
				return err
			}
			if err := f.longs("tok.n6."+name, s.n6[at:at+size]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *viewSums) each(v View, cells int, f sumVisitor) error {
	if err := f.longs("cell.zero."+v.Name(), s.zero); err != nil {
		return err
	}
	for l, n := range v.Layers {
		for c := range cells {
			at := (c*s.layers + l) * s.width
			if err := f.pairs("cell.sum."+v.layer(n), c*s.width, s.sum.part(at, s.width)); err != nil {
				return err
			}
			if err := f.pairs("cell.usum."+v.layer(n), c*s.width, s.usum.part(at, s.width)); err != nil {
				return err
			}
		}
		if err := f.pairs("dim.sq."+v.layer(n), 0, s.dim.part(l*s.labels*s.width, s.labels*s.width)); err != nil {
			return err
		}
	}
	if err := f.pairs("cell.q."+v.Name(), 0, s.q); err != nil {
		return err
	}
	return f.pairs("cell.v."+v.Name(), 0, s.v)
}

// seal writes the digest of the data section and the final header.
func seal(f file, path string, l *layout, h StatesHeader) error {
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(f, 8+l.headerSize, l.dataBytes)); err != nil {
		return retry(path, "read", err)
	}
	b, err := l.header(h, hex.EncodeToString(sum.Sum(nil)))
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(b, 0); err != nil {
		return retry(path, "write", err)
	}
	if err := f.Sync(); err != nil {
		return retry(path, "sync", err)
	}
	return nil
}

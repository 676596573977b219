package trace

import (
	"errors"
	"io/fs"
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

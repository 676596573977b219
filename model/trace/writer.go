package trace

import (
	"crypto/sha256"
	"encoding/json/jsontext"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"slices"
	"strings"

	"assay/internal/canon"
	"assay/internal/fault"
	"assay/model/trace/part"
)

// Options of a Writer.
type Options struct {
	Made        Made
	PerDocument bool     // compact mode: only the document table
	Moments     bool     // columns umean and usd
	TopK        int      // columns top_id and top_logprob; 0 = none
	Scores      []string // names of the score columns, in column order
	// ScoreOf computes the score columns of a finished document (its sums are there);
	// nil takes Doc.Scores as given.
	ScoreOf func(Doc, Tokens) map[string]float64
	Redact  bool // leave out what would show the text
	// From and To are the documents [From, To) of a shard; both 0 = the whole
	// input. A shard's identity carries the digest of the whole input's text.
	From, To int32
	Part     Part // of a shard: what its header's parts entry adds (device, program, batch rows)
	// BlockBytes is how much finished work may wait in memory before it is made
	// to survive a kill; 0 = 1 MiB.
	BlockBytes int

	disk disk // nil = the operating system's
}

func (o Options) validate(path string, of Identity) error {
	switch {
	case o.TopK < 0:
		return fault.Usagef("trace: %s: top-k %d, want 0 or more", path, o.TopK)
	case o.From < 0 || o.To < o.From || o.From == o.To && o.From != 0:
		return fault.Usagef("trace: %s: documents [%d, %d), want a range that is not empty", path, o.From, o.To)
	case o.To > 0 && of.Text == "":
		return fault.Usagef("trace: %s: a shard needs the text digest of the whole input", path)
	case o.PerDocument && (o.Moments || o.TopK > 0):
		return fault.Usagef("trace: %s: moments and top-k are token columns, compact mode writes none", path)
	}
	for i, s := range o.Scores {
		if s == "" || slices.Contains(o.Scores[:i], s) {
			return fault.Usagef("trace: %s: score %q is empty or doubled", path, s)
		}
	}
	return of.Policy.Validate(0)
}

// Writer collects documents in a part file next to the trace and writes the
// trace itself on Close, so that nothing unfinished ever has its final name. It
// is for one goroutine.
type Writer struct {
	path     string
	of       Identity
	options  Options
	disk     disk
	partPath string
	f        file
	frames   *part.Writer
	pending  []byte // records of the next frame
	rows     uint32 // documents in it
	store    store
	counts   Counts
	in       *inspector
	found    func() error
	err      error
	body     []byte
}

// Create starts a trace of the identity at path, which ends in .parquet (two
// files), .jsonl or .jsonl.gz. It refuses to start over unfinished work of an
// earlier run: Resume it or remove the part file that the error names.
//
// An empty of.Text is filled from the documents on Close.
func Create(path string, of Identity, o Options) (*Writer, error) {
	w, err := newWriter(path, of, o)
	if err != nil {
		return nil, err
	}
	f, err := w.disk.create(w.partPath)
	if errors.Is(err, fs.ErrExist) {
		return nil, fault.Usagef("trace: %s: unfinished work is there", w.partPath).Hint("resume it with --resume, or remove the file")
	}
	if err != nil {
		return nil, openError(w.partPath, err)
	}
	h, err := w.partHeader()
	if err == nil {
		w.frames, err = part.NewWriter(f, h)
	}
	if err != nil {
		f.Close() // the first error is the one to report
		return nil, err
	}
	w.f, w.store.f = f, f
	return w, nil
}

// Resume continues the trace that an interrupted run of the same identity and
// options left at path; without one it is Create. Has tells what is there.
func Resume(path string, of Identity, o Options) (*Writer, error) {
	w, err := newWriter(path, of, o)
	if err != nil {
		return nil, err
	}
	old, size, err := w.disk.open(w.partPath)
	if errors.Is(err, fs.ErrNotExist) {
		return Create(path, of, o)
	}
	if err != nil {
		return nil, openError(w.partPath, err)
	}
	defer old.Close() // only read
	h, err := w.partHeader()
	if err != nil {
		return nil, err
	}
	w.store.f = old
	end, err := part.Scan(old, size, h, func(_ uint32, off int64, payload []byte) error { return w.recover(off, payload) })
	if err != nil {
		return nil, w.named(err)
	}
	f, tmp, err := temporary(w.disk, w.partPath)
	if err != nil {
		return nil, retry(w.partPath, "create", err)
	}
	// The old file may be another process's that still runs: never append to it.
	if w.frames, err = part.Copy(f, h, old, end); err == nil {
		err = w.disk.rename(tmp, w.partPath)
	}
	if err != nil {
		f.Close() // the first error is the one to report
		w.disk.remove(tmp)
		return nil, retry(w.partPath, "copy", err)
	}
	w.f, w.store.f = f, f
	return w, nil
}

func newWriter(path string, of Identity, o Options) (*Writer, error) {
	if of.Policy.PrefixIDs == nil {
		of.Policy.PrefixIDs = []int32{}
	}
	if _, err := formOf(path); err != nil {
		return nil, err
	}
	if err := o.validate(path, of); err != nil {
		return nil, err
	}
	w := &Writer{path: path, of: of, options: o, disk: o.disk, partPath: path + ".part"}
	if w.disk == nil {
		w.disk = osDisk{}
	}
	if w.options.BlockBytes <= 0 {
		w.options.BlockBytes = 1 << 20
	}
	full := o
	full.Redact = false // rows are redacted when the trace is written
	w.in, w.found = firstFault(&w.of, full, path)
	w.counts.Status = map[string]int64{}
	w.store = store{from: o.From, end: o.From, at: map[int32]place{}, of: &w.of, perDocs: o.PerDocument}
	return w, nil
}

// partHeader ties the part file to everything that decides what it holds.
func (w *Writer) partHeader() (part.Header, error) {
	run, err := w.of.RunDigest()
	if err != nil {
		return part.Header{}, fault.Inputf("malformed", "trace: %s: identity: %w", w.path, err)
	}
	o := w.options
	b, err := canon.CanonicalJSON(map[string]any{"run": run, "per_document": o.PerDocument, "moments": o.Moments, "top_k": o.TopK, "scores": o.Scores, "from": o.From, "to": o.To})
	return part.Header{Digest: sha256.Sum256(b), Version: 1}, err
}

func (w *Writer) named(err error) error {
	if f := fault.As(err); f != nil {
		return fault.New(f.Class, f.Code, "trace: %s: %w", w.partPath, err).Hint("remove the file to start again")
	}
	return fault.Inputf("malformed", "trace: %s: %w", w.partPath, err).Hint("remove the file to start again")
}

// Has reports whether a document is stored already.
func (w *Writer) Has(doc int32) bool { return w.store.has(doc) }

// Len returns the number of documents stored.
func (w *Writer) Len() int { return int(w.counts.Docs) }

// Append stores one document with its rows, in any order of ordinals, each once.
//
// It computes what follows from the rows: sums, numbers of scored and greedy rows
// and of windows, and the status. Pos, and Window, Ctx and Scored together, may be
// nil and are then filled from the policy; if given they must agree with it.
// Values of unscored rows are stored as null whatever they are. A value that
// is not finite or breaks a law of the format is an input fault that names the
// document, the position and the id; nothing is imputed.
func (w *Writer) Append(d Doc, t Tokens) error {
	if w.err != nil {
		return w.err
	}
	switch {
	case w.options.To > 0 && (d.Doc < w.options.From || d.Doc >= w.options.To) || d.Doc < 0 || d.Doc == math.MaxInt32:
		return fault.Inputf("malformed", "trace: %s: document %d %q outside [%d, %d)", w.path, d.Doc, d.ID, w.options.From, w.options.To)
	case w.Has(d.Doc):
		return fault.Inputf("malformed", "trace: %s: document %d %q is stored already", w.path, d.Doc, d.ID)
	}
	if err := w.complete(&d, &t); err != nil {
		return err
	}
	if w.err = w.put(&d, &t); w.err != nil {
		return w.err
	}
	w.count(&d)
	if len(w.pending) >= w.options.BlockBytes {
		return w.Flush()
	}
	return nil
}

// complete fills and checks a document.
func (w *Writer) complete(d *Doc, t *Tokens) error {
	n := max(len(t.ID), len(t.Logprob), len(t.Pos))
	if n > math.MaxInt32 {
		return fault.Inputf("too-long", "trace: %s: document %q: %d tokens, want at most %d", w.path, d.ID, n, math.MaxInt32)
	}
	d.Tokens = int32(n)
	if d.Meta != nil {
		m, err := meta(jsontext.Value(d.Meta))
		if err != nil {
			return fault.Inputf("malformed", "trace: %s: document %q: meta: %w", w.path, d.ID, err)
		}
		d.Meta = m
	}
	p, err := plan(&w.of, d)
	if err != nil {
		return fmt.Errorf("trace: %s: document %q: %w", w.path, d.ID, err)
	}
	if d.Status == "" {
		d.Status = p.status
	}
	p.fill(t, n)
	if err := t.clearUnscored(d, w.path); err != nil {
		return err
	}
	d.Windows = int32(len(p.windows))
	scored := 0
	for _, x := range p.windows {
		scored += x.Hi - x.Lo
	}
	d.Scored = int32(scored)
	if _, ok := w.in.document(d); ok {
		w.in.rows(d, t, p)
	}
	if err := w.found(); err != nil {
		return err
	}
	w.in.laws(d, t)
	sums(d, t)
	if w.options.ScoreOf != nil {
		d.Scores = w.options.ScoreOf(*d, *t)
	}
	return w.found()
}

// fill sets the columns that follow from the policy, where they are nil.
func (p planned) fill(t *Tokens, n int) {
	if t.Pos == nil {
		t.Pos = make([]int32, n)
		for i := range t.Pos {
			t.Pos[i] = int32(i)
		}
	}
	if t.Scored != nil || t.Window != nil || t.Ctx != nil {
		return
	}
	t.Scored, t.Window, t.Ctx = make([]bool, n), make([]int32, n), make([]int32, n)
	for i := range n {
		t.Window[i], t.Ctx[i] = Null, Null
	}
	for k, w := range p.windows {
		for i := w.Lo; i < w.Hi; i++ {
			t.Scored[i-p.first], t.Window[i-p.first], t.Ctx[i-p.first] = true, int32(k), int32(w.Ctx(i))
		}
	}
}

// clearUnscored copies the model columns with null in the rows that are not
// scored. The caller's slices stay as they are.
func (t *Tokens) clearUnscored(d *Doc, path string) error {
	n := len(t.Scored)
	for _, l := range [][2]int{{len(t.Logprob), n}, {len(t.Entropy), n}, {len(t.SD), n}, {len(t.ArgmaxLogprob), n}, {len(t.Rank), n}} {
		if l[0] != l[1] {
			return fault.Inputf("malformed", "trace: %s: document %q: %d, %d, %d, %d and %d values of logprob, entropy, sd, argmax_logprob and rank, want %d each",
				path, d.ID, len(t.Logprob), len(t.Entropy), len(t.SD), len(t.ArgmaxLogprob), len(t.Rank), n)
		}
	}
	if !slices.Contains(t.Scored, false) {
		return nil
	}
	nan := float32(math.NaN())
	for _, c := range []*[]float32{&t.Logprob, &t.Entropy, &t.SD, &t.ArgmaxLogprob, &t.UMean, &t.USD} {
		clearRows(c, t.Scored, nan)
	}
	clearRows(&t.Rank, t.Scored, Null)
	clearRows(&t.ArgmaxID, t.Scored, Null)
	clearRows(&t.TopID, t.Scored, nil)
	clearRows(&t.TopLogprob, t.Scored, nil)
	return nil
}

func clearRows[T any](c *[]T, scored []bool, null T) {
	if len(*c) != len(scored) {
		return // a length that the checks report
	}
	*c = slices.Clone(*c)
	for i, ok := range scored {
		if !ok {
			(*c)[i] = null
		}
	}
}

func (w *Writer) count(d *Doc) {
	w.counts.Docs++
	w.counts.Rows += int64(d.Tokens)
	w.counts.Scored += int64(d.Scored)
	w.counts.Status[d.Status]++
}

// Flush makes everything appended so far survive a kill. Append does it by
// itself every Options.BlockBytes.
func (w *Writer) Flush() error {
	if w.err != nil {
		return w.err
	}
	if len(w.pending) == 0 {
		return nil
	}
	if err := w.frames.Frame(w.rows, w.pending); err != nil {
		w.err = fault.Retryf("io", "trace: %s: %w", w.partPath, err)
		return w.err
	}
	w.pending, w.rows = w.pending[:0], 0
	return nil
}

// Abort flushes and closes the part file and leaves it for Resume.
func (w *Writer) Abort() error {
	if w.f == nil {
		return nil
	}
	err := w.Flush()
	if e := w.f.Close(); err == nil && e != nil {
		err = retry(w.partPath, "close", e)
	}
	w.f, w.err = nil, stateError(w.path, errClosed)
	return err
}

// Close writes the trace: the files get their final names by rename, tokens
// first, and the part file goes. When it fails, or finds documents missing, no
// file has a final name and the part file stays for Resume.
func (w *Writer) Close() (Header, error) {
	if w.err != nil {
		return Header{}, w.err
	}
	h, err := w.close()
	if err != nil {
		if e := w.Abort(); e != nil && fault.As(err) == nil {
			err = e
		}
		return h, err
	}
	w.f.Close() // only read since the last flush
	w.f, w.err = nil, stateError(w.path, errClosed)
	w.disk.remove(w.partPath) // the trace is complete; a part file that stays is only in the way
	return h, nil
}

func (w *Writer) close() (Header, error) {
	if err := w.Flush(); err != nil {
		return Header{}, err
	}
	h := Header{Of: w.of, Made: w.options.Made, Counts: w.counts}
	if err := w.ready(&h); err != nil {
		return h, err
	}
	run, err := h.Of.RunDigest()
	if err != nil {
		return h, fault.Inputf("malformed", "trace: %s: identity: %w", w.path, err)
	}
	h.Run = run
	if w.options.To > 0 {
		p := w.options.Part
		p.Docs = [2]int64{int64(w.options.From), int64(w.options.To)}
		h.Parts = []Part{p}
	}
	s, err := newSink(w.disk, w.path, h, w.options, w.options.Redact)
	if err != nil {
		return h, err
	}
	if err := w.write(s, h.Of.Text); err != nil {
		s.abort()
		return h, err
	}
	return s.commit()
}

// write moves the documents, in order, from the part file to the sink.
func (w *Writer) write(s *sink, text string) error {
	in := newInput()
	for d, err := range w.store.all() {
		if err != nil {
			return w.named(err)
		}
		if err := in.add(&d.Doc); err != nil {
			return fmt.Errorf("trace: %s: %w", w.path, err)
		}
		if err := s.add(&d.Doc, &d.Tokens); err != nil {
			return err
		}
	}
	if got := in.text.Digest(); w.options.To == 0 && got != text {
		return fault.Inputf("mismatch", "trace: %s: %d documents have text digest %s, the identity says %s", w.path, w.counts.Docs, got, text)
	}
	return nil
}

// ready checks that the documents are all there, and fills the text digest of an
// identity that came without.
func (w *Writer) ready(h *Header) error {
	last := w.options.To
	if last == 0 {
		last = w.store.end
	}
	switch missing, any := w.store.missing(last); {
	case any:
		return fault.Retryf("incomplete", "trace: %s: %d of %d documents stored, the first missing is %d", w.path, w.counts.Docs, last-w.options.From, missing).
			Hint("run again with --resume")
	case w.counts.Docs == 0:
		return fault.Inputf("empty", "trace: %s: no documents", w.path)
	case w.counts.Scored == 0 && w.options.To == 0:
		return fault.Inputf("empty", "trace: %s: none of %d documents is scored: %s", w.path, w.counts.Docs, statusList(w.counts.Status))
	}
	if h.Of.Text == "" {
		var text Text
		for d, err := range w.store.all() {
			if err != nil {
				return w.named(err)
			}
			text.Add(d.Doc)
		}
		h.Of.Text = text.Digest()
	}
	return nil
}

// input follows the documents of a trace: the text digest, and ids that must be
// unique.
type input struct {
	text Text
	ids  map[[16]byte]int32
}

func newInput() *input { return &input{ids: map[[16]byte]int32{}} }

func (in *input) add(d *Doc) error {
	h := sha256.Sum256([]byte(d.ID))
	key := [16]byte(h[:16])
	if other, twice := in.ids[key]; twice {
		return fault.Inputf("duplicate-id", "documents %d and %d have one id, %q", other, d.Doc, d.ID)
	}
	in.ids[key] = d.Doc
	in.text.Add(*d)
	return nil
}

func statusList(m map[string]int64) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%s %d", k, m[k]))
	}
	return strings.Join(parts, ", ")
}

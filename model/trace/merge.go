package trace

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"assay/internal/fault"
)

// MergeOptions of a merge.
type MergeOptions struct {
	// Partial allows holes. The header then says that the trace is incomplete and
	// its parts list the ranges that are there.
	Partial bool

	disk disk
}

// Merge joins shards of one run into the trace that one machine would have
// written: the ranges must be disjoint and cover the input, which the text digest
// proves. The content of every shard is verified on the way.
func Merge(dst string, parts ...string) error {
	_, err := MergeWith(dst, MergeOptions{}, parts...)
	return err
}

// MergeWith is Merge with options; it returns the header of the result.
func MergeWith(dst string, o MergeOptions, parts ...string) (Header, error) {
	if o.disk == nil {
		o.disk = osDisk{}
	}
	if len(parts) == 0 {
		return Header{}, fault.Usagef("trace: merge into %s: no parts", dst)
	}
	m := merge{dst: dst, options: o}
	defer m.close()
	for _, p := range parts {
		r, err := open(o.disk, p)
		if err != nil {
			return Header{}, err
		}
		m.readers = append(m.readers, r)
	}
	if err := m.agree(); err != nil {
		return Header{}, err
	}
	if err := m.ranges(); err != nil {
		return Header{}, err
	}
	return m.write()
}

type merge struct {
	dst     string
	options MergeOptions
	readers []*Reader
}

func (m *merge) close() {
	for _, r := range m.readers {
		r.Close() // only read
	}
}

// agree checks that all parts are of one run and of one form.
func (m *merge) agree() error {
	a := m.readers[0]
	for _, b := range m.readers[1:] {
		switch {
		case a.header.Run != b.header.Run:
			return fault.Inputf("mismatch", "trace: merge: %s and %s are of different runs: %s", a.path, b.path, firstDifference(a.header, b.header))
		case a.HasTokens() != b.HasTokens() || a.header.Redacted != b.header.Redacted || !slices.Equal(a.header.Columns, b.header.Columns):
			return fault.Inputf("mismatch", "trace: merge: %s and %s have different columns: %v (token table %v, redacted %v) and %v (%v, %v)", a.path, b.path,
				a.header.Columns, a.HasTokens(), a.header.Redacted, b.header.Columns, b.HasTokens(), b.header.Redacted)
		}
	}
	for _, r := range m.readers {
		if run, err := r.header.runDigest(); err != nil || run != r.header.Run {
			return fault.Inputf("mismatch", "trace: merge: %s says run %.70q, its identity gives %s", r.path, r.header.Run, run)
		}
	}
	return nil
}

// firstDifference names the first field of two identities that differs.
func firstDifference(a, b Header) string {
	flat := func(h Header) map[string]string {
		var v any
		if json.Unmarshal(h.rawOf, &v) != nil {
			return nil
		}
		out := map[string]string{}
		flatten(out, "of", v)
		return out
	}
	return difference(flat(a), flat(b), a.Run, b.Run)
}

func difference(x, y map[string]string, runX, runY string) string {
	keys := map[string]bool{}
	for _, m := range []map[string]string{x, y} {
		for k := range m {
			keys[k] = true
		}
	}
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		if x[k] != y[k] {
			return fmt.Sprintf("%s is %s and %s", k, or(x[k], "absent"), or(y[k], "absent"))
		}
	}
	return fmt.Sprintf("runs %s and %s", runX, runY)
}

func or(s, none string) string {
	if s == "" {
		return none
	}
	return s
}

func flatten(out map[string]string, path string, v any) {
	if m, ok := v.(map[string]any); ok {
		for k, x := range m {
			flatten(out, path+"."+k, x)
		}
		return
	}
	b, err := json.Marshal(v)
	if err != nil {
		b = []byte(err.Error())
	}
	out[path] = string(b)
}

// docRange returns the documents of a trace.
func (r *Reader) docRange() (from, to int64) {
	if p := r.header.Parts; len(p) > 0 {
		return p[0].Docs[0], p[len(p)-1].Docs[1]
	}
	return 0, r.header.Counts.Docs
}

// ranges sorts the parts and refuses holes and overlaps.
func (m *merge) ranges() error {
	slices.SortStableFunc(m.readers, func(a, b *Reader) int {
		x, _ := a.docRange()
		y, _ := b.docRange()
		return int(max(min(x-y, 1), -1))
	})
	next, before := int64(0), "the start"
	for _, r := range m.readers {
		from, to := r.docRange()
		switch {
		case from < next:
			return fault.Inputf("overlap", "trace: merge: %s holds documents [%d, %d), %s goes to %d", r.path, from, to, before, next)
		case from > next && !m.options.Partial:
			return fault.Inputf("hole", "trace: merge: documents [%d, %d) between %s and %s are missing", next, from, before, r.path)
		case to < from || to > 1<<31:
			return fault.Inputf("malformed", "trace: merge: %s: documents [%d, %d)", r.path, from, to)
		}
		next, before = to, r.path
	}
	return nil
}

func (m *merge) write() (Header, error) {
	h, holes := m.header()
	o := optionsOf(h)
	o.PerDocument = !m.readers[0].HasTokens()
	s, err := newSink(m.options.disk, m.dst, h, o, false)
	if err != nil {
		return h, err
	}
	in := newInput()
	for _, r := range m.readers {
		if err := m.part(s, r, in, o); err != nil {
			s.abort()
			return h, err
		}
	}
	if got := in.text.Digest(); !holes && got != h.Of.Text {
		if !m.options.Partial {
			s.abort()
			_, to := m.readers[len(m.readers)-1].docRange()
			return h, fault.Inputf("hole", "trace: merge: %d documents have text digest %s, the input %s: documents from %d on are missing, or it is another input", h.Counts.Docs, got, h.Of.Text, to)
		}
		s.header.Incomplete = true
	}
	if h.Counts.Scored == 0 {
		s.abort()
		return h, fault.Inputf("empty", "trace: merge: none of %d documents is scored: %s", h.Counts.Docs, statusList(h.Counts.Status))
	}
	return s.commit()
}

// header makes the header of the result.
func (m *merge) header() (h Header, holes bool) {
	h = m.readers[0].header
	h.Table, h.Parts, h.Content = "", nil, Content{}
	h.Counts = Counts{Status: map[string]int64{}}
	h.Made.Seconds = 0
	next := int64(0)
	for _, r := range m.readers {
		x := r.header
		h.Counts.Docs += x.Counts.Docs
		h.Counts.Rows += x.Counts.Rows
		h.Counts.Scored += x.Counts.Scored
		for k, v := range x.Counts.Status {
			h.Counts.Status[k] += v
		}
		h.Made.Seconds += x.Made.Seconds
		if i := x.Made.Invariance; i != nil && (h.Made.Invariance == nil || i.MaxAbs > h.Made.Invariance.MaxAbs) {
			h.Made.Invariance = i
		}
		h.Incomplete = h.Incomplete || x.Incomplete
		from, to := r.docRange()
		holes = holes || from != next
		next = to
		if len(x.Parts) == 0 {
			x.Parts = []Part{{Docs: [2]int64{from, to}, Device: x.Made.Device, Program: x.Made.Program}}
		}
		h.Parts = append(h.Parts, x.Parts...)
	}
	h.Incomplete = h.Incomplete || holes
	return h, h.Incomplete
}

// part copies one shard and checks its content digests.
func (m *merge) part(s *sink, r *Reader, in *input, o Options) error {
	dig := newDigester(o)
	n := int64(0)
	err := r.each(func(x *DocTokens) error {
		if err := in.add(&x.Doc); err != nil {
			return fmt.Errorf("trace: merge: %s: %w", r.path, err)
		}
		dig.add(&x.Doc, &x.Tokens)
		n++
		return s.add(&x.Doc, &x.Tokens)
	})
	if err != nil {
		return err
	}
	from, to := r.docRange()
	if n != to-from && !r.header.Incomplete {
		return fault.Inputf("malformed", "trace: merge: %s: %d documents in [%d, %d)", r.path, n, from, to)
	}
	want, got := r.Header().Content, dig.content()
	if want.Tokens != got.Tokens || want.Docs != got.Docs || !maps.Equal(want.Extra, got.Extra) {
		return fault.Inputf("mismatch", "trace: merge: %s: content %s %s, the rows give %s %s", r.path, want.Tokens, want.Docs, got.Tokens, got.Docs)
	}
	return nil
}

// each calls f for every document, with checked rows where the trace has rows.
func (r *Reader) each(f func(*DocTokens) error) error {
	rows := r.All()
	if !r.HasTokens() {
		rows = r.ordered(false)
	}
	for x, err := range rows {
		if err == nil {
			err = f(&x)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Convert writes a trace in the form that dst's name asks for. Every digest stays.
func Convert(dst, src string) (Header, error) { return copyTrace(osDisk{}, dst, src, false) }

// Redact writes a copy without ids and tiles, so that a trace can be shown
// without its text. The run stays; the content digests are those of the redacted
// tables, and content.full keeps the old ones.
func Redact(dst, src string) (Header, error) { return copyTrace(osDisk{}, dst, src, true) }

func copyTrace(d disk, dst, src string, redact bool) (Header, error) {
	a, err1 := filepath.Abs(dst)
	b, err2 := filepath.Abs(src)
	if err := errors.Join(err1, err2); err != nil {
		return Header{}, fault.Retryf("io", "trace: %s: %w", dst, err)
	}
	stem := func(p string) string { return strings.TrimSuffix(strings.TrimSuffix(p, ".parquet"), ".docs") }
	if stem(a) == stem(b) {
		return Header{}, fault.Usagef("trace: %s: source and result are one file", dst)
	}
	r, err := open(d, src)
	if err != nil {
		return Header{}, err
	}
	defer r.Close() // only read
	if redact && r.header.Redacted {
		return Header{}, fault.Usagef("trace: %s: is redacted already", src)
	}
	h := r.Header()
	o := optionsOf(h)
	o.PerDocument, o.Redact = !r.HasTokens(), redact || h.Redacted
	s, err := newSink(d, dst, h, o, redact)
	if err != nil {
		return h, err
	}
	if err := r.each(func(x *DocTokens) error { return s.add(&x.Doc, &x.Tokens) }); err != nil {
		s.abort()
		return h, err
	}
	s.header.Content.Full = r.Header().Content.Full
	return s.commit()
}

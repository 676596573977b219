package trace

import (
	"encoding/binary"
	"fmt"
	"iter"

	"assay/internal/fault"
)

// store finds the records of documents in the part file.
type store struct {
	f         file
	from, end int32           // ordinals of the documents seen so far, end excluded
	at        map[int32]place // last record of each
	of        *Identity
	perDocs   bool // there are no rows
}

type place struct {
	off int64
	n   uint32 // bytes, head included
}

func (s *store) has(doc int32) bool { _, ok := s.at[doc]; return ok }

func (s *store) set(doc int32, p place) {
	s.at[doc] = p
	s.end = max(s.end, doc+1)
}

// missing returns the first document before to that is not stored.
func (s *store) missing(to int32) (int32, bool) {
	for d := s.from; d < to; d++ {
		if !s.has(d) {
			return d, true
		}
	}
	return 0, false
}

// put appends the records of a document to the pending frame. A document of many
// rows fills several frames; only the last record makes it count.
func (w *Writer) put(d *Doc, t *Tokens) error {
	previous := int64(0)
	lo := 0
	rows := rowsPerRecord(w.options.TopK)
	for !w.options.PerDocument && t.Len()-lo > rows {
		off, err := w.record(recordHeader{previous: previous, doc: d.Doc}, appendRows(w.body[:0], t, lo, lo+rows))
		if err != nil {
			return err
		}
		previous, lo = off, lo+rows
		if len(w.pending) >= w.options.BlockBytes {
			if err := w.Flush(); err != nil {
				return err
			}
		}
	}
	b := w.body[:0]
	if w.options.PerDocument {
		b = appendRows(b, &Tokens{}, 0, 0)
	} else {
		b = appendRows(b, t, lo, t.Len())
	}
	j := jsonWriter{b: b}
	j.doc(d, w.options.Scores)
	if j.err != nil {
		return fault.Inputf("malformed", "trace: %s: document %d: %w", w.path, d.Doc, j.err)
	}
	off, err := w.record(recordHeader{previous: previous, doc: d.Doc, last: true}, append(j.b, '}'))
	if err != nil {
		return err
	}
	w.rows++
	w.store.set(d.Doc, place{off, uint32(int64(len(w.pending)) - (off - w.frames.Payload()))})
	return nil
}

// record appends one record and returns its offset in the file.
func (w *Writer) record(h recordHeader, raw []byte) (int64, error) {
	w.body = raw
	if len(raw) > maxRecord {
		return 0, fault.Inputf("too-long", "trace: %s: document %d: record of %d bytes, want at most %d", w.path, h.doc, len(raw), maxRecord)
	}
	off := w.frames.Payload() + int64(len(w.pending))
	h.size = uint32(len(raw))
	w.pending = append(h.append(w.pending), raw...)
	return off, nil
}

// recover indexes the records of a frame of an earlier run.
func (w *Writer) recover(off int64, payload []byte) error {
	for len(payload) > 0 {
		h, err := parseRecordHeader(payload)
		if err != nil {
			return err
		}
		n := recordHead + int(h.size)
		if n > len(payload) {
			return errRecord
		}
		if h.last && !w.store.has(h.doc) {
			if h.doc < w.options.From || w.options.To > 0 && h.doc >= w.options.To {
				return fmt.Errorf("record of document %d outside [%d, %d)", h.doc, w.options.From, w.options.To)
			}
			d, err := parseRecord(payload[recordHead:n], new(Tokens))
			if err != nil {
				return err
			}
			w.store.set(h.doc, place{off, uint32(n)})
			w.count(&d)
		}
		payload, off = payload[n:], off+int64(n)
	}
	return nil
}

// all yields the documents in order.
func (s *store) all() iter.Seq2[DocTokens, error] {
	return func(yield func(DocTokens, error) bool) {
		for doc := s.from; doc < s.end; doc++ {
			d, err := s.read(doc)
			if !yield(d, err) || err != nil {
				return
			}
		}
	}
}

func (s *store) read(doc int32) (DocTokens, error) {
	var x DocTokens
	h, raw, err := s.body(s.at[doc].off, int(s.at[doc].n))
	if err != nil {
		return x, err
	}
	// Earlier records, from the last to the first.
	var chain [][]byte
	for p := h.previous; p > 0; {
		e, b, err := s.body(p, 0)
		if err != nil {
			return x, err
		}
		if e.last || e.doc != doc || e.previous >= p {
			return x, fmt.Errorf("document %d: record at %d is not its own", doc, p)
		}
		chain = append(chain, b)
		p = e.previous
	}
	for k := len(chain) - 1; k >= 0; k-- {
		r := body{b: chain[k]}
		if err := r.rows(&x.Tokens); err != nil {
			return x, err
		}
	}
	if x.Doc, err = parseRecord(raw, &x.Tokens); err != nil {
		return x, fmt.Errorf("document %d: %w", doc, err)
	}
	if x.Doc.Doc != doc {
		return x, fmt.Errorf("document %d: record of document %d", doc, x.Doc.Doc)
	}
	return x, s.fill(&x)
}

// fill adds the columns that follow from the policy.
func (s *store) fill(x *DocTokens) error {
	if s.perDocs {
		return nil
	}
	if n := len(x.Tokens.Logprob); n != int(x.Doc.Tokens) {
		return fmt.Errorf("document %d: %d rows, want %d", x.Doc.Doc, n, x.Doc.Tokens)
	}
	p, err := plan(s.of, &x.Doc)
	if err != nil {
		return err
	}
	p.fill(&x.Tokens, int(x.Doc.Tokens))
	return nil
}

// body reads the record at off; n is its length if known.
func (s *store) body(off int64, n int) (recordHeader, []byte, error) {
	if n == 0 {
		var head [recordHead]byte
		if _, err := s.f.ReadAt(head[:], off); err != nil {
			return recordHeader{}, nil, fault.Retryf("io", "record at %d: %w", off, err)
		}
		n = recordHead + int(binary.LittleEndian.Uint32(head[:]))
		if n > recordHead+maxRecord {
			return recordHeader{}, nil, fmt.Errorf("record at %d of %d bytes", off, n)
		}
	}
	b := make([]byte, n)
	if _, err := s.f.ReadAt(b, off); err != nil {
		return recordHeader{}, nil, fault.Retryf("io", "record at %d: %w", off, err)
	}
	h, err := parseRecordHeader(b)
	return h, b[recordHead:], err
}

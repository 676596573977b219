package trace

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"

	"assay/internal/fault"
)

// Reader reads a trace in any of its forms. Docs, All and Columns may run at the
// same time; Tokens takes turns.
type Reader struct {
	path   string
	header Header
	tokens *pqFile // nil in compact mode and for JSONL
	docs   *pqFile // nil for JSONL
	lines  *lineFile

	mu     sync.Mutex // of what follows
	index  []docEntry // of a Parquet pair, after the first Tokens
	end    *endLine   // of JSONL, after the first full pass
	random *tokenCursor
}

// orderError is a row or document that is not where it belongs.
type orderError struct {
	id        string
	pos       int
	got, want int32
}

func (e *orderError) Error() string {
	return fmt.Sprintf("document %q: pos %d: doc %d, want %d", e.id, e.pos, e.got, e.want)
}

// Open opens a trace: either file of a Parquet pair, a document table alone, or
// JSONL, compressed or not. It checks headers and columns; Check verifies what
// the rows say.
func Open(path string) (*Reader, error) { return open(osDisk{}, path) }

func open(d disk, path string) (*Reader, error) {
	f, size, err := d.open(path)
	if errors.Is(err, fs.ErrNotExist) && strings.HasSuffix(path, ".parquet") && !strings.HasSuffix(path, ".docs.parquet") {
		// Compact mode writes the document table only.
		docs := strings.TrimSuffix(path, ".parquet") + ".docs.parquet"
		if g, n, e := d.open(docs); e == nil {
			path, f, size, err = docs, g, n, nil
		}
	}
	if err != nil {
		return nil, openError(path, err)
	}
	r, err := sniff(d, path, f, size)
	if err != nil {
		f.Close() // the first error is the one to report
		return nil, err
	}
	return r, nil
}

func sniff(d disk, path string, f file, size int64) (*Reader, error) {
	var magic [4]byte
	n, _ := f.ReadAt(magic[:], 0)
	switch {
	case n == 4 && string(magic[:]) == pqMagic:
		return openPair(d, path, f, size)
	case n >= 2 && bytes.Equal(magic[:2], gzipMagic), n >= 1 && magic[0] == '{':
		l, err := openLines(path, f, size)
		if err != nil {
			return nil, err
		}
		return &Reader{path: path, header: l.header, lines: l}, nil
	case size == 0:
		return nil, fault.Retryf("truncated", "trace: %s: empty file, want Parquet or JSONL", path)
	}
	return nil, fault.Inputf("schema", "trace: %s: starts with %q, want Parquet or JSONL", path, magic[:n])
}

// openPair opens the table at path and the other one beside it.
func openPair(d disk, path string, f file, size int64) (*Reader, error) {
	t, err := openTable(path, f, size)
	if err != nil {
		return nil, err
	}
	name, err := formOf(path)
	if err != nil || name.jsonl { // an odd name: no way to find the other table
		name = form{}
	}
	r := &Reader{path: path}
	other := name.docs
	if t.header.Table == TableDocs {
		r.docs, r.header, other = t, t.header, name.tokens
		if name.docs != path {
			other = ""
		}
	} else {
		r.tokens = t
		if name.tokens != path {
			other = ""
		}
	}
	if other != "" {
		if err := r.openOther(d, other); err != nil {
			return nil, err
		}
	}
	if r.docs == nil {
		return nil, fault.Inputf("open", "trace: %s: the document table %s is missing", path, other).
			Hint("score again: assay score CKPT ... -o %s", path)
	}
	return r, r.agree()
}

func (r *Reader) openOther(d disk, path string) error {
	f, size, err := d.open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return openError(path, err)
	}
	t, err := openTable(path, f, size)
	if err == nil {
		want := TableTokens
		if r.docs == nil {
			want = TableDocs
		}
		if t.header.Table != want {
			err = fault.Inputf("schema", "trace: %s: table %q, want %q", path, t.header.Table, want)
		}
	}
	if err != nil {
		f.Close() // the first error is the one to report
		return err
	}
	if r.docs == nil {
		r.docs, r.header = t, t.header
	} else {
		r.tokens = t
	}
	return nil
}

// agree checks that both tables are of one trace.
func (r *Reader) agree() error {
	c := r.docs.header.Counts
	if c.Docs != r.docs.rows {
		return fault.Inputf("malformed", "trace: %s: header counts %d documents, the table has %d", r.docs.path, c.Docs, r.docs.rows)
	}
	if r.tokens == nil {
		return nil
	}
	a, b := r.tokens.header, r.docs.header
	switch {
	case a.Run != b.Run:
		return fault.Inputf("mismatch", "trace: %s is of run %s, %s of run %s", r.tokens.path, a.Run, r.docs.path, b.Run).
			Hint("score again: assay score CKPT ... -o %s", r.tokens.path)
	case a.Content.Tokens != b.Content.Tokens || a.Content.Docs != b.Content.Docs || !maps.Equal(a.Content.Extra, b.Content.Extra):
		return fault.Inputf("mismatch", "trace: %s and %s are of one run but not of one trace: content %s and %s", r.tokens.path, r.docs.path, a.Content.Docs, b.Content.Docs).
			Hint("finish with --resume, or score again: assay score CKPT ... -o %s", r.tokens.path)
	case !slices.Equal(a.Columns, b.Columns) || a.Redacted != b.Redacted:
		return fault.Inputf("mismatch", "trace: %s and %s list different columns: %v and %v", r.tokens.path, r.docs.path, a.Columns, b.Columns)
	case c.Rows != r.tokens.rows:
		return fault.Inputf("malformed", "trace: %s: header counts %d rows, the table has %d", r.tokens.path, c.Rows, r.tokens.rows)
	}
	return nil
}

// Close closes the files.
func (r *Reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.random != nil {
		r.random.close()
		r.random = nil
	}
	var errs []error
	for _, t := range []*pqFile{r.tokens, r.docs} {
		if t != nil {
			errs = append(errs, t.f.Close())
		}
	}
	if r.lines != nil {
		errs = append(errs, r.lines.f.Close())
	}
	return errors.Join(errs...)
}

// Header returns the header. The content digests of a JSONL trace are in its last
// line and are there only after a pass over all documents.
func (r *Reader) Header() Header {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.header
	h.Table = ""
	if r.end != nil {
		h.Content = r.end.Content
	}
	return h
}

// HasTokens reports whether the trace holds rows, not documents alone.
func (r *Reader) HasTokens() bool {
	if r.lines != nil {
		return r.lines.rows
	}
	return r.tokens != nil
}

// Need returns an input fault that names the first column that is missing and
// the flag that writes it; nil when all are there.
func (r *Reader) Need(cols ...string) error {
	o := optionsOf(r.header)
	for _, c := range cols {
		token := slices.ContainsFunc(slices.Concat(tokenColumns, momentColumns, topColumns), func(s spec) bool { return s.name == c }) && c != "doc"
		hint := ""
		switch {
		case token && !r.HasTokens():
			hint = "score without --per document"
		case (c == "umean" || c == "usd") && !o.Moments:
			hint = "score with --moments"
		case (c == "top_id" || c == "top_logprob") && o.TopK == 0:
			hint = "score with --topk K"
		case slices.Contains([]string{"id", "byte_off", "byte_len", "argmax_id", "top_id"}, c) && o.Redact:
			hint = "score without --redact"
		case strings.HasPrefix(c, scorePrefix) && !slices.Contains(o.Scores, strings.TrimPrefix(c, scorePrefix)):
			hint = "score with --scores " + strings.TrimPrefix(c, scorePrefix)
		case !token && !strings.HasPrefix(c, scorePrefix) && !slices.ContainsFunc(docColumns, func(s spec) bool { return s.name == c }):
			return fault.Usagef("trace: %s: column %q is not part of the format", r.path, c)
		}
		if hint != "" {
			return fault.Inputf("column-missing", "trace: %s: column %s is missing", r.path, c).Hint("%s", hint)
		}
	}
	return nil
}

// Docs yields the document table in order. It stops at the first error.
func (r *Reader) Docs() iter.Seq2[Doc, error] {
	return func(yield func(Doc, error) bool) {
		for x, err := range r.ordered(false) {
			if !yield(x.Doc, err) {
				return
			}
		}
	}
}

// ordered yields the documents, with rows in the JSONL form if asked, and checks
// that ordinals rise by one from the first of the trace's range; a trace of some
// of its parts may jump.
func (r *Reader) ordered(tokens bool) iter.Seq2[DocTokens, error] {
	return func(yield func(DocTokens, error) bool) {
		next := r.first()
		step := func(x DocTokens, err error) bool {
			if err == nil && (x.Doc.Doc != next && !(r.header.Incomplete && x.Doc.Doc > next)) {
				err = fault.Inputf("malformed", "trace: %s: document %q has ordinal %d, want %d", r.path, x.Doc.ID, x.Doc.Doc, next)
			}
			next = x.Doc.Doc + 1
			return yield(x, err) && err == nil
		}
		if r.lines != nil {
			if end := r.lines.all(tokens, func(x DocTokens, _ int64, err error) bool { return step(x, err) }); end != nil {
				r.mu.Lock()
				r.end = end
				r.mu.Unlock()
			}
			return
		}
		for d, err := range r.docs.docs() {
			if !step(DocTokens{Doc: d}, err) {
				return
			}
		}
	}
}

func (r *Reader) first() int32 {
	if len(r.header.Parts) > 0 {
		return int32(r.header.Parts[0].Docs[0])
	}
	return 0
}

// All yields every document with its rows; one document is in memory. Rows that
// are not well formed, or break a law of the format, are an input fault.
func (r *Reader) All() iter.Seq2[DocTokens, error] {
	return func(yield func(DocTokens, error) bool) {
		in, found := firstFault(&r.header.Of, optionsOf(r.header), r.path)
		for x, err := range r.rows(nil) {
			if err == nil {
				in.all(&x)
				err = found()
			}
			if !yield(x, err) || err != nil {
				return
			}
		}
	}
}

// Columns is All with only the named token columns filled. It reads less and
// checks no laws. Names that the trace lacks are an error; see Need.
func (r *Reader) Columns(cols ...string) iter.Seq2[DocTokens, error] {
	if err := r.Need(cols...); err != nil {
		return func(yield func(DocTokens, error) bool) { yield(DocTokens{}, err) }
	}
	return r.rows(append([]string{}, cols...))
}

// rows yields the documents with the named token columns, nil for all.
func (r *Reader) rows(cols []string) iter.Seq2[DocTokens, error] {
	return func(yield func(DocTokens, error) bool) {
		if !r.HasTokens() {
			yield(DocTokens{}, r.Need("pos"))
			return
		}
		var c *tokenCursor
		if r.tokens != nil {
			c = r.tokens.tokenCursor(cols)
			defer c.close()
		}
		for x, err := range r.ordered(true) {
			switch {
			case err != nil:
			case c != nil:
				x.Tokens, err = c.next(&x.Doc)
			default:
				x.Tokens.keep(cols)
			}
			if !yield(x, err) || err != nil {
				return
			}
		}
		if c != nil && c.row != r.tokens.rows {
			yield(DocTokens{}, fault.Inputf("malformed", "trace: %s: %d rows, the documents have %d tokens", r.tokens.path, r.tokens.rows, c.row))
		}
	}
}

// keep drops the columns that are not named; nil keeps all.
func (t *Tokens) keep(cols []string) {
	if cols == nil {
		return
	}
	k := *t
	*t = Tokens{}
	for _, c := range cols {
		switch c {
		case "pos":
			t.Pos = k.Pos
		case "window":
			t.Window = k.Window
		case "id":
			t.ID = k.ID
		case "byte_off":
			t.ByteOff = k.ByteOff
		case "byte_len":
			t.ByteLen = k.ByteLen
		case "scored":
			t.Scored = k.Scored
		case "ctx":
			t.Ctx = k.Ctx
		case "logprob":
			t.Logprob = k.Logprob
		case "entropy":
			t.Entropy = k.Entropy
		case "sd":
			t.SD = k.SD
		case "rank":
			t.Rank = k.Rank
		case "argmax_id":
			t.ArgmaxID = k.ArgmaxID
		case "argmax_logprob":
			t.ArgmaxLogprob = k.ArgmaxLogprob
		case "umean":
			t.UMean = k.UMean
		case "usd":
			t.USD = k.USD
		case "top_id":
			t.TopID = k.TopID
		case "top_logprob":
			t.TopLogprob = k.TopLogprob
		}
	}
}

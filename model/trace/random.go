package trace

import (
	"slices"

	"assay/internal/fault"
)

// docEntry is what finding and checking a document's rows needs of it.
type docEntry struct {
	id, status                            string
	row, bytes                            int64
	doc, tokens, context, scored, windows int32
}

func (e *docEntry) document() Doc {
	d := Doc{Doc: e.doc, ID: e.id, Status: e.status, Bytes: e.bytes, Tokens: e.tokens, Context: e.context, Scored: e.scored, Windows: e.windows}
	if e.bytes == Null {
		d.Chars, d.Words, d.Pieces, d.Zlib = Null, Null, Null, Null
	}
	return d
}

// Tokens returns the rows of one document. The first call reads the document
// table (Parquet) or the whole file (JSONL) once and keeps about 80 bytes a
// document; a compressed JSONL file is read from its start each time.
func (r *Reader) Tokens(doc int32) (Tokens, error) {
	if err := r.Need("pos"); err != nil {
		return Tokens{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	x, err := r.get(doc)
	if err != nil {
		return Tokens{}, err
	}
	in, found := firstFault(&r.header.Of, optionsOf(r.header), r.path)
	in.all(&x)
	return x.Tokens, found()
}

func (r *Reader) get(doc int32) (DocTokens, error) {
	if r.lines != nil {
		return r.lines.get(doc)
	}
	if r.index == nil {
		if err := r.makeIndex(); err != nil {
			return DocTokens{}, err
		}
	}
	i, there := slices.BinarySearchFunc(r.index, doc, func(e docEntry, doc int32) int { return int(e.doc) - int(doc) })
	if !there {
		return DocTokens{}, fault.Inputf("no-document", "trace: %s: no document %d among %d", r.path, doc, len(r.index))
	}
	x := DocTokens{Doc: r.index[i].document()}
	if r.random == nil {
		r.random = r.tokens.tokenCursor(nil)
		r.random.row = -1
	}
	if row := r.index[i].row; x.Doc.Tokens > 0 && r.random.row != row {
		if err := r.random.seek(row); err != nil {
			r.random.row = -1
			return x, err
		}
	}
	var err error
	if x.Tokens, err = r.random.next(&x.Doc); err != nil {
		r.random.row = -1
	}
	return x, err
}

// makeIndex finds the first row of each document by adding up the token counts.
func (r *Reader) makeIndex() error {
	var index []docEntry
	status := map[string]string{}
	row := int64(0)
	for d, err := range r.Docs() {
		if err != nil {
			return err
		}
		if _, ok := status[d.Status]; !ok {
			status[d.Status] = d.Status
		}
		index = append(index, docEntry{d.ID, status[d.Status], row, d.Bytes, d.Doc, d.Tokens, d.Context, d.Scored, d.Windows})
		row += int64(d.Tokens)
	}
	r.index = index
	return nil
}

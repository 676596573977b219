package score

import (
	"iter"
	"strconv"

	"assay/tokenize/store"
	"assay/tokenize/text"
)

// Input is a sequence of documents that can be read more than once: the first
// pass takes digests and counts, the second scores. *text.Source satisfies it.
type Input interface {
	Docs() iter.Seq2[text.Doc, error]
	Len() int
}

// Rows is an Input of rows of a store of ids; document i is row order[i] (row i
// where order is nil), cut to the first first ids (0 keeps all). Its doc_id is
// the row number in decimal, the join key of a training transcript.
type Rows struct {
	Store store.Rows
	Order []int64
	First int
}

// Len returns the number of documents.
func (r Rows) Len() int {
	if r.Order != nil {
		return len(r.Order)
	}
	return r.Store.Len()
}

// Docs yields the documents.
func (r Rows) Docs() iter.Seq2[text.Doc, error] {
	return func(yield func(text.Doc, error) bool) {
		for i := range r.Len() {
			row := int64(i)
			if r.Order != nil {
				row = r.Order[i]
			}
			ids, err := r.Store.Row(int(row), nil)
			if err != nil {
				yield(text.Doc{}, err)
				return
			}
			if r.First > 0 && len(ids) > r.First {
				ids = ids[:r.First]
			}
			if !yield(text.Doc{ID: strconv.FormatInt(row, 10), IDs: ids}, nil) {
				return
			}
		}
	}
}

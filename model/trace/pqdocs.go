package trace

import (
	"encoding/json/jsontext"
	"fmt"
	"iter"
	"math"
)

// docCursor reads the document table.
type docCursor struct {
	t      *pqFile
	scores []string
	cols   map[string]*cursor
	left   int64
}

func (t *pqFile) docCursor() *docCursor {
	c := &docCursor{t: t, scores: optionsOf(t.header).Scores, cols: map[string]*cursor{}, left: t.rows}
	for name := range t.leaves {
		c.cols[name] = t.cursor(name)
	}
	return c
}

func (c *docCursor) close() {
	for _, x := range c.cols {
		x.close()
	}
}

// docBatch is how many documents are read at a time.
const docBatch = 512

// next appends up to docBatch documents; none at the end.
func (c *docCursor) next(docs []Doc) ([]Doc, error) {
	n := int(min(docBatch, c.left))
	if n == 0 {
		return docs, nil
	}
	c.left -= int64(n)
	docs = docs[:0]
	for range n {
		docs = append(docs, Doc{})
	}
	b := batch{c: c, docs: docs}
	b.i32("doc", func(d *Doc, v int32) { d.Doc = v })
	b.str("doc_id", func(d *Doc, v *string) { d.ID = *v })
	b.str("status", func(d *Doc, v *string) { d.Status = *v })
	b.hash("sha256", func(d *Doc, v *[32]byte) { d.SHA256 = *v })
	b.hash("context_sha256", func(d *Doc, v *[32]byte) { d.ContextSHA256 = v })
	b.i64("n_bytes", func(d *Doc, v int64) { d.Bytes = v })
	b.i64("n_chars", func(d *Doc, v int64) { d.Chars = v })
	b.i64("n_words", func(d *Doc, v int64) { d.Words = v })
	b.i64("n_pieces", func(d *Doc, v int64) { d.Pieces = v })
	b.i64("zlib_bytes", func(d *Doc, v int64) { d.Zlib = v })
	b.i32("n_tokens", func(d *Doc, v int32) { d.Tokens = v })
	b.i32("n_context", func(d *Doc, v int32) { d.Context = v })
	b.i32("n_scored", func(d *Doc, v int32) { d.Scored = v })
	b.i32("n_windows", func(d *Doc, v int32) { d.Windows = v })
	b.f64("sum_logprob", false, func(d *Doc, v float64) { d.SumLogprob = v })
	b.f64("sum_logprob2", false, func(d *Doc, v float64) { d.SumLogprob2 = v })
	b.f64("sum_entropy", false, func(d *Doc, v float64) { d.SumEntropy = v })
	b.i32("n_greedy", func(d *Doc, v int32) { d.Greedy = v })
	b.label()
	b.str("group", func(d *Doc, v *string) {
		if v != nil {
			d.Group = *v
		}
	})
	b.date()
	b.str("meta", func(d *Doc, v *string) {
		if v != nil {
			d.Meta = []byte(*v)
		}
	})
	for _, s := range c.scores {
		b.f64(scorePrefix+s, true, func(d *Doc, v float64) {
			if d.Scores == nil {
				d.Scores = make(map[string]float64, len(c.scores))
			}
			if !math.IsNaN(v) {
				d.Scores[s] = v
			}
		})
	}
	for i := range docs {
		if m := docs[i].Meta; m != nil && (jsontext.Value(m).Kind() != '{' || !jsontext.Value(m).IsValid()) && b.err == nil {
			b.err = c.t.error("column meta", fmt.Errorf("document %q: %.40q is no JSON object", docs[i].ID, m))
		}
	}
	return docs, b.err
}

// batch fills columns of documents until one fails.
type batch struct {
	c    *docCursor
	docs []Doc
	err  error
}

func (b *batch) i32(name string, set func(*Doc, int32)) {
	each(b, func() ([]int32, error) { return b.c.cols[name].i32(nil, len(b.docs), false) }, set)
}

func (b *batch) i64(name string, set func(*Doc, int64)) {
	each(b, func() ([]int64, error) { return b.c.cols[name].i64(nil, len(b.docs), true) }, set)
}

func (b *batch) f64(name string, null bool, set func(*Doc, float64)) {
	each(b, func() ([]float64, error) { return b.c.cols[name].f64(nil, len(b.docs), null) }, set)
}

func (b *batch) str(name string, set func(*Doc, *string)) {
	null := name == "group" || name == "meta"
	each(b, func() ([]*string, error) { return b.c.cols[name].strings(nil, len(b.docs), null) }, set)
}

func (b *batch) hash(name string, set func(*Doc, *[32]byte)) {
	each(b, func() ([]*[32]byte, error) {
		return b.c.cols[name].hashes(nil, len(b.docs), name == "context_sha256")
	}, set)
}

func each[T any](b *batch, read func() ([]T, error), set func(*Doc, T)) {
	if b.err != nil {
		return
	}
	v, err := read()
	if err != nil {
		b.err = err
		return
	}
	for i := range b.docs {
		set(&b.docs[i], v[i])
	}
}

// label and date may hold any value, so null needs a mark of its own.
func (b *batch) nullable(name string, set func(*Doc, int32)) {
	if b.err != nil {
		return
	}
	c, i := b.c.cols[name], 0
	b.err = c.named(c.take(len(b.docs), func(k int) {
		for range k {
			set(&b.docs[i], c.rest.i32[c.value()])
			i++
		}
	}, func(k int) { i += k }))
}

func (b *batch) label() { b.nullable("label", func(d *Doc, v int32) { d.Label = &v }) }
func (b *batch) date()  { b.nullable("date", func(d *Doc, v int32) { d.Date = dateOf(v) }) }

// docs yields the document table.
func (t *pqFile) docs() iter.Seq2[Doc, error] {
	return func(yield func(Doc, error) bool) {
		c := t.docCursor()
		defer c.close()
		var docs []Doc
		for {
			var err error
			if docs, err = c.next(docs[:0]); err != nil {
				yield(Doc{}, err)
				return
			}
			if len(docs) == 0 {
				return
			}
			for _, d := range docs {
				if !yield(d, nil) {
					return
				}
			}
		}
	}
}

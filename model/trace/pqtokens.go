package trace

import "slices"

// tokenCursor reads the columns of the token table in step.
type tokenCursor struct {
	t    *pqFile
	want []string
	cols map[string]*cursor
	row  int64
}

// tokenCursor reads the named columns; nil means all.
func (t *pqFile) tokenCursor(want []string) *tokenCursor {
	if want == nil {
		for name := range t.leaves {
			want = append(want, name)
		}
	}
	c := &tokenCursor{t: t, want: want, cols: map[string]*cursor{}}
	for _, name := range want {
		c.cols[name] = t.cursor(name)
	}
	return c
}

func (c *tokenCursor) close() {
	for _, x := range c.cols {
		x.close()
	}
}

// seek moves all columns to a row.
func (c *tokenCursor) seek(row int64) error {
	g, found := slices.BinarySearch(c.t.groups, row)
	if !found {
		g--
	}
	for _, x := range c.cols {
		if err := x.named(x.seek(g, row)); err != nil {
			return err
		}
	}
	c.row = row
	return nil
}

// next reads the rows of a document. A column that is null throughout is absent:
// ids when redacted, tiles when the input was ids.
func (c *tokenCursor) next(d *Doc) (Tokens, error) {
	var t Tokens
	n := int(d.Tokens)
	if int64(n) > c.t.rows-c.row {
		return t, c.t.error("rows", errShort)
	}
	room := min(n, groupRows)
	read := tokenRead{c: c, n: n}
	ints := func(name string, dst *[]int32, null bool) {
		read.column(name, func(x *cursor) (err error) {
			*dst, err = x.i32(make([]int32, 0, room), n, null)
			return err
		})
	}
	floats := func(name string, dst *[]float32) {
		read.column(name, func(x *cursor) (err error) {
			*dst, err = x.f32(make([]float32, 0, room), n)
			return err
		})
	}
	var docs []int32
	ints("doc", &docs, false)
	ints("pos", &t.Pos, false)
	ints("window", &t.Window, true)
	ints("id", &t.ID, true)
	read.column("byte_off", func(x *cursor) (err error) {
		t.ByteOff, err = x.i64(make([]int64, 0, room), n, true)
		return err
	})
	ints("byte_len", &t.ByteLen, true)
	read.column("scored", func(x *cursor) (err error) {
		t.Scored, err = x.bools(make([]bool, 0, room), n)
		return err
	})
	ints("ctx", &t.Ctx, true)
	floats("logprob", &t.Logprob)
	floats("entropy", &t.Entropy)
	floats("sd", &t.SD)
	ints("rank", &t.Rank, true)
	ints("argmax_id", &t.ArgmaxID, true)
	floats("argmax_logprob", &t.ArgmaxLogprob)
	floats("umean", &t.UMean)
	floats("usd", &t.USD)
	read.column("top_id", func(x *cursor) (err error) {
		t.TopID, err = rowLists(x, nil, n, func() []int32 { return x.rest.i32 })
		return err
	})
	read.column("top_logprob", func(x *cursor) (err error) {
		t.TopLogprob, err = rowLists(x, nil, n, func() []float32 { return x.rest.f32 })
		return err
	})
	if read.err != nil {
		return t, read.err
	}
	c.row += int64(n)
	for i, v := range docs {
		if v != d.Doc {
			return t, c.t.error("column doc", &orderError{d.ID, i, v, d.Doc})
		}
	}
	t.drop(c.t.header.Redacted, !d.HasText())
	return t, nil
}

// drop makes the columns absent that a redaction or an input of ids leaves null.
func (t *Tokens) drop(redacted, ids bool) {
	if redacted {
		t.ID, t.ArgmaxID, t.TopID = dropNull(t.ID), dropNull(t.ArgmaxID), dropNil(t.TopID)
	}
	if redacted || ids {
		t.ByteLen = dropNull(t.ByteLen)
		if !slices.ContainsFunc(t.ByteOff, func(v int64) bool { return v != Null }) {
			t.ByteOff = nil
		}
	}
}

func dropNull(v []int32) []int32 {
	if slices.ContainsFunc(v, func(x int32) bool { return x != Null }) {
		return v
	}
	return nil
}

func dropNil(v [][]int32) [][]int32 {
	if slices.ContainsFunc(v, func(x []int32) bool { return x != nil }) {
		return v
	}
	return nil
}

type tokenRead struct {
	c   *tokenCursor
	n   int
	err error
}

func (r *tokenRead) column(name string, f func(*cursor) error) {
	if x := r.c.cols[name]; x != nil && r.err == nil {
		r.err = f(x)
	}
}

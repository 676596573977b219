package trace

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding"

	"assay/internal/fault"
)

// pqFile is one table of a trace in Parquet.
type pqFile struct {
	path   string
	f      file
	size   int64
	end    int64 // where the footer starts
	pf     *parquet.File
	header Header
	rows   int64
	groups []int64 // first row of each row group, then the number of rows
	leaves map[string]*parquet.Column
}

// contained runs code of the Parquet library on a file that may be hostile: a
// panic in it, also one from a fault outside mapped memory, becomes an error.
func contained(f func() error) (err error) {
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		if r := recover(); r != nil {
			err = fmt.Errorf("parquet reader: %v", r)
		}
	}()
	return f()
}

// openTable opens one table and checks its header and columns. It takes over f.
func openTable(path string, f file, size int64) (*pqFile, error) {
	t := &pqFile{path: path, f: f, size: size}
	at, footer, err := pqFooter(f, size)
	if err == nil {
		t.end = at
		err = checkFooter(footer)
	}
	if err == nil {
		err = contained(t.open)
	}
	if err != nil {
		return nil, t.error("open", err)
	}
	text, ok := t.pf.Lookup(headerKey)
	if !ok {
		return nil, fault.Inputf("schema", "trace: %s: Parquet without the metadata key %q, want a trace", path, headerKey)
	}
	if t.header, err = parseHeader(path, []byte(text)); err != nil {
		return nil, err
	}
	tokens, docs := optionsOf(t.header).columns()
	cols := docs
	switch t.header.Table {
	case TableTokens:
		cols = tokens
	case TableDocs:
	default:
		return nil, fault.Inputf("schema", "trace: %s: table %.40q, want tokens or docs", path, t.header.Table)
	}
	t.leaves = map[string]*parquet.Column{}
	for _, c := range cols {
		err := contained(func() (err error) {
			t.leaves[c.name], err = t.leaf(c)
			return err
		})
		if err != nil {
			return nil, t.error("column "+c.name, err)
		}
	}
	return t, nil
}

func (t *pqFile) open() error {
	pf, err := parquet.OpenFile(t.f, t.size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true), parquet.ReadBufferSize(1<<16))
	if err != nil {
		return err
	}
	t.pf = pf
	if err := checkColumns(pf.Metadata()); err != nil {
		return err
	}
	for _, g := range pf.RowGroups() {
		t.groups = append(t.groups, t.rows)
		n := g.NumRows()
		if n < 0 || n > 1<<40 {
			return fmt.Errorf("row group of %d rows", n)
		}
		t.rows += n
	}
	t.groups = append(t.groups, t.rows)
	return nil
}

// leaf finds a column and checks its physical type.
func (t *pqFile) leaf(c spec) (*parquet.Column, error) {
	col := t.pf.Root().Column(c.name)
	if col == nil {
		return nil, errors.New("missing")
	}
	element, isList := strings.CutPrefix(c.typ, "list<")
	for depth := 0; !col.Leaf() && isList && depth < 3; depth++ {
		if len(col.Columns()) != 1 {
			return nil, errors.New("not a list")
		}
		col = col.Columns()[0]
	}
	want := map[string]parquet.Kind{"i32": parquet.Int32, "i32>": parquet.Int32, "i64": parquet.Int64, "f32": parquet.Float, "f32>": parquet.Float,
		"f64": parquet.Double, "u8": parquet.Boolean, "b32": parquet.FixedLenByteArray, "str": parquet.ByteArray}[element]
	if !col.Leaf() {
		return nil, fmt.Errorf("a group, want %s", c.typ)
	}
	if col.Type().Kind() != want || c.typ == "b32" && col.Type().Length() != 32 {
		return nil, fmt.Errorf("type %s, want %s", col, c.typ)
	}
	rep, def := 0, 1
	if isList {
		rep, def = 1, 3
	}
	if col.MaxRepetitionLevel() != rep || col.MaxDefinitionLevel() > def {
		return nil, fmt.Errorf("type %s, want a plain column of %s", col, c.typ)
	}
	return col, nil
}

// error classifies what reading a table gave.
func (t *pqFile) error(what string, err error) error {
	if f := fault.As(err); f != nil {
		return fault.New(f.Class, f.Code, "trace: %s: %s: %w", t.path, what, err)
	}
	return fault.Inputf("malformed", "trace: %s: %s: %w", t.path, what, err)
}

// cursor reads one column forward over all row groups.
type cursor struct {
	t     *pqFile
	name  string
	leaf  *parquet.Column
	group int           // of pages
	pages parquet.Pages // nil before the first
	page  parquet.Page  // nil when used up
	def   []byte        // definition levels; nil if the column cannot be null
	rep   []byte
	max   byte  // definition level of a value
	n     int   // entries in the page
	at    int   // next entry
	val   int   // next value
	first int64 // row of the page's first entry, in a column without lists
	rest  rest
}

// rest holds the typed values of the page, or of the dictionary.
type rest struct {
	i32   []int32
	i64   []int64
	f32   []float32
	f64   []float64
	bits  []byte
	bytes []byte
	offs  []uint32
	index []int32 // into these, when there is a dictionary
}

func (t *pqFile) cursor(name string) *cursor {
	return &cursor{t: t, name: name, leaf: t.leaves[name], group: -1}
}

func (c *cursor) close() {
	// Nothing is read any more: what closing says or does makes no difference.
	_ = contained(func() error { c.release(); return nil })
}

func (c *cursor) release() {
	if c.page != nil {
		parquet.Release(c.page)
		c.page = nil
	}
	if c.pages != nil {
		c.pages.Close()
		c.pages = nil
	}
}

// seek moves to a row. Rows of later pages of the same row group are skipped by
// reading: a row group holds 65,536 rows.
func (c *cursor) seek(group int, row int64) error {
	return contained(func() error {
		if c.page != nil && c.rep == nil && group == c.group && row >= c.first && row < c.first+int64(c.n) {
			c.at, c.val = 0, 0
			n := int(row - c.first)
			c.at, c.val = n, c.values(n)
			return nil
		}
		c.close()
		c.group = group - 1
		c.n, c.at, c.first = 0, 0, c.t.groups[group]
		for row -= c.t.groups[group]; ; {
			if err := c.more(); err != nil {
				return err
			}
			if c.rep != nil {
				return c.skipLists(row)
			}
			n := min(int64(c.n-c.at), row)
			c.val += c.values(int(n))
			c.at += int(n)
			if row -= n; row == 0 {
				return nil
			}
		}
	})
}

// values counts the values among the next n entries.
func (c *cursor) values(n int) int {
	if c.def == nil {
		return n
	}
	v := 0
	for _, d := range c.def[c.at : c.at+n] {
		if d == c.max {
			v++
		}
	}
	return v
}

// more makes the current page one with an entry left.
func (c *cursor) more() error {
	for c.at >= c.n {
		if c.page != nil {
			parquet.Release(c.page)
			c.page = nil
			c.first += int64(c.n)
		}
		if c.pages == nil {
			if err := c.nextGroup(); err != nil {
				return err
			}
		}
		p, err := c.pages.ReadPage()
		if err != nil {
			c.pages.Close()
			c.pages = nil
			if !isEOF(err) {
				return err
			}
			continue
		}
		c.page = p
		if err := c.load(p); err != nil {
			return err
		}
	}
	return nil
}

// isEOF is true for the plain end of a chunk only: an unexpected end wraps others.
func isEOF(err error) bool { return err.Error() == "EOF" }

var errShort = errors.New("fewer rows than the table has")

func (c *cursor) nextGroup() error {
	groups := c.t.pf.RowGroups()
	if c.group++; c.group >= len(groups) {
		return errShort
	}
	chunk := groups[c.group].ColumnChunks()[c.leaf.Index()]
	m := &c.t.pf.Metadata().RowGroups[c.group].Columns[c.leaf.Index()].MetaData
	if err := checkChunk(c.t.f, c.t.end, m); err != nil {
		return fmt.Errorf("row group %d: %w", c.group, err)
	}
	if c.leaf.MaxRepetitionLevel() == 0 && m.NumValues != groups[c.group].NumRows() {
		return fmt.Errorf("row group %d: %d values, want %d", c.group, m.NumValues, groups[c.group].NumRows())
	}
	c.pages = chunk.Pages()
	return nil
}

// load takes the typed slices of a page and checks that they hold what the levels say.
func (c *cursor) load(p parquet.Page) error {
	c.max = byte(c.leaf.MaxDefinitionLevel())
	c.def, c.rep = nil, nil
	if c.max > 0 {
		c.def = p.DefinitionLevels()
	}
	if c.leaf.MaxRepetitionLevel() > 0 {
		c.rep = p.RepetitionLevels()
		if len(c.rep) != len(c.def) {
			return fmt.Errorf("%d repetition levels for %d definition levels", len(c.rep), len(c.def))
		}
	}
	c.n, c.at, c.val = int(p.NumValues()), 0, 0
	if c.max > 0 {
		c.n = len(c.def)
	}
	values := c.values(c.n)
	c.rest = rest{}
	data := p.Data()
	have := 0
	if d := p.Dictionary(); d != nil {
		c.rest.index = data.Int32()
		have = len(c.rest.index)
		data = d.Page().Data()
		n := c.rest.set(c.leaf.Type().Kind(), data)
		for _, i := range c.rest.index {
			if i < 0 || int(i) >= n {
				return fmt.Errorf("index %d into a dictionary of %d", i, n)
			}
		}
	} else {
		have = c.rest.set(c.leaf.Type().Kind(), data)
	}
	if have < values {
		return fmt.Errorf("%d values in a page that counts %d", have, values)
	}
	return nil
}

// set takes the slices of one kind and returns how many values they hold.
func (r *rest) set(k parquet.Kind, v encoding.Values) int {
	switch k {
	case parquet.Int32:
		r.i32 = v.Int32()
		return len(r.i32)
	case parquet.Int64:
		r.i64 = v.Int64()
		return len(r.i64)
	case parquet.Float:
		r.f32 = v.Float()
		return len(r.f32)
	case parquet.Double:
		r.f64 = v.Double()
		return len(r.f64)
	case parquet.Boolean:
		r.bits = v.Boolean()
		return 8 * len(r.bits)
	case parquet.FixedLenByteArray:
		var size int
		r.bytes, size = v.FixedLenByteArray()
		if size <= 0 {
			return 0
		}
		return len(r.bytes) / size
	case parquet.ByteArray:
		r.bytes, r.offs = v.ByteArray()
		for i := 1; i < len(r.offs); i++ {
			if r.offs[i] < r.offs[i-1] || int64(r.offs[i]) > int64(len(r.bytes)) {
				return 0
			}
		}
		return max(len(r.offs)-1, 0)
	}
	return 0
}

// value returns the place of the next value among the typed slices.
func (c *cursor) value() int {
	v := c.val
	c.val++
	if c.rest.index != nil {
		return int(c.rest.index[v])
	}
	return v
}

package palimpsest

import (
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"assay/internal/fault"
)

func openParquetTranscript(path string) (*Transcript, error) {
	f, p, err := parquetAt(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t, err := readParquet(p)
	if err != nil {
		return nil, err
	}
	name := "ids"
	if !p.has("ids") {
		name = "text"
	}
	t.file = func(yield func(Contents, error) bool) {
		f, p, err := parquetAt(path)
		if err != nil {
			yield(Contents{}, err)
			return
		}
		defer f.Close()
		if err := contents(p, name, yield); err != nil {
			yield(Contents{}, err)
		}
	}
	return t, nil
}

// contents streams one column; a consumer that stops ends the scan.
func contents(p *pqFile, name string, yield func(Contents, error) bool) error {
	if name == "text" {
		return p.strings(name, func(s string) error {
			if !yield(Contents{Text: s}, nil) {
				return errStop
			}
			return nil
		})
	}
	return p.ids(name, func(ids []uint32) error {
		if !yield(Contents{IDs: ids}, nil) {
			return errStop
		}
		return nil
	})
}

func parquetAt(path string) (*os.File, *pqFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fault.Retryf("io", "palimpsest: %w", err)
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, nil, fault.Retryf("io", "palimpsest: %w", err)
	}
	p, err := openParquet(path, f, st.Size())
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, p, nil
}

func readParquet(p *pqFile) (*Transcript, error) {
	t := &Transcript{}
	if m, ok := p.f.Lookup(metaKey); ok {
		if err := t.Meta.parse([]byte(m)); err != nil {
			return nil, fault.Inputf("malformed", "palimpsest: %s: metadata %s: %w", p.name, metaKey, err)
		}
	}
	if p.has("ids") == p.has("text") {
		return nil, fault.Inputf("malformed", "palimpsest: %s: want exactly one of the columns ids and text", p.name)
	}
	if p.has("pos") == p.has("positions") {
		return nil, fault.Inputf("malformed", "palimpsest: %s: want exactly one of the columns pos and positions", p.name)
	}
	if err := p.positions(t); err != nil {
		return nil, err
	}
	for _, c := range []struct {
		name string
		set  func([]int64)
	}{
		{"seq", func(v []int64) { t.Seq = v }},
		{"step", func(v []int64) { t.Step = v }},
		{"unit", func(v []int64) { t.Unit = v }},
		{"wrong_pos", func(v []int64) { t.Wrong = v }},
		{"epoch", func(v []int64) {
			for _, e := range v {
				t.Epoch = append(t.Epoch, int32(e))
			}
		}},
	} {
		if p.has(c.name) {
			v, err := p.ints(c.name)
			if err != nil {
				return nil, err
			}
			c.set(v)
		}
	}
	for _, c := range []struct {
		name string
		to   *[]string
	}{{"stratum", &t.Block}, {"source", &t.Source}} {
		if p.has(c.name) {
			if err := p.strings(c.name, func(s string) error { *c.to = append(*c.to, s); return nil }); err != nil {
				return nil, err
			}
		}
	}
	t.rowSeq()
	return t, nil
}

func (p *pqFile) positions(t *Transcript) error {
	name := "pos"
	if !p.has(name) {
		name = "positions"
	}
	l, _ := p.leaf(name)
	return p.rows(name, func(_ int, v []parquet.Value) error {
		if name == "pos" && len(v) != 1 {
			return fmt.Errorf("found %d values, want 1", len(v))
		}
		row := make([]int64, 0, len(v))
		for _, e := range v {
			i, err := asInt(e, unsigned(l))
			if err != nil {
				return err
			}
			row = append(row, i)
		}
		t.Positions = append(t.Positions, row)
		return nil
	})
}

// WriteParquet writes the table with its metadata, zstd compressed. Contents must
// be in memory.
func (t *Transcript) WriteParquet(w io.Writer) error {
	meta, err := t.metaJSON()
	if err != nil {
		return err
	}
	cols := t.columns()
	g := parquet.Group{}
	for _, c := range cols {
		g[c.name] = c.node
	}
	schema := parquet.NewSchema("transcript", g)
	for i := range cols {
		path := []string{cols[i].name}
		if cols[i].list {
			path = append(path, "list", "element")
		}
		leaf, _ := schema.Lookup(path...)
		cols[i].index = leaf.ColumnIndex
	}
	slices.SortFunc(cols, func(a, b pqWrite) int { return a.index - b.index })
	pw := parquet.NewGenericWriter[any](w, schema, parquet.Compression(&zstd.Codec{}), parquet.KeyValueMetadata(metaKey, string(meta)))
	var row parquet.Row
	for i := range t.Seq {
		row = row[:0]
		for _, c := range cols {
			row = c.add(row, i, c.index)
		}
		if _, err := pw.WriteRows([]parquet.Row{row}); err != nil {
			return fault.Retryf("io", "palimpsest: transcript: row %d: %w", i, err)
		}
	}
	if err := pw.Close(); err != nil {
		return fault.Retryf("io", "palimpsest: transcript: %w", err)
	}
	return nil
}

// pqWrite is one column on its way out.
type pqWrite struct {
	name  string
	node  parquet.Node
	list  bool
	index int
	add   func(row parquet.Row, i, col int) parquet.Row
}

func (t *Transcript) columns() []pqWrite {
	one := func(name string, node parquet.Node, v func(i int) parquet.Value) pqWrite {
		return pqWrite{name: name, node: node, add: func(row parquet.Row, i, col int) parquet.Row { return append(row, v(i).Level(0, 0, col)) }}
	}
	list := func(name string, elem parquet.Node, n func(i int) int, v func(i, k int) parquet.Value) pqWrite {
		return pqWrite{name: name, node: parquet.List(elem), list: true, add: func(row parquet.Row, i, col int) parquet.Row {
			if n(i) == 0 {
				return append(row, parquet.NullValue().Level(0, 0, col))
			}
			for k := range n(i) {
				row = append(row, v(i, k).Level(min(k, 1), 1, col))
			}
			return row
		}}
	}
	i64 := func(x []int64) func(int) parquet.Value {
		return func(i int) parquet.Value { return parquet.Int64Value(x[i]) }
	}
	str := func(x []string) func(int) parquet.Value {
		return func(i int) parquet.Value { return parquet.ByteArrayValue([]byte(x[i])) }
	}
	cols := []pqWrite{one("seq", parquet.Int(64), i64(t.Seq))}
	if t.singlePass() {
		cols = append(cols, one("pos", parquet.Int(64), func(i int) parquet.Value { return parquet.Int64Value(t.Positions[i][0]) }))
	} else {
		cols = append(cols, list("positions", parquet.Int(64), func(i int) int { return len(t.Positions[i]) },
			func(i, k int) parquet.Value { return parquet.Int64Value(t.Positions[i][k]) }))
	}
	if t.IDs != nil {
		cols = append(cols, list("ids", parquet.Uint(32), func(i int) int { return len(t.IDs[i]) },
			func(i, k int) parquet.Value { return parquet.Int32Value(int32(t.IDs[i][k])) }))
	} else {
		cols = append(cols, one("text", parquet.String(), str(t.Text)))
	}
	if t.Step != nil {
		cols = append(cols, one("step", parquet.Int(64), i64(t.Step)))
	}
	if t.Epoch != nil {
		cols = append(cols, one("epoch", parquet.Int(32), func(i int) parquet.Value { return parquet.Int32Value(t.Epoch[i]) }))
	}
	if t.Unit != nil {
		cols = append(cols, one("unit", parquet.Int(64), i64(t.Unit)))
	}
	if t.Wrong != nil {
		cols = append(cols, one("wrong_pos", parquet.Int(64), i64(t.Wrong)))
	}
	if t.Block != nil {
		cols = append(cols, one("stratum", parquet.String(), str(t.Block)))
	}
	if t.Source != nil {
		cols = append(cols, one("source", parquet.String(), str(t.Source)))
	}
	return cols
}

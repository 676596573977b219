package palimpsest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"assay/internal/fault"
)

// pqFile reads single columns of a Parquet file whatever its other columns are.
// Rows are counted by reading them: nothing is allocated from a count that the
// footer claims.
type pqFile struct {
	f    *parquet.File
	name string
}

func openParquet(name string, r io.ReaderAt, size int64) (p *pqFile, err error) {
	defer recovered(name, &err)
	if err := checkFooter(name, r, size); err != nil {
		return nil, err
	}
	f, err := parquet.OpenFile(r, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, fault.Inputf("malformed", "palimpsest: %s: not a readable Parquet file: %w", name, err)
	}
	return &pqFile{f: f, name: name}, checkChunks(name, f, size)
}

// checkChunks refuses column chunks outside the file and codecs other than the
// common four: the library's LZ4 decoder doubles its buffer until memory ends when
// the data are damaged.
func checkChunks(name string, f *parquet.File, size int64) error {
	codecs := []format.CompressionCodec{format.Uncompressed, format.Snappy, format.Gzip, format.Zstd}
	for g, rg := range f.Metadata().RowGroups {
		for _, c := range rg.Columns {
			m := c.MetaData
			if !slices.Contains(codecs, m.Codec) {
				return fault.Inputf("unsupported", "palimpsest: %s: row group %d, column %v: compression %v, want none, snappy, gzip or zstd", name, g, m.PathInSchema, m.Codec)
			}
			if m.DataPageOffset < 4 || m.TotalCompressedSize < 0 || m.DataPageOffset > size-m.TotalCompressedSize {
				return fault.Inputf("malformed", "palimpsest: %s: row group %d, column %v: %d bytes at %d, file has %d", name, g, m.PathInSchema, m.TotalCompressedSize, m.DataPageOffset, size)
			}
		}
	}
	return nil
}

// checkFooter refuses a footer longer than the file: the library allocates what the
// footer's length claims, up to 4 GB, before it reads.
func checkFooter(name string, r io.ReaderAt, size int64) error {
	var b [8]byte
	if size < 12 {
		return fault.Inputf("malformed", "palimpsest: %s: %d bytes, want a Parquet file of at least 12", name, size)
	}
	if _, err := r.ReadAt(b[:], size-8); err != nil {
		return fault.Retryf("io", "palimpsest: %s: %w", name, err)
	}
	if string(b[4:]) != "PAR1" {
		return fault.Inputf("malformed", "palimpsest: %s: last bytes %q, want PAR1: cut short, or not a Parquet file", name, b[4:])
	}
	if n := int64(binary.LittleEndian.Uint32(b[:4])); n > size-12 {
		return fault.Inputf("malformed", "palimpsest: %s: footer claims %d bytes, file has %d", name, n, size)
	}
	return nil
}

// recovered turns a panic of the Parquet library on a malformed file into an error.
func recovered(name string, err *error) {
	if r := recover(); r != nil {
		*err = fault.Inputf("malformed", "palimpsest: %s: malformed Parquet data: %v", name, r)
	}
}

// has reports whether a top-level column exists.
func (p *pqFile) has(name string) bool { _, ok := p.leaf(name); return ok }

// leaf finds the only leaf below a top-level column: the column itself, or the
// element of a list whatever its inner names.
func (p *pqFile) leaf(name string) (parquet.LeafColumn, bool) {
	var found parquet.LeafColumn
	n := 0
	for _, path := range p.f.Schema().Columns() {
		if len(path) > 0 && path[0] == name {
			if l, ok := p.f.Schema().Lookup(path...); ok {
				found = l
				n++
			}
		}
	}
	return found, n == 1
}

// errStop ends a scan early without being an error.
var errStop = errors.New("stop")

// scan calls each with batches of a column's values, across all pages. The batch is
// reused.
func (p *pqFile) scan(leaf parquet.LeafColumn, each func(v []parquet.Value) error) error {
	buf := make([]parquet.Value, 4096)
	for _, g := range p.f.RowGroups() {
		if err := p.pages(g.ColumnChunks()[leaf.ColumnIndex], buf, each); err != nil {
			return err
		}
	}
	return nil
}

// rows calls each for every row with the values of one column: none for null or
// an empty list. The slice is reused.
func (p *pqFile) rows(name string, each func(row int, v []parquet.Value) error) (err error) {
	defer recovered(p.name, &err)
	leaf, ok := p.leaf(name)
	if !ok {
		return fault.Inputf("malformed", "palimpsest: %s: no column %q of one value or one list a row", p.name, name)
	}
	row := -1
	var cur []parquet.Value
	err = p.scan(leaf, func(batch []parquet.Value) error {
		for _, v := range batch {
			if v.RepetitionLevel() == 0 {
				if row >= 0 {
					if err := each(row, cur); err != nil {
						return err
					}
				}
				row++
				cur = cur[:0]
			}
			if row < 0 {
				return errContinues
			}
			if v.DefinitionLevel() == leaf.MaxDefinitionLevel {
				cur = append(cur, v.Clone())
			}
		}
		return nil
	})
	if err == nil && row >= 0 {
		err = each(row, cur)
	}
	if err == nil || errors.Is(err, errStop) {
		return nil
	}
	return p.fault(name, row, err)
}

// errContinues reports a list that starts before the first row.
var errContinues = errors.New("first value continues a row")

func (p *pqFile) fault(column string, row int, err error) error {
	if fault.As(err) != nil {
		return err
	}
	return fault.Inputf("malformed", "palimpsest: %s: column %s, row %d: %w", p.name, column, row, err)
}

func (p *pqFile) pages(c parquet.ColumnChunk, buf []parquet.Value, each func([]parquet.Value) error) error {
	pages := c.Pages()
	defer pages.Close()
	for {
		page, err := pages.ReadPage()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		vr := page.Values()
		for {
			n, err := vr.ReadValues(buf)
			if e := each(buf[:n]); e != nil {
				parquet.Release(page)
				return e
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				parquet.Release(page)
				return err
			}
		}
		parquet.Release(page)
	}
}

// unsigned reports whether a column's integers are to be read as unsigned.
func unsigned(l parquet.LeafColumn) bool {
	if t := l.Node.Type().LogicalType(); t != nil {
		i, ok := t.Value.(*format.IntType)
		return ok && !i.IsSigned
	}
	return false
}

func asInt(v parquet.Value, unsigned bool) (int64, error) {
	switch v.Kind() {
	case parquet.Int32:
		if unsigned {
			return int64(v.Uint32()), nil
		}
		return int64(v.Int32()), nil
	case parquet.Int64:
		if unsigned && v.Uint64() > math.MaxInt64 {
			return 0, fmt.Errorf("found %d, want at most 2^63-1", v.Uint64())
		}
		return v.Int64(), nil
	}
	return 0, fmt.Errorf("found %v, want an integer", v.Kind())
}

func asFloat(v parquet.Value) (float64, error) {
	switch v.Kind() {
	case parquet.Float:
		return float64(v.Float()), nil
	case parquet.Double:
		return v.Double(), nil
	case parquet.Int32, parquet.Int64:
		i, err := asInt(v, false)
		return float64(i), err
	}
	return 0, fmt.Errorf("found %v, want a number", v.Kind())
}

// ints reads a column of one integer a row.
func (p *pqFile) ints(name string) ([]int64, error) {
	l, _ := p.leaf(name)
	var out []int64
	err := p.rows(name, func(_ int, v []parquet.Value) error {
		if len(v) != 1 {
			return fmt.Errorf("found %d values, want 1", len(v))
		}
		i, err := asInt(v[0], unsigned(l))
		out = append(out, i)
		return err
	})
	return out, err
}

// strings reads a column of one string a row; null is empty.
func (p *pqFile) strings(name string, each func(string) error) error {
	return p.rows(name, func(_ int, v []parquet.Value) error {
		switch {
		case len(v) == 0:
			return each("")
		case len(v) > 1 || v[0].Kind() != parquet.ByteArray:
			return fmt.Errorf("found %d values of kind %v, want one string", len(v), v[0].Kind())
		}
		return each(string(v[0].ByteArray()))
	})
}

// idBlock is a run of rows: ids back to back, and where each row ends.
type idBlock struct {
	ids  []uint32
	ends []int
}

// ids reads a column of token id lists; null is empty. The slice is reused. It has
// its own loop, and decodes ahead of the caller: contents are a hundred times the
// rest of the table.
func (p *pqFile) ids(name string, each func([]uint32) error) error {
	leaf, ok := p.leaf(name)
	if !ok {
		return fault.Inputf("malformed", "palimpsest: %s: no column %q of one list a row", p.name, name)
	}
	// Four blocks: one each for both ends, one on its way, one to return at the end.
	full, free, stop := make(chan idBlock, 1), make(chan idBlock, 4), make(chan struct{})
	for range 3 {
		free <- idBlock{}
	}
	var failed error
	go func() {
		defer close(full)
		failed = p.idBlocks(name, leaf, free, full, stop)
	}()
	defer func() {
		close(stop)
		for range full { // until the reader is gone: it must not outlive the file
		}
	}()
	for b := range full {
		lo := 0
		for _, hi := range b.ends {
			if err := each(b.ids[lo:hi]); errors.Is(err, errStop) {
				return nil
			} else if err != nil {
				return err
			}
			lo = hi
		}
		free <- b
	}
	return failed
}

// idBlocks sends blocks of rows until the column or the caller ends.
func (p *pqFile) idBlocks(name string, leaf parquet.LeafColumn, free <-chan idBlock, full chan<- idBlock, stop <-chan struct{}) (err error) {
	defer recovered(p.name, &err)
	u := unsigned(leaf)
	row := -1
	var b idBlock
	send := func() error {
		b.ends = append(b.ends, len(b.ids))
		if len(b.ids) < 1<<16 && len(b.ends) < 1<<12 {
			return nil
		}
		select {
		case full <- b:
		case <-stop:
			return errStop
		}
		select {
		case b = <-free:
		case <-stop:
			return errStop
		}
		b = idBlock{b.ids[:0], b.ends[:0]}
		return nil
	}
	err = p.scan(leaf, func(batch []parquet.Value) error {
		for k := range batch {
			v := &batch[k]
			if v.RepetitionLevel() == 0 {
				if row >= 0 {
					if err := send(); err != nil {
						return err
					}
				}
				row++
			}
			if row < 0 {
				return errContinues
			}
			if v.DefinitionLevel() != leaf.MaxDefinitionLevel {
				continue
			}
			i, err := asInt(*v, u)
			if err != nil {
				return err
			}
			if i < 0 || i > math.MaxUint32 {
				return fmt.Errorf("found token id %d, want 0 to 2^32-1", i)
			}
			b.ids = append(b.ids, uint32(i))
		}
		return nil
	})
	if errors.Is(err, errStop) {
		return nil
	}
	if row >= 0 && err == nil {
		b.ends = append(b.ends, len(b.ids))
	}
	select { // the rows before an error were whole
	case full <- b:
	case <-stop:
	}
	if err != nil {
		return p.fault(name, row, err)
	}
	return nil
}

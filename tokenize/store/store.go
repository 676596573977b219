// Package store reads token ids as training runs keep them, and the orders in
// which runs saw them.
//
// It answers: which ids are in row i of this store, what instance stood at
// position p of this run, and does a seed give this order again? Stores are
// NumPy arrays, headerless integers, and the .idx and .bin pair of Megatron-LM
// and GPT-NeoX with its doc, sample and shuffle indices. All of them are [Rows].
// An [Order] is read from a file or made again from a seed with numpy's own
// generators ([PCG64], [MT19937], [Shuffle]).
//
// It refuses what would be read wrongly without a sign: big-endian or Fortran
// arrays, floats, negative ids, dtype codes that two programs use differently,
// sizes that do not add up, pointers outside the data, an order that is not a
// permutation, an order of unknown direction.
//
// Files are read by position, not mapped: a mapped file that another program
// cuts short kills the process. A row of 2,049 ids costs about 4 us. Nothing is
// allocated by a length that a file claims before the file's own size has been
// found to hold it.
//
// Sources: numpy.lib.format (versions 1 to 3); megatron/core/datasets/
// indexed_dataset.py; numpy.random SeedSequence, PCG64, MT19937.
package store

import (
	"path/filepath"
	"strings"

	"assay/internal/fault"
)

// MaxRow is the most ids in one row. Longer rows are refused: no model takes
// them, and a small hostile index could ask for any length.
const MaxRow = 1 << 24

// Rows are sequences of ids, one per training position or document.
type Rows interface {
	// Len is the number of rows.
	Len() int
	// Row returns the ids of row i, in the memory of dst if they fit. It may be
	// called from many goroutines, each with a dst of its own.
	Row(i int, dst []int32) ([]int32, error)
	Close() error
}

// Options says what the files themselves do not.
type Options struct {
	// RowLen cuts a stream (1-D .npy, raw file) into rows of so many ids.
	RowLen int
	// DType of raw files: uint8, uint16, uint32, uint64, int32 or int64.
	DType string
	// Doc, Sample and Shuffle are the .npy indices of Megatron and NeoX. Given
	// together with an .idx they make rows the training samples by position,
	// else rows are its sequences.
	Doc, Sample, Shuffle string
}

// Open opens a store by the extension of its name: .npy, .idx (with the .bin
// beside it), .bin or .raw or .u16 or .u32 for headerless integers, whose layout
// is in o or in a sidecar file (see ReadSidecar).
func Open(path string, o Options) (Rows, error) {
	indices := 0
	for _, s := range []string{o.Doc, o.Sample, o.Shuffle} {
		if s != "" {
			indices++
		}
	}
	ext := strings.ToLower(filepath.Ext(path))
	switch {
	case o.RowLen < 0 || o.RowLen > MaxRow:
		return nil, fault.Usagef("store: row length: found %d, want 1 to %d", o.RowLen, MaxRow)
	case indices != 0 && (indices != 3 || ext != ".idx"):
		return nil, fault.Usagef("store: %s: found %d of the doc, sample and shuffle indices, want all three and an .idx file", path, indices)
	}
	switch ext {
	case ".npy":
		return openArray(path, o)
	case ".idx":
		if o.RowLen != 0 || o.DType != "" {
			return nil, fault.Usagef("store: %s: an .idx file says its own dtype and row lengths", path)
		}
		if indices == 3 {
			return OpenSamples(path, o.Doc, o.Sample, o.Shuffle)
		}
		return OpenIndexed(path)
	case ".bin", ".raw", ".u16", ".u32":
		return openRaw(path, ext, o)
	}
	return nil, fault.Usagef("store: %s: found an unknown extension, want .npy, .idx, .bin, .raw, .u16 or .u32", path)
}

func openArray(path string, o Options) (Rows, error) {
	if o.DType != "" {
		return nil, fault.Usagef("store: %s: a .npy file says its own dtype", path)
	}
	a, err := OpenNPY(path)
	if err != nil {
		return nil, err
	}
	rows, err := a.Rows(o.RowLen)
	if err != nil {
		a.Close()
		return nil, err
	}
	return rows, nil
}

func openRaw(path, ext string, o Options) (Rows, error) {
	l := Layout{DType: o.DType, RowLen: o.RowLen}
	if side, found, err := ReadSidecar(path); err != nil {
		return nil, err
	} else if found {
		if l.DType != "" && l.DType != side.DType || l.RowLen != 0 && l.RowLen != side.RowLen {
			return nil, fault.Usagef("store: %s: found %s in rows of %d in the sidecar file, want what the options say: %s in rows of %d",
				path, side.DType, side.RowLen, l.DType, l.RowLen)
		}
		l = side
	}
	if l.DType == "" {
		l.DType = map[string]string{".u16": "uint16", ".u32": "uint32"}[ext]
	}
	if l.DType == "" || l.RowLen == 0 {
		return nil, fault.Usagef("store: %s: the file has no header; its dtype and row length must be given", path).
			Hint(`give them as options, or write %s.json: {"dtype": "uint16", "row_length": 2049}`, path)
	}
	return OpenRaw([]string{path}, l)
}

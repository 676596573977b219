package weights

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json/jsontext"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"assay/internal/fault"
)

const (
	maxHeaderBytes = 100_000_000 // the limit of the safetensors library
	maxTensors     = 1 << 20
	maxRank        = 8
)

// header is the directory of one safetensors file.
type header struct {
	tensors []stored
	dataAt  int64 // where the data section starts in the file
	pool    []int // of shapes, so that each one is not an allocation
}

// stored is one tensor of a file; begin and end are relative to dataAt.
type stored struct {
	name       string
	dtype      DType
	shape      []int
	begin, end uint64
}

// parseSafetensors reads and checks the header of a file given as its bytes.
// It copies what it keeps. Errors start at the object ("tensor ...").
func parseSafetensors(file []byte) (header, error) {
	if len(file) < 8 {
		return header{}, fmt.Errorf("file: found %d bytes, want at least 8", len(file))
	}
	n := binary.LittleEndian.Uint64(file)
	if limit := uint64(min(maxHeaderBytes, len(file)-8)); n > limit {
		return header{}, fmt.Errorf("header length: found %d, want at most %d", n, limit)
	}
	// A copy, so that the file cannot change between the checks and the use.
	text := bytes.Clone(file[8 : 8+n])
	if len(text) == 0 || text[0] != '{' {
		return header{}, fmt.Errorf("header: found %q at its start, want {", text[:min(len(text), 8)])
	}
	h := header{dataAt: int64(8 + n)}
	// Duplicates are looked for below: a set of a million names costs more than
	// the header itself.
	d := jsontext.NewDecoder(bytes.NewBuffer(text), jsontext.AllowDuplicateNames(true))
	if err := h.read(d, text); err != nil {
		return header{}, err
	}
	if rest := bytes.TrimLeft(text[d.InputOffset():], " "); len(rest) > 0 {
		return header{}, fmt.Errorf("header: found %q after its end, want spaces only", rest[:min(len(rest), 8)])
	}
	if err := h.check(uint64(len(file)) - 8 - n); err != nil {
		return header{}, err
	}
	return h, nil
}

// read walks the header's tokens; the decoder refuses invalid UTF-8 and broken
// syntax.
func (h *header) read(d *jsontext.Decoder, text []byte) error {
	if _, err := d.ReadToken(); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	metadata := false
	// No entry is shorter than 50 bytes, so a header full of the word gains nothing.
	h.tensors = make([]stored, 0, min(bytes.Count(text, []byte(`"dtype"`)), len(text)/50, maxTensors))
	for d.PeekKind() != '}' {
		key, err := d.ReadToken()
		if err != nil {
			return fmt.Errorf("header: %w", err)
		}
		name := key.String()
		if name == "__metadata__" {
			if metadata {
				return fmt.Errorf("__metadata__: found twice")
			}
			metadata = true
			if err := readMetadata(d); err != nil {
				return fmt.Errorf("__metadata__: %w", err)
			}
			continue
		}
		if len(h.tensors) == maxTensors {
			return fmt.Errorf("header: found more than %d tensors", maxTensors)
		}
		t, err := h.readTensor(d)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
		t.name = name
		h.tensors = append(h.tensors, t)
	}
	if _, err := d.ReadToken(); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	return nil
}

// readMetadata checks that __metadata__ maps strings to strings; nothing in it
// changes what the weights are, so nothing is kept.
func readMetadata(d *jsontext.Decoder) error {
	if err := want(d, '{', "an object of strings"); err != nil {
		return err
	}
	seen := map[string]bool{}
	for d.PeekKind() != '}' {
		key, err := d.ReadToken()
		if err != nil {
			return err
		}
		name := key.String()
		if seen[name] {
			return fmt.Errorf("%q: found twice", name)
		}
		seen[name] = true
		if err := want(d, '"', "a string"); err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
	}
	_, err := d.ReadToken()
	return err
}

func (h *header) readTensor(d *jsontext.Decoder) (t stored, err error) {
	if err := want(d, '{', "an object"); err != nil {
		return t, err
	}
	var dtype, shape, offsets bool
	once := func(key string, seen *bool) error {
		if *seen {
			return fmt.Errorf("%s: found twice", key)
		}
		*seen = true
		return nil
	}
	for d.PeekKind() != '}' {
		key, err := d.ReadToken()
		if err != nil {
			return t, err
		}
		switch k := key.String(); k {
		case "dtype":
			err = cmp.Or(once(k, &dtype), t.readDType(d))
		case "shape":
			err = cmp.Or(once(k, &shape), h.readShape(d, &t))
		case "data_offsets":
			err = cmp.Or(once(k, &offsets), t.readOffsets(d))
		default:
			err = fmt.Errorf("found key %q, want dtype, shape and data_offsets only", k)
		}
		if err != nil {
			return t, err
		}
	}
	if !dtype || !shape || !offsets {
		return t, fmt.Errorf("found dtype %t, shape %t, data_offsets %t, want all three", dtype, shape, offsets)
	}
	_, err = d.ReadToken()
	return t, err
}

func (t *stored) readDType(d *jsontext.Decoder) error {
	tok, err := d.ReadToken()
	if err != nil {
		return err
	}
	if tok.Kind() != '"' {
		return fmt.Errorf("dtype: found %s, want a string", tok.Kind())
	}
	// A known type's name is a constant, so a million tensors share it.
	t.dtype = DType(tok.String())
	for _, known := range [...]DType{F64, F32, F16, BF16, I64, I32, I16, I8, U64, U32, U16, U8, Bool, F8E4M3, F8E5M2} {
		if t.dtype == known {
			t.dtype = known
		}
	}
	return nil
}

func (h *header) readShape(d *jsontext.Decoder, t *stored) error {
	var dims [maxRank]uint64
	rank, err := readUints(d, dims[:])
	if err != nil {
		return fmt.Errorf("shape: %w", err)
	}
	if cap(h.pool)-len(h.pool) < rank {
		h.pool = make([]int, 0, 1024)
	}
	start := len(h.pool)
	for _, n := range dims[:rank] {
		if n > math.MaxInt {
			return fmt.Errorf("shape: dimension %d overflows", n)
		}
		h.pool = append(h.pool, int(n))
	}
	t.shape = h.pool[start:len(h.pool):len(h.pool)]
	return nil
}

func (t *stored) readOffsets(d *jsontext.Decoder) error {
	var o [2]uint64
	n, err := readUints(d, o[:])
	if err != nil {
		return fmt.Errorf("data_offsets: %w", err)
	}
	if n != 2 {
		return fmt.Errorf("data_offsets: found %d numbers, want 2", n)
	}
	t.begin, t.end = o[0], o[1]
	return nil
}

// readUints reads an array of plain non-negative integers into out and returns
// how many there were.
func readUints(d *jsontext.Decoder, out []uint64) (n int, err error) {
	if err := want(d, '[', "an array"); err != nil {
		return 0, err
	}
	for ; d.PeekKind() != ']'; n++ {
		tok, err := d.ReadToken()
		if err != nil {
			return 0, err
		}
		if tok.Kind() != '0' {
			return 0, fmt.Errorf("found %s, want an integer", tok.Kind())
		}
		if n == len(out) {
			return 0, fmt.Errorf("found more than %d numbers", len(out))
		}
		if out[n], err = strconv.ParseUint(tok.String(), 10, 64); err != nil {
			return 0, fmt.Errorf("found %s, want an integer from 0 to 2^64-1", tok.String())
		}
	}
	_, err = d.ReadToken()
	return n, err
}

// want reads one token and checks its kind.
func want(d *jsontext.Decoder, k jsontext.Kind, what string) error {
	tok, err := d.ReadToken()
	if err != nil {
		return err
	}
	if tok.Kind() != k {
		return fmt.Errorf("found %s, want %s", tok.Kind(), what)
	}
	return nil
}

// check sorts the tensors by place and holds them against the data section:
// sizes fit shapes, and the tensors tile the section with no gap or overlap.
func (h *header) check(dataBytes uint64) error {
	for _, t := range h.tensors {
		size := t.dtype.Size()
		if size == 0 {
			return fault.Inputf("unsupported", "tensor %q: found dtype %q, want one of F64 F32 F16 BF16 I64 I32 I16 I8 U64 U32 U16 U8 BOOL F8_E4M3 F8_E5M2", t.name, t.dtype)
		}
		n, ok := byteCount(t.shape, uint64(size))
		if !ok {
			return fmt.Errorf("tensor %q: shape %v overflows", t.name, t.shape)
		}
		if t.end < t.begin || t.end-t.begin != n {
			return fmt.Errorf("tensor %q: found data_offsets [%d %d], want %d bytes for %s %v", t.name, t.begin, t.end, n, t.dtype, t.shape)
		}
	}
	slices.SortFunc(h.tensors, func(a, b stored) int { return strings.Compare(a.name, b.name) })
	for i := 1; i < len(h.tensors); i++ {
		if h.tensors[i].name == h.tensors[i-1].name {
			return fmt.Errorf("tensor %q: found twice", h.tensors[i].name)
		}
	}
	slices.SortFunc(h.tensors, func(a, b stored) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end), strings.Compare(a.name, b.name))
	})
	at := uint64(0)
	for _, t := range h.tensors {
		if t.begin != at {
			return fmt.Errorf("tensor %q: data begins at %d, want %d (the end of the tensor before)", t.name, t.begin, at)
		}
		at = t.end
	}
	if at != dataBytes {
		return fmt.Errorf("data: tensors end at byte %d, the file's data has %d", at, dataBytes)
	}
	return nil
}

// byteCount returns the product of the dimensions and the size of one value,
// and whether it fits an int; where a dimension is 0 the others still have to.
func byteCount(shape []int, size uint64) (uint64, bool) {
	n, empty := size, false
	for _, d := range shape {
		if d == 0 {
			empty = true
			continue
		}
		hi, lo := bits.Mul64(n, uint64(d))
		if hi != 0 || lo > math.MaxInt {
			return 0, false
		}
		n = lo
	}
	if empty {
		return 0, true
	}
	return n, true
}

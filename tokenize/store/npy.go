package store

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"

	"assay/internal/fault"
)

// maxHeader bounds the header; numpy itself stops at 10,000 bytes.
const maxHeader = 1 << 16

// Array is an integer .npy file of one or two dimensions.
type Array struct {
	vector
	shape []int64
}

// OpenNPY reads the header of a .npy file (versions 1 to 3; u1 and
// little-endian u2, u4, u8, i4, i8; C order) and checks it against the size.
func OpenNPY(path string) (*Array, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	a, err := readNPY(f)
	if err != nil {
		f.Close()
		if fault.As(err) == nil {
			err = fault.Inputf("malformed", "store: %s: %w", path, err)
		}
		return nil, err
	}
	return a, nil
}

func readNPY(f *file) (*Array, error) {
	var head [12]byte
	if f.size < 12 {
		return nil, fmt.Errorf("found %d bytes, want a .npy header", f.size)
	}
	if err := f.readAt(head[:], 0); err != nil {
		return nil, err
	}
	if string(head[:6]) != "\x93NUMPY" {
		return nil, fmt.Errorf("found %q, want the .npy magic; arrays named .npy without a header are raw files", head[:6])
	}
	var start, length int64
	switch head[6] {
	case 1:
		start, length = 10, int64(binary.LittleEndian.Uint16(head[8:]))
	case 2, 3:
		start, length = 12, int64(binary.LittleEndian.Uint32(head[8:]))
	default:
		return nil, fmt.Errorf("found .npy version %d, want 1, 2 or 3", head[6])
	}
	if length > maxHeader || start+length > f.size {
		return nil, fmt.Errorf("found a header of %d bytes, want at most %d and inside the file", length, maxHeader)
	}
	text := make([]byte, length)
	if err := f.readAt(text, start); err != nil {
		return nil, err
	}
	h, err := parseHeader(string(text))
	if err != nil {
		return nil, err
	}
	a := &Array{vector: vector{f: f, base: start + length, n: 1, t: h.t}, shape: h.shape}
	for _, d := range h.shape {
		if d > 0 && a.n > math.MaxInt64/8/d {
			return nil, fmt.Errorf("shape %v overflows", h.shape)
		}
		a.n *= d
	}
	if have := f.size - a.base; a.n*a.t.size != have {
		return nil, fmt.Errorf("shape %v of %s needs %d bytes of data, found %d", h.shape, a.t.name, a.n*a.t.size, have)
	}
	if a.n == 0 {
		return nil, fmt.Errorf("shape %v holds nothing", h.shape)
	}
	return a, nil
}

type npyHeader struct {
	t     dtype
	shape []int64
}

var npyTypes = map[string]dtype{"|u1": u8, "<u1": u8, "<u2": u16, "<u4": u32, "<u8": u64, "<i4": i32, "<i8": i64}

// parseHeader reads the Python literal of a dictionary with exactly the keys
// descr, fortran_order and shape.
func parseHeader(s string) (h npyHeader, err error) {
	p := literal{s: strings.TrimRight(s, " \n\x00")}
	seen := map[string]bool{}
	p.want("{")
	for p.err == nil && !p.take("}") {
		key := p.quoted()
		p.want(":")
		if seen[key] {
			p.fail("found " + key + " a second time")
		}
		seen[key] = true
		switch key {
		case "descr":
			name := p.quoted()
			t, ok := npyTypes[name]
			if p.err == nil && !ok {
				p.fail(fmt.Sprintf("descr: found %q, want u1, or little-endian u2, u4, u8, i4 or i8", name))
			}
			h.t = t
		case "fortran_order":
			switch {
			case p.take("False"):
			case p.take("True"):
				p.fail("fortran_order: found True, want False (C order)")
			default:
				p.fail("fortran_order: want True or False")
			}
		case "shape":
			h.shape = p.tuple()
		default:
			p.fail(fmt.Sprintf("found key %.20q, want descr, fortran_order or shape", key))
		}
		if !p.take(",") && !strings.HasPrefix(p.rest(), "}") {
			p.fail("want a comma or a brace")
		}
	}
	switch {
	case p.err != nil:
		return h, p.err
	case p.rest() != "":
		return h, fmt.Errorf("header: found %.20q after the dictionary", p.rest())
	case len(seen) != 3:
		return h, fmt.Errorf("header: found keys %v, want descr, fortran_order and shape", len(seen))
	case len(h.shape) != 1 && len(h.shape) != 2:
		return h, fmt.Errorf("found %d dimensions, want one or two", len(h.shape))
	}
	return h, nil
}

// literal reads the few Python literals that headers are made of. After the
// first fault every method does nothing.
type literal struct {
	s   string
	err error
}

func (p *literal) rest() string {
	p.s = strings.TrimLeft(p.s, " \n")
	return p.s
}

func (p *literal) fail(text string) {
	if p.err == nil {
		p.err = fmt.Errorf("header: %s at %.20q", text, p.s)
	}
}

func (p *literal) take(prefix string) bool {
	if p.err != nil || !strings.HasPrefix(p.rest(), prefix) {
		return false
	}
	p.s = p.s[len(prefix):]
	return true
}

func (p *literal) want(prefix string) {
	if !p.take(prefix) {
		p.fail("want " + prefix)
	}
}

func (p *literal) quoted() string {
	for _, q := range []string{"'", `"`} {
		if p.take(q) {
			text, after, ok := strings.Cut(p.s, q)
			if !ok || strings.Contains(text, `\`) {
				break
			}
			p.s = after
			return text
		}
	}
	p.fail("want a quoted string")
	return ""
}

func (p *literal) tuple() (shape []int64) {
	p.want("(")
	for p.err == nil && !p.take(")") {
		digits := len(p.rest()) - len(strings.TrimLeft(p.s, "0123456789"))
		n, err := strconv.ParseInt(p.s[:digits], 10, 64)
		if err != nil {
			p.fail("want a size")
			return nil
		}
		p.s = p.s[digits:]
		p.take("L") // written by Python 2
		if shape = append(shape, n); len(shape) > 32 {
			p.fail("too many dimensions")
		}
		if !p.take(",") && !strings.HasPrefix(p.rest(), ")") {
			p.fail("want a comma or a bracket")
		}
	}
	return shape
}

// Dims is the number of dimensions, 1 or 2.
func (a *Array) Dims() int { return len(a.shape) }

// Shape returns the sizes of the dimensions.
func (a *Array) Shape() []int { // sizes fit: the file holds that many items
	s := make([]int, len(a.shape))
	for i, d := range a.shape {
		s[i] = int(d)
	}
	return s
}

// Close closes the file.
func (a *Array) Close() error { return a.f.Close() }

// Rows returns the rows of a 2-D array, or a 1-D array cut into rows of rowLen
// ids. Closing them closes the array.
func (a *Array) Rows(rowLen int) (Rows, error) {
	width := int64(rowLen)
	switch {
	case len(a.shape) == 2 && rowLen != 0 && a.shape[1] != width:
		return nil, fault.Inputf("malformed", "store: %s: found rows of %d ids, want %d", a.f.path, a.shape[1], rowLen)
	case len(a.shape) == 2:
		width = a.shape[1]
	case rowLen == 0:
		return nil, fault.Usagef("store: %s: a 1-D array is a stream of tokens or an order; rows need a row length", a.f.path)
	}
	if width > MaxRow {
		return nil, fault.Inputf("malformed", "store: %s: found rows of %d ids, want at most %d", a.f.path, width, MaxRow)
	}
	return newStream([]vector{a.vector}, Layout{RowLen: int(width)})
}

package gguf

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
)

// Kind is the type of a value.
type Kind uint32

// The kinds of GGUF.
const (
	Uint8 Kind = iota
	Int8
	Uint16
	Int16
	Uint32
	Int32
	Float32
	Bool
	String
	Array
	Uint64
	Int64
	Float64
)

func (k Kind) size() uint64 {
	switch k {
	case Uint8, Int8, Bool:
		return 1
	case Uint16, Int16:
		return 2
	case Uint32, Int32, Float32:
		return 4
	case Uint64, Int64, Float64:
		return 8
	}
	return 0
}

// Value is a value of the header; its bytes are a part of the file. The zero
// Value, of a key that is not there, has no number, text or JSON form.
type Value struct {
	Kind Kind
	Elem Kind // of an array's elements
	Len  int  // of an array
	data []byte
}

func readValue(c *cursor, key string) Value {
	v := Value{Kind: Kind(c.u32())}
	switch {
	case c.err != nil:
	case v.Kind == String:
		v.data = c.text(key)
	case v.Kind == Array:
		readArray(c, key, &v)
	case v.Kind.size() > 0:
		v.data = c.bytes(v.Kind.size())
	default:
		c.fail("key %q: found value type %d, want 0 to 12", key, v.Kind)
	}
	return v
}

// text reads a string's bytes, which need not be UTF-8: tokens are bytes.
func (c *cursor) text(key string) []byte {
	n := c.u64()
	if c.err == nil && n > c.left() {
		c.fail("key %q: found a string of %d bytes, want at most %d", key, n, c.left())
	}
	return c.bytes(n)
}

func readArray(c *cursor, key string, v *Value) {
	v.Elem = Kind(c.u32())
	size := v.Elem.size()
	if v.Elem == String {
		size = 8
	}
	if c.err == nil && size == 0 {
		c.fail("key %q: found an array of type %d, want numbers, booleans or strings", key, v.Elem)
		return
	}
	n := c.count(fmt.Sprintf("key %q: elements", key), max(size, 1), math.MaxInt)
	v.Len = int(n)
	start := c.at
	if v.Elem != String {
		v.data = c.bytes(n * size)
		return
	}
	for i := uint64(0); i < n && c.err == nil; i++ {
		c.text(key)
	}
	if c.err == nil {
		v.data = c.data[start:c.at:c.at]
	}
}

// Uint returns a whole number that is not negative, of any integer kind.
func (v Value) Uint() (uint64, bool) {
	n, ok := v.integer()
	return uint64(n), ok && (n >= 0 || v.Kind == Uint64)
}

func (v Value) integer() (int64, bool) {
	if len(v.data) == 0 {
		return 0, false
	}
	switch v.Kind {
	case Uint8:
		return int64(v.data[0]), true
	case Int8:
		return int64(int8(v.data[0])), true
	case Uint16:
		return int64(binary.LittleEndian.Uint16(v.data)), true
	case Int16:
		return int64(int16(binary.LittleEndian.Uint16(v.data))), true
	case Uint32:
		return int64(binary.LittleEndian.Uint32(v.data)), true
	case Int32:
		return int64(int32(binary.LittleEndian.Uint32(v.data))), true
	case Uint64, Int64:
		return int64(binary.LittleEndian.Uint64(v.data)), true
	}
	return 0, false
}

// Int returns an integer of any kind but Uint64 above 2^63-1, else 0.
func (v Value) Int() int64 {
	n, _ := v.integer()
	return n
}

// Float returns a float of either size, else 0.
func (v Value) Float() float64 {
	switch v.Kind {
	case Float32:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(v.data)))
	case Float64:
		return math.Float64frombits(binary.LittleEndian.Uint64(v.data))
	}
	return 0
}

// Bool returns a boolean.
func (v Value) Bool() (value, ok bool) {
	if v.Kind != Bool || v.data[0] > 1 {
		return false, false
	}
	return v.data[0] == 1, true
}

// Text returns a string.
func (v Value) Text() (string, bool) { return string(v.data), v.Kind == String }

// Texts returns an array of strings.
func (v Value) Texts() ([]string, bool) {
	if v.Kind != Array || v.Elem != String {
		return nil, false
	}
	out := make([]string, 0, v.Len)
	for b := v.data; len(b) > 0; {
		n := binary.LittleEndian.Uint64(b)
		out = append(out, string(b[8:8+n]))
		b = b[8+n:]
	}
	return out, true
}

// At returns element i of an array of numbers or booleans.
func (v Value) At(i int) Value {
	size := int(v.Elem.size())
	return Value{Kind: v.Elem, data: v.data[i*size : (i+1)*size]}
}

// JSON renders a number, a boolean or a string as JSON, and an array of
// numbers or booleans as a JSON array. A float32 gets the shortest digits that
// name it, so 1e-5 stays 1e-05; NaN and infinities have no JSON form.
func (v Value) JSON() (string, bool) {
	switch v.Kind {
	case Float32:
		return finite(v.Float(), 32)
	case Float64:
		return finite(v.Float(), 64)
	case Bool:
		b, ok := v.Bool()
		return strconv.FormatBool(b), ok
	case String:
		return quote(v.data)
	case Array:
		return v.arrayJSON()
	case Uint64:
		n, _ := v.Uint()
		return strconv.FormatUint(n, 10), true
	}
	n, ok := v.integer()
	return strconv.FormatInt(n, 10), ok
}

func (v Value) arrayJSON() (string, bool) {
	if v.Elem == String {
		return "", false
	}
	out := []byte{'['}
	for i := range v.Len {
		if i > 0 {
			out = append(out, ',')
		}
		e, ok := v.At(i).JSON()
		if !ok {
			return "", false
		}
		out = append(out, e...)
	}
	return string(append(out, ']')), true
}

func finite(f float64, bits int) (string, bool) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return "", false
	}
	return strconv.FormatFloat(f, 'g', -1, bits), true
}

// String renders a value for a message.
func (v Value) String() string {
	if v.data == nil && v.Kind == 0 {
		return "nothing" // the zero Value of a key that is not there
	}
	if v.Kind == Array {
		return fmt.Sprintf("an array of %d", v.Len)
	}
	if s, ok := v.JSON(); ok {
		return s[:min(len(s), 80)]
	}
	return "a value without a JSON form"
}

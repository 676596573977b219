package weights

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"assay/internal/fault"
)

// entry is a header with one F32 tensor "a" of the given shape and offsets.
func entry(shape, offsets string) string {
	return fmt.Sprintf(`{"a":{"dtype":"F32","shape":%s,"data_offsets":%s}}`, shape, offsets)
}

// hostile is the corpus of files that lie. Each is refused with class Input,
// without a panic, and without allocating more than the file's size and 1 MB.
var hostile = []struct {
	name, code, text string
	file             []byte
}{
	// The file ends inside the length field.
	{"truncated length", "malformed", "found 5 bytes, want at least 8", []byte{1, 2, 3, 4, 5}},
	{"empty file", "malformed", "found 0 bytes", nil},
	// The length field claims 16 EiB, or the limit, of a file of 20 bytes.
	{"length of 2^64-1", "malformed", "header length: found 18446744073709551615, want at most 12", append(binary.LittleEndian.AppendUint64(nil, 1<<64-1), make([]byte, 12)...)},
	{"length at the limit", "malformed", "header length: found 100000000", append(binary.LittleEndian.AppendUint64(nil, 100_000_000), make([]byte, 12)...)},
	// The length is one more than the rest of the file.
	{"length one too long", "malformed", "header length: found 3, want at most 2", append(binary.LittleEndian.AppendUint64(nil, 3), "{}"...)},
	{"length 0", "malformed", "want {", make([]byte, 8)},
	// White space before the header, which other readers may or may not skip.
	{"leading space", "malformed", `found " {}"`, safetensors(" {}", nil)},
	{"byte order mark", "malformed", "want {", safetensors("\ufeff{}", nil)},
	// After the header stand bytes other than spaces: a place to hide data.
	{"trailing zero bytes", "malformed", "want spaces only", safetensors("{}\x00\x00", nil)},
	{"trailing newline", "malformed", "want spaces only", safetensors("{} \n", nil)},
	{"second object", "malformed", "want spaces only", safetensors("{} {}", nil)},
	{"header cut short", "malformed", "unexpected EOF", safetensors(`{"a":{"dtype":"F32"`, nil)},
	{"not JSON", "malformed", "header:", safetensors("{a:1}", nil)},
	{"invalid UTF-8 in a name", "malformed", "UTF-8", safetensors("{\"\xff\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}", nil)},
	// Two entries of one name: readers that take the last and readers that
	// take the first see different weights.
	{"duplicate tensor", "malformed", `tensor "a": found twice`, safetensors(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, make([]byte, 8))},
	// The same with the second name written as an escape.
	{"duplicate tensor, escaped", "malformed", `tensor "a": found twice`, safetensors(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"\u0061":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, make([]byte, 8))},
	{"duplicate shape", "malformed", "shape: found twice", safetensors(`{"a":{"dtype":"F32","shape":[1],"shape":[2],"data_offsets":[0,4]}}`, make([]byte, 4))},
	{"two metadata objects", "malformed", "__metadata__: found twice", safetensors(`{"__metadata__":{},"__metadata__":{}}`, nil)},
	{"metadata key twice", "malformed", `__metadata__: "a": found twice`, safetensors(`{"__metadata__":{"a":"x","\u0061":"y"}}`, nil)},
	{"metadata is a list", "malformed", "__metadata__", safetensors(`{"__metadata__":[]}`, nil)},
	{"metadata value is a number", "malformed", `__metadata__: "n": found number, want a string`, safetensors(`{"__metadata__":{"n":1}}`, nil)},
	{"metadata value is an object", "malformed", "want a string", safetensors(`{"__metadata__":{"n":{"m":"x"}}}`, nil)},
	{"tensor is a number", "malformed", `tensor "a": found number, want an object`, safetensors(`{"a":1}`, nil)},
	{"unknown key in a tensor", "malformed", `found key "scale"`, safetensors(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"scale":2}}`, make([]byte, 4))},
	{"no offsets", "malformed", "data_offsets false", safetensors(`{"a":{"dtype":"F32","shape":[1]}}`, make([]byte, 4))},
	{"dtype is a number", "malformed", "dtype: found number", safetensors(`{"a":{"dtype":1,"shape":[1],"data_offsets":[0,4]}}`, make([]byte, 4))},
	{"unknown dtype", "unsupported", `found dtype "F4"`, safetensors(`{"a":{"dtype":"F4","shape":[1],"data_offsets":[0,4]}}`, make([]byte, 4))},
	{"shape is a string", "malformed", "want an array", safetensors(entry(`"x"`, "[0,4]"), make([]byte, 4))},
	{"negative dimension", "malformed", "shape: found -1", safetensors(entry("[-1]", "[0,4]"), make([]byte, 4))},
	{"fractional dimension", "malformed", "shape: found 1.0", safetensors(entry("[1.0]", "[0,4]"), make([]byte, 4))},
	{"dimension with exponent", "malformed", "shape: found 1e0", safetensors(entry("[1e0]", "[0,4]"), make([]byte, 4))},
	{"dimension above 2^64", "malformed", "shape: found 18446744073709551617", safetensors(entry("[18446744073709551617]", "[0,4]"), make([]byte, 4))},
	{"dimension above 2^63", "malformed", "overflows", safetensors(entry("[9223372036854775809]", "[0,4]"), make([]byte, 4))},
	// 2^33 x 2^31 values of 4 bytes: the product is 4 modulo 2^64 plus nothing.
	{"product wraps to 0", "malformed", "overflows", safetensors(entry("[8589934592,2147483648]", "[0,0]"), nil)},
	{"product wraps to the size", "malformed", "overflows", safetensors(entry("[4611686018427387905,1]", "[0,4]"), make([]byte, 4))},
	{"overflow beside a zero", "malformed", "overflows", safetensors(entry("[0,4611686018427387904,8]", "[0,0]"), nil)},
	{"rank 9", "malformed", "found more than 8 numbers", safetensors(entry("[1,1,1,1,1,1,1,1,1]", "[0,4]"), make([]byte, 4))},
	{"three offsets", "malformed", "found more than 2 numbers", safetensors(entry("[1]", "[0,4,8]"), make([]byte, 4))},
	{"one offset", "malformed", "found 1 numbers, want 2", safetensors(entry("[1]", "[4]"), make([]byte, 4))},
	{"offsets backwards", "malformed", "found data_offsets [4 0]", safetensors(entry("[1]", "[4,0]"), make([]byte, 4))},
	// end - begin is 4 modulo 2^64.
	{"offsets wrap", "malformed", "data_offsets [18446744073709551614 2]", safetensors(entry("[1]", "[18446744073709551614,2]"), make([]byte, 4))},
	{"shape larger than data", "malformed", "want 8 bytes", safetensors(entry("[2]", "[0,4]"), make([]byte, 4))},
	{"shape smaller than data", "malformed", "want 4 bytes", safetensors(entry("[1]", "[0,8]"), make([]byte, 8))},
	{"data past the end", "malformed", "tensors end at byte 4, the file's data has 3", safetensors(entry("[1]", "[0,4]"), make([]byte, 3))},
	// Bytes after the last tensor, or before the first: a place to hide data.
	{"data left over", "malformed", "tensors end at byte 4, the file's data has 5", safetensors(entry("[1]", "[0,4]"), make([]byte, 5))},
	{"gap at the start", "malformed", "begins at 4, want 0", safetensors(entry("[1]", "[4,8]"), make([]byte, 8))},
	{"gap between", "malformed", `tensor "b": data begins at 5, want 4`, safetensors(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[1],"data_offsets":[5,6]}}`, make([]byte, 6))},
	// Two tensors share bytes, which no writer does by itself.
	{"overlap", "malformed", `tensor "b": data begins at 2, want 4`, safetensors(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}`, make([]byte, 6))},
	{"same bytes twice", "malformed", "begins at 0, want 4", safetensors(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, make([]byte, 4))},
	// Arrays nested until a recursive reader overflows its stack.
	{"deep nesting", "malformed", "dtype: found [", safetensors(`{"a":{"dtype":`+strings.Repeat("[", 100_000), nil)},
	{"deep metadata", "malformed", "__metadata__", safetensors(`{"__metadata__":{"a":`+strings.Repeat("[", 100_000), nil)},
	{"ten thousand empty tensors, one bad", "malformed", `tensor "bad"`, manyTensors(10_000, `,"bad":{"dtype":"F32","shape":[1],"data_offsets":[0,0]}}`)},
}

func manyTensors(n int, end string) []byte {
	var b strings.Builder
	b.WriteString(`{"t0":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}`)
	for i := 1; i < n; i++ {
		fmt.Fprintf(&b, `,"t%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}`, i)
	}
	return safetensors(b.String()+end, nil)
}

func TestHostileSafetensors(t *testing.T) {
	seen := map[string]bool{}
	for _, tc := range hostile {
		if seen[tc.name] {
			t.Errorf("%s: two cases of that name", tc.name)
		}
		seen[tc.name] = true
		dir := folder(t, map[string]string{singleName: string(tc.file)})
		var err error
		n := allocated(func() { _, err = Open(dir) })
		wantFault(t, tc.name, err, fault.Input, tc.code, tc.text)
		wantFault(t, tc.name, err, fault.Input, tc.code, singleName)
		if limit := uint64(len(tc.file) + 1<<20); n > limit && !strings.HasPrefix(tc.name, "ten thousand") {
			t.Errorf("%s: allocated %d bytes, want at most %d", tc.name, n, limit)
		} else if n > 6*limit {
			t.Errorf("%s: allocated %d bytes for a header of %d", tc.name, n, len(tc.file))
		}
	}
}

// What the format allows and other readers accept is accepted.
func TestOddButValid(t *testing.T) {
	tests := map[string][]byte{
		"no tensors":             safetensors("{}", nil),
		"padded by spaces":       safetensors(entry("[1]", "[0,4]")+strings.Repeat(" ", 9), make([]byte, 4)),
		"space inside":           safetensors("{ \n\"a\" : {\"dtype\":\"F32\",\t\"shape\":[ ],\"data_offsets\":[0,4]}}", make([]byte, 4)),
		"empty tensors anywhere": safetensors(`{"z":{"dtype":"F32","shape":[0,3],"data_offsets":[4,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"e":{"dtype":"I8","shape":[0],"data_offsets":[0,0]}}`, make([]byte, 4)),
		"order is free":          safetensors(`{"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, make([]byte, 8)),
		"rank 8":                 safetensors(entry("[1,1,1,1,1,1,1,1]", "[0,4]"), make([]byte, 4)),
		"unaligned data":         safetensors(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}}`, make([]byte, 5)),
	}
	for name, file := range tests {
		c, err := Open(filepath.Join(folder(t, map[string]string{"x.safetensors": string(file)}), "x.safetensors"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := c.Scan(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

package store

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"assay/internal/fault"
)

var twelve = [][]int32{{0, 1, 2, 3}, {200, 5, 6, 7}, {8, 9, 10, 255}}

func checkRows(t *testing.T, r Rows, want [][]int32) {
	t.Helper()
	if r.Len() != len(want) {
		t.Fatalf("Len = %d, want %d", r.Len(), len(want))
	}
	var dst []int32
	for i := range want {
		var err error
		if dst, err = r.Row(i, dst); err != nil || !slices.Equal(dst, want[i]) {
			t.Errorf("Row(%d) = %v, %v; want %v", i, dst, err, want[i])
		}
	}
	for _, i := range []int{-1, len(want)} {
		if _, err := r.Row(i, nil); err == nil {
			t.Errorf("Row(%d): no error", i)
		}
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func checkClass(t *testing.T, err error, class fault.Class, part string) {
	t.Helper()
	if f := fault.As(err); f == nil || f.Class != class || !strings.Contains(err.Error(), part) {
		t.Errorf("%v; want class %d and %q", err, class, part)
	}
}

// The arrays were written by numpy 2.4 (testdata/make_vectors.py).
func TestNPY(t *testing.T) {
	for _, name := range []string{"u1", "u2", "u4", "u8", "i4", "i8", "v2", "v3"} {
		t.Run(name, func(t *testing.T) {
			r, err := Open("testdata/"+name+".npy", Options{})
			if err != nil {
				t.Fatal(err)
			}
			checkRows(t, r, twelve)
		})
	}
	t.Run("1-D as a stream", func(t *testing.T) {
		r, err := Open("testdata/flat.npy", Options{RowLen: 5})
		if err != nil {
			t.Fatal(err)
		}
		if s := r.(*Stream); s.Left() != 2 {
			t.Errorf("Left = %d, want 2", s.Left())
		}
		checkRows(t, r, [][]int32{{0, 1, 2, 3, 200}, {5, 6, 7, 8, 9}})
	})
}

func TestNPYRefused(t *testing.T) {
	for name, part := range map[string]string{
		"big-endian": `descr: found ">u2"`, "fortran": "want False", "float": `descr: found "<f4"`, "i2": `descr: found "<i2"`,
		"cube": "3 dimensions", "scalar": "0 dimensions", "empty": "holds nothing",
	} {
		_, err := OpenNPY("testdata/" + name + ".npy")
		checkClass(t, err, fault.Input, part)
	}
	for name, part := range map[string]string{"negative": "item 0: found -1", "large": "item 1: found 1152921504606846976"} {
		r, err := Open("testdata/"+name+".npy", Options{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Row(0, nil)
		checkClass(t, err, fault.Input, part)
		if name == "large" { // 8 << 60 is 2^63
			_, err = r.Row(2, nil)
			checkClass(t, err, fault.Input, "item 8: found an integer of 2^63 or more")
		}
		r.Close()
	}
	_, err := Open("testdata/flat.npy", Options{})
	checkClass(t, err, fault.Usage, "row length")
	_, err = Open("testdata/u2.npy", Options{RowLen: 5})
	checkClass(t, err, fault.Input, "rows of 4 ids, want 5")
	_, err = Open("testdata/none.npy", Options{})
	checkClass(t, err, fault.Input, "none.npy")
}

// npy writes a version 1 file with any header.
func npy(t testing.TB, header string, data []byte) string {
	b := append([]byte("\x93NUMPY\x01\x00"), byte(len(header)), byte(len(header)>>8))
	return put(t, "x.npy", append(append(b, header...), data...))
}

func put(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestNPYHostile(t *testing.T) {
	const pre = "{'descr': '<u2', 'fortran_order': False, 'shape': "
	tests := []struct{ name, header, part string }{
		{"overflow", pre + "(4611686018427387904, 4611686018427387904), }", "overflows"},
		{"product wraps to the size", pre + "(4294967297, 4294967296), }", "overflows"},
		{"more than there is", pre + "(1000000000, 1), }", "needs 2000000000 bytes of data, found 4"},
		{"less than there is", pre + "(1,), }", "found 4"},
		{"number too long", pre + "(99999999999999999999,), }", "want a size"},
		{"negative", pre + "(-2,), }", "want a size"},
		{"key twice", pre + "(2,), 'shape': (2,), }", "a second time"},
		{"key missing", "{'descr': '<u2', 'shape': (2,), }", "want descr, fortran_order and shape"},
		{"unknown key", "{'descr': '<u2', 'fortran_order': False, 'shape': (2,), 'x': 1}", "found key"},
		{"code", "__import__('os').system('true')", "want {"},
		{"structured", "{'descr': [('a', '<u2')], 'fortran_order': False, 'shape': (2,), }", "quoted string"},
		{"after the end", pre + "(2,), } x", "after the dictionary"},
		{"no end", pre + "(2,)", "want a comma or a brace"},
		{"not closed", pre + "(2", "comma or a bracket"},
		{"empty", "", "want {"},
		{"many dimensions", pre + "(" + strings.Repeat("1,", 40) + "), }", "too many"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := OpenNPY(npy(t, tt.header, []byte{1, 0, 2, 0}))
			checkClass(t, err, fault.Input, tt.part)
		})
	}
	for name, data := range map[string]string{
		"nothing": "", "short": "\x93NUMPY\x01", "no magic": "\x94NUMPY\x01\x00\x00\x00{}xxxxx", "version 4": "\x93NUMPY\x04\x00\x00\x00\x00\x00{}",
		"header past the end": "\x93NUMPY\x02\x00\xff\xff\xff\xff{}", "header length 65536 of 14": "\x93NUMPY\x02\x00\x00\x00\x01\x00{}",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := OpenNPY(put(t, "x.npy", []byte(data)))
			checkClass(t, err, fault.Input, "")
		})
	}
}

func le16(x ...uint16) (b []byte) {
	for _, v := range x {
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	return b
}

func TestRaw(t *testing.T) {
	dir := t.TempDir()
	var paths []string
	for i, b := range [][]byte{le16(1, 2, 3, 4, 5), nil, le16(6), le16(7, 8, 9, 10)} {
		path := filepath.Join(dir, fmt.Sprintf("part%d", i))
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	tests := []struct {
		name string
		l    Layout
		want [][]int32
		left int
	}{
		{"one stream, rows straddle files", Layout{DType: "uint16", RowLen: 3}, [][]int32{{1, 2, 3}, {4, 5, 6}, {7, 8, 9}}, 1},
		{"a row over four files", Layout{DType: "uint16", RowLen: 8}, [][]int32{{1, 2, 3, 4, 5, 6, 7, 8}}, 2},
		{"each file by itself", Layout{DType: "uint16", RowLen: 2, PerFile: true}, [][]int32{{1, 2}, {3, 4}, {7, 8}, {9, 10}}, 2},
		{"with its rest", Layout{DType: "uint16", RowLen: 2, PerFile: true, Partial: true}, [][]int32{{1, 2}, {3, 4}, {5}, {6}, {7, 8}, {9, 10}}, 0},
		{"one stream with its rest", Layout{DType: "uint16", RowLen: 4, Partial: true}, [][]int32{{1, 2, 3, 4}, {5, 6, 7, 8}, {9, 10}}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := OpenRaw(paths, tt.l)
			if err != nil {
				t.Fatal(err)
			}
			if s.Left() != tt.left {
				t.Errorf("Left = %d, want %d", s.Left(), tt.left)
			}
			checkRows(t, s, tt.want)
		})
	}
	_, err := OpenRaw(paths, Layout{DType: "uint32", RowLen: 2})
	checkClass(t, err, fault.Input, "multiple of the 4")
	_, err = OpenRaw(paths, Layout{DType: "float32", RowLen: 2})
	checkClass(t, err, fault.Usage, "dtype")
	_, err = OpenRaw(paths, Layout{DType: "uint16", RowLen: 11})
	checkClass(t, err, fault.Input, "at least one row")
	_, err = OpenRaw([]string{"testdata/u2.npy"}, Layout{DType: "uint16", RowLen: 4})
	checkClass(t, err, fault.Input, ".npy header")
}

func TestRawOpen(t *testing.T) {
	data := le16(1, 2, 3, 4)
	r, err := Open(put(t, "x.u16", data), Options{RowLen: 2})
	if err != nil {
		t.Fatal(err)
	}
	checkRows(t, r, [][]int32{{1, 2}, {3, 4}})
	_, err = Open(put(t, "x.bin", data), Options{RowLen: 2})
	checkClass(t, err, fault.Usage, "dtype and row length must be given")
	_, err = Open(put(t, "x.xyz", data), Options{RowLen: 2})
	checkClass(t, err, fault.Usage, "unknown extension")

	path := put(t, "x.bin", data)
	side := func(s string) {
		if err := os.WriteFile(path+".json", []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	side(`{"dtype": "uint16", "row_length": 4}`)
	if r, err = Open(path, Options{}); err != nil {
		t.Fatal(err)
	}
	checkRows(t, r, [][]int32{{1, 2, 3, 4}})
	_, err = Open(path, Options{RowLen: 2})
	checkClass(t, err, fault.Usage, "found uint16 in rows of 4")
	for _, s := range []string{`{"dtype": "uint16"}`, `{"dtype": "u16", "row_length": 4}`, `{"dtype": "uint16", "row_length": 4, "x": 1}`, `[]`, ``} {
		side(s)
		_, err = Open(path, Options{})
		checkClass(t, err, fault.Input, ".json")
	}
}

// Rows of a store may be read from many goroutines.
func TestConcurrent(t *testing.T) {
	r, err := Open("testdata/u4.npy", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			var dst []int32
			for i := range 300 {
				k := (i + g) % 3
				if dst, err := r.Row(k, dst); err != nil || !slices.Equal(dst, twelve[k]) {
					t.Errorf("Row(%d) = %v, %v; want %v", k, dst, err, twelve[k])
				}
			}
		})
	}
	wg.Wait()
}

// A file that is cut while it is open fails with a class that says: try again.
func TestCut(t *testing.T) {
	path := put(t, "x.u16", le16(1, 2, 3, 4))
	r, err := Open(path, Options{RowLen: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := os.Truncate(path, 6); err != nil {
		t.Fatal(err)
	}
	_, err = r.Row(1, nil)
	checkClass(t, err, fault.Retry, "ends at byte 6")
}

func BenchmarkRow(b *testing.B) {
	const rows = 512
	path := filepath.Join(b.TempDir(), "x.u16")
	if err := os.WriteFile(path, make([]byte, rows*2*2049), 0o600); err != nil {
		b.Fatal(err)
	}
	r, err := Open(path, Options{RowLen: 2049})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	dst := make([]int32, 0, 2049)
	b.SetBytes(2 * 2049)
	for i := 0; b.Loop(); i++ {
		if dst, err = r.Row(i*31%rows, dst); err != nil {
			b.Fatal(err)
		}
	}
}

package gguf

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"
)

var blockTypes = []Type{Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K}

// Published vectors (gguf-py of llama-cpp-python 0.3.36): one block of bytes
// (7 i + 3) mod 256 with d = .5 and m = .25 put in place; y0, y17, the last
// value, the sum, and the sum of (i + 1) y_i.
func TestBlockVectors(t *testing.T) {
	want := map[Type][5]float64{
		Q4_0: {-3.5, -3.5, -.5, -37, -762.5},
		Q4_1: {7.75, 1.25, 4.25, 106, 1608},
		Q5_0: {6.5, 1.5, -3.5, -55, -859.5},
		Q5_1: {13.75, 2.25, 5.25, 240, 3723},
		Q8_0: {8.5, -60, -11, -40, -7496},
		Q2_K: {4.5, 10, -1.5, 1294, 165471.5},
		Q3_K: {28.5, -10, 29, -1056, -219208.5},
		Q4_K: {31.75, 140.25, 78.5, 24176, 2264328},
		Q5_K: {279.75, 140.25, 66.5, 50496, 4771184},
		Q6_K: {636.5, 370, 1050, -15552, -1942852},
	}
	for _, kind := range blockTypes {
		f, _ := kind.format()
		b := make([]byte, f.bytes)
		for i := range b {
			b[i] = byte(7*i + 3)
		}
		for i, at := range f.scales {
			binary.LittleEndian.PutUint16(b[at:], []uint16{0x3800, 0x3400}[i])
		}
		y := make([]float32, f.values)
		kind.Unpack(y, b)
		got := [5]float64{float64(y[0]), float64(y[17]), float64(y[len(y)-1])}
		for i, v := range y {
			got[3] += float64(v)
			got[4] += float64(i+1) * float64(v)
		}
		if got != want[kind] {
			t.Errorf("%s: got %v, want %v", kind, got, want[kind])
		}
	}
}

// Blocks of pseudo-random bytes (testdata/make_gguf.py, gguf-py), bit for bit.
func TestBlocksGolden(t *testing.T) {
	text, err := os.ReadFile("../../testdata/blocks.json")
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]struct {
		SHA256 string
		First  []float32
	}
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	const n = 64
	for _, kind := range blockTypes {
		f, _ := kind.format()
		data := make([]byte, n*f.bytes)
		for i := range data {
			data[i] = byte(uint32(i) * 2654435761 >> 13)
		}
		for i := range n {
			for _, at := range f.scales {
				b := data[i*f.bytes+at:]
				b[1] = b[1]&0x97 | 0x14*(1+b[0]&1)
			}
		}
		y := make([]float32, n*f.values)
		kind.Unpack(y, data)
		h := sha256.New()
		if err := binary.Write(h, binary.LittleEndian, y); err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(h.Sum(nil)); got != want[kind.String()].SHA256 {
			t.Errorf("%s: digest %s, want %s; first values %v, want %v", kind, got, want[kind.String()].SHA256, y[:4], want[kind.String()].First)
		}
	}
}

func TestHalf(t *testing.T) {
	// IEEE 754: 1, -2, largest, smallest normal, smallest subnormal, -0, infinity.
	for h, want := range map[uint16]float64{0x3c00: 1, 0xc000: -2, 0x7bff: 65504, 0x0400: 0x1p-14, 0x0001: 0x1p-24, 0x8000: 0, 0x7c00: math.Inf(1)} {
		if got := half(binary.LittleEndian.AppendUint16(nil, h)); float64(got) != want {
			t.Errorf("half %04x = %v, want %v", h, got, want)
		}
	}
	if got := half([]byte{1, 0x7e}); !math.IsNaN(float64(got)) {
		t.Errorf("half 7e01 = %v, want NaN", got)
	}
}

func TestNonFinite(t *testing.T) {
	for _, kind := range blockTypes {
		f, _ := kind.format()
		data := make([]byte, 5*f.bytes)
		if count, _, zero := kind.NonFinite(data); count != 0 || !zero {
			t.Errorf("%s: all zero: count %d, zero %t", kind, count, zero)
		}
		for _, at := range f.scales {
			b := append([]byte(nil), data...)
			binary.LittleEndian.PutUint16(b[3*f.bytes+at:], 0xfc00)
			count, first, zero := kind.NonFinite(b)
			if count != int64(f.values) || first != int64(3*f.values) || zero {
				t.Errorf("%s: scale at %d: count %d, first %d, zero %t", kind, at, count, first, zero)
			}
		}
	}
}

func BenchmarkUnpack(b *testing.B) {
	for _, kind := range blockTypes {
		f, _ := kind.format()
		src := make([]byte, (1<<16)/f.values*f.bytes)
		dst := make([]float32, 1<<16)
		b.Run(fmt.Sprint(kind), func(b *testing.B) {
			b.SetBytes(4 << 16)
			for b.Loop() {
				kind.Unpack(dst, src)
			}
		})
	}
}

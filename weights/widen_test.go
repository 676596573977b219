package weights

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"testing"
)

// all65536 is every 16-bit pattern, from an odd address on.
func all65536() []byte {
	b := make([]byte, 1, 1+2*65536)
	for i := range 65536 {
		b = binary.LittleEndian.AppendUint16(b, uint16(i))
	}
	return b[1:]
}

func hashValues(values []float32) string {
	h := sha256.New()
	if err := binary.Write(h, binary.LittleEndian, values); err != nil {
		panic(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func TestWiden16(t *testing.T) {
	g := readGolden(t)
	src, dst := all65536(), make([]float32, 65536)
	widenF16(dst, src)
	if got := hashValues(dst); got != g.F16 {
		t.Errorf("F16: digest %s, numpy %s", got, g.F16)
	}
	widenBF16(dst, src)
	if got := hashValues(dst); got != g.BF16 {
		t.Errorf("BF16: digest %s, torch %s", got, g.BF16)
	}
}

// Lengths that are no multiple of a step end at the right place.
func TestWidenTails(t *testing.T) {
	src := all65536()[2*0x3c00:] // F16: 1, 1 + 2^-10, ...
	for n := range 10 {
		dst := make([]float32, n+1)
		dst[n] = 42
		widenF16(dst[:n], src[:2*n])
		for i, v := range dst[:n] {
			if want := 1 + float32(i)*0x1p-10; v != want {
				t.Errorf("F16 length %d: value %d = %v, want %v", n, i, v, want)
			}
		}
		widenBF16(dst[:n], src[:2*n])
		widenF32(dst[:n/2], src[:n/2*4])
		if dst[n] != 42 {
			t.Fatalf("length %d: wrote past the end", n)
		}
	}
}

func TestRoundF64(t *testing.T) {
	for i, c := range readGolden(t).F64 {
		var from uint64
		if _, err := fmt.Sscanf(c[0], "%x", &from); err != nil {
			t.Fatal(err)
		}
		dst := make([]float32, 1)
		overflow := roundF64(dst, binary.LittleEndian.AppendUint64(nil, from))
		if got := fmt.Sprintf("%08x", math.Float32bits(dst[0])); got != c[1] {
			t.Errorf("case %d: %s rounds to %s, numpy says %s", i, c[0], got, c[1])
		}
		wantOverflow := c[1] == "7f800000" && c[0] != "7ff0000000000000"
		if (overflow == 0) != wantOverflow {
			t.Errorf("case %d: %s: overflow %t, want %t", i, c[0], overflow == 0, wantOverflow)
		}
	}
}

func BenchmarkWiden(b *testing.B) {
	for _, kind := range []struct {
		name  string
		size  int
		widen func([]float32, []byte)
	}{{"BF16", 2, widenBF16}, {"F16", 2, widenF16}, {"F32", 4, widenF32}} {
		for _, n := range []int{1 << 10, 1 << 16, 1 << 22} {
			src := make([]byte, kind.size*n)
			for i := range src {
				src[i] = byte(i*7+3)&0xbf | 0x20 // normal values in every type
			}
			dst := make([]float32, n)
			b.Run(fmt.Sprintf("%s/%d", kind.name, n), func(b *testing.B) {
				b.SetBytes(int64(len(src)))
				for b.Loop() {
					kind.widen(dst, src)
				}
			})
		}
	}
}

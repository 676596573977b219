package weights

import (
	"encoding/binary"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"assay/internal/fault"
)

func TestValues(t *testing.T) {
	le16 := func(v ...uint16) (b []byte) {
		for _, x := range v {
			b = binary.LittleEndian.AppendUint16(b, x)
		}
		return b
	}
	le64 := func(v ...uint64) (b []byte) {
		for _, x := range v {
			b = binary.LittleEndian.AppendUint64(b, x)
		}
		return b
	}
	for _, c := range []struct {
		dtype DType
		data  []byte
		want  []float64
	}{
		{F64, le64(math.Float64bits(.1), math.Float64bits(-2)), []float64{.1, -2}},
		{F32, vectorA.data, []float64{1, 2, 3, 4}},
		{BF16, le16(0x3f80, 0xbf81, 0x0001), []float64{1, -1.0078125, 0x1p-133}},
		{F16, le16(0x3c00, 0xc500, 0x0001), []float64{1, -5, 0x1p-24}},
		// torch 2.15: torch.tensor([1, 126, 129, 120], dtype=uint8).view(float8_e4m3fn) and float8_e5m2.
		{F8E4M3, []byte{1, 126, 129, 120}, []float64{0x1p-9, 448, -0x1p-9, 256}},
		{F8E5M2, []byte{1, 123, 129, 120}, []float64{0x1p-16, 57344, -0x1p-16, 32768}},
		{I64, le64(7, 1<<64-7), []float64{7, -7}},
		{U64, le64(7, 1<<53), []float64{7, 1 << 53}},
		{I32, []byte{0xff, 0xff, 0xff, 0xff}, []float64{-1}},
		{U32, []byte{0xff, 0xff, 0xff, 0xff}, []float64{1<<32 - 1}},
		{I16, le16(0xffff), []float64{-1}}, {U16, le16(0xffff), []float64{65535}},
		{I8, []byte{0xff, 2}, []float64{-1, 2}}, {U8, []byte{0xff}, []float64{255}}, {Bool, []byte{1, 0}, []float64{1, 0}},
	} {
		dir := folder(t, map[string]string{"model.safetensors": string(pack(part{"w", c.dtype, []int{len(c.want)}, c.data}))})
		ck := mustOpen(t, dir)
		v, err := ck.Values("w")
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float64, len(c.want))
		if err := v.Read(0, got); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v; want %v", c.dtype, got, err, c.want)
		}
		if err := v.Read(len(got)-1, got[:1]); err != nil || got[0] != c.want[len(got)-1] {
			t.Errorf("%s: the last value is %v, %v", c.dtype, got[0], err)
		}
		for _, at := range []int{-1, 1, math.MaxInt} {
			if err := v.Read(at, make([]float64, len(c.want))); fault.As(err) == nil {
				t.Errorf("%s: values from %d: %v, want an error", c.dtype, at, err)
			}
		}
	}
}

func TestValuesRefuses(t *testing.T) {
	dir := folder(t, map[string]string{"model.safetensors": string(pack(part{"w", I64, []int{1}, binary.LittleEndian.AppendUint64(nil, 1<<62+1)}))})
	ck := mustOpen(t, dir)
	v, err := ck.Values("w")
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Read(0, make([]float64, 1)); fault.As(err) == nil || fault.As(err).Code != "unsupported" {
		t.Errorf("an integer beyond 2^53: %v, want an error", err)
	}
	if _, err := ck.Values("none"); fault.As(err) == nil {
		t.Errorf("a tensor that is not there: %v", err)
	}
}

// What F32 gives whole, Values gives in parts.
func TestValuesAgreeWithF32(t *testing.T) {
	ck := mustOpen(t, filepath.Join(reference, "gpt2"))
	for in := range ck.Tensors() {
		if in.DType != F32 {
			continue
		}
		want := make([]float32, in.Len())
		if err := ck.F32(in.Name, want); err != nil {
			t.Fatal(err)
		}
		v, err := ck.Values(in.Name)
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at < len(want); at += 37 {
			got := make([]float64, min(37, len(want)-at))
			if err := v.Read(at, got); err != nil {
				t.Fatal(err)
			}
			for i, x := range got {
				if x != float64(want[at+i]) {
					t.Fatalf("%s: value %d is %v, want %v", in.Name, at+i, x, want[at+i])
				}
			}
		}
	}
}

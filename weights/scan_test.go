package weights

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"assay/internal/fault"
)

// rootAB is the published vector (Python hashlib).
const rootAB = "sha256:ba73820c3b5b38cbf77206c3071df691e323867d1d01a14c194064de8ee700e0"

func scanOf(t testing.TB, files map[string]string) Digests {
	t.Helper()
	d, err := mustOpen(t, folder(t, files)).Scan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Order, sharding, padding and metadata leave the digest alone; a changed bit,
// name, shape or type does not.
func TestWeightsDigest(t *testing.T) {
	padded := safetensors(`{"__metadata__":{"format":"pt"}, "b.bias":{"shape":[3],"data_offsets":[0,6],"dtype":"BF16"},"a.weight":{"dtype":"F32","shape":[2,2],"data_offsets":[6,22]}}     `,
		append(bytes.Clone(vectorB.data), vectorA.data...))
	same := map[string]map[string]string{
		"in order": {singleName: string(pack(vectorA, vectorB))},
		"reversed": {singleName: string(pack(vectorB, vectorA))},
		"padded":   {singleName: string(padded)},
		"sharded": {shard1: string(pack(vectorB)), shard2: string(pack(vectorA)),
			indexName: `{"weight_map":{"a.weight":"` + shard2 + `","b.bias":"` + shard1 + `"}}`},
		"renamed shards": {"x.safetensors": string(pack(vectorA)), "y.safetensors": string(pack(vectorB)),
			indexName: `{"weight_map":{"a.weight":"x.safetensors","b.bias":"y.safetensors"}}`},
	}
	for name, files := range same {
		if d := scanOf(t, files); d.Weights != rootAB || d.DType != F32 || d.Quant != "" || d.Vocab != 0 {
			t.Errorf("%s: %+v; want weights %s", name, d, rootAB)
		}
	}
	flipped := vectorB
	flipped.data = bytes.Clone(vectorB.data)
	flipped.data[2] ^= 1
	renamed, reshaped, retyped := vectorB, vectorB, vectorB
	renamed.name, reshaped.shape, retyped.dtype = "b.biaS", []int{3, 1}, F16
	for name, p := range map[string]part{"flipped": flipped, "renamed": renamed, "reshaped": reshaped, "retyped": retyped} {
		if d := scanOf(t, map[string]string{singleName: string(pack(vectorA, p))}); d.Weights == rootAB {
			t.Errorf("%s: the digest did not change", name)
		}
	}
}

func TestFilesDigest(t *testing.T) {
	d := scanOf(t, map[string]string{singleName: "\x02\x00\x00\x00\x00\x00\x00\x00{}", "config.json": "{}", "tokenizer.json": "{}"})
	// printf '\2\0\0\0\0\0\0\0{}' | sha256sum; printf '{}' | sha256sum
	want := map[string]string{
		singleName:    "sha256:411a485216e432ece6b9af94fa32154cf79a2a56d4f81266baa50063f45092bd",
		"config.json": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
	}
	if len(d.Files) != 2 || d.Files[singleName] != want[singleName] || d.Files["config.json"] != want["config.json"] {
		t.Errorf("files %v, want %v", d.Files, want)
	}
}

func TestConfigDigest(t *testing.T) {
	// printf '{"layers":2,"theta":"10000"}' | sha256sum
	const want = "sha256:0cfbfbbcb14d289f5ca05f2a5c1bb1d61be5e0906e7fa8c5fc578430ef329c03"
	got, err := ConfigDigest(map[string]any{"theta": "10000", "layers": 2})
	if err != nil || got != want {
		t.Errorf("ConfigDigest = %s, %v; want %s", got, err, want)
	}
	if _, err := ConfigDigest(map[string]any{"theta": 1e4}); err == nil {
		t.Error("a float was accepted")
	}
}

// nonFiniteBits are the bit patterns whose exponent is all ones, by type.
var nonFiniteBits = map[DType][]uint64{
	F16:  {0x7c00, 0xfc00, 0x7e00, 0x7c01, 0xffff},
	BF16: {0x7f80, 0xff80, 0x7fc0, 0x7f81, 0xffff},
	F32:  {0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001, 0xffffffff},
	F64:  {0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000, 0x7ff0000000000001, math.MaxUint64},
}

// largest is the bit pattern of the largest finite value, by type.
var largest = map[DType]uint64{F16: 0x7bff, BF16: 0x7f7f, F32: 0x7f7fffff, F64: 0x7fefffffffffffff}

func put(b []byte, size, i int, bits uint64) {
	var w [8]byte
	binary.LittleEndian.PutUint64(w[:], bits)
	copy(b[i*size:(i+1)*size], w[:])
}

func TestNonFinite(t *testing.T) {
	for dtype, patterns := range nonFiniteBits {
		size := dtype.Size()
		for _, n := range []int{1, 3, 4, 7, 1025} {
			for _, at := range []int{0, n / 2, n - 1} {
				for _, bits := range patterns {
					data := make([]byte, n*size)
					for i := range n {
						put(data, size, i, largest[dtype]|uint64(i%2)<<(8*size-1))
					}
					p := newProbe(dtype)
					p.look(data)
					if p.count != 0 || p.zero {
						t.Fatalf("%s: %d largest finite values: %+v", dtype, n, p.finding)
					}
					put(data, size, at, bits)
					put(data, size, n-1, bits)
					p = newProbe(dtype)
					p.look(data[:n*size/16*8]) // in two calls
					p.look(data[n*size/16*8:])
					count := int64(2)
					if at == n-1 {
						count = 1
					}
					if p.count != count || p.first != int64(at) {
						t.Fatalf("%s: %x at %d of %d: found %+v, want %d from %d", dtype, bits, at, n, p.finding, count, at)
					}
				}
			}
		}
	}
}

func TestScanNonFinite(t *testing.T) {
	data := make([]byte, 2*(scanChunk+100))
	for i := range len(data) / 2 {
		put(data, 2, i, 0x3c00)
	}
	put(data, 2, scanChunk+41, 0xfc00)
	put(data, 2, scanChunk+99, 0x7e00)
	w := part{"h.0.w", F16, []int{scanChunk + 100}, data}
	mask := part{"h.0.attn.masked_bias", F16, nil, []byte{0, 0xfc}}
	c := mustOpen(t, folder(t, map[string]string{singleName: string(pack(mask, w))}))
	_, err := c.Scan(t.Context())
	wantFault(t, "infinite weight", err, fault.Input, "nonfinite", fmt.Sprintf(`tensor "h.0.w": found 2 non-finite values of %d, the first at index %d`, scanChunk+100, scanChunk+41))
	if _, err := c.Scan(t.Context(), "h.*.w"); err != nil {
		t.Errorf("ignorable tensor: %v", err)
	}
}

func TestZeroTensor(t *testing.T) {
	zeros := make([]byte, 16)
	minus := bytes.Clone(zeros)
	minus[15] = 0x80 // -0
	tiny := bytes.Clone(zeros)
	tiny[9] = 1
	c := mustOpen(t, folder(t, map[string]string{singleName: string(pack(part{"z", BF16, []int{8}, zeros}, part{"m", F32, []int{4}, minus},
		part{"t", F16, []int{8}, tiny}, part{"mask", Bool, []int{16}, zeros}, part{"empty", F32, []int{0}, nil}))}))
	if _, err := c.Scan(t.Context()); err != nil {
		t.Fatal(err)
	}
	ws := c.Warnings()
	if len(ws) != 1 || ws[0].Code != "zero-tensor" || ws[0].Text != "2 tensors are all zero: m, z" {
		t.Errorf("warnings %v, want zero-tensor for m and z", ws)
	}
	if _, err := c.Scan(t.Context()); err != nil || len(c.Warnings()) != 1 {
		t.Errorf("a second scan: %v, warnings %v; want the same one", err, c.Warnings())
	}
}

func TestScanCancelled(t *testing.T) {
	c := mustOpen(t, filepath.Join(reference, "gpt2"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.Scan(ctx)
	wantFault(t, "cancelled", err, fault.Interrupted, "interrupted", "canceled")
}

func BenchmarkScan(b *testing.B) {
	for _, mb := range []int{1, 4, 16, 64} {
		data := bytes.Repeat([]byte{0x12, 0x34}, mb<<19)
		var parts []part
		for i := range 4 {
			parts = append(parts, part{strings.Repeat("w", i+1), BF16, []int{len(data) / 8}, data[:len(data)/4]})
		}
		c := mustOpen(b, folder(b, map[string]string{singleName: string(pack(parts...))}))
		b.Run(fmt.Sprintf("%dMB", mb), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if _, err := c.Scan(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkProbe(b *testing.B) {
	data := bytes.Repeat([]byte{0x12, 0x34}, 1<<19)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		newProbe(BF16).look(data)
	}
}

package vecfile

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"
)

// repeated serves a block of rows again and again: a file of any size without
// a disk. Wanted words are in the block, so they are duplicates after the
// first time, which costs more than missing them.
type repeated struct {
	head, block []byte
	times, at   int
}

func (r *repeated) Read(p []byte) (int, error) {
	if len(r.head) > 0 {
		n := copy(p, r.head)
		r.head = r.head[n:]
		return n, nil
	}
	if r.times == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.block[r.at:])
	if r.at += n; r.at == len(r.block) {
		r.at, r.times = 0, r.times-1
	}
	return n, nil
}

const blockRows = 2000

// block makes rows of 300 numbers as GloVe prints them, or as float32.
func block(format Format) []byte {
	g := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for i := range blockRows {
		fmt.Fprintf(&b, "word%d", i)
		for k := range 300 {
			x := g.NormFloat64() * .4
			if format == W2VBin {
				if k == 0 {
					b.WriteByte(' ')
				}
				binary.Write(&b, binary.LittleEndian, float32(x))
			} else {
				fmt.Fprintf(&b, " %.5g", x)
			}
		}
		if format != W2VBin {
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

func wanted() map[string]struct{} {
	w := map[string]struct{}{"in the": {}}
	for i := range 50 {
		w[fmt.Sprintf("word%d", i*7)] = struct{}{}
		w[fmt.Sprintf("absent%d", i)] = struct{}{}
	}
	return w
}

// BenchmarkRead reads plain and gzip files of growing size; the gzip ones are
// to be held against BenchmarkGunzip, which only decompresses.
func BenchmarkRead(b *testing.B) {
	for _, format := range []Format{GloVe, W2VBin} {
		raw := block(format)
		for _, rows := range []int{20_000, 200_000, 2_000_000} {
			b.Run(fmt.Sprintf("%s/plain/%d", format, rows), func(b *testing.B) {
				b.SetBytes(int64(len(raw)) * int64(rows/blockRows))
				for b.Loop() {
					read(b, &repeated{head: head(format, rows), block: raw, times: rows / blockRows}, rows)
				}
			})
		}
	}
	raw := block(GloVe)
	for _, rows := range []int{20_000, 2_000_000} {
		b.Run(fmt.Sprintf("glove/gzip/%d", rows), func(b *testing.B) {
			z := zip(raw)
			b.SetBytes(int64(len(raw)) * int64(rows/blockRows))
			for b.Loop() {
				read(b, &repeated{block: z, times: rows / blockRows}, rows)
			}
		})
	}
}

func head(format Format, rows int) []byte {
	if format == W2VBin {
		return fmt.Appendf(nil, "%d 300\n", rows)
	}
	return nil
}

func read(b *testing.B, r io.Reader, rows int) {
	f, err := Read(r, Auto, wanted())
	if err != nil || f.Rows != int64(rows) || len(f.Words) != 50 {
		b.Fatalf("%v, %v", f, err)
	}
}

func BenchmarkGunzip(b *testing.B) {
	raw := block(GloVe)
	z := zip(raw)
	for _, rows := range []int{20_000, 2_000_000} {
		b.Run(fmt.Sprintf("glove/%d", rows), func(b *testing.B) {
			b.SetBytes(int64(len(raw)) * int64(rows/blockRows))
			for b.Loop() {
				g, err := gzip.NewReader(bufio.NewReaderSize(&repeated{block: z, times: rows / blockRows}, bufBytes))
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, g); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestBoundedMemory: 200 MB of rows leave nothing behind but the wanted ones.
func TestBoundedMemory(t *testing.T) {
	raw := block(GloVe)
	times := 200 << 20 / len(raw)
	want := map[string]struct{}{"word7": {}, "absent": {}}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f, err := Read(&repeated{block: raw, times: times}, Auto, want)
	runtime.ReadMemStats(&after)
	if err != nil || f.Rows != int64(times*blockRows) {
		t.Fatal(err)
	}
	// The buffer, one row, and a copy of the wanted row for each of its returns.
	if total, limit := after.TotalAlloc-before.TotalAlloc, uint64(4<<20+times*4096); total > limit {
		t.Errorf("allocated %d bytes in all over %d rows, want at most %d", total, f.Rows, limit)
	}
}

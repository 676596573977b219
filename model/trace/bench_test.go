package trace

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"assay/model/trace/window"
)

// benchTrace makes docs documents of rows tokens with values that compress about
// as real ones do. ASSAY_BENCH_DOCS sets another number of documents.
func benchTrace(b *testing.B, docs, rows int) (Identity, []DocTokens) {
	b.Helper()
	if n, err := strconv.Atoi(os.Getenv("ASSAY_BENCH_DOCS")); err == nil {
		docs = n
	}
	of, few := synthetic(b, window.Policy{Name: "full", Window: 4096, PrefixIDs: []int32{0}}, 8, 30)
	of.Text = ""
	of.Checkpoint.Vocab = 50304
	var src []DocTokens
	for _, x := range few {
		if len(x.Tokens.ID) > 0 {
			src = append(src, x)
		}
	}
	var out []DocTokens
	s := uint32(1)
	next := func() uint32 { s = s*1664525 + 1013904223; return s >> 8 }
	for k := range docs {
		t := newTokens(rows)
		t.ID, t.ByteOff, t.ByteLen = make([]int32, rows), make([]int64, rows), make([]int32, rows)
		at := int64(0)
		for i := range rows {
			x := src[int(next())%len(src)].Tokens
			j := int(next()) % len(x.ID)
			noise := float32(next()%4096) / 4096 / 64
			t.ID[i] = int32(next() % 4096 * (next() % 13) % 50304)
			t.ByteOff[i], t.ByteLen[i] = at, int32(1+next()%7)
			at += int64(t.ByteLen[i])
			t.Entropy[i], t.SD[i], t.Rank[i], t.ArgmaxID[i] = x.Entropy[j]+noise, x.SD[j]+noise, x.Rank[j], t.ID[i]
			t.ArgmaxLogprob[i], t.Logprob[i] = x.ArgmaxLogprob[j]-noise, x.Logprob[j]-noise
		}
		d := Doc{Doc: int32(k), ID: fmt.Sprintf("document-%d", k), Bytes: at, Chars: at, Words: 40, Pieces: 40, Zlib: 200}
		d.SHA256[0], d.SHA256[1], d.SHA256[2] = byte(k), byte(k>>8), byte(k>>16)
		for i := 3; i < 32; i++ {
			d.SHA256[i] = byte(next())
		}
		out = append(out, DocTokens{d, t})
	}
	return of, out
}

func perToken(b *testing.B, tokens int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(tokens), "ns/token")
}

func BenchmarkWrite(b *testing.B) {
	for _, path := range []string{"x.parquet", "x.jsonl"} {
		b.Run(path, func(b *testing.B) {
			of, docs := benchTrace(b, 1000, 64)
			b.ReportAllocs()
			for b.Loop() {
				d := newMem()
				writeAll(b, d, path, of, docs, Options{})
			}
			perToken(b, len(docs)*64)
			d := newMem()
			writeAll(b, d, path, of, docs, Options{})
			b.ReportMetric(float64(len(d.files[path].b))/float64(64*len(docs)), "B/token")
			if f := d.files["x.docs.parquet"]; f != nil {
				b.ReportMetric(float64(len(f.b))/float64(len(docs)), "B/doc")
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	of, docs := benchTrace(b, 1000, 64)
	tokens := 64 * len(docs)
	d := newMem()
	writeAll(b, d, "x.parquet", of, docs, Options{})
	writeAll(b, d, "x.jsonl", of, docs, Options{})
	read := func(b *testing.B, path string, cols ...string) {
		for b.Loop() {
			r, err := open(d, path)
			if err != nil {
				b.Fatal(err)
			}
			rows := r.All()
			if len(cols) > 0 {
				rows = r.Columns(cols...)
			}
			for _, err := range rows {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
		perToken(b, tokens)
	}
	b.Run("parquet/logprob", func(b *testing.B) { read(b, "x.parquet", "logprob") })
	b.Run("parquet/all", func(b *testing.B) { read(b, "x.parquet") })
	b.Run("jsonl/all", func(b *testing.B) { read(b, "x.jsonl") })
	b.Run("parquet/docs", func(b *testing.B) {
		for b.Loop() {
			r, err := open(d, "x.parquet")
			if err != nil {
				b.Fatal(err)
			}
			for _, err := range r.Docs() {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(docs)), "ns/doc")
	})
	b.Run("parquet/random", func(b *testing.B) {
		r, err := open(d, "x.parquet")
		if err != nil {
			b.Fatal(err)
		}
		for i := 0; b.Loop(); i++ {
			if _, err := r.Tokens(int32(i * 7919 % len(docs))); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	of, docs := benchTrace(b, 1000, 64)
	d := newMem()
	writeAll(b, d, "x.parquet", of, docs, Options{})
	for b.Loop() {
		clean(b, d, "x.parquet")
	}
	perToken(b, 64*len(docs))
}

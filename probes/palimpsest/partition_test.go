package palimpsest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/internal/gen"
	"assay/probes"
)

// docs yields texts.
func docs(d ...Doc) func(func(Doc, error) bool) {
	return func(yield func(Doc, error) bool) {
		for _, e := range d {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// Published vector: all 720 orders enumerated.
func TestPartitionVector(t *testing.T) {
	tr := &Transcript{}
	for i := range 6 {
		tr.Seq = append(tr.Seq, int64(i))
		tr.Positions = append(tr.Positions, []int64{int64(i)})
		tr.Text = append(tr.Text, fmt.Sprintf("row %d", i))
	}
	if err := tr.Derive(); err != nil {
		t.Fatal(err)
	}
	p := positional{test: "palimpsest.partition", measure: "matches", o: PartitionOptions{}.withDefaults()}
	r, err := p.run(tr, []int32{0, 0, 1, 0, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "p", math.Pow(10, log10P(t, r, "permutation")), 24./720, 1e-12)
	near(t, "z", estimate(t, r, "z"), 1.889822365, 1e-9)
}

// The index against a literal reading of the rule, on a small alphabet where
// n-grams repeat, overlap and become too common.
func TestNgramIndexEqualsBruteForce(t *testing.T) {
	g := gen.New(3)
	seq := func(n int) []uint32 {
		out := make([]uint32, n)
		for i := range out {
			out[i] = uint32(g.Below(3))
		}
		return out
	}
	const minN, maxN, maxOcc = 2, 5, 4
	var rows, texts [][]uint32
	for range 30 {
		rows = append(rows, seq(g.Below(20)))
	}
	for range 6 {
		texts = append(texts, seq(g.Below(40)))
	}
	x := newNgramIndex(minN, maxN, maxOcc)
	var starts [][]int32
	for _, s := range texts {
		starts = append(starts, x.add(Contents{IDs: s}))
	}
	for u, r := range rows {
		x.match(int32(u), Contents{IDs: r})
	}
	got := make([]int32, len(rows))
	matched := 0
	for _, at := range starts {
		matched += x.score(at, got)
	}

	want := make([]int32, len(rows))
	wantMatched := 0
	has := func(r, g []uint32) bool {
		for i := 0; i+len(g) <= len(r); i++ {
			if slices.Equal(r[i:i+len(g)], g) {
				return true
			}
		}
		return false
	}
	for _, s := range texts {
		for i := range s {
			for n := maxN; n >= minN; n-- {
				if i+n > len(s) {
					continue
				}
				var in []int
				for u, r := range rows {
					if has(r, s[i:i+n]) {
						in = append(in, u)
					}
				}
				if len(in) >= 1 && len(in) <= maxOcc {
					for _, u := range in {
						want[u]++
					}
					wantMatched++
					break
				}
			}
		}
	}
	if !slices.Equal(got, want) || matched != wantMatched || matched == 0 {
		t.Errorf("counts %v (%d starts), want %v (%d starts)", got, matched, want, wantMatched)
	}
}

// A suspect that copies pieces of late rows more often than of early ones is
// found; one that copies without regard to position is not.
func TestPartitionFindsOrder(t *testing.T) {
	g := gen.New(8)
	const rows, length = 2000, 32
	tr := &Transcript{Meta: Meta{N: rows, Design: "all"}}
	for i := range rows {
		tr.Seq = append(tr.Seq, int64(i))
		tr.Positions = append(tr.Positions, []int64{int64(i)})
		ids := make([]uint32, length)
		for k := range ids {
			ids[k] = uint32(g.Below(500))
		}
		tr.IDs = append(tr.IDs, ids)
	}
	if err := tr.Derive(); err != nil {
		t.Fatal(err)
	}
	text := func(pick func() int) Doc {
		var d Doc
		for range 3000 {
			r, at := tr.IDs[pick()], g.Below(length-6)
			d.IDs = append(d.IDs, r[at:at+6]...)
			d.IDs = append(d.IDs, uint32(1000+g.Below(500)))
		}
		return d
	}
	late := text(func() int { return int(math.Sqrt(g.U()) * rows) })
	flat := text(func() int { return g.Below(rows) })
	for _, c := range []struct {
		name string
		d    Doc
		want string
	}{{"late", late, Dependence}, {"flat", flat, NotFound}} {
		r, err := Partition(context.Background(), tr, docs(c.d), PartitionOptions{Perm: 1999, Alpha: 1e-2})
		if err != nil {
			t.Fatal(err)
		}
		if r.Verdict.Finding != c.want || r.Verdict.Tier != probes.TierB {
			t.Errorf("%s: %s tier %s, p 1e%.2f, want %s", c.name, r.Verdict.Finding, r.Verdict.Tier, log10P(t, r, "permutation"), c.want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Partition(ctx, tr, docs(late), PartitionOptions{}); !errors.Is(err, context.Canceled) || fault.As(err).Class != fault.Interrupted {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := Partition(context.Background(), tr, docs(Doc{Text: "words"}), PartitionOptions{}); err == nil {
		t.Error("text against ids was accepted")
	}
	if _, err := Partition(context.Background(), tr, docs(Doc{IDs: []uint32{9999, 9998, 9997, 9996}}), PartitionOptions{}); err == nil {
		t.Error("a text without a match gave a result")
	}
}

func TestWords(t *testing.T) {
	var got []string
	for w := range words("Héllo, wörld42!  日本語 x\xffy ") {
		got = append(got, w)
	}
	if want := []string{"Héllo", "wörld42", "日本語", "x", "y"}; !slices.Equal(got, want) {
		t.Errorf("words %q, want %q", got, want)
	}
}

func TestPatterns(t *testing.T) {
	ps, err := ReadPatterns("p.tsv", strings.NewReader("pattern\tpos\nal[fp]ha\t0\nbeta\t1\ngamma\t2\ndelta\t3\neps\t4\nzeta\t5\n"))
	if err != nil {
		t.Fatal(err)
	}
	texts := docs(Doc{Text: "gamma eps eps zeta"}, Doc{Text: "zeta zeta"})
	r, err := Patterns(context.Background(), ps, false, texts, PartitionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "p of counts 0 0 1 0 2 3", math.Pow(10, log10P(t, r, "permutation")), 24./720, 1e-12)
	if !hasWarning(r, "patterns-unblinded") || r.Verdict.Tier != probes.TierB {
		t.Errorf("tier %s, warnings %v", r.Verdict.Tier, r.Warnings)
	}
	for _, c := range []struct{ file, want string }{
		{"", "header"}, {"pattern\n", "want pattern and pos"}, {"pattern\tpos\tx\n", `column "x"`},
		{"pattern\tpos\na\tone\n", "p.tsv:2"}, {"pattern\tpos\n\t3\n", "empty pattern"}, {"pattern\tpos\na\n", "wrong number of fields"},
	} {
		if _, err := ReadPatterns("p.tsv", strings.NewReader(c.file)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want an error with %q", c.file, err, c.want)
		}
	}
	bad := append(slices.Clone(ps), Pattern{Text: "a(b", Pos: 9})
	if _, err := Patterns(context.Background(), bad, false, texts, PartitionOptions{}); err == nil || fault.As(err).Class != fault.Input || !strings.Contains(err.Error(), "pattern 7") {
		t.Errorf("invalid pattern: %v", err)
	}
	if _, err := Patterns(context.Background(), bad, true, texts, PartitionOptions{}); err != nil {
		t.Errorf("literal pattern: %v", err)
	}
}

func TestReadTexts(t *testing.T) {
	var got []Doc
	for d, err := range ReadTexts("t", strings.NewReader("{\"id\":\"a\",\"prompt\":\"p\",\"text\":\"x\"}\n{\"text\":\"y\"}\n"), false) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, d)
	}
	if len(got) != 2 || got[0].ID != "a" || got[0].Text != "x" || got[1].ID != "line:2" || got[1].Text != "y" {
		t.Errorf("texts %+v", got)
	}
	for _, bad := range []string{"{}\n", "x\n", "{\"text\":1}\n"} {
		for _, err := range ReadTexts("t", strings.NewReader(bad), false) {
			if err == nil || fault.As(err) == nil || !strings.Contains(err.Error(), "t:1") {
				t.Errorf("%q: %v", bad, err)
			}
		}
	}
}

func BenchmarkPartition(b *testing.B) {
	g := gen.New(1)
	for _, rows := range []int{3000, 10000, 30000, 100000} {
		tr := &Transcript{Meta: Meta{N: int64(rows), Design: "all"}}
		for i := range rows {
			tr.Seq = append(tr.Seq, int64(i))
			tr.Positions = append(tr.Positions, []int64{int64(i)})
			ids := make([]uint32, 64)
			for k := range ids {
				ids[k] = uint32(g.Below(3000))
			}
			tr.IDs = append(tr.IDs, ids)
		}
		if err := tr.Derive(); err != nil {
			b.Fatal(err)
		}
		var d Doc
		for range 15000 {
			d.IDs = append(d.IDs, tr.IDs[g.Below(rows)][:7]...)
		}
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			for b.Loop() {
				if _, err := Partition(context.Background(), tr, docs(d), PartitionOptions{Perm: 99}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(rows*64), "ns/token")
		})
	}
}

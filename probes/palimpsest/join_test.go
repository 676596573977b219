package palimpsest

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/internal/gen"
	"assay/probes"
)

// small is a transcript of n rows of ids with scores of two models.
func small(n int) (*Transcript, []Score, []Score) {
	g := gen.New(2)
	tr := &Transcript{Meta: Meta{N: int64(4 * n), Design: "uniform"}}
	var a, b []Score
	for i := range n {
		tr.Seq = append(tr.Seq, int64(i))
		tr.Positions = append(tr.Positions, []int64{int64((4*i*7 + 3) % (4 * n))})
		tr.IDs = append(tr.IDs, []uint32{uint32(i), uint32(g.Below(9))})
	}
	if err := tr.Derive(); err != nil {
		panic(err)
	}
	for i := range n {
		a = append(a, Score{Seq: int64(i), SHA256: tr.SHA256[i], Sum: g.Z(), Scored: 1, Bytes: -1})
		b = append(b, Score{Seq: int64(i), SHA256: tr.SHA256[i], Sum: g.Z(), Scored: 1, Bytes: -1})
	}
	return tr, a, b
}

func TestJoinRefusals(t *testing.T) {
	tr, a, b := small(40)
	edit := func(s []Score, f func([]Score) []Score) Scores { return scoresOf("edited", f(slices.Clone(s))) }
	whole := scoresOf("whole", a)
	ref := func(f func(*Scores)) []Scores { r := scoresOf("ref", b); f(&r); return []Scores{r} }
	noDigest := *tr
	noDigest.SHA256 = nil
	for _, c := range []struct {
		name  string
		tr    *Transcript
		s     Scores
		refs  []Scores
		o     JoinOptions
		class fault.Class
		want  string
	}{
		{"rows missing", tr, edit(a, func(s []Score) []Score { return s[:30] }), nil, JoinOptions{}, fault.Input, "10 of 40 transcript rows have no score"},
		{"foreign row", tr, edit(a, func(s []Score) []Score { s[3].Seq = 99; return s }), nil, JoinOptions{}, fault.Input, "seq 99 is not in the transcript"},
		{"other content", tr, edit(a, func(s []Score) []Score { s[3].SHA256[0]++; return s }), nil, JoinOptions{}, fault.Input, "content digest"},
		{"row twice", tr, edit(a, func(s []Score) []Score { return append(s, s[5]) }), nil, JoinOptions{}, fault.Input, "seq 5 appears twice"},
		{"other text", tr, whole, ref(func(r *Scores) { r.Text = "sha256:x" }), JoinOptions{}, fault.Input, "text digest"},
		{"other policy", tr, whole, ref(func(r *Scores) { r.Policy = "bos" }), JoinOptions{}, fault.Input, "policy"},
		{"other precision", tr, whole, ref(func(r *Scores) { r.Precision = "f16" }), JoinOptions{}, fault.Input, "numeric policy"},
		{"other tokenizer on ids", tr, whole, ref(func(r *Scores) { r.Tokenizer = "sha256:y" }), JoinOptions{}, fault.Input, "want one tokenizer"},
		{"broken trace", tr, Scores{Name: "broken", Rows: func(y func(Score, error) bool) { y(Score{}, errors.New("footer lost")) }}, nil, JoinOptions{}, 0, "footer lost"},
		{"no digests", &noDigest, whole, nil, JoinOptions{}, fault.Input, "digests are missing"},
		{"everything outside", tr, whole, nil, JoinOptions{Pos: [2]int64{1000, 2000}}, fault.Input, "0 units left"},
		{"few left", tr, whole, nil, JoinOptions{Window: [2]float64{0, 0.05}}, fault.Input, "units left to test, want at least 5"},
		{"step without column", tr, whole, nil, JoinOptions{AfterStep: 4}, fault.Input, "no column step"},
		{"unit without column", tr, whole, nil, JoinOptions{Unit: "step"}, fault.Input, "no column step"},
		{"bad epoch", tr, whole, nil, JoinOptions{Epoch: "0"}, fault.Usage, `epoch "0"`},
		{"bad window", tr, whole, nil, JoinOptions{Window: [2]float64{0.5, 0.2}}, fault.Usage, "window 0.5:0.2"},
		{"bad positions", tr, whole, nil, JoinOptions{Pos: [2]int64{5, 5}}, fault.Usage, "positions 5:5"},
		{"bad duplicates", tr, whole, nil, JoinOptions{Duplicates: "first"}, fault.Usage, `duplicates "first"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Join(c.tr, c.s, c.refs, c.o)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want one with %q", err, c.want)
			}
			if c.class != 0 && (fault.As(err) == nil || fault.As(err).Class != c.class) {
				t.Errorf("error %v, want class %d", err, c.class)
			}
		})
	}
}

func TestJoinRows(t *testing.T) {
	tr, a, b := small(60)
	a[4].Scored, b[9].Sum = 0, nan()
	s, err := Join(tr, scoresOf("a", a), []Scores{scoresOf("b", b)}, JoinOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if s.Len() != 58 || s.Dropped.Nonfinite != 2 || slices.Contains(s.Seq, 4) || slices.Contains(s.Seq, 9) {
		t.Errorf("%d rows, dropped %+v", s.Len(), s.Dropped)
	}
	part, err := Join(tr, scoresOf("a", a[:50]), []Scores{scoresOf("b", b)}, JoinOptions{Partial: true})
	if err != nil || !part.Partial || part.Dropped.Unscored != 10 {
		t.Errorf("partial: %+v, %v", part, err)
	}
	half, err := Join(tr, scoresOf("a", a), nil, JoinOptions{Window: [2]float64{0.5, 1}})
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range half.Pos {
		if p < 120 {
			t.Errorf("row %d at position %d, want at least 120", i, p)
		}
	}
}

func nan() float64 { z := 0.0; return z / z }

func TestJoinPasses(t *testing.T) {
	tr, a, _ := small(40)
	for i := range tr.Positions {
		tr.Positions[i] = []int64{int64(i), int64(40 + (i*7)%40)}
	}
	tr.Positions[3] = tr.Positions[3][:1] // seen once
	for _, c := range []struct {
		epoch string
		n     int
		at    func(i int) int64
	}{
		{"last", 40, func(i int) int64 {
			if i == 3 {
				return 3
			}
			return int64(40 + (i*7)%40)
		}},
		{"first", 40, func(i int) int64 { return int64(i) }},
		{"2", 39, func(i int) int64 { return int64(40 + (i*7)%40) }},
	} {
		s, err := Join(tr, scoresOf("a", a), nil, JoinOptions{Epoch: c.epoch})
		if err != nil || s.Len() != c.n {
			t.Fatalf("pass %s: %v, %d rows, want %d", c.epoch, err, s.Len(), c.n)
		}
		for k, seq := range s.Seq {
			if s.Pos[k] != c.at(int(seq)) {
				t.Errorf("pass %s: seq %d at %d, want %d", c.epoch, seq, s.Pos[k], c.at(int(seq)))
			}
		}
	}
}

// Two tokenizers on one text: scores per byte.
func TestJoinPerByte(t *testing.T) {
	tr, a, b := small(40)
	tr.IDs = nil
	for i := range tr.Seq {
		tr.Text = append(tr.Text, strings.Repeat("x", 1+i))
	}
	if err := tr.Derive(); err != nil {
		t.Fatal(err)
	}
	for i := range a {
		a[i].SHA256, b[i].SHA256 = tr.SHA256[i], tr.SHA256[i]
	}
	ref := scoresOf("b", b)
	ref.Tokenizer = "sha256:other"
	s, err := Join(tr, scoresOf("a", a), []Scores{ref}, JoinOptions{})
	if err != nil || s.Measure != "nats/byte" {
		t.Fatalf("%v %v", s, err)
	}
	for k, seq := range s.Seq {
		if want := a[seq].Sum / float64(1+seq); s.L[0][k] != want {
			t.Errorf("seq %d scores %g per byte, want %g", seq, s.L[0][k], want)
		}
	}
}

// Batches were shuffled, not rows: units take the mean of their rows, and may not
// cross strata.
func TestJoinUnits(t *testing.T) {
	tr, a, _ := small(80)
	for i := range tr.Seq {
		tr.Positions[i] = []int64{int64(i)}
		tr.Unit = append(tr.Unit, int64(i/4))
	}
	a[6].Sum = nan()
	s, err := Join(tr, scoresOf("a", a), nil, JoinOptions{})
	if err != nil || s.Len() != 20 || s.GroupedBy != "unit" || s.Dropped.Nonfinite != 1 {
		t.Fatalf("%+v, %v", s, err)
	}
	if want := (a[0].Sum + a[1].Sum + a[2].Sum + a[3].Sum) / 4; s.L[0][0] != want {
		t.Errorf("unit 0 scores %g, want %g", s.L[0][0], want)
	}
	if want := (a[4].Sum + a[5].Sum + a[7].Sum) / 3; s.L[0][1] != want || s.Pos[1] != 5 {
		t.Errorf("unit 1 scores %g at %d, want %g at 5", s.L[0][1], s.Pos[1], want)
	}
	for i := range tr.Seq {
		tr.Block = append(tr.Block, string(rune('a'+i/42)))
	}
	if _, err := Join(tr, scoresOf("a", a), nil, JoinOptions{}); err == nil || !strings.Contains(err.Error(), "lies in strata") {
		t.Errorf("a unit across strata: %v", err)
	}
}

func TestSelect(t *testing.T) {
	p, err := Select(1000, Design{Rows: 300, Seed: 1})
	if err != nil || len(p) != 300 {
		t.Fatal(len(p), err)
	}
	again, _ := Select(1000, Design{Rows: 300, Seed: 1})
	other, _ := Select(1000, Design{Rows: 300, Seed: 2})
	if !slices.Equal(p, again) || slices.Equal(p, other) {
		t.Error("the seed must fix the rows")
	}
	sorted := slices.Sorted(slices.Values(p))
	if slices.Equal(sorted, p) || len(slices.Compact(sorted)) != 300 || sorted[0] < 0 || sorted[299] > 999 {
		t.Error("rows must be distinct positions in random order")
	}
	late, err := Select(1000, Design{Kind: "late:0.1", Rows: 101, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	n := map[bool]int{}
	for _, v := range late {
		if v >= 500 && v < 900 {
			t.Errorf("late design drew %d", v)
		}
		n[v >= 900]++
	}
	if n[true] != 51 || n[false] != 50 {
		t.Errorf("late design drew %v", n)
	}
	all, _ := Select(100, Design{Kind: "all", Window: [2]float64{0.5, 1}})
	if len(all) != 50 || slices.Min(all) != 50 {
		t.Errorf("all of the second half: %d rows from %d", len(all), slices.Min(all))
	}
	for _, bad := range []Design{{Rows: 1001}, {Kind: "late:0.9"}, {Kind: "early"}, {Kind: "late:0.05", Rows: 200}, {Window: [2]float64{1, 2}}} {
		if _, err := Select(1000, bad); err == nil || fault.As(err) == nil {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	// Each of 5 positions is equally likely to be among 2 drawn: 4,000 draws, chi-squared df 4.
	count := make([]float64, 5)
	for seed := range uint64(4000) {
		p, _ := Select(5, Design{Rows: 2, Seed: seed})
		for _, v := range p {
			count[v]++
		}
	}
	x := 0.0
	for _, c := range count {
		x += (c - 1600) * (c - 1600) / 1600
	}
	if x > 18.5 { // 0.1 % (scipy chi2.isf(1e-3, 4) = 18.47; drawing without replacement only lowers x)
		t.Errorf("positions drawn %v times, want about 1,600 each", count)
	}
}

// The table of another program (testdata/fixtures.py, pyarrow 26): L = -mean loss.
func TestBMT(t *testing.T) {
	s, err := BMT("testdata/bmt.parquet", "loss_suspect", []string{"loss_ref"})
	if err != nil {
		t.Fatal(err)
	}
	if want := []int64{0, 1, 2, 3, 4, 5}; !slices.Equal(s.Pos, want) {
		t.Errorf("positions %v", s.Pos)
	}
	if want := []float64{-3, -2.5, -2, -1.5, -1, -1}; !slices.Equal(s.L[0], want) {
		t.Errorf("suspect %v, want %v", s.L[0], want)
	}
	if want := []float64{-3, -2, -2, -2, -2, -2}; !slices.Equal(s.L[1], want) {
		t.Errorf("reference %v, want %v", s.L[1], want)
	}
	r := mustQuery(t, s, Options{})
	if r.Verdict.Tier != probes.TierB || estimate(t, r, "rho") <= 0 {
		t.Errorf("%+v", r.Verdict)
	}
	for _, c := range [][2]string{{"loss_none", `no column "loss_none", found loss_suspect, loss_ref`}, {"index", ""}} {
		_, err := BMT("testdata/bmt.parquet", c[0], nil)
		if c[1] != "" && (err == nil || !strings.Contains(err.Error(), c[1])) {
			t.Errorf("column %s: %v", c[0], err)
		}
	}
	if _, err := BMT("testdata/pyarrow.parquet", "loss", nil); err == nil {
		t.Error("a table without index was accepted")
	}
}

package palimpsest

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"testing"

	"assay/probes"
)

// npy reads the payload of a C-order array after its header.
func npy(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(b, []byte("\x93NUMPY\x01\x00")) {
		t.Fatalf("%s is not a version 1 npy file", path)
	}
	return b[10+int(binary.LittleEndian.Uint16(b[8:])):]
}

const demoRows, demoTokens, demoRun = 6000, 64, 20160

// demo is the recorded transcript of the demo run and what five checkpoints say
// about 6,000 of its rows: testdata/demo_scores.npy, written by demo_scores.py
// (torch 2.15, transformers 5.23).
type demo struct {
	t      *Transcript
	scores map[string]Scores
}

func loadDemo(t testing.TB) demo {
	t.Helper()
	raw := npy(t, "../../testdata/demo/transcript.npy")
	tab := npy(t, "testdata/demo_scores.npy")
	at := func(row, i int) float64 {
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(tab[4*(row*demoRows+i):])))
	}
	tr := &Transcript{Meta: Meta{N: demoRun, Design: "uniform", Order: "sha256:demo", Generator: "numpy PCG64 default_rng(12).permutation", RowTokens: demoTokens}}
	for i := range demoRows {
		p := int64(at(0, i))
		tr.Seq = append(tr.Seq, p)
		tr.Positions = append(tr.Positions, []int64{p})
		ids := make([]uint32, demoTokens)
		for k := range ids {
			ids[k] = uint32(binary.LittleEndian.Uint16(raw[2*(int(p)*demoTokens+k):]))
		}
		tr.IDs = append(tr.IDs, ids)
	}
	if err := tr.Derive(); err != nil {
		t.Fatal(err)
	}
	d := demo{t: tr, scores: map[string]Scores{}}
	for row, name := range []string{"", "alice", "alice-half", "bob", "carol", "reference"} {
		if name == "" {
			continue
		}
		var rows []Score
		for i := range demoRows {
			rows = append(rows, Score{Seq: tr.Seq[i], SHA256: tr.SHA256[i], Sum: 63 * at(row, i), Scored: 63, Bytes: -1})
		}
		d.scores[name] = scoresOf(name, rows)
	}
	return d
}

func scoresOf(name string, rows []Score) Scores {
	return Scores{Name: name, Digest: "sha256:" + name, Weights: "sha256:w-" + name, Text: "sha256:text", Tokenizer: "sha256:tok", Policy: "full", Precision: "f32",
		Rows: func(yield func(Score, error) bool) {
			for _, r := range rows {
				if !yield(r, nil) {
					return
				}
			}
		}}
}

func (d demo) query(t testing.TB, suspect string, refs []string, j JoinOptions, o Options) probes.Result {
	t.Helper()
	var rs []Scores
	for _, r := range refs {
		rs = append(rs, d.scores[r])
	}
	s, err := Join(d.t, d.scores[suspect], rs, j)
	if err != nil {
		t.Fatal(err)
	}
	if o.Perm == 0 {
		o.Perm = 999
	}
	return mustQuery(t, s, o)
}

// The verdicts that the models' histories call for. Correlations of the table in
// testdata/demo/README.md (torch 2.15, scipy 1.17; rows with equal content kept).
func TestDemo(t *testing.T) {
	d := loadDemo(t)
	keep := JoinOptions{Duplicates: "keep"}
	half := JoinOptions{Duplicates: "keep", Window: [2]float64{0, 0.5}}
	for _, c := range []struct {
		suspect            string
		alone, diff, first [2]float64 // rho, two-sided log10 p
		finding            string
	}{
		{"alice", [2]float64{0.1088, -16.5}, [2]float64{0.3415, -163.0}, [2]float64{0.0683, -3.8}, Dependence},
		{"alice-half", [2]float64{-0.0520, -4.3}, [2]float64{-0.0819, -9.7}, [2]float64{0.3947, -112.1}, InvalidSetup},
		{"bob", [2]float64{0.1031, -14.9}, [2]float64{0.1618, -35.7}, [2]float64{0.0401, -1.6}, Dependence},
		{"carol", [2]float64{-0.0163, -0.7}, [2]float64{0.0065, -0.2}, [2]float64{-0.0069, -0.2}, NotFound},
	} {
		t.Run(c.suspect, func(t *testing.T) {
			alone := d.query(t, c.suspect, nil, keep, Options{})
			diff := d.query(t, c.suspect, []string{"reference"}, keep, Options{})
			first := d.query(t, c.suspect, []string{"reference"}, half, Options{})
			for _, e := range []struct {
				name string
				r    probes.Result
				want [2]float64
			}{{"alone", alone, c.alone}, {"against reference", diff, c.diff}, {"first half", first, c.first}} {
				if rho := estimate(t, e.r, "rho"); math.Abs(rho-e.want[0]) > 1e-4 {
					t.Errorf("%s: rho %.5f, want %.4f", e.name, rho, e.want[0])
				}
				if lp := log10P(t, e.r, "spearman_t_two"); math.Abs(lp-e.want[1]) > 0.1 {
					t.Errorf("%s: two-sided log10 p %.3f, want %.1f", e.name, lp, e.want[1])
				}
			}
			t.Logf("%s: verdict log10 p %.2f tier %s %s: %s", c.suspect, log10P(t, diff, "verdict"), diff.Verdict.Tier, diff.Verdict.Finding, diff.Verdict.Says)
			for _, w := range diff.Warnings {
				t.Log(w)
			}
			if lp := log10P(t, first, "verdict"); c.suspect == "alice-half" && (first.Verdict.Finding != Dependence || lp > -30) {
				t.Errorf("restricted to its half of the run: %s, verdict log10 p %.1f, want below -30", first.Verdict.Finding, lp)
			}
			t.Logf("%s, first half: verdict log10 p %.2f %s", c.suspect, log10P(t, first, "verdict"), first.Verdict.Finding)
			if diff.Verdict.Finding != c.finding {
				t.Errorf("finding %s, want %s", diff.Verdict.Finding, c.finding)
			}
			if wrong := c.finding == InvalidSetup; wrong != hasWarning(diff, "wrong-sign") || wrong != (diff.Verdict.Tier == probes.TierC) || wrong != (len(diff.P) == 0) {
				t.Errorf("tier %s, %d p-values, warnings %v", diff.Verdict.Tier, len(diff.P), diff.Warnings)
			}
		})
	}
}

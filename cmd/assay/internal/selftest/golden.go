package selftest

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io/fs"
	"iter"
	"math"
	"os"
	"path"
	"path/filepath"
	"runtime"

	"assay/model"
	"assay/testdata"
	"assay/weights"
)

// goldenNames are the embedded checkpoints.
var goldenNames = [...]string{"gpt_neox-parallel", "llama-llama3"}

// Tolerances of testdata/reference/README.md.
const (
	tolLogprob = 5e-5
	tolHidden  = 1e-4
)

// unpack writes an embedded checkpoint to a temporary folder.
func unpack(name string) (dir string, done func(), err error) {
	dir, err = os.MkdirTemp("", "assay-doctor-")
	if err != nil {
		return "", nil, err
	}
	done = func() { os.RemoveAll(dir) }
	from := path.Join("reference", name)
	entries, err := testdata.Golden.ReadDir(from)
	for _, e := range entries {
		var b []byte
		if b, err = fs.ReadFile(testdata.Golden, path.Join(from, e.Name())); err == nil {
			err = os.WriteFile(filepath.Join(dir, e.Name()), b, 0o600)
		}
		if err != nil {
			break
		}
	}
	if err != nil {
		done()
		return "", nil, err
	}
	return dir, done, nil
}

// golden holds expected values, by sequence.
type golden struct {
	ids     [][]int32
	logprob [][]float64
	hidden  []float64 // hidden.0.final
	text    string    // of the last sequence, if it came from a text
}

func readGolden(dir string) (*golden, error) {
	var meta struct {
		Sequences []struct {
			Text string `json:"text"`
		} `json:"sequences"`
	}
	b, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &meta); err != nil {
		return nil, err
	}
	ck, err := weights.Open(filepath.Join(dir, "expected.safetensors"))
	if err != nil {
		return nil, err
	}
	defer ck.Close()
	g := &golden{}
	for s, seq := range meta.Sequences {
		ids, err := raw(ck, fmt.Sprintf("ids.%d", s))
		if err != nil {
			return nil, err
		}
		lp, err := raw(ck, fmt.Sprintf("logprob.%d", s))
		if err != nil {
			return nil, err
		}
		var x []int32
		for i := 0; i < len(ids); i += 8 {
			x = append(x, int32(binary.LittleEndian.Uint64(ids[i:])))
		}
		var y []float64
		for i := 0; i < len(lp); i += 8 {
			y = append(y, math.Float64frombits(binary.LittleEndian.Uint64(lp[i:])))
		}
		g.ids, g.logprob = append(g.ids, x), append(g.logprob, y)
		if seq.Text != "" {
			g.text = seq.Text
		}
	}
	final, err := raw(ck, "hidden.0.final")
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(final); i += 4 {
		g.hidden = append(g.hidden, float64(math.Float32frombits(binary.LittleEndian.Uint32(final[i:]))))
	}
	return g, nil
}

func raw(ck *weights.Checkpoint, name string) ([]byte, error) {
	b, _, err := ck.Raw(name)
	return b, err
}

func checkGolden(ctx context.Context, o *Options) []Check {
	var out []Check
	for _, name := range goldenNames {
		out = append(out, checkOne(ctx, o, name)...)
	}
	return out
}

func checkOne(ctx context.Context, o *Options, name string) []Check {
	label := "golden " + name
	dir, done, err := unpack(name)
	if err != nil {
		return one(label, Fail, "", "%v", err)
	}
	defer done()
	return checkDir(ctx, o, label, dir)
}

// checkDir scores one golden checkpoint in small and large batches, on one
// thread and on all, and holds the results against float64 and each other.
func checkDir(ctx context.Context, o *Options, label, dir string) []Check {
	g, err := readGolden(dir)
	if err != nil {
		return one(label, Fail, "", "%v", err)
	}
	all := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(all)
	var first []float32
	var worst, spread, hidden float64
	for _, threads := range []int{all, 1} {
		for _, batch := range []int{2, 64 * 192} {
			lp, h, err := score(ctx, dir, o.Backend, threads, batch, g)
			if err != nil {
				return one(label, Fail, "", "%v", err)
			}
			worst = max(worst, against(lp, g.logprob))
			hidden = max(hidden, relative(h, g.hidden))
			if first == nil {
				first = lp
			}
			for i := range lp {
				spread = max(spread, math.Abs(float64(lp[i])-float64(first[i])))
			}
		}
	}
	text := fmt.Sprintf("log-prob within %.1e nats of float64 (limit %.0e), hidden state %.1e relative (limit %.0e); batches and threads differ by %.1e (limit %.0e)",
		worst, tolLogprob, hidden, tolHidden, spread, model.InvarianceBound)
	if !(worst <= tolLogprob && hidden <= tolHidden && spread <= model.InvarianceBound) {
		return one(label, Fail, "do not trust results of this machine and build", "%s", text)
	}
	return one(label, OK, "", "%s", text)
}

// score returns the log-probabilities of all sequences, one after the other, and
// the final hidden state of sequence 0.
func score(ctx context.Context, dir, backend string, threads, batch int, g *golden) (lp []float32, hidden []float32, err error) {
	ck, err := weights.Open(dir)
	if err != nil {
		return nil, nil, err
	}
	defer ck.Close()
	m, err := model.Load(ctx, ck, model.Options{Backend: backend, Threads: threads, BatchTokens: batch})
	if err != nil {
		return nil, nil, err
	}
	defer m.Close()
	windows := iter.Seq2[model.Window, error](func(yield func(model.Window, error) bool) {
		for s, ids := range g.ids {
			if !yield(model.Window{Doc: s, IDs: ids[:len(ids)-1], Targets: ids[1:]}, nil) {
				return
			}
		}
	})
	err = m.Run(ctx, windows, model.Job{
		Score: &model.ScoreOptions{},
		Emit:  func(_ model.Window, s model.Scores) error { lp = append(lp, s.Logprob...); return nil },
		Taps:  []model.Tap{{Name: model.TapFinalNorm}},
		Reduce: func(w model.Window, _ model.Tap, _ int, x model.View) error {
			if w.Doc == 0 {
				hidden = append(hidden, x.X[:x.Rows*x.Width]...)
			}
			return nil
		},
	})
	return lp, hidden, err
}

func against(lp []float32, want [][]float64) (worst float64) {
	for _, seq := range want {
		for _, w := range seq {
			if len(lp) == 0 {
				return math.Inf(1)
			}
			worst = math.Max(worst, math.Abs(float64(lp[0])-w))
			lp = lp[1:]
		}
	}
	return worst
}

// relative is the largest difference in units of want's root mean square. got
// may lack want's last row, which the scoring pass does not feed.
func relative(got []float32, want []float64) float64 {
	if len(got) == 0 || len(got) > len(want) {
		return math.Inf(1)
	}
	var sq, worst float64
	for i, x := range got {
		sq += want[i] * want[i]
		worst = math.Max(worst, math.Abs(float64(x)-want[i]))
	}
	return worst / math.Sqrt(sq/float64(len(got)))
}

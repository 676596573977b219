package palimpsest

import (
	"fmt"
	"math"
	"strings"

	"github.com/parquet-go/parquet-go"

	"assay/internal/fault"
)

// BMT reads a table of RohithKuditipudi/blackbox-model-tracing: column index is the
// position of a row in the run, columns loss_* hold one list of token losses per
// row. Scores are L = -mean of the list, so the sign of rho is the opposite of that
// code's. The table does not say how rows were chosen or what they hold: no
// covariates are checked, and the tier is at most B.
func BMT(path, suspectColumn string, refColumns []string) (*Sample, error) {
	f, p, err := parquetAt(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	pos, err := p.ints("index")
	if err != nil {
		return nil, err
	}
	s := &Sample{Measure: "nats/token", Pos: pos, Settings: map[string]any{"bmt": path}}
	seen := make(map[int64]int, len(pos))
	for i, t := range pos {
		if j, ok := seen[t]; ok || t < 0 {
			return nil, fault.Inputf("duplicate", "palimpsest: %s: rows %d and %d have index %d, want distinct indices from 0", path, j, i, t)
		}
		seen[t] = i
		s.Seq = append(s.Seq, t)
		s.Stored = append(s.Stored, int32(i))
	}
	for k, c := range append([]string{suspectColumn}, refColumns...) {
		if !p.has(c) {
			return nil, fault.Inputf("malformed", "palimpsest: %s: no column %q, found %s", path, c, strings.Join(p.lossColumns(), ", ")).
				Hint("name the columns with --suspect-col and --ref-col")
		}
		var l []float64
		err := p.rows(c, func(_ int, v []parquet.Value) error {
			sum := 0.0
			for _, e := range v {
				x, err := asFloat(e)
				if err != nil {
					return err
				}
				sum += x
			}
			if len(v) == 0 {
				sum = math.NaN()
			}
			l = append(l, -sum/float64(max(1, len(v))))
			return nil
		})
		if err != nil {
			return nil, err
		}
		if len(l) != len(pos) {
			return nil, fault.Inputf("malformed", "palimpsest: %s: column %s has %d rows, index has %d", path, c, len(l), len(pos))
		}
		role := "suspect"
		if k > 0 {
			role = "reference"
		}
		s.L = append(s.L, l)
		s.Models = append(s.Models, Model{Name: fmt.Sprintf("%s %s", role, c)})
	}
	s.sortBySeq()
	return s, s.finish()
}

func (p *pqFile) lossColumns() []string {
	var out []string
	for _, path := range p.f.Schema().Columns() {
		if strings.HasPrefix(path[0], "loss") {
			out = append(out, path[0])
		}
	}
	return out
}

package palimpsest

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"

	"assay/probes"
	"assay/probes/stat"
)

// bins is the number of equal-count position bins of the figure.
const bins = 20

// series returns the numbers behind the figures.
func (q *query) series() []probes.Series {
	ranks := q.t[0]
	if len(q.t) > 1 {
		ranks = stat.NewIntRanks(q.s.Pos)
	}
	byPos := ranks.Order()
	out := []probes.Series{q.binned("bins", byPos, byPos, q.d), q.trend(byPos)}
	out = append(out, q.binned("bins control random order", byPos, q.shuffled(byPos), q.d))
	for _, f := range q.refs {
		out = append(out, q.binned("bins control reference "+f.name, byPos, byPos, f.d))
	}
	if m := q.marks(byPos); len(m.Rows) > 0 {
		out = append(out, m)
	}
	if q.nullZ != nil {
		out = append(out, q.quantiles())
	}
	if q.o.Series {
		out = append(out, q.path())
	}
	return out
}

// span is the position range that percentages refer to: the run, or the rows when
// its length is unknown.
func (q *query) span(byPos []int32) float64 {
	if q.s.Meta.N > 0 {
		return float64(q.s.Meta.N)
	}
	return float64(q.s.Pos[byPos[len(byPos)-1]] + 1)
}

// binned averages d in equal-count bins of the given order of units, as
// differences from its overall mean. Positions come from the true order, byPos.
func (q *query) binned(name string, byPos, order []int32, d []float64) probes.Series {
	out := probes.Series{Name: name,
		Columns: []string{"pos_first", "pos_last", "pos_mid", "units", "mean_d", "se"},
		Units:   []string{"position", "position", "% of run", "units", q.s.Measure, q.s.Measure}}
	if q.s.Step != nil {
		out.Columns, out.Units = append(out.Columns, "step"), append(out.Units, "step")
	}
	m, _ := stat.MeanVar(d)
	sorted := take(q.s.Pos, byPos)
	size := q.span(byPos)
	k := min(bins, len(order)/2)
	for b := range k {
		lo, hi := b*len(order)/k, (b+1)*len(order)/k
		bm, bv := stat.MeanVar(take(d, order[lo:hi]))
		mid := 0.0
		for _, p := range sorted[lo:hi] {
			mid += float64(p)
		}
		mid = 100 * (mid/float64(hi-lo) + 0.5) / size
		row := []float64{float64(sorted[lo]), float64(sorted[hi-1]), mid, float64(hi - lo), bm - m, math.Sqrt(bv / float64(hi-lo))}
		if q.s.Step != nil {
			row = append(row, float64(q.s.Step[byPos[(lo+hi)/2]]))
		}
		out.Rows = append(out.Rows, row)
	}
	return out
}

// marks are the positions where checkpoints that serve as references end.
func (q *query) marks(byPos []int32) probes.Series {
	out := probes.Series{Name: "marks", Columns: []string{"pos"}, Units: []string{"% of run"}}
	for _, b := range q.o.RefBasis {
		if _, step, err := parseBasis(b); err == nil && step >= 0 { // all rows lie after it
			out.Labels = append(out.Labels, b)
			out.Rows = append(out.Rows, []float64{100 * float64(q.s.Pos[byPos[0]]) / q.span(byPos)})
		}
	}
	return out
}

// shuffled is the order of units under the first control order.
func (q *query) shuffled(byPos []int32) []int32 {
	out := slices.Clone(byPos)
	g := stat.NewRand(q.o.Seed, "figure-control", 0)
	g.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// trend is the least-squares line of d on position, at both ends.
func (q *query) trend(byPos []int32) probes.Series {
	size := q.span(byPos)
	x := make([]float64, q.l.n)
	for i, p := range q.s.Pos {
		x[i] = 100 * (float64(p) + 0.5) / size
	}
	mx, vx := stat.MeanVar(x)
	md, _ := stat.MeanVar(q.d)
	sxy := 0.0
	for i := range x {
		sxy += (x[i] - mx) * (q.d[i] - md)
	}
	slope := 0.0
	if vx > 0 {
		slope = sxy / (vx * float64(len(x)-1))
	}
	at := func(i int32) []float64 { return []float64{x[i], slope * (x[i] - mx)} }
	return probes.Series{Name: "trend", Columns: []string{"pos", "mean_d"}, Units: []string{"% of run", q.s.Measure},
		Rows: [][]float64{at(byPos[0]), at(byPos[len(byPos)-1])}}
}

// quantiles are the sorted log10 p of the control orders against those of a
// uniform law.
func (q *query) quantiles() probes.Series {
	lp := q.controlLogP()
	slices.Sort(lp)
	out := probes.Series{Name: "control orders", Columns: []string{"expected", "observed"}, Units: []string{"log10 p", "log10 p"}}
	for i, v := range lp {
		e := math.Log10((float64(i) + 0.5) / float64(len(lp)))
		out.Rows = append(out.Rows, []float64{e, clip(v / math.Ln10)})
	}
	return out
}

// path reads growing prefixes of the stored random order: the p-value that fewer
// rows would have given, beside Student's law for the final rho.
func (q *query) path() probes.Series {
	out := probes.Series{Name: "path", Columns: []string{"units", "rho", "log10_p", "log10_p_expected"},
		Units: []string{"units", "rank correlation", "log10 p", "log10 p"}}
	stored := q.s.Stored
	if stored == nil {
		stored = make([]int32, q.l.n)
		for i := range stored {
			stored[i] = int32(i)
		}
		g := stat.NewRand(q.o.Seed, "figure-path", 0)
		g.Shuffle(len(stored), func(i, j int) { stored[i], stored[j] = stored[j], stored[i] })
	}
	for f := min(20, float64(len(stored))); ; f = min(f*1.35, float64(len(stored))) {
		n := int(f)
		r, s := stat.NewIntRanks(take(q.s.Pos, stored[:n])), stat.NewRanks(take(q.d, stored[:n]))
		if rho := r.Rho(s); math.Abs(rho) < 1 {
			up, _ := stat.LogTailT(rho, n)
			want, _ := stat.LogTailT(q.r.rho, n)
			out.Rows = append(out.Rows, []float64{float64(n), rho, clip(up / math.Ln10), clip(want / math.Ln10)})
		}
		if n == len(stored) {
			return out
		}
	}
}

// WriteCSV writes a series with the digits of its JSON form: a header of names
// with units, then one record a row.
func WriteCSV(w io.Writer, s probes.Series) error {
	c := csv.NewWriter(w)
	var head []string
	if s.Labels != nil {
		head = append(head, "label")
	}
	for i, name := range s.Columns {
		head = append(head, name+" ["+s.Units[i]+"]")
	}
	if err := c.Write(head); err != nil {
		return err
	}
	for k, row := range s.Rows {
		rec := head[:0]
		if s.Labels != nil {
			rec = append(rec, s.Labels[k])
		}
		for _, v := range row {
			j, err := json.Marshal(v)
			if err != nil {
				return fmt.Errorf("palimpsest: series %s, row %d: %w", s.Name, k, err)
			}
			rec = append(rec, string(j))
		}
		if err := c.Write(rec); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

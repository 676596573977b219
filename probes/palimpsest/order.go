package palimpsest

import (
	"fmt"
	"math"

	"assay/internal/fault"
	"assay/probes"
	"assay/probes/stat"
)

// Check is one exchangeability check of an order or of a sample.
type Check struct {
	Name   string  `json:"name"`
	Value  float64 `json:"value"`
	Limit  float64 `json:"limit"`
	Pass   bool    `json:"pass"`
	Code   string  `json:"code"` // of the warning when it fails
	Text   string  `json:"text"`
	Leak   float64 `json:"leak"`             // |rho(t,c) rho(c,d)|; 0 for checks of the full order
	Modal  int64   `json:"modal,omitempty"`  // run length of a blocky order
	Log10P float64 `json:"log10p,omitempty"` // before multiplicity
}

func (c Check) result() probes.Check {
	return probes.Check{Name: c.Name, Value: c.Value, Limit: c.Limit, Pass: c.Pass, Text: c.Text}
}

// CheckOrder holds a full training order against "drawn at random": ids[p] is the
// instance at position p. It looks for drift (rank correlation of position and
// id, correlation of neighbouring ids; fails below log10 p = -3) and for blocks
// (more than 1 % of neighbours with consecutive ids; it then names the most common
// run length, the unit that was really shuffled). Ids must mean something, such as
// the place in the corpus. O(n log n), O(n) when ids are a permutation of 0..n-1.
func CheckOrder(ids []int64) ([]Check, error) {
	n := len(ids)
	if n < 5 {
		return nil, fault.Inputf("too-few", "palimpsest: order: %d positions, want at least 5", n)
	}
	next, modal := runs(ids)
	share := float64(next) / float64(n-1)
	// A random order of few ids has about one such neighbour: eleven are needed.
	blocky := Check{Name: "neighbours with consecutive ids", Value: share, Limit: 0.01, Pass: share <= 0.01 || next <= 10, Code: "order-blocky",
		Text: fmt.Sprintf("share of neighbours whose id is one higher, %d of %d", next, n-1)}
	if !blocky.Pass {
		blocky.Modal = modal
		blocky.Text += fmt.Sprintf("; the most common run holds %d ids: name that block as the unit", modal)
		// Inside blocks neighbours agree whatever the order: look for drift among blocks.
		if heads := runHeads(ids); len(heads) >= 5 {
			ids = heads
		}
	}
	rho, err := orderRho(ids)
	if err != nil {
		return nil, err
	}
	_, two := stat.LogTailT(rho, len(ids))
	lag := lagOne(ids)
	logLag := min(0, stat.LogTailNormal(math.Abs(lag)*math.Sqrt(float64(len(ids))))+math.Ln2)
	return []Check{
		{Name: "position vs instance id", Value: clip(two / math.Ln10), Limit: -3, Pass: two/math.Ln10 >= -3, Code: "order-drift",
			Text: fmt.Sprintf("log10 p of Spearman's rho %.5f over %d positions", rho, len(ids))},
		{Name: "lag-1 autocorrelation of ids", Value: clip(logLag / math.Ln10), Limit: -3, Pass: logLag/math.Ln10 >= -3, Code: "order-drift",
			Text: fmt.Sprintf("log10 p of autocorrelation %.5f over %d positions", lag, len(ids))},
		blocky,
	}, nil
}

// runHeads is the first id of each maximal run of consecutive ids.
func runHeads(ids []int64) []int64 {
	var out []int64
	for i, v := range ids {
		if i == 0 || v != ids[i-1]+1 {
			out = append(out, v)
		}
	}
	return out
}

// clip keeps a log p finite for JSON: rho of exactly 1 has none.
func clip(v float64) float64 { return max(v, -1e6) }

// orderRho is the rank correlation of position and id. Positions are 0..n-1, so
// for a permutation no sort is needed.
func orderRho(ids []int64) (float64, error) {
	n := int64(len(ids))
	seen := make([]uint64, (n+63)/64)
	perm := true
	for _, v := range ids {
		if v < 0 || v >= n || seen[v/64]>>(v%64)&1 == 1 {
			perm = false
			break
		}
		seen[v/64] |= 1 << (v % 64)
	}
	c := float64(n-1) / 2
	var xy, yy, xx float64
	if perm {
		for p, v := range ids {
			a, b := float64(p)-c, float64(v)-c
			xy += a * b
			xx += a * a
		}
		return xy / xx, nil
	}
	r := stat.NewIntRanks(ids)
	if r.Ties == len(ids) {
		return 0, fault.Inputf("constant", "palimpsest: order: all ids equal %d", ids[0])
	}
	for p, v := range r.C {
		a, b := float64(p)-c, float64(v)
		xy += a * b
		xx += a * a
		yy += b * b
	}
	return xy / math.Sqrt(xx*yy), nil
}

func lagOne(ids []int64) float64 {
	m := 0.0
	for _, v := range ids {
		m += float64(v)
	}
	m /= float64(len(ids))
	var c, s float64
	for i, v := range ids {
		d := float64(v) - m
		s += d * d
		if i > 0 {
			c += d * (float64(ids[i-1]) - m)
		}
	}
	if s == 0 {
		return 0
	}
	return c / s
}

// runs counts neighbours with consecutive ids and finds the most common length of
// a maximal run of at least two (the longer one of equals).
func runs(ids []int64) (next, modal int64) {
	count := map[int64]int64{}
	length := int64(1)
	end := func() {
		if length > 1 {
			count[length]++
		}
		length = 1
	}
	for i := 1; i < len(ids); i++ {
		if ids[i] == ids[i-1]+1 {
			next++
			length++
		} else {
			end()
		}
	}
	end()
	best := int64(0)
	for l, c := range count {
		if c > best || c == best && l > modal {
			best, modal = c, l
		}
	}
	return next, modal
}

package membership

import (
	"math"
	"sync/atomic"

	"assay/probes/stat"
)

// maxExact is the largest number of arrangements that are enumerated.
const maxExact = 1 << 20

// permute returns the log p of an AUC at least as large when labels are dealt anew
// over groups, keeping the number of member groups: exact up to 2^20 arrangements,
// else (1+hits)/(1+B). Ties count as hits.
func (l *labelled) permute(o Options) (logP float64, exact bool) {
	ranks := stat.MidRanks(l.score)
	sum, size := make([]float64, len(l.class)), make([]float64, len(l.class))
	for i, g := range l.group {
		sum[g] += ranks[i]
		size[g]++
	}
	members := 0
	var r, s float64
	for g, c := range l.class {
		if c == 1 {
			members++
			r, s = r+sum[g], s+size[g]
		}
	}
	total := float64(len(l.score))
	auc := func(r, s float64) float64 {
		if s == 0 || s == total {
			return .5
		}
		return (r - s*(s+1)/2) / (s * (total - s))
	}
	limit := auc(r, s) - 1e-12
	if stat.LogChoose(int64(len(l.class)), int64(members)) <= math.Log(maxExact)+1e-9 {
		hits, all := 0.0, 0.0
		var walk func(g, left int, r, s float64)
		walk = func(g, left int, r, s float64) {
			if left == 0 {
				all++
				if auc(r, s) >= limit {
					hits++
				}
				return
			}
			for h := g; h <= len(sum)-left; h++ {
				walk(h+1, left-1, r+sum[h], s+size[h])
			}
		}
		walk(0, members, 0, 0)
		return math.Log(hits / all), true
	}
	var hits atomic.Int64
	parallel(o, func(j int, scratch *[]float64) {
		// Partial Fisher and Yates over group numbers kept as float64 scratch.
		if *scratch == nil {
			*scratch = make([]float64, len(l.class))
		}
		idx := *scratch
		for g := range idx {
			idx[g] = float64(g)
		}
		rng := stat.NewRand(o.Seed, "membership-perm", uint64(j))
		var r, s float64
		for k := range members {
			p := k + rng.IntN(len(idx)-k)
			idx[k], idx[p] = idx[p], idx[k]
			g := int(idx[k])
			r, s = r+sum[g], s+size[g]
		}
		if auc(r, s) >= limit {
			hits.Add(1)
		}
	})
	return math.Log(float64(hits.Load()+1) / float64(o.B+1)), false
}

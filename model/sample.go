package model

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// draws is the stream of uniform numbers of one continuation.
type draws struct{ key [32]byte }

// newDraws keys a stream by its names: equal names give equal numbers, whatever
// else is drawn.
func newDraws(seed uint64, id string, sample int) draws {
	return draws{sha256.Sum256(fmt.Appendf(nil, "assay.generate/1\n%d\n%d\n%s", seed, sample, id))}
}

// at is number i of the stream, in [0, 1).
func (d draws) at(i int) float64 {
	var b [40]byte
	copy(b[:], d.key[:])
	binary.LittleEndian.PutUint64(b[32:], uint64(i))
	h := sha256.Sum256(b[:])
	return float64(binary.LittleEndian.Uint64(h[:])>>11) * 0x1p-53
}

// law is the distribution that a token is drawn from.
type law struct {
	temperature float64
	topK        int
	topP        float64
}

// pick returns the id at quantile u of the law of logits z: ids ascending, the
// first whose cumulated probability exceeds u.
func (l law) pick(z []float32, u float64) int32 {
	ids, ps := l.probabilities(z)
	sum := 0.0
	for _, p := range ps {
		sum += p
	}
	u *= sum
	acc := 0.0
	for i, p := range ps {
		if acc += p; u < acc {
			return ids[i]
		}
	}
	return ids[len(ids)-1]
}

// probabilities returns the ids that the law keeps, ascending, and their
// probabilities, which sum to 1 up to rounding. Entries of -Inf are never kept.
func (l law) probabilities(z []float32) (ids []int32, ps []float64) {
	top := math.Inf(-1)
	for _, v := range z {
		top = max(top, float64(v))
	}
	low := float32(math.Inf(-1))
	if l.topK > 0 && l.topK < len(z) {
		k := largest(z, l.topK)
		low = z[k[len(k)-1]] // ties of the last stay
	}
	for i, v := range z {
		if v >= low && !math.IsInf(float64(v), -1) {
			ids = append(ids, int32(i))
			ps = append(ps, math.Exp((float64(v)-top)/l.temperature))
		}
	}
	normalise(ps)
	if l.topP == 0 || l.topP == 1 {
		return ids, ps
	}
	// From the least probable on, those stay out that together have 1 - TopP at most.
	order := make([]int, len(ps))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(ps[a], ps[b]) })
	keep := make([]bool, len(ps))
	acc := 0.0
	for n, i := range order {
		acc += ps[i]
		keep[i] = acc > 1-l.topP || n == len(order)-1
	}
	n := 0
	for i := range ids {
		if keep[i] {
			ids[n], ps[n] = ids[i], ps[i]
			n++
		}
	}
	ids, ps = ids[:n], ps[:n]
	normalise(ps)
	return ids, ps
}

func normalise(ps []float64) {
	sum := 0.0
	for _, p := range ps {
		sum += p
	}
	for i := range ps {
		ps[i] /= sum
	}
}

// row is what one row of logits says beside the token that is drawn from it.
type row struct {
	best   int32   // smallest id of the largest logit
	gap    float64 // to the second largest
	logSum float64 // ln sum exp(z)
}

func readRow(z []float32) row {
	r := row{}
	second := math.Inf(-1)
	for i, v := range z[1:] {
		switch {
		case v > z[r.best]:
			second, r.best = float64(z[r.best]), int32(i+1)
		case float64(v) > second:
			second = float64(v)
		}
	}
	top := float64(z[r.best])
	r.gap = top - second
	sum := 0.0
	for _, v := range z {
		if x := float64(v) - top; x > -44 { // below e^-44 a million entries add nothing to a float64
			sum += math.Exp(x)
		}
	}
	r.logSum = top + math.Log(sum)
	return r
}

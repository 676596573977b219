package ghost

import (
	"math"

	"assay/internal/fault"
)

// TrapText is one text sampled from a reference model, with its ids after
// tokenising again and its perplexity under that model.
type TrapText struct {
	Text       string
	IDs        []int32
	Perplexity float64
}

// TrapOptions choose the pool of kind trap.
type TrapOptions struct {
	Tokens  int     // wanted length after tokenising again: 25, 50 or 100
	Lo, Hi  float64 // perplexity bucket [Lo, Hi), usually 10 wide
	Jaccard float64 // largest token overlap of two texts; usually .6
}

// TrapDrops counts what TrapPool left out, by reason.
type TrapDrops struct {
	Length  int `json:"length"`
	Bucket  int `json:"bucket"`
	Overlap int `json:"overlap"`
}

// TrapPool filters sampled texts into a pool for Spec.Traps. It looks at the
// whole list and must run before any index is drawn: filtering once it is known
// which text was planted breaks exchangeability. Of two texts that overlap too
// much the later one goes. O(n^2) comparisons of token sets.
func TrapPool(texts []TrapText, o TrapOptions) ([]string, TrapDrops, error) {
	if o.Tokens < 1 || !(o.Lo < o.Hi) || !(o.Jaccard > 0 && o.Jaccard <= 1) {
		return nil, TrapDrops{}, fault.Usagef("ghost: traps: found length %d, bucket [%v, %v), overlap %v: want length >= 1, lo < hi, overlap in (0, 1]", o.Tokens, o.Lo, o.Hi, o.Jaccard)
	}
	var pool []string
	var sets []map[int32]bool
	var drops TrapDrops
	for i, t := range texts {
		switch {
		case math.IsNaN(t.Perplexity) || t.Perplexity < 1:
			return nil, drops, fault.Inputf("nonfinite", "ghost: trap %d: found perplexity %v, want a number of at least 1", i, t.Perplexity)
		case len(t.IDs) != o.Tokens:
			drops.Length++
			continue
		case t.Perplexity < o.Lo || t.Perplexity >= o.Hi:
			drops.Bucket++
			continue
		}
		set := make(map[int32]bool, len(t.IDs))
		for _, id := range t.IDs {
			set[id] = true
		}
		near := false
		for _, s := range sets {
			if near = jaccard(set, s) > o.Jaccard; near {
				break
			}
		}
		if near {
			drops.Overlap++
			continue
		}
		sets = append(sets, set)
		pool = append(pool, t.Text)
	}
	return pool, drops, nil
}

func jaccard(a, b map[int32]bool) float64 {
	both := 0
	for id := range a {
		if b[id] {
			both++
		}
	}
	return float64(both) / float64(len(a)+len(b)-both)
}

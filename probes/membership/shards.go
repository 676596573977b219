package membership

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"assay/internal/fault"
	"assay/model/trace"
	"assay/probes/stat"
)

// Shuffling says how a published file is cut and shuffled for the order test.
type Shuffling struct {
	Shards, Shuffles int
	Separator        string // between examples, as in the file
	Seed             uint64
}

// OrderPlan holds the texts that the order test scores: every shard in its published
// order (shuffle 0) and in uniform shuffles.
type OrderPlan struct {
	Shuffling
	examples []Example
	from     []int // first example of each shard, and the end
}

// PlanOrder cuts examples into shards of nearly equal numbers. A shard of one example
// has no other order, so there must be at least twice as many examples as shards.
func PlanOrder(examples []Example, s Shuffling) (*OrderPlan, error) {
	if s.Shards < 2 || s.Shuffles < 1 {
		return nil, fault.Usagef("membership: order: found %d shards with %d shuffles, want at least 2 and 1", s.Shards, s.Shuffles)
	}
	if len(examples) < 2*s.Shards {
		return nil, fault.Inputf("too-few", "membership: order: found %d examples for %d shards, want at least two each", len(examples), s.Shards)
	}
	p := &OrderPlan{Shuffling: s, examples: examples}
	for i := range s.Shards + 1 {
		p.from = append(p.from, i*len(examples)/s.Shards)
	}
	return p, nil
}

// Shards returns their number.
func (p *OrderPlan) Shards() int { return len(p.from) - 1 }

// Size returns the number of examples of a shard.
func (p *OrderPlan) Size(shard int) int { return p.from[shard+1] - p.from[shard] }

// Text returns a shard in its published order (shuffle 0) or in shuffle j, which is a
// function of (seed, shard, j) alone.
func (p *OrderPlan) Text(shard, shuffle int) string {
	own := p.examples[p.from[shard]:p.from[shard+1]]
	out := make([]string, len(own))
	if shuffle == 0 {
		for i, e := range own {
			out[i] = e.Text
		}
	} else {
		for i, k := range stat.NewRand(p.Seed, fmt.Sprintf("order-shuffle:%d", shard), uint64(shuffle)).Perm(len(own)) {
			out[i] = own[k].Text
		}
	}
	return strings.Join(out, p.Separator)
}

// ShardScores collects the scores of a plan's texts from traces whose documents are
// named o<shard>/<shuffle>.
type ShardScores struct {
	plan *OrderPlan
	sum  [][]float64 // by shard and shuffle; NaN = not scored
}

// NewShardScores starts with nothing scored.
func NewShardScores(p *OrderPlan) *ShardScores {
	s := &ShardScores{plan: p, sum: make([][]float64, p.Shards())}
	for i := range s.sum {
		s.sum[i] = make([]float64, p.Shuffles+1)
		for j := range s.sum[i] {
			s.sum[i][j] = math.NaN()
		}
	}
	return s
}

// Add takes one document. Its text must be the plan's, whole in one window: a shard
// that was cut would be scored on other words in every order.
func (s *ShardScores) Add(d trace.Doc) error {
	var i, j int
	a, b, ok := strings.Cut(strings.TrimPrefix(d.ID, "o"), "/")
	if ok {
		var e1, e2 error
		i, e1 = strconv.Atoi(a)
		j, e2 = strconv.Atoi(b)
		ok = e1 == nil && e2 == nil && strings.HasPrefix(d.ID, "o")
	}
	if !ok || i < 0 || i >= len(s.sum) || j < 0 || j > s.plan.Shuffles {
		return fault.Inputf("texts", "membership: order: document %q: want o<shard>/<shuffle> with shards 0..%d and shuffles 0..%d", d.ID, len(s.sum)-1, s.plan.Shuffles)
	}
	if want := trace.TextDoc(0, d.ID, []byte(s.plan.Text(i, j))).SHA256; d.SHA256 != want {
		return fault.Inputf("texts", "membership: order: document %q: found sha256 %x, want %x (other examples, shards, separator or seed)", d.ID, d.SHA256[:6], want[:6])
	}
	if d.Status != trace.StatusOK || d.Windows > 1 {
		return fault.Inputf("too-long", "membership: order: document %q: found status %s, %d tokens in %d windows, want a shard within one window", d.ID, d.Status, d.Tokens, d.Windows).
			Hint("use more --shards")
	}
	if v := d.SumLogprob; math.IsNaN(v) || math.IsInf(v, 0) {
		return fault.Inputf("nonfinite", "membership: order: document %q: found a sum of %v nats, want a finite number", d.ID, v)
	}
	s.sum[i][j] = d.SumLogprob
	return nil
}

// Stopped says whether h shuffles of a shard reached its published order.
func (s *ShardScores) Stopped(shard, h int) bool {
	hits := 0
	for _, v := range s.sum[shard][1:] {
		if v >= s.sum[shard][0]-1e-12*max(1, math.Abs(s.sum[shard][0])) {
			hits++
		}
	}
	return h > 0 && hits >= h
}

// Shards returns what Order tests. Without early stopping (h = 0) every shuffle of
// every shard must be there; with it a shard ends at its last scored shuffle.
func (s *ShardScores) Shards(h int) ([]Shard, error) {
	out := make([]Shard, len(s.sum))
	for i, x := range s.sum {
		n := 0
		for n < len(x) && !math.IsNaN(x[n]) {
			n++
		}
		if n < 2 || n < len(x) && !s.Stopped(i, h) {
			return nil, fault.Inputf("shuffles", "membership: order: shard %d: found %d of %d orders scored, the first missing is o%d/%d", i, n, len(x), i, n)
		}
		out[i] = Shard{Canonical: x[0], Shuffled: append([]float64(nil), x[1:n]...)}
	}
	return out, nil
}

// WriteShards writes one row per shard: examples, the published order's log-probability,
// the mean of its shuffles, their number and the rank.
func WriteShards(w io.Writer, p *OrderPlan, shards []Shard) error {
	ranks, gain := ranksOf(shards)
	c := csv.NewWriter(w)
	if err := c.Write([]string{"shard", "examples", "published [nats]", "minus mean shuffle [nats]", "shuffles", "rank"}); err != nil {
		return err
	}
	for i, s := range shards {
		if err := c.Write([]string{strconv.Itoa(i), strconv.Itoa(p.Size(i)), fmt.Sprint(s.Canonical), fmt.Sprint(gain[i]), strconv.Itoa(len(s.Shuffled)), strconv.Itoa(ranks[i])}); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

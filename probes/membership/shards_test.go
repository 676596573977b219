package membership

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/model/trace"
)

func shardPlan(t *testing.T, n int, s Shuffling) *OrderPlan {
	t.Helper()
	var ex []Example
	for i := range n {
		ex = append(ex, Example{ID: fmt.Sprint(i), Text: fmt.Sprintf("example %d", i)})
	}
	p, err := PlanOrder(ex, s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Every example is in one shard, shuffle 0 is the file's order, a shuffle holds the same
// examples, and it depends on seed, shard and number alone.
func TestPlanOrder(t *testing.T) {
	s := Shuffling{Shards: 4, Shuffles: 6, Separator: "|", Seed: 3}
	p := shardPlan(t, 23, s)
	var all []string
	for i := range p.Shards() {
		own := strings.Split(p.Text(i, 0), "|")
		if len(own) != p.Size(i) || len(own) < 5 {
			t.Errorf("shard %d holds %d examples, Size says %d", i, len(own), p.Size(i))
		}
		all = append(all, own...)
		sorted := slices.Sorted(slices.Values(own))
		for j := 1; j <= 6; j++ {
			x := strings.Split(p.Text(i, j), "|")
			if !slices.Equal(slices.Sorted(slices.Values(x)), sorted) {
				t.Errorf("shard %d, shuffle %d holds %q", i, j, x)
			}
		}
	}
	for i, x := range all {
		if x != fmt.Sprintf("example %d", i) {
			t.Fatalf("place %d: %q", i, x)
		}
	}
	s.Shuffles = 99
	if q := shardPlan(t, 23, s); q.Text(2, 5) != p.Text(2, 5) {
		t.Error("a shuffle changes with the number of shuffles")
	}
	for name, c := range map[string]struct {
		n int
		s Shuffling
	}{"one shard": {9, Shuffling{Shards: 1, Shuffles: 3}}, "no shuffle": {9, Shuffling{Shards: 2}}, "examples": {7, Shuffling{Shards: 4, Shuffles: 2}}} {
		if _, err := PlanOrder(make([]Example, c.n), c.s); fault.As(err) == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestShardScores(t *testing.T) {
	p := shardPlan(t, 8, Shuffling{Shards: 2, Shuffles: 3, Separator: "\n", Seed: 1})
	doc := func(i, j int, sum float64) trace.Doc {
		d := trace.TextDoc(0, fmt.Sprintf("o%d/%d", i, j), []byte(p.Text(i, j)))
		d.Status, d.Windows, d.Scored, d.SumLogprob = trace.StatusOK, 1, 5, sum
		return d
	}
	b := NewShardScores(p)
	for j := range 4 {
		if err := b.Add(doc(0, j, -10-float64(j))); err != nil {
			t.Fatal(err)
		}
		if j < 3 {
			if err := b.Add(doc(1, j, -10+float64(j))); err != nil { // both shuffles so far reach it
				t.Fatal(err)
			}
		}
	}
	if _, err := b.Shards(0); fault.As(err) == nil || !strings.Contains(err.Error(), "o1/3") {
		t.Errorf("a missing shuffle: %v", err)
	}
	if b.Stopped(0, 1) || !b.Stopped(1, 2) || b.Stopped(1, 3) {
		t.Error("shards stop at h shuffles at or above the published order")
	}
	s, err := b.Shards(2)
	if err != nil || len(s[0].Shuffled) != 3 || len(s[1].Shuffled) != 2 {
		t.Fatalf("%+v, %v", s, err)
	}
	for name, c := range map[string]struct {
		edit func(*trace.Doc)
		says string
	}{
		"other text":  {func(d *trace.Doc) { d.SHA256[3]++ }, "sha256"},
		"other id":    {func(d *trace.Doc) { d.ID = "o2/0" }, "o2/0"},
		"not a shard": {func(d *trace.Doc) { d.ID = "x" }, "o<shard>"},
		"cut":         {func(d *trace.Doc) { d.Windows = 2 }, "one window"},
		"over-long":   {func(d *trace.Doc) { d.Status = trace.StatusOverContext }, "one window"},
		"NaN":         {func(d *trace.Doc) { d.SumLogprob = math.NaN() }, "NaN"},
	} {
		d := doc(0, 0, -3)
		c.edit(&d)
		if err := b.Add(d); fault.As(err) == nil || fault.As(err).Class != fault.Input || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

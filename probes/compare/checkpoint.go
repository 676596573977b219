package compare

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"

	"assay/internal/fault"
	"assay/probes"
)

// Version is raised whenever any number of these tests can change.
const Version = 1

// Tensor describes one tensor of a checkpoint.
type Tensor struct {
	Name  string
	DType string
	Shape []int // outermost first
}

func (t Tensor) len() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Reader reads ranges of a tensor, widened without rounding.
type Reader interface {
	Read(at int, dst []float64) error
}

// Checkpoint is what is compared. Open may be called from several goroutines; a
// Reader is used by one.
type Checkpoint interface {
	Path() string
	Tensors() []Tensor // by name, in byte order
	Open(tensor string) (Reader, error)
	File(name string) ([]byte, error) // config.json, tokenizer.json; nil if there is none
	Digests() Digests
}

// Digests identifies a checkpoint, "sha256:<hex>".
type Digests struct {
	Weights string
	Files   map[string]string // by name
}

// Options of Weights. The names in JSON are those of the long flags, with _ for -.
type Options struct {
	Ignore  []string `json:"ignore"` // patterns of tensor names that are left out
	Workers int      `json:"-"`      // 0 = one per core; changes no number
	// Progress is called with the values that were read since the last call.
	Progress func(values int64) `json:"-"`
}

// Status of a tensor.
const (
	Identical = "identical"
	Cast      = "cast"
	Differs   = "differs"
	Shape     = "shape"
	OnlyA     = "only-a"
	OnlyB     = "only-b"
)

// Row is one tensor of both checkpoints.
type Row struct {
	Name   string `json:"name"`             // in A; in B where A has none
	Other  string `json:"name_b,omitempty"` // in B, where it has another name there
	Status string `json:"status"`
	How    string `json:"how,omitempty"` // of a cast: widened, or which side is the other rounded, to what
	Block  string `json:"block,omitempty"`
	Kind   string `json:"kind"`
	DTypeA string `json:"dtype_a,omitempty"`
	DTypeB string `json:"dtype_b,omitempty"`
	ShapeA []int  `json:"shape_a,omitempty"`
	ShapeB []int  `json:"shape_b,omitempty"`

	Distance
	// Rows is how embedding rows compare that were matched by token string.
	Rows *TokenRows `json:"rows,omitempty"`
}

// Distance is how far two equally shaped tensors are apart; nil = undefined.
type Distance struct {
	R      *float64 `json:"r"`       // |A-B|_F / |A|_F
	Cosine *float64 `json:"cosine"`  // of the two as vectors
	MaxAbs *float64 `json:"max_abs"` // largest |a-b|
	sums
}

// Report is a result with its tables.
type Report struct {
	probes.Result
	Tensors   []Row          `json:"tensors"`
	Config    []Difference   `json:"config"`
	Tokenizer *TokenizerDiff `json:"tokenizer"` // nil = one side has none
	Files     []FileDiff     `json:"files"`
}

// Difference is a key of two JSON documents with both values; "" = not there.
type Difference struct {
	Key string `json:"key"`
	A   string `json:"a"`
	B   string `json:"b"`
}

// FileDiff is a file that is on one side only or has two digests.
type FileDiff struct {
	Name string `json:"name"`
	A    string `json:"a"`
	B    string `json:"b"`
}

// Weights compares two checkpoints without a forward pass. Memory is a few
// megabytes a worker whatever the size of the tensors; every value is read once,
// those of tensors under another name twice.
func Weights(ctx context.Context, a, b Checkpoint, o Options) (*Report, error) {
	c := &comparison{ctx: ctx, a: a, b: b, o: o}
	if err := c.pair(); err != nil {
		return nil, err
	}
	ta, tb, err := c.files()
	if err != nil {
		return nil, err
	}
	if err := c.measure(); err != nil {
		return nil, err
	}
	if err := c.tokenRows(ta, tb); err != nil {
		return nil, err
	}
	return c.report(), nil
}

type comparison struct {
	ctx  context.Context
	a, b Checkpoint
	o    Options
	rep  Report
	jobs []*Row // rows of equal shape
	n    int    // ambiguous names
}

// each runs f for 0 to n-1 on several goroutines and returns the first error in
// order. Results must not depend on who runs what.
func (c *comparison) each(n int, f func(i int) error) error {
	w := c.o.Workers
	if w <= 0 {
		w = runtime.GOMAXPROCS(0)
	}
	errs := make([]error, n)
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(w, n) {
		wg.Go(func() {
			for i := range next {
				errs[i] = f(i)
			}
		})
	}
	for i := range n {
		if err := c.ctx.Err(); err != nil {
			errs[i] = err
			break
		}
		next <- i
	}
	close(next)
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *comparison) measure() error {
	return c.each(len(c.jobs), func(i int) error {
		r := c.jobs[i]
		name := r.Name
		if r.Other != "" {
			name = r.Other
		}
		x, err := c.a.Open(r.Name)
		if err != nil {
			return fmt.Errorf("compare: %s: %w", c.a.Path(), err)
		}
		y, err := c.b.Open(name)
		if err != nil {
			return fmt.Errorf("compare: %s: %w", c.b.Path(), err)
		}
		p := newPairing(r.DTypeA, r.DTypeB)
		n := Tensor{Shape: r.ShapeA}.len()
		u, v := make([]float64, min(n, chunk)), make([]float64, min(n, chunk))
		for at := 0; at < n; at += chunk {
			if err := c.ctx.Err(); err != nil {
				return err
			}
			m := min(chunk, n-at)
			if err := x.Read(at, u[:m]); err != nil {
				return fmt.Errorf("compare: %s: %w", c.a.Path(), err)
			}
			if err := y.Read(at, v[:m]); err != nil {
				return fmt.Errorf("compare: %s: %w", c.b.Path(), err)
			}
			p.add(u[:m], v[:m])
			c.progress(m)
		}
		r.Status, r.How = p.verdict()
		r.Distance = p.distance()
		return nil
	})
}

func (c *comparison) progress(values int) {
	if c.o.Progress != nil {
		c.o.Progress(int64(values))
	}
}

// Values is the number of values that Weights will read of each side, for progress.
func Values(a, b Checkpoint) int64 {
	in := map[string]Tensor{}
	for _, t := range b.Tensors() {
		in[t.Name] = t
	}
	n := int64(0)
	for _, t := range a.Tensors() {
		if o, ok := in[t.Name]; ok && slices.Equal(o.Shape, t.Shape) {
			n += int64(t.len())
		}
	}
	return n
}

func value(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// Requirement names of Require.
const (
	SameBytes     = "same-bytes"
	SameWeights   = "same-weights"
	SameTokenizer = "same-tokenizer"
	SameScores    = "same-scores"
)

// Require returns a fault of class Check unless the named check of one of the
// results holds. No result with the check is a usage fault.
func Require(name string, rs ...probes.Result) error {
	found := false
	for _, r := range rs {
		for _, c := range r.Checks {
			if c.Name != name {
				continue
			}
			found = true
			if !c.Pass {
				return fault.New(fault.Check, "require", "compare: %s does not hold: %s", name, c.Text)
			}
		}
	}
	if !found {
		return fault.Usagef("compare: --require %s: nothing that was compared shows it", name)
	}
	return nil
}

package model

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"

	"assay/internal/fault"
	"assay/weights"
	"github.com/gomlx/gomlx/core/tensors"
)

// Options of Load. The zero value works.
type Options struct {
	Backend     string   // "go" (default) or "xla:/absolute/path/of/plugin.so"
	Threads     int      // cores to use, by GOMAXPROCS of the process; 0 = leave as it is
	Memory      int64    // bytes that the process may use; 0 = 85 % of the limit of its control group
	Weights     string   // WeightsAuto (default), WeightsArgs or WeightsWide16
	BatchTokens int      // tokens of one batch; 0 = DefaultBatchTokens
	AcceptKeys  []string // config keys that are not refused although the family does not know them
}

// Ways to hold the weights.
const (
	WeightsAuto   = "auto"   // args if that fits, else wide16
	WeightsArgs   = "args"   // float32: 4 bytes a weight
	WeightsWide16 = "wide16" // as stored in 16 bits, widened by each use: 2 bytes a weight, 2 to 5 % more time
)

// DefaultBatchTokens is the size of a batch where Options do not say. Twice as
// many tokens cost a fifth more memory and save one or two percent of the time.
const DefaultBatchTokens = 2048

// Model is a checkpoint ready to run. Its methods may be called one at a time.
type Model struct {
	fam  *Family
	spec *Spec
	info Info
	opts Options
	eng  *engine

	inflight int   // batches that run at once
	limit    int64 // bytes of memory; 0 = unknown
	half     bool  // matrices stay in 16 bits where they are stored so
	fold     bool  // norm gains and the attention scale are in the weights

	embed      matrix // [V, e], as stored
	positions  []float32
	layers     [][]*tensors.Tensor // slots of each layer, in Block.slots order
	embedSlots []*tensors.Tensor
	finalSlots []*tensors.Tensor // final gain and bias, projection to narrow embeddings
	headSlots  []*tensors.Tensor // finalSlots and the output bias
	headMatrix *tensors.Tensor   // [d, V], or [e, V] where the embedding is narrow; nil once the stage holds it
	headConst  bool              // the stage holds the matrix as a constant
	headChunk  int               // rows of one head execution
	source     *reader           // for Matrix

	mu     sync.Mutex
	tables map[tableKey]*tensors.Tensor
}

// Load reads a checkpoint's configuration and weights. It refuses whatever it
// cannot run exactly.
func Load(ctx context.Context, ck Source, o Options) (m *Model, err error) {
	d, err := Describe(ck, o.AcceptKeys...)
	if err != nil {
		return nil, err
	}
	return load(ctx, ck, d, o)
}

func load(ctx context.Context, ck Source, d *Description, o Options) (m *Model, err error) {
	defer edge("load", &err)
	if o.BatchTokens == 0 {
		o.BatchTokens = DefaultBatchTokens
	}
	if o.BatchTokens < 2 {
		return nil, fault.Usagef("model: batch tokens: %d, want at least 2", o.BatchTokens)
	}
	if o.Threads < 0 {
		return nil, fault.Usagef("model: threads: %d, want at least 1, or 0 for all", o.Threads)
	}
	switch o.Weights {
	case "", WeightsAuto, WeightsArgs, WeightsWide16:
	default:
		return nil, fault.Usagef("model: weights %q: want %s, %s or %s", o.Weights, WeightsAuto, WeightsArgs, WeightsWide16)
	}
	if err := checkEnv(); err != nil {
		return nil, err
	}
	if o.Threads > 0 {
		runtime.GOMAXPROCS(o.Threads) // the backend sizes its pool by it
	}
	m = &Model{fam: d.family, spec: d.Spec, info: d.Info, opts: o, half: o.Weights == WeightsWide16, tables: map[tableKey]*tensors.Tensor{}}
	m.source = &reader{ctx: context.Background(), src: ck, inv: d.inventory}
	m.inflight, m.limit = inflightFor(runtime.GOMAXPROCS(0)), o.Memory
	if err := m.admit(); err != nil {
		return nil, err
	}
	m.fold = !m.half // products in 16 bits would round
	b, err := openBackend(o.Backend)
	if err != nil {
		return nil, err
	}
	m.eng = newEngine(b)
	if err := m.read(&reader{ctx: ctx, src: ck, inv: d.inventory, half: m.half}); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// inflightFor is the number of batches that run at once on n cores. Products use
// all cores anyway; a few batches side by side fill the gaps between them, and
// each costs its activations in memory.
func inflightFor(n int) int { return max(1, min(n, 8)) }

// checkEnv refuses values of the engine's own environment variables that would
// change a result: they are meant for its developers.
func checkEnv() error {
	if v, ok := os.LookupEnv("GOMLX_FUSION"); ok {
		if on, err := strconv.ParseBool(v); err != nil || !on {
			return fault.Usagef("model: GOMLX_FUSION=%q: want it unset", v)
		}
	}
	return nil
}

// read fills the weights.
func (m *Model) read(r *reader) error {
	var err error
	if m.embed, err = r.matrix("embed.w"); err != nil {
		return err
	}
	if err := r.checkTie(m.embed); err != nil {
		return err
	}
	if m.positions, err = r.get("positions.w"); err != nil {
		return err
	}
	s := m.spec
	for l := range s.Layers {
		vals, err := r.blockSlots(m.fam, s, l, m.fold)
		if err != nil {
			return err
		}
		var ts []*tensors.Tensor
		for _, slot := range s.Block(l).slots(s.Width, m.fold) {
			t, err := m.tensor(slot.dims, vals[slot.name])
			if err != nil {
				return fmt.Errorf("model: layer %d %s: %w", l, slot.name, err)
			}
			ts = append(ts, t)
			delete(vals, slot.name)
		}
		m.layers = append(m.layers, ts)
	}
	if err := m.readEmbed(r); err != nil {
		return err
	}
	return m.readHead(r)
}

func (m *Model) readEmbed(r *reader) error {
	s := m.spec
	if s.Embed.Width != 0 {
		p, err := r.part("embedproj", s.Width)
		if err != nil {
			return err
		}
		x, _ := join([]part{p}, s.Embed.Width, m.fam.Names.Transposed, nil)
		t, err := m.tensor([]int{s.Embed.Width, s.Width}, x)
		if err != nil {
			return err
		}
		m.embedSlots = append(m.embedSlots, t)
	}
	ts, err := m.readNorm(r, "embednorm", s.Embed.Norm)
	m.embedSlots = append(m.embedSlots, ts...)
	return err
}

// readNorm reads the gain and bias of a norm outside the blocks.
func (m *Model) readNorm(r *reader, key string, n *Norm) ([]*tensors.Tensor, error) {
	var ts []*tensors.Tensor
	for _, x := range []string{".g", ".b"} {
		v, err := r.get(key + x)
		if err != nil {
			return ts, err
		}
		if v == nil {
			continue
		}
		if x == ".g" && n.PlusOne {
			plusOne(v)
		}
		t, err := m.tensor([]int{len(v)}, matrix{f: v})
		if err != nil {
			return ts, err
		}
		ts = append(ts, t)
	}
	return ts, nil
}

func (m *Model) readHead(r *reader) (err error) {
	s := m.spec
	if m.finalSlots, err = m.readNorm(r, "final", s.Final); err != nil {
		return err
	}
	key := "head.w"
	if s.Head.Tied {
		key = "embed.w"
	}
	w, err := r.get(key)
	if err != nil {
		return err
	}
	if e := s.Embed.Width; e != 0 {
		p, err := r.part("headproj", e)
		if err != nil {
			return err
		}
		x, _ := join([]part{p}, s.Width, m.fam.Names.Transposed, nil)
		t, err := m.tensor([]int{s.Width, e}, x)
		if err != nil {
			return err
		}
		m.finalSlots = append(m.finalSlots, t)
	}
	e := s.headWidth()
	m.headMatrix, err = m.eng.f32([]int{e, s.Vocab}, func(dst []float32) error {
		lay(dst, s.Vocab, 0, w, seqRows(0, s.Vocab), e, false)
		return nil
	})
	if err != nil {
		return err
	}
	m.headSlots = slices.Clone(m.finalSlots)
	if s.Head.Bias {
		b, err := r.get("head.b")
		if err != nil {
			return err
		}
		t, err := m.tensor([]int{s.Vocab}, matrix{f: b})
		if err != nil {
			return err
		}
		m.headSlots = append(m.headSlots, t)
	}
	m.headConst, m.headChunk = true, headChunk
	if !m.eng.backend.HasSharedBuffers() || 4*int64(len(w)) > headConstBytes {
		m.headConst, m.headChunk = false, headChunkArgs
	}
	return nil
}

// Close frees the weights and the backend. A checkpoint that was given to Load
// stays open.
func (m *Model) Close() {
	if m == nil || m.eng == nil {
		return
	}
	for _, ts := range m.layers {
		free(ts...)
	}
	free(m.embedSlots...)
	free(m.headSlots...)
	free(m.headMatrix)
	for _, t := range m.tables {
		free(t)
	}
	m.layers, m.embed = nil, matrix{}
	m.eng.close()
	m.eng = nil
}

// Matrix gives rows of a token matrix as stored: "input" (the embedding) or
// "output" (the matrix that the last hidden state is multiplied by). It reads
// from the checkpoint, which must still be open.
func (m *Model) Matrix(kind string) (rows, cols int, at func(i int, dst []float32), err error) {
	key := "embed.w"
	switch {
	case kind == "output" && !m.spec.Head.Tied:
		key = "head.w"
	case kind != "input" && kind != "output":
		return 0, 0, nil, fault.Usagef("model: matrix %q: want input or output", kind)
	}
	x, err := m.source.get(key)
	if err != nil {
		return 0, 0, nil, err
	}
	rows = m.spec.Vocab
	cols = len(x) / rows
	return rows, cols, func(i int, dst []float32) { copy(dst, x[i*cols:(i+1)*cols]) }, nil
}

// Info returns what Describe said about the checkpoint.
func (m *Model) Info() Info { return m.info }

// Spec returns the resolved mathematics. Do not change it.
func (m *Model) Spec() *Spec { return m.spec }

// configOf parses the configuration of ck.
func configOf(ck Source) (*weights.Config, error) {
	c := ck.Config()
	if !c.Exists() {
		return nil, fault.Inputf("missing", "model: config.json: not found beside the weights")
	}
	return c, nil
}

func errSize(n int, dims []int) error { return fmt.Errorf("model: %d values for shape %v", n, dims) }

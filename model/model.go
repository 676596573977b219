package model

import (
	"context"
	"os"
	"runtime"
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
	Weights     string   // WeightsAuto (default), WeightsArgs, WeightsWide16 or WeightsStream
	BatchTokens int      // tokens of one batch; 0 = DefaultBatchTokens
	AcceptKeys  []string // config keys that are not refused although the family does not know them
}

// Ways to hold the weights.
const (
	WeightsAuto   = "auto"   // the first of args, wide16 and stream that fits
	WeightsArgs   = "args"   // float32: 4 bytes a weight
	WeightsWide16 = "wide16" // as stored in 16 bits, widened by each use: 2 bytes a weight, 2 to 5 % more time
	WeightsStream = "stream" // in the mapped file, two layers at a time in float32: see stream.go
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
	stream   bool  // matrices stay in the file; layers run one after the other
	fold     bool  // norm gains and the attention scale are in the weights

	streamGroup int    // tokens that go through the layers together; 0 = streamTokens
	streamKeep  *int64 // bytes of hidden states that stay in memory; nil = as forecast
	streamAhead bool   // a layer is read while the one before it runs

	embed      matrix // [V, e], as stored
	positions  []float32
	types      []float32           // vectors of the token types
	layers     [][]*tensors.Tensor // slots of each layer, in Block.slots order
	embedSlots []*tensors.Tensor
	finalSlots []*tensors.Tensor // final gain and bias, projection to narrow embeddings
	headSlots  []*tensors.Tensor // finalSlots, those of Head.Transform, the output bias
	headMatrix *tensors.Tensor   // [d, V], or [e, V] where the embedding is narrow; nil once the stage holds it
	headConst  bool              // the stage holds the matrix as a constant
	headReady  bool              // stream: the matrix is in memory
	headChunk  int               // rows of one head execution
	source     *reader           // for Matrix and for running layer by layer

	mu     sync.Mutex
	tables map[tableKey]*tensors.Tensor
}

// Load reads a checkpoint's configuration and weights. It refuses whatever it
// cannot run exactly. It sets the collector of the process (growth of a quarter,
// a limit of Options.Memory) and, with Options.Threads, its GOMAXPROCS. The
// checkpoint must stay open while the model is in use.
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
	case "", WeightsAuto, WeightsArgs, WeightsWide16, WeightsStream:
	default:
		return nil, fault.Usagef("model: weights %q: want %s, %s, %s or %s", o.Weights, WeightsAuto, WeightsArgs, WeightsWide16, WeightsStream)
	}
	if err := checkEnv(); err != nil {
		return nil, err
	}
	if o.Threads > 0 {
		runtime.GOMAXPROCS(o.Threads) // the backend sizes its pool by it
	}
	m = &Model{fam: d.family, spec: d.Spec, info: d.Info, opts: o, half: o.Weights == WeightsWide16, stream: o.Weights == WeightsStream, tables: map[tableKey]*tensors.Tensor{}}
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
	if err := m.read(&reader{ctx: ctx, src: ck, inv: d.inventory, half: m.half, mapped: m.stream}); err != nil {
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

// Close frees the weights and the backend. The checkpoint that was given to Load
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
	case kind == "output" && m.spec.Head.None:
		return 0, 0, nil, errHeadless()
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

// Package bench answers: how fast does a loaded model score on this machine,
// next to what the machine can do? Every figure comes from one process: the
// peak is a loop of fused multiply-adds timed between the repeats, so that both
// meet the same clock and the same neighbours. Processor time stands beside the
// clock on the wall; it holds where other programs share the cores.
//
// Speed depends on shapes, not on values: random ids and random weights measure
// what a trained model costs. The package does not compare programs.
package bench

import (
	"context"
	"fmt"
	"iter"
	"math"
	"runtime"
	"slices"
	"time"

	"assay/internal/fault"
	"assay/model"
	"assay/model/internal/peak"
)

// Options of Run. The zero value of a field takes the default.
type Options struct {
	Batch       int  // windows of one repeat (8)
	Length      int  // inputs of a window, all of them scored (512)
	Repeat      int  // timed repeats, after one that is not counted (5)
	LogprobOnly bool // log-probabilities alone, without entropy, sd, rank and argmax
}

// NoisyAbove is the spread, as a share of the median, above which a result is noisy.
const NoisyAbove = 0.05

// Result is what one model did. Rates count 2 operations per multiply-add and
// FLOP of Info per token (full attention, also where masked blocks are skipped).
type Result struct {
	Family  string  `json:"family"`
	Params  int64   `json:"params"`
	Layers  int     `json:"layers"`
	Width   int     `json:"width"`
	Vocab   int     `json:"vocab"`
	Batch   int     `json:"batch"`
	Length  int     `json:"seq"`
	Repeat  int     `json:"repeat"`
	Threads int     `json:"threads"`
	Stats   bool    `json:"statistics"` // entropy, sd, rank and argmax were computed too
	FLOP    float64 `json:"flop_per_token"`

	LoadSeconds  float64 `json:"load_seconds"`  // reading the weights; set by the caller
	FirstSeconds float64 `json:"first_seconds"` // the repeat that is not counted: compiles and packs

	Wall     []float64 `json:"wall_seconds"` // of each repeat
	CPU      []float64 `json:"cpu_seconds"`  // processor time, user and system; 0 where unknown
	TokS     float64   `json:"tokens_per_second"`
	TokCPU   float64   `json:"tokens_per_cpu_second"` // 0 where unknown
	Spread   float64   `json:"spread"`                // (largest - smallest) / median of Wall
	Noisy    bool      `json:"noisy"`                 // Spread above NoisyAbove
	GFlops   float64   `json:"gflops"`
	PerCPU   float64   `json:"gflops_per_cpu_second"`
	Peak     float64   `json:"peak_gflops"` // all threads, the loop, by the clock
	PeakCPU  float64   `json:"peak_gflops_per_cpu_second"`
	PeakHow  string    `json:"peak_how"`
	Share    float64   `json:"share_of_peak"`
	ShareCPU float64   `json:"share_of_peak_cpu"` // by processor time

	// Products are the matrix products of this model alone, by the same engine.
	Products *Products `json:"products"`

	Memory  int64   `json:"peak_memory_bytes"` // largest resident size of the process; 0 where unknown
	Logprob float64 `json:"mean_logprob"`      // of all targets, nats: for comparison with another program
}

// Products is the cost of a model's matrix products by themselves.
type Products struct {
	PerCPU   float64 `json:"gflops_per_cpu_second"`
	ShareCPU float64 `json:"share_of_peak_cpu"`
	Time     float64 `json:"share_of_cpu_time"` // of scoring: the rest is everything that is not a product
}

// IDs are the ids of the windows that Run scores, n windows of length+1 ids:
// x <- 1103515245 x + 12345 mod 2^31 from x = 1, id = (x >> 8) mod vocab. Any
// program can make them again.
func IDs(n, length, vocab int) [][]int32 {
	x := uint32(1)
	out := make([][]int32, n)
	for i := range out {
		out[i] = make([]int32, length+1)
		for j := range out[i] {
			x = (x*1103515245 + 12345) & (1<<31 - 1)
			out[i][j] = int32((x >> 8) % uint32(vocab))
		}
	}
	return out
}

// Run times m. It needs the model for itself.
func Run(ctx context.Context, m *model.Model, o Options) (*Result, error) {
	o.Batch, o.Length, o.Repeat = or(o.Batch, 8), or(o.Length, 512), or(o.Repeat, 5)
	if o.Batch < 1 || o.Length < 1 || o.Repeat < 1 {
		return nil, fault.Usagef("bench: batch %d, length %d, repeat %d: want at least 1 each", o.Batch, o.Length, o.Repeat)
	}
	info := m.Info()
	if p := info.Positions; p > 0 && o.Length > p {
		return nil, fault.Usagef("bench: length %d: the model has %d positions", o.Length, p)
	}
	var ws []model.Window
	for i, ids := range IDs(o.Batch, o.Length, info.Vocab) {
		ws = append(ws, model.Window{Doc: i, IDs: ids[:o.Length], Targets: ids[1:]})
	}
	r := &Result{Family: info.Family, Params: info.Params, Layers: info.Layers, Width: info.Width, Vocab: info.Vocab,
		Batch: o.Batch, Length: o.Length, Repeat: o.Repeat, Threads: runtime.GOMAXPROCS(0), Stats: !o.LogprobOnly, FLOP: info.FLOP(o.Length)}
	once := func() error {
		sum := 0.0
		err := m.Score(ctx, each(ws), model.ScoreOptions{LogprobOnly: o.LogprobOnly}, func(_ model.Window, s model.Scores) error {
			for _, x := range s.Logprob {
				sum += float64(x)
			}
			return nil
		})
		r.Logprob = sum / float64(o.Batch*o.Length)
		return err
	}
	start := time.Now()
	if err := once(); err != nil {
		return nil, err
	}
	r.FirstSeconds = time.Since(start).Seconds()
	var top, topCPU []float64
	for range o.Repeat {
		p := peak.FMA(r.Threads, 100*time.Millisecond)
		top, topCPU, r.PeakHow = append(top, p.GFlops), append(topCPU, p.PerCPU), p.How
		cpu, start := peak.CPUSeconds(), time.Now()
		if err := once(); err != nil {
			return nil, err
		}
		r.Wall, r.CPU = append(r.Wall, time.Since(start).Seconds()), append(r.CPU, peak.CPUSeconds()-cpu)
	}
	r.Memory = peak.RSS()
	r.rates(top, topCPU)
	return r, r.products(ctx, m)
}

// rates fills everything that follows from the times. The peak is the best
// that was seen: neighbours only ever take away.
func (r *Result) rates(top, topCPU []float64) {
	tokens := float64(r.Batch * r.Length)
	work := tokens * r.FLOP / 1e9
	r.Peak, r.PeakCPU = slices.Max(top), slices.Max(topCPU)
	wall, cpu := median(r.Wall), median(r.CPU)
	r.TokS, r.GFlops, r.Share = tokens/wall, work/wall, work/wall/r.Peak
	r.Spread = (slices.Max(r.Wall) - slices.Min(r.Wall)) / wall
	r.Noisy = r.Spread > NoisyAbove
	if cpu > 0 && r.PeakCPU > 0 {
		r.TokCPU, r.PerCPU, r.ShareCPU = tokens/cpu, work/cpu, work/cpu/r.PeakCPU
	}
}

// products times the matrix products alone. Without processor time there is
// nothing to compare with.
func (r *Result) products(ctx context.Context, m *model.Model) error {
	if r.TokCPU == 0 {
		return nil
	}
	p, err := m.Products(ctx, r.Length)
	if err != nil {
		return fmt.Errorf("bench: products: %w", err)
	}
	if p.CPUSeconds > 0 {
		rate := p.FLOP / p.CPUSeconds / 1e9
		r.Products = &Products{PerCPU: rate, ShareCPU: rate / r.PeakCPU, Time: p.CPUSeconds * r.TokCPU}
	}
	return nil
}

// Benchfmt is the result as lines of Go's benchmark format, one per repeat, for benchstat.
func (r *Result) Benchfmt(name string) string {
	tokens := float64(r.Batch * r.Length)
	out := fmt.Sprintf("goos: %s\ngoarch: %s\n", runtime.GOOS, runtime.GOARCH)
	for i, wall := range r.Wall {
		out += fmt.Sprintf("BenchmarkScore/%s/%dx%d-%d 1 %.0f ns/op %.2f tok/s", name, r.Batch, r.Length, r.Threads, wall*1e9, tokens/wall)
		if r.CPU[i] > 0 {
			out += fmt.Sprintf(" %.2f tok/cpu-s", tokens/r.CPU[i])
		}
		out += fmt.Sprintf(" %.1f peak-MB\n", float64(r.Memory)/1e6)
	}
	return out
}

func each(ws []model.Window) iter.Seq2[model.Window, error] {
	return func(yield func(model.Window, error) bool) {
		for _, w := range ws {
			if !yield(w, nil) {
				return
			}
		}
	}
}

func or(x, def int) int {
	if x == 0 {
		return def
	}
	return x
}

func median(x []float64) float64 {
	s := slices.Sorted(slices.Values(x))
	n := len(s)
	if n == 0 {
		return math.NaN()
	}
	return (s[(n-1)/2] + s[n/2]) / 2
}

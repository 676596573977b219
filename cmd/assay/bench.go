package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"assay/cmd/assay/internal/show"
	"assay/internal/fault"
	"assay/model"
	"assay/model/bench"
	"assay/weights"

	"github.com/spf13/cobra"
)

// benchShapes are the names of synthetic models on the command line, and in model.Shapes.
func benchShapes() map[string]string {
	return map[string]string{
		"70m": "gpt_neox-70m", "160m": "gpt_neox-160m", "410m": "gpt_neox-410m",
		"llama-135m": "llama-135m", "1.1b": "llama-1.1b",
	}
}

type benchFlags struct {
	model    modelFlags
	shape    string
	o        bench.Options
	benchfmt bool
}

func newBench(a *app) *cobra.Command {
	var f benchFlags
	names := slices.Sorted(maps.Keys(benchShapes()))
	cmd := &cobra.Command{
		Use:   "bench (CKPT | --shape NAME)",
		Short: "Time scoring on this machine, next to what the machine can do",
		Long: `bench scores random ids with a checkpoint, or with random weights of a well-known
shape, and prints tokens per second, GFLOP/s, their share of the peak of a loop of
fused multiply-adds timed in the same process, the rate of the model's matrix
products alone, the largest resident memory and the time to load. Figures by
processor time hold on a machine that other programs use too.

Median of the repeats; spread is (slowest - fastest) / median; above 5 % the
result is called noisy. --benchfmt prints lines for benchstat.`,
		Example: `  assay bench ./pythia-70m
  assay bench --shape 160m --batch 8 --seq 512 --repeat 5 --json
  assay bench --shape 70m --seq 64 --batch 64 --benchfmt > new.txt`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (f.shape != "") {
				return fault.Usagef("bench: want a checkpoint or --shape, one of them").Hint("shapes: %s", joined(names))
			}
			name := f.shape
			if name == "" {
				name = filepath.Base(filepath.Clean(args[0]))
			}
			r, err := runBench(cmd.Context(), a, &f, args)
			if err != nil {
				return err
			}
			if f.benchfmt {
				_, err := io.WriteString(a.stdout, r.Benchfmt(name))
				return err
			}
			return a.print(r, func(w io.Writer) error { return showBench(w, name, r) })
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.shape, "shape", "", "random weights of a shape: "+joined(names))
	fl.IntVar(&f.o.Batch, "batch", 8, "windows of one repeat")
	fl.IntVar(&f.o.Length, "seq", 512, "tokens of a window")
	fl.IntVar(&f.o.Repeat, "repeat", 5, "timed repeats")
	fl.BoolVar(&f.o.LogprobOnly, "logprob", false, "log-probabilities alone, without entropy, sd, rank and argmax")
	fl.BoolVar(&f.benchfmt, "benchfmt", false, "print lines of Go's benchmark format, for benchstat")
	f.model.registerEngine(fl)
	return cmd
}

func runBench(ctx context.Context, a *app, f *benchFlags, args []string) (r *bench.Result, err error) {
	a.warnNoSIMD()
	if f.o.Batch < 1 || f.o.Length < 1 || f.o.Repeat < 1 {
		return nil, fault.Usagef("bench: --batch %d, --seq %d, --repeat %d: want at least 1 each", f.o.Batch, f.o.Length, f.o.Repeat)
	}
	start := time.Now()
	src, closer, err := benchSource(f.shape, args)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closer()) }()
	o, err := f.model.options()
	if err != nil {
		return nil, err
	}
	m, err := model.Load(ctx, src, o)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	load := time.Since(start)
	if r, err = bench.Run(ctx, m, f.o); err != nil {
		return nil, err
	}
	r.LoadSeconds = load.Seconds()
	return r, nil
}

func benchSource(shape string, args []string) (model.Source, func() error, error) {
	if shape == "" {
		ck, err := weights.Open(args[0])
		if err != nil {
			return nil, nil, err
		}
		return ck, ck.Close, nil
	}
	name, ok := benchShapes()[shape]
	if !ok {
		return nil, nil, fault.Usagef("--shape: found %q, want one of %s", shape, joined(slices.Sorted(maps.Keys(benchShapes()))))
	}
	src, err := model.Synthetic([]byte(model.Shapes()[name]), 1)
	return src, func() error { return nil }, err
}

func showBench(w io.Writer, name string, r *bench.Result) error {
	stats := "with entropy, sd, rank and argmax"
	if !r.Stats {
		stats = "log-probabilities alone"
	}
	noise := ""
	if r.Noisy {
		noise = "  noisy"
	}
	rows := [][]string{
		{"model", fmt.Sprintf("%s: %s, %d weights, %d layers, width %d, vocabulary %d", show.Text(name), r.Family, r.Params, r.Layers, r.Width, r.Vocab)},
		{"work", fmt.Sprintf("%d x %d tokens, %.1f MFLOP each, %s; %d threads, %d repeats", r.Batch, r.Length, r.FLOP/1e6, stats, r.Threads, r.Repeat)},
		{"load", fmt.Sprintf("%.2f s, first pass %.2f s", r.LoadSeconds, r.FirstSeconds)},
		{"speed", fmt.Sprintf("%.0f tokens/s, spread %.1f %%%s", r.TokS, 100*r.Spread, noise)},
		{"rate", fmt.Sprintf("%.1f GFLOP/s, %.0f %% of the peak of %.1f (%s)", r.GFlops, 100*r.Share, r.Peak, r.PeakHow)},
	}
	if r.TokCPU > 0 {
		rows = append(rows, []string{"by processor time", fmt.Sprintf("%.0f tokens/s a core, %.1f GFLOP/s, %.0f %% of the peak of %.1f", r.TokCPU, r.PerCPU, 100*r.ShareCPU, r.PeakCPU)})
	}
	if p := r.Products; p != nil {
		rows = append(rows, []string{"products alone", fmt.Sprintf("%.1f GFLOP/s a core, %.0f %% of the peak; %.0f %% of the processor time of scoring", p.PerCPU, 100*p.ShareCPU, 100*p.Time)})
	}
	if r.Memory > 0 {
		rows = append(rows, []string{"memory", fmt.Sprintf("%.0f MB at the most", float64(r.Memory)/1e6)})
	}
	return show.Table(w, rows)
}

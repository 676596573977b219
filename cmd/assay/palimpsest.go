package main

import (
	"fmt"
	"strconv"
	"strings"

	"assay/cmd/assay/internal/transcript"
	"assay/internal/fault"

	"github.com/spf13/cobra"
)

func newPalimpsest(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "palimpsest",
		Short: "Test whether a checkpoint depends on the order in which my run saw its data",
		Long: `A model remembers late sequences slightly better than early ones. If the order of
a run was a random shuffle, an unrelated model cannot correlate with it, whatever
the data are. The test is exact under the shuffle; it says nothing about which
path led from the run to the suspect, nor whether the use was wrongful.

Source: Kuditipudi et al., arXiv 2510.19796.`,
		Example: "  assay palimpsest query --transcript order.npy --suspect ./suspect --ref ./base --ref-basis other-order",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newPalimpsestExtract(a), newPalimpsestQuery(a), newPalimpsestCheck(a), newPalimpsestCalibrate(a),
		newPalimpsestPartition(a), newPalimpsestShuffle(a), newPalimpsestPower(a))
	return cmd
}

// transcriptFlags say where the training order comes from.
type transcriptFlags struct {
	src    transcript.Source
	window string
}

func (t *transcriptFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&t.src.Path, "transcript", "", "training transcript: a table (.parquet, .jsonl) or a store of ids (.npy, .idx, .bin, .u16, .u32)")
	f.StringVar(&t.src.Order, "order", "", "training order of the store's rows (.npy or raw); without it rows stand in training order")
	f.StringVar(&t.src.Kind, "order-kind", "", "ids-by-position or position-by-id: what an entry of --order means")
	f.StringVar(&t.src.DType, "order-dtype", "", "integer type of a headerless --order file")
	f.BoolVar(&t.src.Padded, "order-padded", false, "ids at the end of --order that occurred before are padding")
	f.StringVar(&t.src.Generator, "generator", "", "draw the order again from --order-seed: pcg64 (numpy default_rng) or mt19937 (RandomState); must equal --order")
	f.Uint64Var(&t.src.Seed, "order-seed", 0, "seed of --generator (runs that reshuffle add the epoch)")
	f.IntVar(&t.src.Store.RowLen, "row-len", 0, "ids per row of a flat store")
	f.StringVar(&t.src.Store.DType, "dtype", "", "integer type of a raw store")
	f.StringVar(&t.src.Store.Doc, "doc-idx", "", "Megatron *_doc_idx.npy")
	f.StringVar(&t.src.Store.Sample, "sample-idx", "", "Megatron *_sample_idx.npy")
	f.StringVar(&t.src.Store.Shuffle, "shuffle-idx", "", "Megatron *_shuffle_idx.npy")
	f.IntVar(&t.src.Design.Rows, "rows", 0, "rows drawn from a store (default: 10,000, or all if there are fewer)")
	f.StringVar(&t.src.Design.Kind, "design", "uniform", "how rows are drawn, by position and seed only: uniform, late:F or all")
	f.IntVar(&t.src.Tokens, "row-tokens", 64, "ids kept of each row of a store (0 = all)")
	f.StringVar(&t.window, "window", "", "part of the run, as fractions A:B")
}

func (t *transcriptFlags) fractions() (w [2]float64, err error) {
	return parseRange("--window", t.window, func(s string) (float64, error) { return strconv.ParseFloat(s, 64) })
}

// parseRange reads A:B; "" is the zero range.
func parseRange[T int64 | float64](flag, s string, parse func(string) (T, error)) (r [2]T, err error) {
	if s == "" {
		return r, nil
	}
	a, b, ok := strings.Cut(s, ":")
	if ok {
		if r[0], err = parse(a); err == nil {
			r[1], err = parse(b)
		}
	}
	if !ok || err != nil || !(r[0] < r[1]) {
		return r, fault.Usagef("%s: found %q, want A:B with A < B", flag, s)
	}
	return r, nil
}

func parseInt64(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) }

func plural(n int, what string) string {
	if n == 1 {
		return fmt.Sprintf("1 %s", what)
	}
	return fmt.Sprintf("%d %ss", n, what)
}

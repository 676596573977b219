package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"assay/cmd/assay/internal/progress"
	"assay/cmd/assay/internal/show"
	"assay/cmd/assay/internal/transcript"
	"assay/internal/fault"
	"assay/model/score"
	"assay/model/trace/window"
	"assay/probes"
	"assay/probes/palimpsest"

	"github.com/spf13/cobra"
)

// queryFlags are the flags of `assay palimpsest query`.
type queryFlags struct {
	transcriptFlags
	scorer
	suspects, refs []string
	join           palimpsest.JoinOptions
	query          palimpsest.Options
	pos            string
	tokens         int
	bos            string
	out            string
	digest         string // of the transcript, once loaded
	correct        string
	epoch          string
	figure         []string
	forest         string
	plot, series   string

	bmt, bmtSuspect string
	bmtRefs         []string
}

func newPalimpsestQuery(a *app) *cobra.Command {
	f := queryFlags{scorer: scorer{app: a}}
	cmd := &cobra.Command{
		Use:   "query --transcript FILE --suspect CKPT|TRACE [--ref CKPT|TRACE --ref-basis B]",
		Short: "Correlate a suspect's log-probabilities with the training order",
		Long: `query rank-correlates the mean log-probability of each training sequence with its
position in the run. A reference takes the difficulty of the text out; it must
not depend on the order itself, and --ref-basis says why it does not:

  other-order        same data, another independent order
  base               the suspect's declared base, not itself in dispute
  unrelated          a model of another family
  checkpoint:STEP    the run's own checkpoint; only later rows are used

Suspects and references are traces, or checkpoints, which are scored on the
transcript first (kept in --cache by digest). A p-value is tier A only when the
order was drawn again from its generator and every check passes.`,
		Example: `  assay palimpsest query --transcript order.npy --suspect ./suspect --ref ./base --ref-basis other-order
  assay palimpsest query --transcript tr.parquet --suspect s.parquet --ref r.parquet --ref-basis unrelated --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context()) },
	}
	f.register(cmd)
	fl := cmd.Flags()
	fl.StringVar(&f.correct, "correct", "holm", "adjust the verdicts of several suspects for each other: holm or none")
	fl.StringVar(&f.plot, "plot", "", "draw --figure of each result (.svg or .png; more than one: NAME-2, NAME-3, ...)")
	fl.StringSliceVar(&f.figure, "figure", []string{"bins"}, "what --plot draws: bins (mean score by training position), path (log10 p against rows), controls (p of random orders)")
	fl.StringVar(&f.forest, "forest", "", "draw rho of all results with its interval (.svg or .png)")
	fl.StringVar(&f.series, "series", "", "write the numbers behind the figures (.csv; one file per suspect and series)")
	fl.StringVar(&f.bmt, "bmt", "", "read scores from a Parquet table of blackbox-model-tracing instead (columns index, loss_*)")
	fl.StringVar(&f.bmtSuspect, "suspect-col", "", "the suspect's loss column of --bmt")
	fl.StringArrayVar(&f.bmtRefs, "ref-col", nil, "a reference's loss column of --bmt (repeatable)")
	cmd.MarkFlagsOneRequired("suspect", "bmt")
	cmd.MarkFlagsOneRequired("transcript", "bmt")
	return cmd
}

// register adds the flags that query shares with check and calibrate.
func (f *queryFlags) register(cmd *cobra.Command) {
	f.transcriptFlags.register(cmd)
	fl := cmd.Flags()
	fl.StringArrayVar(&f.suspects, "suspect", nil, "checkpoint or trace to test (repeatable)")
	fl.StringArrayVar(&f.refs, "ref", nil, "reference checkpoint or trace (repeatable)")
	fl.StringArrayVar(&f.query.RefBasis, "ref-basis", nil, "why each --ref does not depend on the order (one per --ref)")
	fl.StringVar(&f.query.Combine, "combine", "", "none, diff, mean or regress (default by the number of references)")
	fl.StringVar(&f.epoch, "epoch", "last", "which pass counts: last, first, K, or each: one result for every pass, corrected for their number")
	fl.StringVar(&f.pos, "pos", "", "positions A:B only")
	fl.Int64Var(&f.join.AfterStep, "after-step", 0, "only rows after this step")
	fl.StringVar(&f.join.Duplicates, "duplicates", "drop", "rows of equal content: drop, stratify or keep")
	fl.StringVar(&f.join.Unit, "unit", "", "what was shuffled: row, unit or step")
	fl.StringVar(&f.join.Strata, "strata", "", "blocks of uniform shuffling: none, stratum, source or epoch")
	fl.BoolVar(&f.join.Partial, "allow-partial", false, "accept traces that lack rows (tier B)")
	fl.IntVar(&f.tokens, "tokens", 0, "use the first T scored tokens of each row only")
	fl.StringVar(&f.bos, "bos", "auto", "as in score, for checkpoints that are scored here")
	fl.IntVar(&f.query.Perm, "perm", 0, "permutations (default 9,999; 999 above 200,000 rows)")
	fl.Float64Var(&f.query.Alpha, "alpha", 1e-3, "level of the verdict")
	fl.Float64Var(&f.query.Level, "level", 0.95, "level of intervals")
	fl.IntVar(&f.query.Tried, "tried", 1, "options tried on this pair, this one included")
	fl.Uint64Var(&f.query.Seed, "seed", 1, "seed of row selection, permutations and controls")
	fl.StringVar(&f.cache, "cache", "", "folder for traces of checkpoints scored here (default: the user's cache folder)")
	outputFlag(cmd, &f.out, "write the results as JSON to this file too")
	f.model.register(fl)
}

func (f *queryFlags) run(ctx context.Context) error {
	results, err := f.query1(ctx)
	if err != nil {
		return err
	}
	if results, err = palimpsest.Correct(results, f.correct); err != nil {
		return err
	}
	for i := range results {
		if err := f.figures(results[i], i); err != nil {
			return err
		}
	}
	if f.forest != "" {
		if err := writeFile(f.forest, func(w io.Writer) error { return palimpsest.Forest(w, results, figureFormat(f.forest)) }); err != nil {
			return err
		}
	}
	return f.app.results(results, f.out)
}

// figureFormat is the format that a figure's name asks for.
func figureFormat(name string) string { return strings.TrimPrefix(filepath.Ext(name), ".") }

// query1 runs the query for each suspect, without correction.
func (f *queryFlags) query1(ctx context.Context) ([]probes.Result, error) {
	f.query.Series = f.series != "" || slices.Contains(f.figure, "path")
	samples, err := f.samples(ctx)
	if err != nil {
		return nil, err
	}
	var results []probes.Result
	for _, s := range samples {
		meter := progress.NewOf(f.app.stderr, f.app.meterMode(), "permuting", "orders", int64(f.query.Orders(s.Len(), len(s.L)-1)))
		f.query.Progress = func(n int) { meter.Add(int64(n)) }
		r, err := interruptible(ctx, func() (probes.Result, error) { return palimpsest.Query(s, f.query) })
		meter.Close()
		if err != nil {
			return nil, err
		}
		if f.bmt == "" {
			r.Inputs = append(r.Inputs, probes.Input{Role: "transcript", Path: f.src.Path, Digest: f.digest})
		}
		results = append(results, r)
	}
	return results, nil
}

// samples joins the transcript with the scores of each suspect.
func (f *queryFlags) samples(ctx context.Context) ([]*palimpsest.Sample, error) {
	refs := len(f.refs)
	if f.bmt != "" {
		refs = len(f.bmtRefs)
	}
	if err := f.query.Validate(refs); err != nil {
		return nil, err
	}
	if f.bmt != "" {
		s, err := palimpsest.BMT(f.bmt, f.bmtSuspect, f.bmtRefs)
		return []*palimpsest.Sample{s}, err
	}
	if len(f.suspects) == 0 || f.src.Path == "" {
		return nil, fault.Usagef("palimpsest: want --transcript and at least one --suspect")
	}
	var err error
	if f.join.Window, err = f.fractions(); err != nil {
		return nil, err
	}
	if f.join.Pos, err = parseRange("--pos", f.pos, parseInt64); err != nil {
		return nil, err
	}
	if f.epoch != "each" {
		f.join.Epoch = f.epoch
	}
	if err := f.join.Validate(); err != nil {
		return nil, err
	}
	f.src.Design.Window, f.src.Design.Seed = f.join.Window, f.query.Seed
	tr, err := transcript.Load(f.src)
	if err != nil {
		return nil, err
	}
	f.digest = transcript.Digest(tr)
	rs, err := f.scores(ctx, tr, f.refs)
	if err != nil {
		return nil, err
	}
	var out []*palimpsest.Sample
	for _, p := range f.suspects {
		s, err := f.scores(ctx, tr, []string{p})
		if err != nil {
			return nil, err
		}
		for _, o := range f.passes(tr) {
			sample, err := palimpsest.Join(tr, s[0], rs, o)
			if err != nil && f.epoch == "each" {
				err = fmt.Errorf("pass %s: %w", o.Epoch, err)
			}
			if err != nil {
				return nil, err
			}
			out = append(out, sample)
		}
	}
	return out, nil
}

// passes are the joins that --epoch asks for: one, or one for each pass of the run.
// A row that was seen fewer times takes no part in the later passes.
func (f *queryFlags) passes(tr *palimpsest.Transcript) []palimpsest.JoinOptions {
	if f.epoch != "each" {
		return []palimpsest.JoinOptions{f.join}
	}
	most := 0
	for _, p := range tr.Positions {
		most = max(most, len(p))
	}
	var out []palimpsest.JoinOptions
	for k := range most {
		o := f.join
		o.Epoch = strconv.Itoa(k + 1)
		out = append(out, o)
	}
	return out
}

// figures draws and writes what --plot and --series ask for of result i.
func (f *queryFlags) figures(r probes.Result, i int) error {
	if f.plot != "" {
		for k, figure := range f.figure {
			name := numbered(f.plot, i*len(f.figure)+k)
			if err := writeFile(name, func(w io.Writer) error { return palimpsest.Plot(w, r, figure, figureFormat(name)) }); err != nil {
				return err
			}
		}
	}
	if f.series == "" {
		return nil
	}
	for k, s := range r.Series {
		if err := writeFile(numbered(numbered(f.series, i), k), func(w io.Writer) error { return palimpsest.WriteCSV(w, s) }); err != nil {
			return err
		}
	}
	return nil
}

// scores opens or makes the traces of paths.
func (f *queryFlags) scores(ctx context.Context, tr *palimpsest.Transcript, paths []string) ([]palimpsest.Scores, error) {
	var out []palimpsest.Scores
	for _, p := range paths {
		r, err := f.trace(ctx, p, transcript.Documents{T: tr}, tr.Bytes != nil, score.Options{
			Policy: window.Policy{Name: "full", BOS: f.bos}, PerDocument: f.tokens == 0})
		if err != nil {
			return nil, err
		}
		s, err := palimpsest.TraceScores(p, r, f.tokens)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// results prints test results and writes them to a file where one is named.
func (a *app) results(rs []probes.Result, out string) error {
	if err := a.saveResults(rs, out); err != nil {
		return err
	}
	doc := resultsDoc{rs}
	return a.print(doc, func(w io.Writer) error {
		for i := range rs {
			if i > 0 {
				if _, err := io.WriteString(w, "\n"); err != nil {
					return err
				}
			}
			if err := show.Result(w, &rs[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// resultsDoc is the JSON document of several results.
type resultsDoc struct {
	Results []probes.Result `json:"results"`
}

// saveResults writes results as JSON to a file where one is named.
func (a *app) saveResults(rs []probes.Result, out string) error {
	if out == "" {
		return nil
	}
	return writeFile(out, func(w io.Writer) error { return show.JSON(w, resultsDoc{rs}) })
}

// printResult prints one result and writes it to a file where one is named.
func (a *app) printResult(r probes.Result, out string) error {
	return a.results([]probes.Result{r}, out)
}

// numbered inserts -2, -3, ... before the extension of all but the first of several files.
func numbered(path string, i int) string {
	if i == 0 {
		return path
	}
	ext := filepath.Ext(path)
	return path[:len(path)-len(ext)] + "-" + strconv.Itoa(i+1) + ext
}

package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"assay/cmd/assay/internal/show"
	"assay/model/bench"
	"assay/model/score"
	"assay/model/states"
	"assay/model/trace"
	"assay/model/trace/window"

	"github.com/spf13/cobra"
)

// statesForecast is what --plan prints.
type statesForecast struct {
	Docs     int             `json:"docs"`
	Tokens   int64           `json:"tokens"`
	Policy   window.Policy   `json:"policy"`
	Views    []trace.View    `json:"views"`
	Labels   []string        `json:"labels"`
	Strata   []string        `json:"strata"`
	Unit     string          `json:"unit"`
	Cells    int             `json:"cells"`
	Sample   int             `json:"sample_docs"`
	Keep     []int           `json:"keep_layers"`
	File     int64           `json:"file_bytes"`
	Memory   int64           `json:"memory_bytes"`
	FLOP     float64         `json:"flop,omitempty"`
	Seconds  float64         `json:"seconds_estimate,omitempty"` // 0 for a run that is short
	Warnings []trace.Warning `json:"warnings"`
}

func (f *statesFlags) printPlan(a *app, p *states.Plan, cost bench.Cost) error {
	sp := p.States
	c := statesForecast{Docs: len(sp.Docs), Tokens: p.Tokens, Policy: p.Of.Policy, Views: sp.Views, Labels: sp.Labels, Strata: sp.Strata,
		Unit: sp.Unit, Cells: len(sp.Cells), Sample: len(sp.Sample), Keep: sp.Keep, Warnings: p.Warnings}
	c.File, c.Memory = sp.Bytes()
	c.FLOP, c.Seconds = cost.FLOP, cost.Seconds
	return a.print(c, func(w io.Writer) error {
		unit := c.Unit
		if unit == "" {
			unit = "document"
		}
		rows := [][]string{
			{"documents", fmt.Sprintf("%d, %d tokens to feed", c.Docs, c.Tokens)},
			{"labels", joined(c.Labels)},
			{"strata", joined(c.Strata)},
			{"unit", unit},
			{"cells", fmt.Sprint(c.Cells)},
			{"sample", fmt.Sprintf("%d documents", c.Sample)},
			{"rows kept", fmt.Sprintf("%d layers", len(c.Keep))},
			{"file", show.Bytes(c.File)},
			{"memory for sums", show.Bytes(c.Memory)},
		}
		if c.Seconds >= 60 {
			rows = append(rows, []string{"time", fmt.Sprintf("about %s on %d threads (an estimate)", time.Duration(c.Seconds*1e9).Round(time.Minute), cost.Threads)})
		} else if c.FLOP > 0 {
			rows = append(rows, []string{"time", "below a minute (an estimate)"})
		}
		for _, v := range c.Views {
			rows = append(rows, []string{"view", describeView(v)})
		}
		if err := show.Table(w, rows); err != nil {
			return err
		}
		return showWarnings(w, c.Warnings)
	})
}

func describeView(v trace.View) string {
	return fmt.Sprintf("%s over %s, %d layers of width %d", v.Name(), v.Span, len(v.Layers), v.Width)
}

func printStates(a *app, rep *states.Report, scored *score.Report) error {
	if scored == nil {
		return a.print(rep, func(w io.Writer) error { return showStates(w, rep) })
	}
	doc := struct {
		States *states.Report `json:"states"`
		Trace  *score.Report  `json:"trace"`
	}{rep, scored}
	return a.print(doc, func(w io.Writer) error { return errors.Join(showStates(w, rep), showTrace(w, scored)) })
}

func showStates(w io.Writer, r *states.Report) error {
	rows := [][]string{{"states", r.Path}, {"run", r.Run}, {"documents", fmt.Sprint(r.Docs)}, {"size", show.Bytes(r.Bytes)}}
	for _, v := range r.Views {
		rows = append(rows, []string{"view", describeView(v)})
	}
	if r.Invariance != nil {
		rows = append(rows, []string{"invariance", fmt.Sprintf("%.1e of a vector's size over %d vectors computed alone and in company", r.Invariance.MaxRel, r.Invariance.N)})
	}
	if r.Resumed > 0 {
		rows = append(rows, []string{"resumed", fmt.Sprintf("%d documents were finished earlier", r.Resumed)})
	}
	if err := show.Table(w, rows); err != nil {
		return err
	}
	return showWarnings(w, r.Warnings)
}

func newStatesMerge(a *app) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "merge SHARD... -o OUT.safetensors",
		Short: "Join the shards of one run",
		Long: `merge joins states files that --shard made of one checkpoint and one text. Sums are
kept exactly, so the result is the file of an unsharded run, whatever the number of
shards and the order in which they are named.`,
		Example: "  assay states merge s0.safetensors s1.safetensors -o s.safetensors",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			f := statesFlags{out: out}
			if err := f.checkOut(); err != nil {
				return err
			}
			if err := trace.MergeStates(out, args); err != nil {
				return err
			}
			s, err := trace.OpenStates(out)
			if err != nil {
				return err
			}
			defer s.Close()
			h := s.Header()
			doc := struct {
				Path   string             `json:"path"`
				Header trace.StatesHeader `json:"header"`
			}{out, h}
			return a.print(doc, func(w io.Writer) error {
				return show.Table(w, [][]string{{"states", out}, {"run", h.Run}, {"documents", fmt.Sprint(h.Counts.Docs)}, {"shards", fmt.Sprint(len(args))}})
			})
		},
	}
	outputFlag(cmd, &out, "file to write (.safetensors)")
	_ = cmd.MarkFlagRequired("output")
	return cmd
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"assay/cmd/assay/internal/progress"
	"assay/cmd/assay/internal/show"
	"assay/internal/fault"
	"assay/probes/compare"
	"assay/weights"
)

// weighed is a checkpoint as the comparison sees it.
type weighed struct {
	ck      *weights.Checkpoint
	digests weights.Digests
}

// openWeighed opens a checkpoint of any architecture and digests it. Values that are
// not finite are no error here: two broken checkpoints can be compared.
func openWeighed(ctx context.Context, path string) (*weighed, error) {
	ck, err := weights.Open(path)
	if err != nil {
		return nil, err
	}
	d, err := ck.Scan(ctx, "*")
	if err != nil {
		return nil, errors.Join(err, ck.Close())
	}
	return &weighed{ck, d}, nil
}

func (w *weighed) Path() string { return w.ck.Path() }

func (w *weighed) Tensors() []compare.Tensor {
	var out []compare.Tensor
	for t := range w.ck.Tensors() {
		out = append(out, compare.Tensor{Name: t.Name, DType: string(t.DType), Shape: t.Shape})
	}
	return out
}

func (w *weighed) Open(name string) (compare.Reader, error) { return w.ck.Values(name) }

func (w *weighed) Digests() compare.Digests {
	return compare.Digests{Weights: w.digests.Weights, Files: w.digests.Files}
}

// maxTokenizer is the largest tokenizer.json that is read.
const maxTokenizer = 64 << 20

func (w *weighed) File(name string) ([]byte, error) {
	b, err := w.ck.ReadFile(name, maxTokenizer)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

// weights compares two checkpoints without running them.
func (f *compareFlags) weights(ctx context.Context, a, b string) (*compare.Report, error) {
	x, err := openWeighed(ctx, a)
	if err != nil {
		return nil, err
	}
	defer x.ck.Close()
	y, err := openWeighed(ctx, b)
	if err != nil {
		return nil, err
	}
	defer y.ck.Close()
	meter := progress.New(f.app.stderr, f.app.meterMode(), "comparing values", compare.Values(x, y))
	defer meter.Close()
	o := compare.Options{Ignore: f.ignore, Workers: f.model.threads, Progress: meter.Add}
	rep, err := compare.Weights(ctx, x, y, o)
	if err != nil && ctx.Err() != nil {
		return nil, fault.New(fault.Interrupted, "interrupted", "compare: %w", err)
	}
	return rep, err
}

// showWeights prints a comparison of checkpoints: the verdict, distances, and
// tensors, keys and tokens that differ.
func showWeights(w io.Writer, rep *compare.Report) error {
	if err := show.Layered(w, &rep.Result); err != nil {
		return err
	}
	const most = 40
	rows := [][]string{{"tensor", "status", "type", "shape", "r", "cosine", "max |a-b|"}}
	hidden := 0
	for _, t := range rep.Tensors {
		if t.Status == compare.Identical && t.Other == "" {
			continue
		}
		if len(rows) > most {
			hidden++
			continue
		}
		name := t.Name
		if t.Other != "" {
			name += " = " + t.Other
		}
		status := t.Status
		if t.How != "" {
			status += ": " + t.How
		}
		rows = append(rows, []string{name, status, either(t.DTypeA, t.DTypeB), either(shapeText(t.ShapeA), shapeText(t.ShapeB)), numberOrNone(t.R), numberOrNone(t.Cosine), numberOrNone(t.MaxAbs)})
		if r := t.Rows; r != nil {
			rows = append(rows, []string{"  rows by token", fmt.Sprintf("%d matched, %d identical, %d only in A, %d only in B", r.Matched, r.Identical, r.OnlyA, r.OnlyB), "", "",
				numberOrNone(r.R), numberOrNone(r.Cosine), numberOrNone(r.MaxAbs)})
		}
	}
	if len(rows) > 1 {
		fmt.Fprintln(w)
		if err := show.Table(w, rows); err != nil {
			return err
		}
	}
	if hidden > 0 {
		fmt.Fprintf(w, "  and %d more tensors: --table FILE.csv lists all\n", hidden)
	}
	for _, part := range []struct {
		name string
		ds   []compare.Difference
	}{{"config.json", rep.Config}, {"special token", tokenizerPart(rep, func(t *compare.TokenizerDiff) []compare.Difference { return t.Special })},
		{"tokenizer.json", tokenizerPart(rep, func(t *compare.TokenizerDiff) []compare.Difference { return t.Parts })},
		{"token, ids", tokenizerPart(rep, func(t *compare.TokenizerDiff) []compare.Difference { return t.Example })}} {
		if len(part.ds) == 0 {
			continue
		}
		rows := [][]string{{part.name, "A", "B"}}
		for _, d := range part.ds {
			rows = append(rows, []string{d.Key, short(d.A), short(d.B)})
		}
		fmt.Fprintln(w)
		if err := show.Table(w, rows); err != nil {
			return err
		}
	}
	return nil
}

func tokenizerPart(rep *compare.Report, f func(*compare.TokenizerDiff) []compare.Difference) []compare.Difference {
	if rep.Tokenizer == nil {
		return nil
	}
	return f(rep.Tokenizer)
}

func short(s string) string {
	if s == "" {
		return "-"
	}
	if r := []rune(s); len(r) > 60 {
		return string(r[:60]) + "..."
	}
	return s
}

func shapeText(s []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(s), " ", "x"), "[]")
}

func either(a, b string) string {
	switch {
	case a == b || b == "":
		return a
	case a == "":
		return b
	}
	return a + " / " + b
}

func numberOrNone(v *float64) string {
	if v == nil {
		return ""
	}
	return show.Number(*v)
}

// tensorRows are the cells of --table.
func tensorRows(rep *compare.Report) [][]string {
	rows := [][]string{{"tensor", "name_b", "status", "how", "block", "kind", "dtype_a", "dtype_b", "shape_a", "shape_b", "r", "cosine", "max_abs", "rows_matched", "rows_identical", "rows_r"}}
	exact := func(v *float64) string {
		if v == nil {
			return ""
		}
		return fmt.Sprint(*v)
	}
	for _, t := range rep.Tensors {
		row := []string{t.Name, t.Other, t.Status, t.How, t.Block, t.Kind, t.DTypeA, t.DTypeB, shapeText(t.ShapeA), shapeText(t.ShapeB), exact(t.R), exact(t.Cosine), exact(t.MaxAbs), "", "", ""}
		if r := t.Rows; r != nil {
			row[13], row[14], row[15] = fmt.Sprint(r.Matched), fmt.Sprint(r.Identical), exact(r.R)
		}
		rows = append(rows, row)
	}
	return rows
}

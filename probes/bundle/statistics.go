package bundle

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"assay/internal/fault"
	"assay/probes"
)

// statistics computes every result again from the evidence.
func (v *verification) statistics(ctx context.Context) (bool, error) {
	failed := v.rep.Failed
	for _, e := range v.m.Inputs { // files that the bundle holds only the digest of
		own := v.o.Input[e.Name]
		if own == "" {
			continue
		}
		_, sum, err := digestFile(own)
		if err != nil {
			return false, err
		}
		if sum != e.Files[0].SHA256 {
			v.rep.find(LevelStatistics, e.Name, "%s: SHA-256: found %s, the bundle says %s", e.Files[0].Source, sum, e.Files[0].SHA256)
		}
	}
	if v.rep.Failed > failed {
		return v.rep.level(LevelStatistics, failed, "an input is not the one that was used"), nil
	}
	same := v.o.Program.Digest == v.m.Program.Digest && v.o.Program.Digest != ""
	whole := same
	var outs []Outcome
	n := 0
	for _, j := range v.jobs() {
		stored, err := v.stored(j)
		if err != nil {
			v.rep.find(LevelStatistics, "results/"+j.Stem(), "%v", err)
			whole = false
			continue
		}
		stored.Command = v.e.Command(v.w.evidence(v.dir)[j.Number-1])
		outs = append(outs, stored)
		if stored.Failure != nil {
			v.rep.skip("test %s: it failed in the audit (%s)", j.ID, stored.Failure.Code)
			continue
		}
		if why := v.unavailable(j); why != "" {
			v.rep.skip("test %s: %s", j.ID, why)
			continue
		}
		ok, err := v.recompute(ctx, j, stored, same)
		if err != nil {
			return false, err
		}
		if ok {
			n++
		}
	}
	if len(outs) == len(v.p.Tests) {
		v.derived(outs, whole)
	}
	v.rep.Checked = append(v.rep.Checked, fmt.Sprintf("%d of %d tests recomputed from the evidence", n, len(v.p.Tests)))
	if !same {
		v.rep.skip("report.html and figures (made by another build: digests only)")
	}
	return v.rep.level(LevelStatistics, failed, "%d of %d tests recomputed%s", n, len(v.p.Tests),
		map[bool]string{true: ", byte for byte", false: ", within the tolerances of another build"}[same]), nil
}

// jobs are the tests with what this verification can read put in place.
func (v *verification) jobs() []Job {
	jobs := v.w.jobs(func(n string) Place {
		if own := v.o.Input[n]; own != "" {
			if abs, err := filepath.Abs(own); err == nil {
				return Place{Role: n, Path: abs}
			}
		}
		i := slices.IndexFunc(v.m.Inputs, func(e InputEntry) bool { return e.Name == n })
		return Place{Role: n, Path: v.m.Inputs[i].Files[0].Path}
	})
	for i := range jobs {
		j := &jobs[i]
		j.Dir = v.dir
		for k, pl := range append([]Place{j.Model}, j.Others...) {
			to := Place{Role: pl.Role, Path: v.o.Ckpt[pl.Role], Ckpt: true}
			if to.Path != "" {
				if abs, err := filepath.Abs(to.Path); err == nil {
					to.Path = abs
				}
			}
			if j.Reads.passes() {
				to = Place{Role: pl.Role, Path: v.w.traceOf(pl.Role, j.ID)}
			}
			if k == 0 {
				j.Model = to
			} else {
				j.Others[k-1] = to
			}
		}
	}
	return jobs
}

// unavailable says what keeps a test from being computed again.
func (v *verification) unavailable(j Job) string {
	for _, slot := range slices.Sorted(maps.Keys(j.Files)) {
		if f := j.Files[slot]; f.Path == "" {
			return fmt.Sprintf("input-not-copied: name it with --input %s=FILE", f.Role)
		}
	}
	for _, pl := range append([]Place{j.Model}, j.Others...) {
		switch {
		case pl.Path == "" && j.Reads.passes():
			return "its trace or states are not listed"
		case pl.Path == "" && j.Reads == ReadsCheckpoint:
			return fmt.Sprintf("it reads the checkpoint itself: name it with --ckpt %s=DIR", pl.Role)
		}
	}
	return ""
}

// stored reads what the bundle says of a test.
func (v *verification) stored(j Job) (Outcome, error) {
	o := Outcome{Item: j.Item, Number: j.Number}
	prefix := "results/" + j.Stem() + "."
	figures := "figures/" + j.Stem() + "-"
	for _, f := range v.m.Files {
		if rest, ok := strings.CutPrefix(f.Path, figures); ok && strings.Trim(strings.TrimSuffix(rest, ".svg"), "0123456789") == "" {
			b, err := v.read(f.Path, maxManifest)
			if err != nil {
				return o, err
			}
			o.Figures = append(o.Figures, Figure{f.Path, b})
		}
		if !strings.HasPrefix(f.Path, prefix) {
			continue
		}
		b, err := v.read(f.Path, maxManifest)
		if err != nil {
			return o, err
		}
		o.Files = append(o.Files, f.Path)
		if strings.HasSuffix(f.Path, ".error.json") {
			o.Failure = &Failure{}
			if err := strictJSON(b, o.Failure); err != nil {
				return o, fmt.Errorf("%s: %w", f.Path, err)
			}
			continue
		}
		r, err := readResult(b)
		if err != nil {
			return o, fmt.Errorf("%s: %w", f.Path, err)
		}
		o.Results = append(o.Results, r)
	}
	switch {
	case o.Failure == nil && len(o.Results) == 0:
		return o, fmt.Errorf("found no result of test %s", j.ID)
	case o.Failure != nil && len(o.Results) > 0:
		return o, fmt.Errorf("found a result and an error of test %s", j.ID)
	}
	slices.SortFunc(o.Figures, func(a, b Figure) int {
		if d := len(a.Path) - len(b.Path); d != 0 {
			return d
		}
		return strings.Compare(a.Path, b.Path)
	})
	return o, nil
}

// recompute runs one test again and compares.
func (v *verification) recompute(ctx context.Context, j Job, stored Outcome, same bool) (bool, error) {
	failed := v.rep.Failed
	rs, figures, err := evaluate(ctx, v.e, j, v.o.Figures)
	if err != nil {
		if f := fault.As(err); ctx.Err() != nil || f != nil && (f.Class == fault.Interrupted || f.Class == fault.Retry) {
			return false, err
		}
		v.rep.find(LevelStatistics, stored.Files[0], "it cannot be computed from the evidence: %v", err)
		return false, nil
	}
	if len(rs) != len(stored.Results) {
		v.rep.find(LevelStatistics, stored.Files[0], "found %d results, the evidence gives %d", len(stored.Results), len(rs))
		return false, nil
	}
	paths := v.w.paths(v.dir)
	for _, pl := range append([]Place{j.Model}, j.Others...) {
		if pl.Ckpt && pl.Path != "" {
			paths.add(pl.Path, pl.Role)
		}
	}
	for _, e := range v.m.Inputs {
		if own := v.o.Input[e.Name]; own != "" {
			if abs, err := filepath.Abs(own); err == nil {
				paths.add(abs, e.Files[0].Source)
			}
		}
	}
	for i := range rs {
		b, err := canonical(rs[i], paths)
		if err != nil {
			return false, err
		}
		now, err := readResult(b)
		if err != nil {
			return false, err
		}
		if same {
			have, err := v.read(stored.Files[i], maxManifest)
			if err != nil {
				return false, fault.Retryf("io", "verify: %w", err)
			}
			if bytes.Equal(have, b) {
				continue
			}
		}
		what := differs(stored.Results[i], now, same)
		if what == "" && same {
			what = "its bytes differ from those that the evidence gives"
		}
		if what != "" {
			v.rep.find(LevelStatistics, stored.Files[i], "%s", what)
		}
	}
	if same {
		for i := range figures {
			figures[i] = paths.xml(figures[i])
		}
		v.compareFigures(j, stored, figures)
	}
	return v.rep.Failed == failed, nil
}

func (v *verification) compareFigures(j Job, stored Outcome, figures [][]byte) {
	if len(figures) != len(stored.Figures) {
		v.rep.find(LevelStatistics, "figures/"+j.Stem(), "found %d figures, the evidence gives %d", len(stored.Figures), len(figures))
		return
	}
	for i, f := range stored.Figures {
		if !bytes.Equal(f.SVG, figures[i]) {
			v.rep.find(LevelStatistics, f.Path, "it is not the figure that the evidence gives")
		}
	}
}

// derived compares what follows from the results: summary, script, report.
func (v *verification) derived(outs []Outcome, same bool) {
	Adjust(outs, v.p.Family)
	want, err := summary(outs)
	have, err2 := v.read("results/summary.csv", maxManifest)
	if err != nil || err2 != nil || !bytes.Equal(want, have) {
		v.rep.find(LevelStatistics, "results/summary.csv", "it does not follow from the results")
	}
	if !same {
		return
	}
	if have, err := v.read("reproduce.sh", maxManifest); err != nil || !bytes.Equal(have, Script(v.w, outs)) {
		v.rep.find(LevelStatistics, "reproduce.sh", "it does not follow from the plan")
	}
	m := *v.m
	m.Files = slices.DeleteFunc(slices.Clone(m.Files), func(f FileEntry) bool { return f.Path == "report.html" })
	var page bytes.Buffer
	have, err = v.read("report.html", 64<<20)
	if err != nil || v.o.Report(&page, &m, v.p, outs) != nil || !bytes.Equal(page.Bytes(), have) {
		v.rep.find(LevelStatistics, "report.html", "it is not the page that the results give")
	}
}

// Tolerances between two builds or processors: fused multiply-add rounds otherwise.
const (
	tolEstimate = 1e-9
	tolLogP     = 1e-8
)

// differs says what of a stored result the evidence does not give; "" = nothing.
func differs(stored, now probes.Result, same bool) string {
	num := func(what string, a, b, tol float64) string {
		if a == b || !same && math.Abs(a-b) <= tol*max(1, math.Abs(a)) {
			return ""
		}
		return fmt.Sprintf("%s: found %v, the evidence gives %v", what, a, b)
	}
	text := func(what string, a, b any) string {
		ja, _ := json.Marshal(a)
		jb, _ := json.Marshal(b)
		if bytes.Equal(ja, jb) {
			return ""
		}
		return fmt.Sprintf("%s: found %.120s, the evidence gives %.120s", what, ja, jb)
	}
	var out []string
	add := func(s string) {
		if s != "" {
			out = append(out, s)
		}
	}
	add(text("test", stored.Test, now.Test))
	add(text("version", stored.Version, now.Version))
	add(text("n", stored.N, now.N))
	add(text("seed", stored.Seed, now.Seed))
	add(text("tier", stored.Verdict.Tier, now.Verdict.Tier))
	add(text("finding", stored.Verdict.Finding, now.Verdict.Finding))
	add(text("says", stored.Verdict.Says, now.Verdict.Says))
	add(text("does_not_say", stored.Verdict.DoesNotSay, now.Verdict.DoesNotSay))
	add(text("warnings", warningCodes(stored), warningCodes(now)))
	if len(stored.Estimates) != len(now.Estimates) || len(stored.P) != len(now.P) {
		add(fmt.Sprintf("found %d estimates and %d p-values, the evidence gives %d and %d", len(stored.Estimates), len(stored.P), len(now.Estimates), len(now.P)))
	} else {
		for i, a := range stored.Estimates {
			b := now.Estimates[i]
			add(text("estimate", []string{a.Name, a.Unit}, []string{b.Name, b.Unit}))
			add(num("estimate "+a.Name, value(a.Value), value(b.Value), tolEstimate))
			if a.CI != nil && b.CI != nil {
				add(num("interval of "+a.Name, a.CI.Lo, b.CI.Lo, tolEstimate))
				add(num("interval of "+a.Name, a.CI.Hi, b.CI.Hi, tolEstimate))
			} else if (a.CI == nil) != (b.CI == nil) {
				add("interval of " + a.Name + ": on one side only")
			}
		}
		for i, a := range stored.P {
			add(text("p-value", a.Name, now.P[i].Name))
			add(num("log10_p of "+a.Name, a.Log10P, now.P[i].Log10P, tolLogP))
		}
	}
	if len(out) == 0 {
		return ""
	}
	return out[0]
}

// value maps an undefined estimate to a number that no estimate has.
func value(x *float64) float64 {
	if x == nil {
		return -math.MaxFloat64
	}
	return *x
}

func warningCodes(r probes.Result) []string {
	out := []string{}
	for _, w := range r.Warnings {
		out = append(out, w.Code)
	}
	return out
}

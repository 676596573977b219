package membership

import (
	"fmt"
	"math"
	"slices"

	"assay/internal/fault"
	"assay/probes"
	"assay/probes/stat"
)

// Dated is one text with its distance from the training cutoff.
type Dated struct {
	ID    string
	Days  float64 // from the cutoff; 0 and more = after
	Score float64 // any score; NaN = undefined
	Bytes float64 // covariates that must not jump; NaN = unknown
	Blind float64
}

// CutoffOptions of the discontinuity test.
type CutoffOptions struct {
	Bandwidth float64 // h in days
	Donut     float64 // texts with |days| below it are left out of the donut fit; 0 = h/6
	Months    bool    // dates are known by the month only: cluster the error by month
	Alpha     float64 // 0 = .05
	Level     float64 // 0 = .95
	Blind     string  // what the blind covariate is, kept in the settings
	Inputs    []probes.Input
	Seed      uint64
}

// Jump is one fit: the right intercept minus the left one.
type Jump struct {
	Name      string
	Tau       float64
	SE        float64 // HC0, as published
	Robust    float64 // HC2: residuals over the square root of 1 - leverage; behind p-values and intervals
	N         int
	DF        float64 // texts, or months, inside the bandwidth, less the four line parameters
	LogP      float64 // two-sided, Student's t
	Bandwidth float64
}

// Cutoff asks whether a score jumps at the training cutoff: on each side a line by
// least squares with weights 1-|d|/h, tau = right minus left intercept, errors HC2
// (by month when dates are months). Membership predicts tau < 0: texts from
// after the cutoff score lower. The p-value stands (tier B) when no placebo cutoff and
// no covariate jumps (smallest Holm-adjusted p at least .1). Unknown or fuzzy cutoffs pull tau
// to 0; late crawls and earlier preprints need the donut.
func Cutoff(texts []Dated, o CutoffOptions) (probes.Result, error) {
	if o.Alpha == 0 {
		o.Alpha = .05
	}
	if o.Level == 0 {
		o.Level = .95
	}
	if !(o.Bandwidth > 0) || o.Donut < 0 || o.Donut >= o.Bandwidth && o.Donut > 0 {
		return probes.Result{}, fault.Usagef("membership: cutoff: found bandwidth %v and donut %v days, want bandwidth > donut >= 0", o.Bandwidth, o.Donut)
	}
	if o.Donut == 0 {
		o.Donut = o.Bandwidth / 6
	}
	score := func(d Dated) float64 { return d.Score }
	main, err := jump(texts, score, 0, o.Bandwidth, 0, o.Months)
	if err != nil {
		return probes.Result{}, err
	}
	main.Name = "tau"
	res := probes.Result{
		Schema: probes.Schema, Test: "membership.cutoff", Version: 1, Inputs: append([]probes.Input{}, o.Inputs...), Seed: o.Seed, P: []probes.PValue{}, Warnings: []probes.Warning{},
		Settings: map[string]any{"bandwidth_days": o.Bandwidth, "donut_days": o.Donut, "by_month": o.Months, "alpha": o.Alpha, "blind": o.Blind},
		N:        map[string]int{"texts": len(texts), "used": main.N},
	}
	add := func(j Jump, unit string) {
		z := stat.StudentQuantile((1+o.Level)/2, max(1, j.DF))
		e := probes.Estimate{Name: j.Name, Unit: unit, Method: fmt.Sprintf("h %g days, %d texts, HC2 error %.4g (HC0 %.4g), %.0f df", j.Bandwidth, j.N, j.Robust, j.SE, j.DF)}
		if !math.IsNaN(j.Tau) {
			e.Value = probes.Value(j.Tau)
			e.CI = &probes.CI{Lo: j.Tau - z*j.Robust, Hi: j.Tau + z*j.Robust, Level: o.Level}
		}
		res.Estimates = append(res.Estimates, e)
	}
	add(main, "score")
	for _, v := range []struct {
		name  string
		h, in float64
	}{{"tau_half_bandwidth", o.Bandwidth / 2, 0}, {"tau_double_bandwidth", 2 * o.Bandwidth, 0}, {"tau_donut", o.Bandwidth, o.Donut}} {
		if j, err := jump(texts, score, 0, v.h, v.in, o.Months); err == nil {
			j.Name = v.name
			add(j, "score")
		}
	}
	checks := o.checks(texts)
	for _, j := range checks {
		add(j, "covariate or score")
	}
	pass := len(checks) > 0
	logs := make([]float64, len(checks))
	for i, j := range checks {
		logs[i] = j.LogP
	}
	smallest, worst := 0.0, ""
	for i, p := range stat.Holm(logs) {
		if p < smallest {
			smallest, worst = p, checks[i].Name
		}
	}
	pass = pass && smallest >= math.Log(.1)
	res.Settings["checks"] = []map[string]any{{"name": "placebo-and-covariates", "number": len(checks), "smallest_holm_log10_p": smallest / math.Ln10, "worst": worst, "limit": -1, "pass": pass}}
	tier := probes.TierC
	if pass {
		tier = probes.TierB
		p, _ := stat.LogTailStudentT(-main.Tau/main.Robust, main.DF)
		res.P = append(res.P, logP("tau", p, fmt.Sprintf("one-sided Student tail of tau over its HC2 error, %.0f df", main.DF),
			"the score does not jump down at the cutoff"))
		res.Verdict = verdictB(p, o.Alpha, "texts from after the cutoff score lower than those from just before it", "no drop at the cutoff was shown")
	} else {
		res.Warnings = append(res.Warnings, probes.Warning{Code: "confounded", Text: "a placebo cutoff or a covariate jumps too (" + worst + "): the jump of the score has other reasons"})
		res.Verdict = verdictC("the score and something else change at the cutoff, or too few texts surround it to know")
	}
	res.Verdict.Tier = tier
	if main.N < 200 {
		res.Warnings = append(res.Warnings, probes.Warning{Code: "underpowered", Text: fmt.Sprintf("%d texts inside the bandwidth", main.N)})
	}
	return res, nil
}

// checks are the fits that must not jump: ten placebo cutoffs on each side, spread
// where half a bandwidth of texts lies on either side of them, and bytes and the
// blind score at the true cutoff. A placebo sees one side's texts only.
func (o CutoffOptions) checks(texts []Dated) []Jump {
	var out []Jump
	score := func(d Dated) float64 { return d.Score }
	for _, side := range []float64{-1, 1} {
		var own []Dated
		far := 0.0
		for _, d := range texts {
			if (d.Days >= 0) == (side > 0) {
				own = append(own, d)
				far = max(far, math.Abs(d.Days))
			}
		}
		lo, hi := o.Bandwidth/2, far-o.Bandwidth/2
		for k := range 10 {
			at := side * (lo + (hi-lo)*float64(k)/9)
			if hi <= lo {
				break
			}
			if j, err := jump(own, score, at, o.Bandwidth, 0, o.Months); err == nil && j.DF >= 1 {
				j.Name = fmt.Sprintf("placebo[%+.0f days]", at)
				out = append(out, j)
			}
		}
	}
	for _, c := range []struct {
		name string
		of   func(Dated) float64
	}{{"bytes", func(d Dated) float64 { return d.Bytes }}, {"blind", func(d Dated) float64 { return d.Blind }}} {
		if j, err := jump(texts, c.of, 0, o.Bandwidth, 0, o.Months); err == nil {
			j.Name = "covariate[" + c.name + "]"
			out = append(out, j)
		}
	}
	return out
}

// jump fits both sides of a cutoff at days = at, leaving out |days-at| < hole.
func jump(texts []Dated, of func(Dated) float64, at, h, hole float64, months bool) (Jump, error) {
	j := Jump{Bandwidth: h}
	var tau, variance, robust float64
	for _, side := range []float64{-1, 1} {
		var x, y, w []float64
		for _, d := range texts {
			v, x0 := of(d), d.Days-at
			if math.IsNaN(v) || math.Abs(x0) > h || math.Abs(x0) < hole || (x0 >= 0) != (side > 0) {
				continue
			}
			x, y, w = append(x, x0), append(y, v), append(w, 1-math.Abs(x0)/h)
		}
		a, va, vr, units, err := intercept(x, y, w, months)
		if err != nil {
			return j, err
		}
		tau += side * a
		variance, robust = variance+va, robust+vr
		j.N += len(x)
		j.DF += float64(units) - 2
	}
	j.Tau, j.SE, j.Robust = tau, math.Sqrt(variance), math.Sqrt(robust)
	if !(j.SE > 0) {
		return j, fault.Inputf("too-few", "membership: cutoff: found no variation around day %v", at)
	}
	_, j.LogP = stat.LogTailStudentT(tau/j.Robust, max(1, j.DF))
	return j, nil
}

// intercept of a weighted line with its HC0 and HC2 variances, clustered by month if
// asked, and the number of rows or months behind it. HC0 alone is too small: of
// 10,000 simulated nulls of 400 texts its p-values rejected 5.9 % at .05.
func intercept(x, y, w []float64, months bool) (a, variance, robust float64, units int, err error) {
	var s0, s1, s2, t0, t1 float64
	days := make(map[float64]bool)
	for i := range x {
		if w[i] > 0 {
			days[x[i]] = true
		}
		s0, s1, s2 = s0+w[i], s1+w[i]*x[i], s2+w[i]*x[i]*x[i]
		t0, t1 = t0+w[i]*y[i], t1+w[i]*x[i]*y[i]
	}
	det := s0*s2 - s1*s1
	if len(days) < 3 || !(det > 0) {
		return 0, 0, 0, 0, fault.Inputf("too-few", "membership: cutoff: found %d distinct days on one side, want at least 3", len(days))
	}
	a = (s2*t0 - s1*t1) / det
	b := (s0*t1 - s1*t0) / det
	meat, scaled := make(map[float64]float64), make(map[float64]float64)
	var order []float64
	for i := range x {
		// influence of row i on the intercept
		g := w[i] * (s2 - s1*x[i]) / det * (y[i] - a - b*x[i])
		key := float64(i)
		if months {
			key = math.Floor(x[i] / 30.4375)
		}
		if _, ok := meat[key]; !ok {
			order = append(order, key)
		}
		meat[key] += g
		leverage := w[i] * (s2 - 2*s1*x[i] + s0*x[i]*x[i]) / det
		scaled[key] += g / math.Sqrt(max(1-leverage, 1e-9))
	}
	slices.Sort(order)
	for _, k := range order {
		variance += meat[k] * meat[k]
		robust += scaled[k] * scaled[k]
	}
	if n := float64(len(order)); months && n > 2 { // few clusters: HC0 alone is far too small
		variance *= n / (n - 2)
		robust *= n / (n - 2)
	}
	return a, variance, robust, len(order), nil
}

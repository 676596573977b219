package palimpsest

import (
	"math"

	"assay/internal/fault"
)

// combine turns the log-probabilities of suspect and references into one score per
// unit. References only remove the difficulty of the text; none of the modes looks
// at positions, so exchangeability survives.
//
//	none     L_S
//	diff     L_S - L_1
//	mean     L_S - mean of the references
//	regress  residual of the least-squares fit of L_S on 1, the references and
//	         the covariates of the content
func combine(suspect []float64, refs [][]float64, covariates []Covariate, mode string) ([]float64, error) {
	d := append([]float64(nil), suspect...)
	switch {
	case mode == "none":
		return d, nil
	case mode == "diff" && len(refs) != 1:
		return nil, fault.Usagef("palimpsest: combine diff with %d references, want 1", len(refs))
	case len(refs) == 0:
		return nil, fault.Usagef("palimpsest: combine %s without a reference", mode)
	case mode == "diff" || mode == "mean":
		for i := range d {
			sum := 0.0
			for _, r := range refs {
				sum += r[i]
			}
			d[i] -= sum / float64(len(refs))
		}
		return d, nil
	case mode == "regress":
		cols := append([][]float64(nil), refs...)
		for _, c := range covariates {
			cols = append(cols, c.X)
		}
		residual(d, cols)
		return d, nil
	}
	return nil, fault.Usagef("palimpsest: combine %q, want none, diff, mean or regress", mode)
}

// defaultCombine is the mode for a number of references when none was named.
func defaultCombine(refs int) string {
	switch refs {
	case 0:
		return "none"
	case 1:
		return "diff"
	}
	return "mean"
}

// residual projects d off the constant and off the columns: QR by modified
// Gram-Schmidt, each column orthogonalised twice. gonum's QR would hold an n by p
// copy more and fail on columns that depend on each other, as length and bytes
// may; here a column that adds no direction is skipped.
func residual(d []float64, cols [][]float64) {
	n := len(d)
	one := make([]float64, n)
	for i := range one {
		one[i] = 1 / math.Sqrt(float64(n))
	}
	basis := [][]float64{one}
	off := func(x []float64) {
		for range 2 {
			for _, q := range basis {
				c := 0.0
				for i, v := range q {
					c += v * x[i]
				}
				for i, v := range q {
					x[i] -= c * v
				}
			}
		}
	}
	for _, c := range cols {
		x := append([]float64(nil), c...)
		before := norm(x)
		off(x)
		if after := norm(x); after > 1e-9*before {
			for i := range x {
				x[i] /= after
			}
			basis = append(basis, x)
		}
	}
	off(d)
}

func norm(x []float64) float64 {
	s := 0.0
	for _, v := range x {
		s += v * v
	}
	return math.Sqrt(s)
}

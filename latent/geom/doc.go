// Package geom holds the estimators of the latent tests: separation of labelled
// groups of vectors with its jackknife interval and randomisation p-value,
// cluster indices, debiased kernel alignment, spectra and rank correlations of
// distances. Everything is a pure function of vectors in memory or in a mapped
// file (Rows), or of sums kept per cell (Cells).
//
// # Separation
//
// For labels a and b with means m, within variances v (total over dimensions,
// divisor n-1) and N the expected squared noise of a mean,
//
//	D2u   = |m_a - m_b|^2 - N_a - N_b      unbiased for the squared distance of the true means
//	theta = 2 D2u / (v_a + v_b)
//	R2    = theta / (4 + theta)
//
// N is W/(n(n-1)) for independent rows. Where rows come in families or pairs the
// independent form is biased, so the caller states the form and the package
// never guesses it. With k labels D2u becomes the sum over pairs divided by k^2
// and the variance the mean over labels; with strata numerators and
// denominators are summed over strata first.
//
// # What it refuses
//
// No percentile bootstrap: repeated rows add a second dose of noise, and at width
// 1024 such an interval excluded its own point estimate in 60 of 60 simulated
// samples. No clamping and no fallback numbers: an undefined index is NaN with a
// reason, an unbounded one is +Inf.
//
// # Sources
//
// Jackknife for blocks of unequal size: Busing, Meijer and van der Leeden,
// "Delete-m jackknife for unequal m" (1999). Debiased HSIC: Song et al. (2012),
// used for CKA after Nguyen, Raghu and Kornblith (2020). Two-sample U-statistic:
// Chen and Qin (2010), arXiv:1002.4547. XBI, CHI, DBS, Dunn and silhouette: Xie
// and Beni (1991), Calinski and Harabasz (1974), Davies and Bouldin (1979), Dunn
// (1973), Rousseeuw (1987).
//
// The package has its own resampling because the statistics are quadratic forms
// in a Gram matrix: thousands of arrangements are evaluated by one matrix
// product, for all layers with the same arrangements.
package geom

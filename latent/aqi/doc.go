// Package aqi answers: do these two (or k) groups of texts lie apart inside the
// model, how far, at which layer, and is it more than length or topic?
//
// The headline AQI-R2 is the share of variance that the label would explain if
// labels were equally common, without sampling bias: it does not depend on the
// number of rows, class shares, translation, rotation or scale. The published
// index (Borah et al., arXiv:2506.13901), lambda/XBI + (1-lambda) CHI, is
// printed beside it. With two labels its halves are one number, CHI x XBI =
// n1 n2 (n-2)/n^2, so lambda only sets the unit and the index grows with n.
//
// # What it refuses
//
// It never names a best layer without the p-value of having looked at all of
// them, never prints an in-sample value of learned layer weights or a training
// accuracy, never computes an index on a t-SNE picture, and gives no p-value
// where labels were neither drawn by the auditor nor matched and checked
// (tier C). It does not call a model aligned or safe: a separation is a fact about
// these texts in this model.
//
// # Evidence
//
// Rows are used where they were kept, else cell sums; distances and the probe
// use rows up to 4096, else the sample (warning sampled). The tier is computed
// from the design and the controls, see Verdict in the result.
//
// # Warnings
//
//	r2-floor                theta is negative, so R2 prints 0
//	post-dependent          two checkpoints change order under another post step
//	singleton               a label has one row in a stratum or in all
//	duplicate-across-labels rows of two labels at the same point
//	duplicate-text          equal texts under two ids, or under two labels
//	length-confounded       span length or bytes tell labels apart (AUROC outside .4 to .6)
//	source-confounded       the source column does (AUROC above .6)
//	words-confounded        a bag of words does (AUROC above .6)
//	unbalanced              label shares beyond 1:9
//	outlier-rows            rows with a norm more than 6 MAD from the median
//	few-blocks              fewer than 12 block pairs: the sample was permuted instead
//	sampled                 an index comes from the sample
//	dunn-bound              Dunn of a sample is biased up
//	infinite, degenerate, too-few-points   an estimate without a number
//	not-comparable          a compat score depends on the other groups of this run
//	bos-in-span             the span includes the first special token
//	quantised, not-verified as the states file says
//	layer-chosen            the settings name one layer
//	learned-pool            layer weights were fitted to these labels
//	no-texts                texts were not given: words were not controlled
package aqi

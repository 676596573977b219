// Package health answers: are the states healthy, or collapsed, dominated by a
// few units, or blown up? Of one checkpoint, or of two on the same texts.
//
// Per layer: participation ratio and effective rank (with the debiased forms
// that do not shrink with the number of documents), anisotropy and the units
// behind it, norms, massive activations, outlier and dead units, intrinsic
// dimension, and how much the positions of one document resemble each other.
//
// It refuses to call a value good or bad: limits are ours, stand in the
// settings, and decide nothing but a warning. Two effective ranks exist in the
// literature; both are printed under their own names and never mixed. All
// results are tier C.
//
// Sources: RankMe, Garrido et al., arXiv:2210.02885; massive activations, Sun et
// al., arXiv:2402.17762; outlier units, Dettmers et al., arXiv:2208.07339 (limits
// after them); TwoNN, Facco et al. 2017.
//
// # Warnings
//
//	rogue-unit           one unit carries more than half of the mean cosine
//	rank-saturated       an effective rank moves by more than 10 % when documents are halved
//	first-token-massive  the largest activation of most documents is massive and at the first position
//	sampled              a figure comes from the sample
//	degenerate           all rows of a layer are equal: its spectrum is null
//	missing-part         the file does not hold what a figure needs
package health

// Package compare answers: how far did one checkpoint move from another in
// latent space, and did that change the separation of labelled texts? Both must
// have been given the same texts under the same plan.
//
// Per layer: debiased linear CKA with its interval beside a ruler (CKA of
// neighbouring layers inside A, so that drift reads in units of layers), relative
// distance and mean cosine in the shared basis, Procrustes, mutual neighbours,
// correlation of distances, directions of group means; the full map of CKA
// between layers; the change of participation ratio, cosine and norms; and, with
// labels, the change of the debiased separation.
//
// It refuses SVCCA and PWCCA (canonical correlations are all 1 when documents do
// not outnumber dimensions), and prints plain CKA only beside the debiased one,
// because it tends to 1 as width exceeds the number of documents. All results
// are tier C but for the change of separation, which has its own test (aqi).
//
// Sources: CKA, Kornblith et al., arXiv:1905.00414; debiased, Nguyen et al.,
// arXiv:2010.15327; mutual neighbours, Huh et al., arXiv:2405.07987, whose
// maximum over layer pairs is printed beside the same maximum under shifted pairing.
//
// # Warnings
//
//	width-differs  the widths differ: no shared basis, Procrustes or group directions
//	degenerate     an estimate without a number
//	sampled        computed on the sample
package compare

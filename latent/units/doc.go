// Package units answers: which units, or which direction, carry a label? Screen
// ranks single units by mutual information; Fit finds a direction in one file
// of states and Apply reads it in another; Similarity says how alike two groups
// of texts are, layer by layer.
//
// It refuses to apply a direction to the documents it was fitted on, to report
// the best unit without the p-value of having looked at all units and layers,
// and to select units outside the folds that it reports on.
//
// Sources: mutual information screening after fastHDMI, arXiv:2410.10082;
// similarity of groups (IMA score) after Shukor and Cord, arXiv:2405.16700, over
// all cross pairs and without their epsilon.
//
// # Warnings
//
//	sampled     computed on the sample
//	no-stable   no unit was picked by every fold
//	and the warnings of the controls of latent/aqi
package units

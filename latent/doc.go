// Package latent reads what a checkpoint computed inside itself, the states, and
// says what they can carry: how far labelled groups of texts lie apart (aqi),
// how far two checkpoints differ (compare), whether states are healthy
// (health), from which layer on the answer is readable (lens), which units or
// directions carry a label (units), and what it looks like (picture).
//
// This package holds what these tests share: the States that they read, the
// Design that turns labels, strata and units of a file into tables of vectors,
// and the choice of views and layers. The estimators are in latent/geom.
//
// It refuses to run a model, to guess a label (a document without one stays
// without), and to pool over padding or template tokens: spans were fixed when
// the states were made.
//
// Sources: the separation follows Borah et al., arXiv:2506.13901, with its
// index printed beside estimates that do not depend on the number of rows, on
// class shares, or on other models in the same run.
package latent

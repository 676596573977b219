// Package picture draws what the latent tests computed: principal components of
// the rows with their labels, the projection on the held-out axis, the curve of
// separation by layer, and the map of alignment between two checkpoints. SVG and
// PNG, through gonum/plot.
//
// A picture is not a measurement, and each one says so: no index is computed
// from it. It refuses to show more than 2000 rows, to choose an axis sign that
// could differ between runs (the largest loading is positive), and to tell groups
// apart by colour alone: marks and dashes differ, colours are those of Okabe and
// Ito, ordered so that they differ in grey too.
//
// Text stays text in the SVG, nothing is referenced from outside, and the same
// input gives the same bytes.
package picture

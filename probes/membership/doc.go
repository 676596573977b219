// Package membership asks whether texts, a dataset, or a dataset in its order were
// in the training data of a checkpoint, and what may be claimed from the answer.
//
// It computes the published membership scores from traces (Parse, Build), evaluates
// them on labelled texts (Eval), compares one claimant's texts with controls (Claim),
// infers use of a dataset (Infer), tests preference for a published order
// (Order), a jump at the training cutoff (Cutoff), verbatim extraction (Extract)
// and copying in generations (NGrams), makes thresholds of the user's own
// (Calibrate), and exports output signatures (ExportSignature).
//
// For single texts chosen afterwards the honest answer is nearly always a rank among
// the controls at hand. A p-value appears only where membership was randomised (tier
// A: an Assignment reproduces it) or where the gate finds no difference without the
// model (tier B). The package refuses to give p-values elsewhere, to combine
// conformal p-values that share controls by Fisher's method, to drop undefined
// scores, to report a true-positive rate that the number of controls cannot
// show, and to ship thresholds.
//
// Sources: Yeom 2018, Carlini 2021, Shi 2023 (arXiv 2310.16789), Zhang 2024
// (2404.02936), Oren 2023 (2310.17623), Maini 2024 (2406.06443), Meeus 2024
// (2406.17975) for the gate and the cutoff; DeLong 1988 for AUC errors. Each score
// names its source and what others compute under the same name (Scores).
package membership

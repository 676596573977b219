package membership

import (
	"io"
	"math"
	"slices"

	"github.com/parquet-go/parquet-go"

	"assay/internal/fault"
	"assay/model/trace"
	"assay/probes/stat"
)

// TokenRow is one row of the output-signature table: what the model said about one
// scored token, for a classifier of the user's own.
type TokenRow struct {
	DocID   string    `parquet:"doc_id,dict"`
	Label   *int32    `parquet:"label,optional"`
	Pos     int32     `parquet:"pos"`
	LogProb float32   `parquet:"logprob"`
	Rank    int32     `parquet:"rank"` // 0-based, strictly greater
	Entropy float32   `parquet:"entropy"`
	SD      float32   `parquet:"sd"`
	UMean   float32   `parquet:"umean"`
	USD     float32   `parquet:"usd"`
	Z       float32   `parquet:"z"`     // (logprob - umean)/usd
	Scale   float32   `parquet:"scale"` // 2(.5 - rank/V)
	Top     []float32 `parquet:"top_logprob,list"`
	TopZ    []float32 `parquet:"top_z,list"`
}

// SignatureOptions of the export.
type SignatureOptions struct {
	Tokens int // first tokens of each document; 0 = 100
	TopK   int // entries kept; 0 = 20, at most 1000
}

func (o SignatureOptions) withDefaults() SignatureOptions {
	if o.Tokens == 0 {
		o.Tokens = 100
	}
	if o.TopK == 0 {
		o.TopK = 20
	}
	return o
}

// ExportSignature writes the table of a trace with moments and top-k columns as
// Parquet and returns the number of rows and of rows with usd 0 (their z is 0).
func ExportSignature(r *trace.Reader, w io.Writer, o SignatureOptions) (rows, flat int, err error) {
	o = o.withDefaults()
	if o.Tokens < 1 || o.TopK < 1 || o.TopK > 1000 {
		return 0, 0, fault.Usagef("membership: export: found %d tokens and top-k %d, want at least 1 token and top-k in 1..1000", o.Tokens, o.TopK)
	}
	if err := r.Need("logprob", "umean", "usd", "top_logprob"); err != nil {
		return 0, 0, err
	}
	vocab := r.Header().Of.Checkpoint.Vocab
	out := parquet.NewGenericWriter[TokenRow](w, parquet.Compression(&parquet.Zstd))
	for d, err := range r.All() {
		if err != nil {
			return rows, flat, err
		}
		rs, f, err := SignatureRows(d, vocab, o)
		if err != nil {
			return rows, flat, err
		}
		flat += f
		if _, err := out.Write(rs); err != nil {
			return rows, flat, fault.Retryf("io", "membership: export: %w", err)
		}
		rows += len(rs)
	}
	if err := out.Close(); err != nil {
		return rows, flat, fault.Retryf("io", "membership: export: %w", err)
	}
	return rows, flat, nil
}

// SignatureRows are the rows of one document.
func SignatureRows(d trace.DocTokens, vocab int, o SignatureOptions) (rows []TokenRow, flat int, err error) {
	o = o.withDefaults()
	t := d.Tokens
	if t.UMean == nil || t.TopLogprob == nil {
		return nil, 0, fault.Inputf("columns", "membership: export: document %q has no moments or top-k columns", d.Doc.ID).Hint("score with --moments --topk %d", o.TopK)
	}
	for i := range t.Len() {
		if !t.Scored[i] {
			continue
		}
		if len(rows) == o.Tokens {
			break
		}
		if len(t.TopLogprob[i]) < min(o.TopK, max(vocab, 1)) {
			return nil, 0, fault.Inputf("columns", "membership: export: document %q, pos %d: found %d top entries, want %d", d.Doc.ID, t.Pos[i], len(t.TopLogprob[i]), o.TopK).
				Hint("score with --topk %d", o.TopK)
		}
		row := TokenRow{DocID: d.Doc.ID, Label: d.Doc.Label, Pos: t.Pos[i], LogProb: t.Logprob[i], Rank: t.Rank[i], Entropy: t.Entropy[i],
			SD: t.SD[i], UMean: t.UMean[i], USD: t.USD[i]}
		if vocab > 0 {
			row.Scale = float32(2 * (.5 - float64(t.Rank[i])/float64(vocab)))
		}
		z := func(x float32) float32 {
			if t.USD[i] == 0 {
				return 0
			}
			return float32((float64(x) - float64(t.UMean[i])) / float64(t.USD[i]))
		}
		if t.USD[i] == 0 {
			flat++
		}
		row.Z = z(t.Logprob[i])
		row.Top = slices.Clone(t.TopLogprob[i][:min(o.TopK, len(t.TopLogprob[i]))])
		for _, x := range row.Top {
			row.TopZ = append(row.TopZ, z(x))
		}
		rows = append(rows, row)
	}
	return rows, flat, nil
}

// SignatureNames are the twenty features of a document, in the order of SignatureFeatures.
func SignatureNames() []string {
	return []string{"lp_mean", "lp_sd", "lp_q05", "lp_q25", "lp_q50", "lp_q75", "h_mean", "h_sd", "h_q05", "h_q50", "h_q95",
		"z_mean", "z_q05", "z_q20", "share_rank0", "share_rank10", "mean_log_rank", "mean_gap", "mink_20", "minkpp_20"}
}

// SignatureFeatures summarises the rows of one document; NaN for no rows.
func SignatureFeatures(rows []TokenRow) []float64 {
	n := len(rows)
	out := make([]float64, len(SignatureNames()))
	if n == 0 {
		for i := range out {
			out[i] = math.NaN()
		}
		return out
	}
	lp, h, z, zz := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
	var first, ten, logRank, gap float64
	for i, r := range rows {
		lp[i], h[i], z[i] = float64(r.LogProb), float64(r.Entropy), float64(r.Z)
		if r.SD >= flatSD {
			zz[i] = (lp[i] + h[i]) / float64(r.SD)
		}
		if r.Rank == 0 {
			first++
		}
		if r.Rank < 10 {
			ten++
		}
		logRank += math.Log1p(float64(r.Rank))
		if len(r.Top) > 0 {
			gap += float64(r.Top[0]) - lp[i]
		}
	}
	for _, x := range [][]float64{lp, h, z, zz} {
		slices.Sort(x)
	}
	lm, lv := stat.MeanVar(lp)
	hm, hv := stat.MeanVar(h)
	zm, _ := stat.MeanVar(z)
	sd := func(v float64) float64 { // one row has no spread
		if math.IsNaN(v) {
			return 0
		}
		return math.Sqrt(v)
	}
	q, f := stat.Quantile, float64(n)
	return []float64{lm, sd(lv), q(lp, .05), q(lp, .25), q(lp, .5), q(lp, .75), hm, sd(hv), q(h, .05), q(h, .5), q(h, .95),
		zm, q(z, .05), q(z, .2), first / f, ten / f, logRank / f, gap / f, low(lp, .2), low(zz, .2)}
}

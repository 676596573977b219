package trace

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"assay/internal/canon"
	"assay/internal/fault"
	"assay/model/trace/window"
)

// StatesSchema is the schema of the states files that this package writes.
const StatesSchema = "assay.states/1"

// View names vectors: a tap of the forward pass, pooled over a span of the
// document, at some layers. A pool that starts with "tokens:" keeps one row per
// listed position instead of one vector per document.
type View struct {
	Tap    string `json:"tap"`
	Pool   string `json:"pool"`
	Span   string `json:"span"`
	Layers []int  `json:"layers"` // ascending; 0 = embedding output, l = output of block l
	Width  int    `json:"width"`
}

// Name is tap.pool, as tensors are called.
func (v View) Name() string { return v.Tap + "." + v.Pool }

// Tokens reports whether the view keeps rows of token positions.
func (v View) Tokens() bool { return strings.HasPrefix(v.Pool, "tokens:") }

// DocInfo is what a plan needs of a document, known before the forward pass.
type DocInfo struct {
	ID      string
	Label   string // "" = none
	Stratum string // "" = none
	Pair    string // "" = none
	Family  string // "" = none

	Tokens, Span, Bytes int32   // tokens in the window, in the span; bytes of text
	TextSHA             [8]byte // first bytes of SHA-256 of the text
	Positions           []int32 // window positions whose rows token views keep
}

// CellInfo is one cell: the grain at which sums are kept.
type CellInfo struct {
	Label, Stratum, Block int32 // indices; -1 = none
	Units, Docs           int64
}

// StatesHeader is the header of a states file.
type StatesHeader struct {
	Schema   string         `json:"schema"`
	Of       StatesIdentity `json:"of"`
	Run      string         `json:"run"` // hex SHA-256 of canonical JSON of Of
	Counts   StatesCounts   `json:"counts"`
	Labels   []string       `json:"labels"` // names in index order
	Strata   []string       `json:"strata"`
	Parts    []Part         `json:"parts,omitempty"` // of a shard: its range of documents
	Complete bool           `json:"complete"`        // false: unfinished, or a shard
	Made     StatesMade     `json:"made"`

	rawOf json.RawMessage
}

// StatesIdentity is what was measured, on what, and what was kept.
type StatesIdentity struct {
	Checkpoint Checkpoint    `json:"checkpoint"`
	Tokenizer  Tokenizer     `json:"tokenizer"`
	Text       string        `json:"text,omitempty"`
	Template   string        `json:"template,omitempty"`
	Policy     window.Policy `json:"policy"`
	Views      []View        `json:"views"`
	Columns    StatesColumns `json:"columns"`
	Plan       PlanIdentity  `json:"plan"`
	Precision  string        `json:"precision,omitempty"`
}

// StatesColumns names the columns of the input that the plan was made from.
type StatesColumns struct {
	Label  string   `json:"label,omitempty"`
	Strata []string `json:"strata,omitempty"`
	Unit   string   `json:"unit,omitempty"` // pair, family, or empty for documents
}

// PlanIdentity is the part of a plan that belongs to the identity.
type PlanIdentity struct {
	Docs       int      `json:"docs"`
	Seed       uint64   `json:"seed"`
	Cells      int      `json:"cells"`  // target
	Sample     int      `json:"sample"` // units per label
	Keep       []int    `json:"keep"`   // layers whose rows are kept
	M          int      `json:"m"`      // units per cell, before strata lower it
	DType      string   `json:"dtype"`  // of rows and sample: F32 or BF16
	Stats      []string `json:"stats,omitempty"`
	Sameness   bool     `json:"sameness,omitempty"` // mean cosines inside documents beside Stats
	LensLayers []int    `json:"lens_layers,omitempty"`
	Directions int      `json:"directions,omitempty"`
	// DirectionsDigest is that of the directions' values.
	DirectionsDigest string `json:"directions_digest,omitempty"`
	Digest           string `json:"digest"` // of labels, strata, units, cells and sample of all documents
}

// StatesCounts counts documents and zero vectors.
type StatesCounts struct {
	Docs int64 `json:"docs"`
	Used int64 `json:"used"` // with a cell
	Zero int64 `json:"zero"` // zero vectors, over views and layers
}

// StatesMade says by what and when. It is not hashed.
type StatesMade struct {
	Program    string            `json:"program,omitempty"`
	Version    string            `json:"version,omitempty"`
	Commit     string            `json:"commit,omitempty"`
	Backend    string            `json:"backend,omitempty"`
	Device     string            `json:"device,omitempty"`
	Start      string            `json:"start,omitempty"` // RFC 3339
	Seconds    float64           `json:"seconds,omitempty"`
	Invariance *StatesInvariance `json:"invariance,omitempty"`
	Quantised  bool              `json:"quantised,omitempty"` // weights stored in fewer than 16 bits
	Warnings   []Warning         `json:"warnings,omitempty"`
}

// StatesInvariance is the largest relative difference that batch mates made in a
// sample of vectors.
type StatesInvariance struct {
	N      int     `json:"n"`
	MaxRel float64 `json:"max_rel"`
}

// RunDigest returns the run of the identity: hex SHA-256 of its canonical JSON.
func (of StatesIdentity) RunDigest() (string, error) {
	if of.Policy.PrefixIDs == nil {
		of.Policy.PrefixIDs = []int32{}
	}
	if of.Plan.Keep == nil {
		of.Plan.Keep = []int{}
	}
	d, err := canon.Digest(of)
	return strings.TrimPrefix(d, "sha256:"), err
}

// Matrix is a dense matrix in row-major order.
type Matrix struct {
	N, W int
	Data []float32
}

// Row returns row i without a copy.
func (m Matrix) Row(i int) []float32 { return m.Data[i*m.W : (i+1)*m.W] }

// UnmarshalJSON keeps the identity's own bytes beside its parsed form.
func (h *StatesHeader) UnmarshalJSON(b []byte) error {
	type plain StatesHeader
	var x struct {
		plain
		Of json.RawMessage `json:"of"`
	}
	if err := json.Unmarshal(b, &x); err != nil {
		return err
	}
	if len(x.Of) == 0 {
		return fmt.Errorf("no identity (of)")
	}
	*h = StatesHeader(x.plain)
	h.rawOf = slices.Clone(x.Of)
	return json.Unmarshal(x.Of, &h.Of)
}

// checkViews refuses views that cannot be stored.
func checkViews(views []View) error {
	if len(views) == 0 {
		return fault.Usagef("trace: states: no view, want at least one")
	}
	for i, v := range views {
		switch {
		case v.Tap == "" || v.Pool == "" || v.Width < 1 || v.Width > 1<<24 || len(v.Layers) == 0 || len(v.Layers) > 4096:
			return fault.Usagef("trace: states: view %q: width %d, %d layers: want a tap, a pool, and at least one of each", v.Name(), v.Width, len(v.Layers))
		case v.Layers[0] < 0 || !ascending(v.Layers):
			return fault.Usagef("trace: states: view %s: layers %v, want them ascending from 0 or more", v.Name(), v.Layers)
		case slices.ContainsFunc(views[:i], func(u View) bool { return u.Name() == v.Name() }):
			return fault.Usagef("trace: states: view %s is there twice", v.Name())
		case v.Tokens() && slices.ContainsFunc(views[:i], func(u View) bool { return u.Tokens() && u.Tap == v.Tap }):
			return fault.Usagef("trace: states: two token views of tap %s, want one", v.Tap)
		}
	}
	return nil
}

func ascending(v []int) bool {
	for i := 1; i < len(v); i++ {
		if v[i] <= v[i-1] {
			return false
		}
	}
	return true
}

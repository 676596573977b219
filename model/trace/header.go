package trace

import (
	"encoding/json"

	"assay/model/trace/window"
)

// Schema is the schema of the files that this package writes.
const Schema = "assay.trace/1"

// The two tables of a trace.
const (
	TableTokens = "tokens"
	TableDocs   = "docs"
)

// Header describes one table of a trace: what was measured, by what, and the
// digests of the rows.
type Header struct {
	Schema     string   `json:"schema"`
	Table      string   `json:"table,omitempty"` // tokens or docs; empty in the JSONL form, which holds both
	Of         Identity `json:"of"`
	Run        string   `json:"run"` // hex SHA-256 of canonical JSON of Of
	Content    Content  `json:"content,omitzero"`
	Made       Made     `json:"made"`
	Counts     Counts   `json:"counts,omitzero"`
	Columns    []string `json:"columns,omitempty"` // optional columns present
	Parts      []Part   `json:"parts,omitempty"`
	Redacted   bool     `json:"redacted,omitempty"`
	Incomplete bool     `json:"incomplete,omitempty"` // merged from some of the parts only

	// rawOf is the identity as the file holds it, so that a field added by a
	// later minor version still counts in the run digest.
	rawOf json.RawMessage
}

// Identity is the measurement: everything that decides the numbers, nothing
// that does not. It holds no floats; a float setting is a decimal string.
type Identity struct {
	Checkpoint       Checkpoint    `json:"checkpoint"`
	Tokenizer        Tokenizer     `json:"tokenizer"`
	Text             string        `json:"text,omitempty"` // text digest, "sha256:<hex>"
	Policy           window.Policy `json:"policy"`
	MaskPaddingVocab bool          `json:"mask_padding_vocab,omitempty"`
	Precision        string        `json:"precision,omitempty"` // f32
}

// Checkpoint identifies the weights. Digests are "sha256:<hex>".
type Checkpoint struct {
	Weights string `json:"weights,omitempty"`
	Config  string `json:"config,omitempty"`
	Vocab   int    `json:"vocab,omitempty"` // V: entries of the output head
	DType   string `json:"dtype,omitempty"` // of the stored weights
	Quant   string `json:"quant,omitempty"`
}

// Tokenizer identifies the text to ids step.
type Tokenizer struct {
	Digest   string `json:"digest,omitempty"`
	Specials string `json:"specials,omitempty"` // none or template
}

// Made says by what and when. It is not part of the identity and not hashed.
type Made struct {
	Program    string      `json:"program,omitempty"`
	Version    string      `json:"version,omitempty"`
	Commit     string      `json:"commit,omitempty"`
	Backend    string      `json:"backend,omitempty"`
	Device     string      `json:"device,omitempty"`
	Threads    int         `json:"threads,omitempty"`
	Batch      int         `json:"batch,omitempty"` // tokens per batch
	Start      string      `json:"start,omitempty"` // RFC 3339
	Seconds    float64     `json:"seconds,omitempty"`
	Masked     int         `json:"masked,omitempty"` // head entries with logit -Inf
	Invariance *Invariance `json:"invariance,omitempty"`
	// Warnings of the run that made the trace; every result shows them.
	Warnings []Warning `json:"warnings,omitempty"`
}

// Warning is a caveat about the measurement, with a kebab-case code.
type Warning struct {
	Code string `json:"code"`
	Text string `json:"text"`
}

// Invariance is the largest difference that batch mates made in a sample.
type Invariance struct {
	N      int     `json:"n"`       // tokens compared
	MaxAbs float64 `json:"max_abs"` // nats
}

// Content holds the rows digests in hex.
type Content struct {
	Tokens string            `json:"tokens,omitempty"` // empty in compact mode
	Docs   string            `json:"docs,omitempty"`
	Extra  map[string]string `json:"extra,omitempty"` // optional column to the digest of its values
	Full   *Content          `json:"full,omitempty"`  // before redaction
}

// Counts of a trace.
type Counts struct {
	Docs   int64            `json:"docs"`
	Rows   int64            `json:"rows"`   // document tokens, scored or not
	Scored int64            `json:"scored"` // scored rows
	Status map[string]int64 `json:"status,omitempty"`
}

// Part is a range of documents with its own digests.
type Part struct {
	Docs      [2]int64 `json:"docs"` // [from, to)
	Content   Content  `json:"content,omitzero"`
	Device    string   `json:"device,omitempty"`
	Program   string   `json:"program,omitempty"`
	BatchRows int      `json:"batch_rows,omitempty"` // smallest number of rows in a batch
}

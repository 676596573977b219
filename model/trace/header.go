package trace

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"assay/internal/canon"
	"assay/internal/fault"
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

// RunDigest returns the run of an identity: hex SHA-256 of its canonical JSON.
func (of Identity) RunDigest() (string, error) {
	if of.Policy.PrefixIDs == nil {
		of.Policy.PrefixIDs = []int32{}
	}
	d, err := canon.Digest(of)
	return strings.TrimPrefix(d, "sha256:"), err
}

// MarshalJSON writes the identity as it was read, unknown fields included.
func (h Header) MarshalJSON() ([]byte, error) {
	type plain Header
	if h.rawOf == nil {
		return json.Marshal(plain(h))
	}
	return json.Marshal(struct {
		plain
		Of json.RawMessage `json:"of"`
	}{plain(h), h.rawOf})
}

// UnmarshalJSON keeps the identity's own bytes beside its parsed form.
func (h *Header) UnmarshalJSON(b []byte) error {
	type plain Header
	var x struct {
		plain
		Of json.RawMessage `json:"of"`
	}
	if err := json.Unmarshal(b, &x); err != nil {
		return err
	}
	*h = Header(x.plain)
	if len(x.Of) == 0 {
		return fmt.Errorf("no identity (of)")
	}
	h.rawOf = bytes.Clone(x.Of)
	return json.Unmarshal(x.Of, &h.Of)
}

// runDigest recomputes the run from what the file holds.
func (h Header) runDigest() (string, error) {
	if h.rawOf == nil {
		return h.Of.RunDigest()
	}
	return rawDigest(h.rawOf)
}

// rawDigest is the run of an identity in the bytes of a file.
func rawDigest(of json.RawMessage) (string, error) {
	d, err := canon.Digest(rawValue(of))
	return strings.TrimPrefix(d, "sha256:"), err
}

// parseHeader reads a header and refuses what this package cannot read.
func parseHeader(path string, b []byte) (Header, error) {
	var h Header
	if err := json.Unmarshal(b, &h); err != nil {
		return h, fault.Inputf("malformed", "trace: %s: header: %w", path, err)
	}
	major, ok := strings.CutPrefix(h.Schema, "assay.trace/")
	major, _, _ = strings.Cut(major, ".")
	if n, err := strconv.Atoi(major); !ok || err != nil || n != 1 {
		return h, fault.Inputf("schema", "trace: %s: schema %.60q, want %q", path, h.Schema, Schema)
	}
	if err := h.checkColumns(); err != nil {
		return h, fault.Inputf("malformed", "trace: %s: header: %w", path, err)
	}
	return h, nil
}

// checkColumns refuses optional columns that are unknown, doubled or half a pair.
func (h Header) checkColumns() error {
	for i, c := range h.Columns {
		known := slices.ContainsFunc(slices.Concat(momentColumns, topColumns), func(s spec) bool { return s.name == c })
		if !known && !strings.HasPrefix(c, scorePrefix) || slices.Contains(h.Columns[:i], c) {
			return fmt.Errorf("optional column %.60q is unknown or doubled", c)
		}
	}
	if want := optionsOf(h).optional(); len(want) != len(h.Columns) {
		return fmt.Errorf("optional columns %v, want %v", h.Columns, want)
	}
	return nil
}

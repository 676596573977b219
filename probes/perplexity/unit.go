package perplexity

import (
	"fmt"
	"math"
	"strings"

	"assay/internal/fault"
	"assay/model/trace"
	"assay/model/trace/window"
)

// Unit is one document: what it cost and the sizes by which the cost is divided.
// A size that is undefined (words and bytes of a document given as ids) is NaN.
type Unit struct {
	ID, Group string
	Status    string
	SHA256    [32]byte
	Nats      float64 // sum of -logprob over scored rows (or of the documented loop's average, see Loop)
	Squares   float64 // sum of logprob^2 over scored rows
	Tokens    float64 // scored rows
	Total     float64 // all rows of the document
	Words     float64
	Pieces    float64
	Bytes     float64
	Chars     float64
	Covered   float64 // bytes of the scored tiles; NaN without token rows
	Greedy    int
	Windows   int
	// Loop holds the aggregate of policy hf-stride-doc: the sum over windows of
	// mean cost times weight, and the sum of weights. Zero for other policies.
	Loop struct{ Nats, Weight float64 }
}

// Block is a run of consecutive windows of one document.
type Block struct{ Nats, Tokens float64 }

// Bin is the cost of tokens that could see Lo..Hi-1 ids.
type Bin struct {
	Lo, Hi       int
	Nats, Tokens float64
}

// Sample is what Run needs: the documents of a trace, and of its token rows the
// windows of a lone document and the costs by context.
type Sample struct {
	Units  []Unit
	Blocks []Block // of the only scored document, window by window; nil without token rows
	Bins   []Bin   // nil without token rows
	Policy window.Policy
	Weights, Tokenizer,
	Text, Run string // digests

	packed *packed // instead of Units, for Run alone (Read.Lean)
}

// Read options: what to take from the token table.
type Read struct {
	Rows bool // windows, contexts and covered bytes; needs the token table
	// Lean keeps 32 bytes of a document instead of a Unit: a sample for Run without
	// groups or contexts, and with jackknife intervals or none. A corpus with groups or
	// repeated texts is read whole all the same.
	Lean bool
}

// FromTrace reads a sample. The document table alone is enough for every headline
// figure; policy hf-stride-doc and Read.Rows need the token table.
func FromTrace(r *trace.Reader, o Read) (Sample, error) {
	h := r.Header()
	s := Sample{
		Policy: h.Of.Policy, Weights: h.Of.Checkpoint.Weights, Tokenizer: h.Of.Tokenizer.Digest, Text: h.Of.Text, Run: h.Run,
	}
	loop := s.Policy.Name == "hf-stride-doc"
	if o.Lean && !o.Rows && !loop {
		ok, err := s.lean(r)
		if err != nil || ok {
			return s, err
		}
	}
	if !o.Rows && !loop {
		for d, err := range r.Docs() {
			if err != nil {
				return s, err
			}
			u, err := unit(d)
			if err != nil {
				return s, err
			}
			s.Units = append(s.Units, u)
		}
		return s, nil
	}
	if err := r.Need("logprob"); err != nil {
		return s, err
	}
	bins := make(map[int]*Bin)
	lone := -1
	cols := []string{"pos", "scored", "window", "ctx", "logprob"}
	if r.Need("byte_len") == nil { // redacted traces and ids have none
		cols = append(cols, "byte_len")
	}
	for dt, err := range r.Columns(cols...) {
		if err != nil {
			return s, err
		}
		u, err := unit(dt.Doc)
		if err != nil {
			return s, err
		}
		ws, err := rows(&u, dt, bins)
		if err != nil {
			return s, err
		}
		if u.Status == trace.StatusOK {
			if lone < 0 {
				lone, s.Blocks = len(s.Units), ws
			} else {
				s.Blocks = nil // blocks serve a lone document only
			}
		}
		s.Units = append(s.Units, u)
	}
	for lo := 1; lo <= 1<<30; lo *= 2 {
		if b := bins[lo]; b != nil {
			s.Bins = append(s.Bins, *b)
		}
	}
	return s, nil
}

// lean reads the sample packed; false if it has to be read whole.
func (s *Sample) lean(r *trace.Reader) (bool, error) {
	p := &packed{status: make(map[string]int)}
	for d, err := range r.Docs() {
		if err != nil {
			return false, err
		}
		u, err := unit(d)
		if err != nil {
			return false, err
		}
		if !p.add(&u) {
			return false, nil
		}
	}
	if !p.distinct() {
		return false, nil
	}
	s.packed = p
	return true, nil
}

func unit(d trace.Doc) (Unit, error) {
	u := Unit{
		ID: d.ID, Group: d.Group, Status: d.Status, SHA256: d.SHA256, Nats: -d.SumLogprob, Squares: d.SumLogprob2,
		Tokens: float64(d.Scored), Total: float64(d.Tokens), Greedy: int(d.Greedy), Windows: int(d.Windows),
		Words: count(d.Words), Pieces: count(d.Pieces), Bytes: count(d.Bytes), Chars: count(d.Chars), Covered: math.NaN(),
	}
	if math.IsNaN(u.Nats) || math.IsInf(u.Nats, 0) || math.IsNaN(u.Squares) {
		return u, fault.Inputf("nonfinite", "perplexity: document %q: found a sum of %v nats, want a finite number", d.ID, u.Nats)
	}
	return u, nil
}

func count(n int64) float64 {
	if n == trace.Null {
		return math.NaN()
	}
	return float64(n)
}

// rows adds to u what needs token rows and returns its cost window by window.
func rows(u *Unit, dt trace.DocTokens, bins map[int]*Bin) ([]Block, error) {
	t := dt.Tokens
	var ws []Block
	current, last := int32(-1), -1 // window and position of the last scored row
	gap := true                    // the current window's first target does not follow the last one's end
	if t.ByteLen != nil {
		u.Covered = 0
	}
	flush := func() {
		if len(ws) == 0 {
			return
		}
		w := ws[len(ws)-1]
		weight := w.Tokens
		if !gap { // the documented loop divides by labels-1 though no label was lost
			weight--
		}
		u.Loop.Nats += w.Nats / w.Tokens * weight
		u.Loop.Weight += weight
	}
	for i := range t.Len() {
		if !t.Scored[i] {
			continue
		}
		x := -float64(t.Logprob[i])
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, fault.Inputf("nonfinite", "perplexity: document %q, pos %d: found log-probability %v, want a finite number", dt.Doc.ID, t.Pos[i], t.Logprob[i])
		}
		if t.Window[i] != current {
			flush()
			gap = current < 0 || last != i-1
			current = t.Window[i]
			ws = append(ws, Block{})
		}
		w := &ws[len(ws)-1]
		w.Nats += x
		w.Tokens++
		last = i
		if t.ByteLen != nil {
			u.Covered += float64(t.ByteLen[i])
		}
		lo := 1
		for 2*lo <= int(t.Ctx[i]) {
			lo *= 2
		}
		b := bins[lo]
		if b == nil {
			b = &Bin{Lo: lo, Hi: 2 * lo}
			bins[lo] = b
		}
		b.Nats += x
		b.Tokens++
	}
	flush()
	return ws, nil
}

// UnitsFrom replaces the words, pieces, bytes and characters of every unit by those of
// another text of the same document: lm-eval scores the detokenised page of
// wikitext and counts the original. Every unit must have its original.
func UnitsFrom(units []Unit, originals map[string]string) error {
	for i := range units {
		text, ok := originals[units[i].ID]
		if !ok {
			return fault.Inputf("units", "perplexity: document %q: found no original text to count, want one per document", units[i].ID)
		}
		d := trace.TextDoc(0, units[i].ID, []byte(text))
		units[i].Words, units[i].Pieces = float64(d.Words), float64(d.Pieces)
		units[i].Bytes, units[i].Chars = float64(d.Bytes), float64(d.Chars)
	}
	return nil
}

// where names the rule and the tokenizer: no per-token figure goes without it.
func (s Sample) where() string {
	p := s.Policy
	var b strings.Builder
	fmt.Fprintf(&b, "policy %s", p.Name)
	if p.Window > 0 {
		fmt.Fprintf(&b, " L=%d", p.Window)
	}
	if p.Stride > 0 {
		fmt.Fprintf(&b, " s=%d", p.Stride)
	}
	if p.Context > 0 {
		fmt.Fprintf(&b, " c=%d", p.Context)
	}
	fmt.Fprintf(&b, " prefix=%d", len(p.PrefixIDs))
	if p.MaskID != nil {
		fmt.Fprintf(&b, " suffix=%d mask=%d", len(p.SuffixIDs), *p.MaskID)
	}
	fmt.Fprintf(&b, ", tokenizer %s", short(s.Tokenizer))
	return b.String()
}

func short(digest string) string {
	d := strings.TrimPrefix(digest, "sha256:")
	if d == "" {
		return "unknown"
	}
	return d[:min(12, len(d))]
}

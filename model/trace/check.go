package trace

import (
	"fmt"
	"maps"

	"assay/internal/fault"
)

// Report is the outcome of Check.
type Report struct {
	Level      int       `json:"level"`
	Docs       int64     `json:"docs"`
	Rows       int64     `json:"rows"`
	Failed     int64     `json:"failed"`   // violations found
	Findings   []Finding `json:"findings"` // the first hundred of them
	Warnings   []Warning `json:"warnings,omitempty"`
	NotChecked []string  `json:"not_checked,omitempty"`

	path string
}

const maxFindings = 100

// Err returns a check fault that names the first violation; nil without one.
func (r Report) Err() error {
	if r.Failed == 0 {
		return nil
	}
	return fault.New(fault.Check, "trace-check", "trace: %s: %d checks of level %d fail, first: %s", r.path, r.Failed, r.Level, r.Findings[0])
}

func (r *Report) add(f Finding) bool {
	if r.Failed++; len(r.Findings) < maxFindings {
		r.Findings = append(r.Findings, f)
	}
	return true
}

func (r *Report) table(law, format string, args ...any) {
	r.add(Finding{Pos: Null, Law: law, Detail: fmt.Sprintf(format, args...)})
}

// Check verifies a trace. Level 1 recomputes the run from the identity. Level 2
// adds the files' seals and the structure: order, nulls, tiles, and the planner's
// columns planned again. Level 3 adds the mathematics of the scored rows, the sums
// and the content digests. What is violated is in the report, see Report.Err; the
// error is for a trace that cannot be opened.
func Check(path string, level int) (Report, error) { return check(osDisk{}, path, level) }

func check(d disk, path string, level int) (Report, error) {
	rep := Report{Level: level, path: path}
	if level < 1 || level > 3 {
		return rep, fault.Usagef("trace: check level %d, want 1, 2 or 3", level)
	}
	r, err := open(d, path)
	if err != nil {
		return rep, err
	}
	defer r.Close() // only read
	rep.run(r)
	if level == 1 {
		return rep, nil
	}
	rep.seals(r)
	if err := rep.documents(r, level); err != nil {
		return rep, err
	}
	return rep, nil
}

func (r *Report) run(t *Reader) {
	headers := []Header{t.header}
	if t.tokens != nil {
		headers = append(headers, t.tokens.header)
	}
	for _, h := range headers {
		run, err := h.runDigest()
		if err != nil || run != h.Run {
			r.table("run", "%.70q, the identity gives %s (%v)", h.Run, run, err)
		}
	}
}

func (r *Report) seals(t *Reader) {
	if t.lines != nil {
		if err := t.lines.sealed(); err != nil {
			r.table("seal", "%s: %v", t.path, err)
		}
	}
	for _, f := range []*pqFile{t.tokens, t.docs} {
		if f == nil {
			continue
		}
		if err := sealed(f.f, f.size); err != nil {
			r.table("seal", "%s: %v", f.path, err)
		}
	}
}

// documents makes the pass over all documents.
func (r *Report) documents(t *Reader, level int) error {
	o := optionsOf(t.header)
	o.PerDocument = !t.HasTokens()
	in := &inspector{of: &t.header.Of, options: o, emit: r.add}
	dig := newDigester(o)
	all := newInput()
	texts := map[[32]byte]string{}
	twice := 0
	counts := Counts{Status: map[string]int64{}}
	rows := t.ordered(true)
	if t.tokens != nil {
		rows = t.rows(nil)
	}
	parts := newPartDigests(t.header.Parts, o)
	for x, err := range rows {
		if err != nil {
			if f := fault.As(err); f != nil && f.Class == fault.Retry {
				return err
			}
			r.table("readable", "%v", err)
			return nil
		}
		d := &x.Doc
		if err := all.add(d); err != nil {
			r.table("unique ids", "%v", err)
		}
		if _, there := texts[d.SHA256]; there {
			twice++
		}
		texts[d.SHA256] = d.ID
		counts.Docs, counts.Rows, counts.Scored = counts.Docs+1, counts.Rows+int64(d.Tokens), counts.Scored+int64(d.Scored)
		counts.Status[d.Status]++
		r.document(in, &x, level, o)
		if level == 3 {
			dig.add(d, &x.Tokens)
			parts.add(d, &x.Tokens)
		}
	}
	r.Docs, r.Rows = counts.Docs, counts.Rows
	r.totals(t, counts, all.text.Digest())
	if level == 3 {
		r.digests(t, dig.content(), parts)
	}
	if n := counts.Docs - counts.Status[StatusOK]; n > 0 {
		r.Warnings = append(r.Warnings, Warning{"docs-unscored", fmt.Sprintf("%d of %d documents have no scored row: %s", n, counts.Docs, statusList(counts.Status))})
	}
	if twice > 0 {
		r.Warnings = append(r.Warnings, Warning{"duplicate-text", fmt.Sprintf("%d of %d documents repeat the text of another", twice, counts.Docs)})
	}
	return nil
}

func (r *Report) document(in *inspector, x *DocTokens, level int, o Options) {
	p, ok := in.document(&x.Doc)
	if !ok || o.PerDocument || !in.rows(&x.Doc, &x.Tokens, p) || level < 3 {
		return
	}
	in.laws(&x.Doc, &x.Tokens)
	in.sums(&x.Doc, &x.Tokens)
}

// totals compares the header with what the rows add up to.
func (r *Report) totals(t *Reader, c Counts, text string) {
	h := t.header
	if h.Counts.Docs != c.Docs || h.Counts.Rows != c.Rows || h.Counts.Scored != c.Scored || !maps.Equal(h.Counts.Status, c.Status) {
		r.table("counts", "header %+v, the documents give %+v", h.Counts, c)
	}
	if c.Docs == 0 || c.Scored == 0 && len(h.Parts) != 1 {
		r.table("counts", "%d documents, %d scored rows: %s", c.Docs, c.Scored, statusList(c.Status))
	}
	switch {
	case h.Incomplete || len(h.Parts) == 1:
		r.NotChecked = append(r.NotChecked, "text digest: the trace does not hold all documents of the input")
	case h.Of.Text != text:
		r.table("text digest", "%.80q, the documents give %s", h.Of.Text, text)
	}
	if !t.HasTokens() {
		r.NotChecked = append(r.NotChecked, "rows, laws and sums: the trace has no token table")
	}
	if h.Redacted {
		r.NotChecked = append(r.NotChecked, "ids, tiles and greedy counts: redacted")
	}
	if h.Of.Checkpoint.Vocab == 0 {
		r.NotChecked = append(r.NotChecked, "bounds by the vocabulary: the identity does not give its size")
	}
}

func (r *Report) digests(t *Reader, got Content, parts partDigests) {
	want := t.Header().Content
	if want.Tokens != got.Tokens || want.Docs != got.Docs || !maps.Equal(want.Extra, got.Extra) {
		r.table("content", "header %s %s %v, the rows give %s %s %v", want.Tokens, want.Docs, want.Extra, got.Tokens, got.Docs, got.Extra)
	}
	for i, p := range t.header.Parts {
		c := parts.digests[i].content()
		if p.Content.Docs != "" && (p.Content.Tokens != c.Tokens || p.Content.Docs != c.Docs || !maps.Equal(p.Content.Extra, c.Extra)) {
			r.table("content", "documents [%d, %d): header %s %s, the rows give %s %s", p.Docs[0], p.Docs[1], p.Content.Tokens, p.Content.Docs, c.Tokens, c.Docs)
		}
	}
}

// partDigests follows the digests of document ranges.
type partDigests struct {
	parts   []Part
	digests []*digester
}

func newPartDigests(parts []Part, o Options) partDigests {
	p := partDigests{parts: parts}
	for range parts {
		p.digests = append(p.digests, newDigester(o))
	}
	return p
}

func (p partDigests) add(d *Doc, t *Tokens) {
	for i, r := range p.parts {
		if int64(d.Doc) >= r.Docs[0] && int64(d.Doc) < r.Docs[1] {
			p.digests[i].add(d, t)
		}
	}
}

package membership

import (
	"fmt"
	"iter"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"

	"assay/internal/fault"
	"assay/model/trace"
	"assay/probes"
)

// Sources are the traces that scores read. Only Suspect is always needed; all others
// hold the same documents in the same order, except Neighbours and Swaps, whose
// documents are named <id>/<n>.
type Sources struct {
	Suspect     *trace.Reader
	Refs        []*trace.Reader
	Lower       *trace.Reader
	Shots       *trace.Reader // each text after non-member shots
	MemberShots *trace.Reader
	Self        *trace.Reader // each text after itself
	Neighbours  *trace.Reader
	Swaps       *trace.Reader
	Counts      *Counts
	// Changed is the share of letters that lower-casing changes, by document id;
	// a missing id is unknown.
	Changed map[string]float64
}

// Row is one document with all its scores; NaN = undefined, and Why says why.
type Row struct {
	ID, Group  string
	Status     string
	SHA256     [32]byte
	Label      *int32
	Date       time.Time
	Tokens     int   // scored
	Bytes      int64 // trace.Null when the input was ids
	Words      int64
	Score      []float64
	Raw        []float64
	Why        []string
	Degenerate int // rows whose distribution was flat
}

// Table is every score of every document.
type Table struct {
	Names      []string
	Direction  []int // of Raw: +1 larger means likelier, -1 smaller
	Rows       []Row
	Weights    string
	Tokenizer  string
	Run        string
	Policy     string
	Degenerate int // rows, all documents
	Saturated  int // documents of which dcpdd clipped over half of the terms
	Warnings   []probes.Warning
}

// available returns the bits that the sources can serve.
func (s Sources) available() Needs {
	var n Needs
	set := func(bit Needs, ok bool) {
		if ok {
			n |= bit
		}
	}
	set(NeedRows, s.Suspect.HasTokens())
	set(NeedMoments, s.Suspect.Need("umean", "usd") == nil)
	n |= NeedText // per document: texts and ids may be mixed
	set(NeedRef, len(s.Refs) > 0)
	rows := len(s.Refs) > 0
	for _, r := range s.Refs {
		rows = rows && r.HasTokens()
	}
	set(NeedRefRows, rows)
	set(NeedLower, s.Lower != nil)
	set(NeedShots, s.Shots != nil)
	set(NeedMemberShots, s.MemberShots != nil)
	set(NeedNeighbours, s.Neighbours != nil)
	set(NeedSwaps, s.Swaps != nil)
	set(NeedSelf, s.Self != nil)
	set(NeedCounts, s.Counts != nil)
	return n
}

// Available filters a list to the scores that the sources can serve, for the default
// list; a list that the user gave is checked by Build instead.
func (s Sources) Available(list []Score) []Score {
	var out []Score
	have := s.available()
	for _, x := range list {
		if x.Needs()&^have == 0 {
			out = append(out, x)
		}
	}
	return out
}

// Build evaluates scores on every document. A score whose columns or traces are
// not there is an error that names the flag that makes them, unless the document
// table holds its value already (compact mode).
func Build(s Sources, list []Score) (t Table, err error) {
	h := s.Suspect.Header()
	t = Table{Weights: h.Of.Checkpoint.Weights, Tokenizer: h.Of.Tokenizer.Digest, Run: h.Run, Policy: h.Of.Policy.Name, Direction: make([]int, len(list))}
	stored := make(map[string]bool)
	for _, c := range h.Columns {
		stored[strings.TrimPrefix(c, "score.")] = strings.HasPrefix(c, "score.")
	}
	var need Needs
	for i, x := range list {
		t.Names = append(t.Names, x.Name())
		t.Direction[i] = 1
		if stored[x.Name()] && !s.Suspect.HasTokens() {
			continue
		}
		if miss := x.Needs() &^ s.available(); miss != 0 {
			return t, fault.Inputf("columns", "membership: score %q: found no input for it, want %s", x.Name(), miss.Flag()).
				Hint("give it, or leave the score out of --scores")
		}
		need |= x.Needs()
	}
	if t.Warnings, err = s.checkReferences(list); err != nil {
		return t, err
	}
	o, err := s.open(need)
	if err != nil {
		return t, err
	}
	defer o.close()
	for {
		in, ok, err := o.next()
		if err != nil {
			return t, err
		}
		if !ok {
			return t, nil
		}
		r := Row{
			ID: in.Doc.ID, Group: in.Doc.Group, Status: in.Doc.Status, SHA256: in.Doc.SHA256, Label: in.Doc.Label, Date: in.Doc.Date,
			Tokens: int(in.Doc.Scored), Bytes: in.Doc.Bytes, Words: in.Doc.Words,
			Score: make([]float64, len(list)), Raw: make([]float64, len(list)), Why: make([]string, len(list)),
		}
		for i, x := range list {
			raw, dir, why := x.Eval(in)
			t.Direction[i] = dir
			r.Raw[i], r.Score[i], r.Why[i] = raw, raw*float64(dir), why
			if strings.HasPrefix(x.Name(), "dcpdd") && why == "" && in.Tok.Logprob != nil {
				if a, err := strconv.ParseFloat(strings.TrimPrefix(x.Name(), "dcpdd:"), 64); err == nil {
					if _, clipped, _ := dcpdd(in, a); clipped > .5 {
						t.Saturated++
					}
				}
			}
		}
		if in.view != nil {
			r.Degenerate = in.view.degenerate + in.view.flat
			t.Degenerate += r.Degenerate
		}
		t.Rows = append(t.Rows, r)
	}
}

// checkReferences refuses a score that compares rows when the reference cuts the text
// with another tokenizer, and warns of a reference that is the suspect itself.
func (s Sources) checkReferences(list []Score) ([]probes.Warning, error) {
	var ws []probes.Warning
	own := s.Suspect.Header().Of
	for i, r := range s.Refs {
		of := r.Header().Of
		if of.Checkpoint.Weights == own.Checkpoint.Weights {
			ws = append(ws, probes.Warning{Code: "ref-same-data", Text: fmt.Sprintf("reference %d has the suspect's own weights: it cancels what it should not", i+1)})
		}
		if of.Tokenizer.Digest == own.Tokenizer.Digest {
			continue
		}
		ws = append(ws, probes.Warning{Code: "vocab-differs", Text: fmt.Sprintf("reference %d cuts texts with another tokenizer: only bits per byte compare", i+1)})
		for _, x := range list {
			_, n, err := cutReference(x.Name())
			if err == nil && n == i+1 && x.Needs()&NeedRef != 0 && x.Needs()&NeedText == 0 {
				return nil, fault.Inputf("tokenizer", "membership: score %q: found a reference with tokenizer %.20s, want the suspect's %.20s", x.Name(), of.Tokenizer.Digest, own.Tokenizer.Digest).
					Hint("use ref:bits, which compares bits per byte")
			}
		}
	}
	return ws, nil
}

// lockstep reads all traces side by side.
type lockstep struct {
	s        Sources
	main     puller
	refs     []puller
	others   []puller // lower, shots, member shots, self; nil where absent
	same     []bool   // references with the suspect's tokenizer
	near     map[string][]trace.Doc
	swaps    map[string][]trace.Tokens
	needRows bool
	stops    []func()
}

type puller func() (trace.DocTokens, error, bool)

func (s Sources) open(need Needs) (*lockstep, error) {
	l := &lockstep{s: s, needRows: need&NeedRows != 0}
	pull := func(r *trace.Reader, rows bool) puller {
		var seq iter.Seq2[trace.DocTokens, error]
		if rows {
			var cols []string
			for _, c := range []string{"pos", "scored", "logprob", "entropy", "sd", "rank", "id", "argmax_id", "umean", "usd"} {
				if r.Need(c) == nil { // redacted traces lack ids, plain ones moments
					cols = append(cols, c)
				}
			}
			seq = r.Columns(cols...)
		} else {
			seq = func(yield func(trace.DocTokens, error) bool) {
				for d, err := range r.Docs() {
					if !yield(trace.DocTokens{Doc: d}, err) {
						return
					}
				}
			}
		}
		next, stop := iter.Pull2(seq)
		l.stops = append(l.stops, stop)
		return next
	}
	l.main = pull(s.Suspect, l.needRows)
	for _, r := range s.Refs {
		l.refs = append(l.refs, pull(r, need&NeedRefRows != 0))
		l.same = append(l.same, r.Header().Of.Tokenizer.Digest == s.Suspect.Header().Of.Tokenizer.Digest)
	}
	for _, r := range []*trace.Reader{s.Lower, s.Shots, s.MemberShots, s.Self} {
		if r == nil {
			l.others = append(l.others, nil)
		} else {
			l.others = append(l.others, pull(r, false))
		}
	}
	if need&NeedNeighbours != 0 {
		l.near = make(map[string][]trace.Doc)
		for d, err := range s.Neighbours.Docs() {
			if err != nil {
				return l, err
			}
			base, err := copyOf(d.ID)
			if err != nil {
				return l, err
			}
			l.near[base] = append(l.near[base], d)
		}
	}
	if need&NeedSwaps != 0 {
		l.swaps = make(map[string][]trace.Tokens)
		for d, err := range s.Swaps.All() {
			if err != nil {
				return l, err
			}
			base, err := copyOf(d.Doc.ID)
			if err != nil {
				return l, err
			}
			l.swaps[base] = append(l.swaps[base], d.Tokens)
		}
	}
	return l, nil
}

// copyOf returns the document that <id>/<n> is a copy of.
func copyOf(id string) (string, error) {
	i := strings.LastIndexByte(id, '/')
	if i <= 0 {
		return "", fault.Inputf("malformed", "membership: edited copy %q: want the name <id>/<n>", id)
	}
	if _, err := strconv.Atoi(id[i+1:]); err != nil {
		return "", fault.Inputf("malformed", "membership: edited copy %q: want the name <id>/<n>", id)
	}
	return id[:i], nil
}

func (l *lockstep) close() {
	for _, stop := range l.stops {
		stop()
	}
}

// next assembles one item. Other traces must hold the same documents: the first
// that does not match is named with both digests.
func (l *lockstep) next() (*Item, bool, error) {
	d, err, ok := l.main()
	if err != nil || !ok {
		return nil, false, err
	}
	in := &Item{Doc: d.Doc, Tok: d.Tokens, Changed: math.NaN(), Counts: l.s.Counts}
	if err := finite(d); err != nil {
		return nil, false, err
	}
	for i, p := range l.refs {
		r, err := match(p, d.Doc, fmt.Sprintf("reference %d", i+1), true)
		if err != nil {
			return nil, false, err
		}
		if err := finite(r); err != nil {
			return nil, false, fmt.Errorf("reference %d: %w", i+1, err)
		}
		in.Ref = append(in.Ref, Reference{Doc: r.Doc, Tok: r.Tokens, SameTokenizer: l.same[i]})
	}
	for i, name := range []string{"lower-cased texts", "texts after shots", "texts after member shots", "texts after themselves"} {
		if l.others[i] == nil {
			continue
		}
		o, err := match(l.others[i], d.Doc, name, i > 0)
		if err != nil {
			return nil, false, err
		}
		switch i {
		case 0:
			in.Lower = &o.Doc
			if c, ok := l.s.Changed[d.Doc.ID]; ok {
				in.Changed = c
			}
		case 1:
			in.Shots = &o.Doc
		case 2:
			in.MemberShots = &o.Doc
		case 3:
			in.Self = &o.Doc
		}
	}
	in.Neighbours, in.Swaps = l.near[d.Doc.ID], l.swaps[d.Doc.ID]
	return in, true, nil
}

// match pulls the next document of another trace.
func match(p puller, want trace.Doc, role string, sameText bool) (trace.DocTokens, error) {
	d, err, ok := p()
	if err != nil {
		return d, err
	}
	if !ok {
		return d, fault.Inputf("texts", "membership: %s: found no document after the suspect's %q, want the same documents", role, want.ID)
	}
	if d.Doc.ID != want.ID || sameText && d.Doc.SHA256 != want.SHA256 {
		return d, fault.Inputf("texts", "membership: %s: found document %q (sha256 %x), want %q (sha256 %x)", role, d.Doc.ID, d.Doc.SHA256[:6], want.ID, want.SHA256[:6])
	}
	return d, nil
}

// finite refuses NaN and infinities in what a trace says about scored rows.
func finite(d trace.DocTokens) error {
	if math.IsNaN(d.Doc.SumLogprob) || math.IsInf(d.Doc.SumLogprob, 0) {
		return fault.Inputf("nonfinite", "membership: document %q: found a sum of %v nats, want a finite number", d.Doc.ID, d.Doc.SumLogprob)
	}
	for i, s := range d.Tokens.Scored {
		if l := float64(d.Tokens.Logprob[i]); s && (math.IsNaN(l) || math.IsInf(l, 0)) {
			return fault.Inputf("nonfinite", "membership: document %q, pos %d: found log-probability %v, want a finite number", d.Doc.ID, d.Tokens.Pos[i], l)
		}
	}
	return nil
}

// Columns returns the callback that computes score columns while a trace is being
// written; only scores that read the document and its rows are allowed.
func Columns(list []Score) (func(d trace.Doc, t trace.Tokens) map[string]float64, error) {
	for _, x := range list {
		if more := x.Needs() &^ (NeedRows | NeedMoments | NeedText); more != 0 {
			return nil, fault.Usagef("membership: score %q cannot be computed while scoring: it needs %s", x.Name(), more.Flag())
		}
	}
	return func(d trace.Doc, t trace.Tokens) map[string]float64 {
		in := &Item{Doc: d, Tok: t, Changed: math.NaN()}
		out := make(map[string]float64, len(list))
		for _, x := range list {
			raw, dir, why := x.Eval(in)
			if why != "" {
				raw = math.NaN()
			}
			out[x.Name()] = raw * float64(dir)
		}
		return out
	}, nil
}

// LetterChange is the share of letters of a text that lower-casing changes.
func LetterChange(text string) float64 {
	letters, changed := 0.0, 0.0
	for _, r := range text {
		if unicode.IsLetter(r) {
			letters++
			if unicode.ToLower(r) != r {
				changed++
			}
		}
	}
	return changed / letters
}

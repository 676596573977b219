package states

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"assay/internal/fault"
	"assay/model"
	"assay/model/score"
	"assay/model/states/items"
	"assay/model/trace"
	"assay/model/trace/window"
)

// Plan is what the first pass fixes: which vectors are taken of which tokens, and
// the identity of the run.
type Plan struct {
	States   *trace.StatesPlan
	Of       trace.StatesIdentity
	Tokens   int64 // inputs of all forward passes
	Warnings []trace.Warning

	span    string
	both    bool // the checkpoint is an encoder
	policy  window.Policy
	asked   window.Policy // before it was settled
	enc     score.Encoder
	vocab   int
	views   []trace.View
	pools   []*pool // by view
	stats   []string
	project *Directions
	// sameness: mean cosines inside documents
	sameness bool
	lens     map[int][]int32 // positions by document
	layers   int             // of the lens: 0..layers-1
	columns  []string
	docs     int
	from     int
	to       int
}

// Prepare is the first pass: it checks the request, tokenizes every document and
// plans what is kept. o.Policy is settled.
func Prepare(in Input, taps Taps, o *Options) (*Plan, error) {
	o.withDefaults()
	p := &Plan{span: o.Span, enc: o.Encoder, vocab: o.Of.Checkpoint.Vocab, from: o.From, to: o.To}
	var err error
	if p.views, p.pools, err = o.views(taps); err != nil {
		return nil, err
	}
	keep, err := o.keep(p.views)
	if err != nil {
		return nil, err
	}
	lenbins, err := parseStrata(o.Strata)
	if err != nil {
		return nil, err
	}
	ids := o.Encoder == nil
	if p.both = taps.Encoder(); p.both && o.Policy.Name != "full" {
		return nil, fault.Usagef("states: policy %s: the checkpoint is an encoder, whose vectors depend on the whole window: want full", o.Policy.Name)
	}
	if err := p.settle(o, ids); err != nil {
		return nil, err
	}
	if o.To == 0 {
		p.to = in.Len()
	}
	s, err := p.survey(in, o)
	if err != nil {
		return nil, err
	}
	if p.columns, err = s.stratify(o, lenbins); err != nil {
		return nil, err
	}
	po := trace.PlanOptions{Cells: o.Cells, Sample: o.Sample, Keep: keep, BF16: o.BF16, Seed: o.Seed, From: o.From, To: o.To}
	if o.NoStats && o.Sameness {
		return nil, fault.Usagef("states: sameness is one of the statistics of tokens, which are left out")
	}
	if !o.NoStats {
		for _, v := range p.views {
			if !slices.Contains(p.stats, v.Tap) {
				p.stats = append(p.stats, v.Tap)
			}
		}
		po.Stats = p.stats
		p.sameness, po.Sameness = o.Sameness, o.Sameness
	}
	p.project = o.Project
	if err := p.project.plan(p.views, &po); err != nil {
		return nil, err
	}
	if o.Lens > 0 {
		have, _, err := taps.TapLayers(model.TapResidPost)
		if err != nil {
			return nil, err
		}
		p.layers, po.LensLayers = len(have), have
		po.Lens = s.lens(o.Lens, o.Seed)
		p.lens = map[int][]int32{}
		for _, l := range po.Lens {
			p.lens[l.Doc] = append(p.lens[l.Doc], l.Pos)
		}
	}
	if p.States, err = trace.NewStatesPlan(s.docs, p.views, po); err != nil {
		return nil, err
	}
	p.Warnings = append(p.Warnings, p.States.Warnings()...)
	label := o.Label
	if label == "" {
		label = "label"
	}
	if s.specials > 0 {
		p.Warnings = append(p.Warnings, trace.Warning{Code: "specials-in-text", Text: fmt.Sprintf(
			"%d documents contain the string of a special token (first %q), which the template makes that token", s.specials, s.special)})
	}
	p.Of = trace.StatesIdentity{Checkpoint: o.Of.Checkpoint, Text: s.digest.Digest(), Template: o.Template, Policy: p.policy,
		Columns: trace.StatesColumns{Label: label, Strata: p.columns}, Precision: "f32"}
	if o.Encoder != nil {
		p.Of.Tokenizer = trace.Tokenizer{Digest: o.Encoder.Digest(), Specials: o.Encoder.Specials()}
	}
	return p, nil
}

// settle resolves the policy.
func (p *Plan) settle(o *Options, ids bool) error {
	p.asked = o.Policy
	q := o.Policy.WithDefaults(o.Positions)
	if q.Window == 0 && o.Positions == 0 && q.Name == "full" {
		q.Window = 1 << 20 // a model without a limit: any text that fits in memory
	}
	if err := q.Validate(o.Positions); err != nil {
		return err
	}
	if !slices.Contains(policies(), q.Name) || q.EachWindow || q.MaxTokens > 0 {
		return fault.Usagef("states: policy %s leaves tokens without a vector, want one of %s", q.Name, strings.Join(policies(), ", "))
	}
	q, ws, err := score.Settle(q, o.Encoder, ids, p.vocab)
	if err != nil {
		return err
	}
	if p.both {
		q.SuffixIDs = score.Suffix(o.Encoder, ids)
	}
	p.policy, o.Policy = q, q
	p.Warnings = append(p.Warnings, ws...)
	return nil
}

// survey collects what the plan needs of every document.
type survey struct {
	docs   []trace.DocInfo
	items  []columns
	digest trace.Text
	places [][]lensPlace
	// Documents in a template that hold the string of a special token, and the first.
	specials int
	special  string
}

type columns struct {
	topic, source string
	extra         []string
}

type lensPlace struct{ pos, target int32 }

func (p *Plan) survey(in Input, o *Options) (*survey, error) {
	s := &survey{}
	tooLong := &tooLong{policy: p.policy}
	for it, err := range in.Items() {
		if err != nil {
			return nil, err
		}
		q, err := p.sequence(&it)
		if err != nil {
			return nil, err
		}
		d := trace.DocInfo{ID: it.ID, Label: it.Label, Pair: it.Pair, Family: it.Family,
			Tokens: int32(len(q.ids)), Span: int32(q.hi - q.lo), Bytes: q.bytes, TextSHA: q.textSHA(&it)}
		if d.Span <= 0 {
			return nil, fault.Inputf("empty-span", "states: document %q (line %d): no token in span %s", it.ID, it.Line, p.span)
		}
		ok, err := q.split(p.policy)
		if err != nil {
			return nil, err
		}
		if !ok {
			tooLong.add(it.ID, len(q.ids))
			continue
		}
		for v, pool := range p.pools {
			if err := pool.check(it.ID, int(d.Span)); err != nil {
				return nil, err
			}
			if p.views[v].Tokens() && d.Positions == nil {
				for _, at := range pool.rows(it.ID, int(d.Span)) {
					d.Positions = append(d.Positions, int32(q.lo)+at)
				}
			}
		}
		if o.Lens > 0 {
			var at []lensPlace
			for _, pos := range q.lensAt() {
				at = append(at, lensPlace{pos, q.target(pos)})
			}
			s.places = append(s.places, at)
		}
		if len(s.docs) >= p.from && len(s.docs) < p.to {
			for _, w := range q.pieces {
				p.Tokens += int64(w.end - w.begin)
			}
		}
		if it.Rendered != nil {
			if token, ok := p.enc.SpecialIn(it.Text); ok {
				if s.specials++; s.specials == 1 {
					s.special = token
				}
			}
		}
		s.digest.Add(q.doc)
		s.docs = append(s.docs, d)
		s.items = append(s.items, columns{it.Topic, it.Source, it.Extra})
	}
	p.docs = len(s.docs)
	return s, tooLong.err()
}

// sequence encodes one document and checks its ids.
func (p *Plan) sequence(it *items.Item) (sequence, error) {
	q, err := encode(it, p.enc, p.policy.PrefixIDs, p.span)
	if err != nil {
		return q, err
	}
	q.own = p.both
	if q.ids = append(q.ids, p.policy.SuffixIDs...); p.span == SpanAll {
		q.hi = len(q.ids)
	}
	return q, q.checkIDs(it.ID, p.vocab)
}

// tooLong collects the documents that policy full cannot take.
type tooLong struct {
	policy window.Policy
	id     string
	tokens int
	n      int
}

func (t *tooLong) add(id string, tokens int) {
	if t.n++; t.n == 1 {
		t.id, t.tokens = id, tokens
	}
}

func (t *tooLong) err() error {
	if t.n == 0 {
		return nil
	}
	more := ""
	if t.n > 1 {
		more = fmt.Sprintf(" (and %d documents more)", t.n-1)
	}
	return fault.Inputf("too-long", "states: document %q: %d tokens, the window of policy %s holds %d%s", t.id, t.tokens, t.policy.Name, t.policy.Window, more).
		Hint("policies that take any length: %s", strings.Join(policies()[1:], ", "))
}

// parseStrata checks the list of strata and returns the number of length bins, 0
// for none.
func parseStrata(strata []string) (bins int, err error) {
	for i, s := range strata {
		if slices.Contains(strata[:i], s) || s == "" || s == "none" && len(strata) > 1 {
			return 0, fault.Usagef("states: strata %q: want columns, each once, lenbin:N, or none", strings.Join(strata, ","))
		}
		n, ok := strings.CutPrefix(s, "lenbin:")
		if !ok {
			continue
		}
		if bins > 0 {
			return 0, fault.Usagef("states: strata %q: lenbin twice", strings.Join(strata, ","))
		}
		if bins, err = strconv.Atoi(n); err != nil || bins < 2 || bins > 100 {
			return 0, fault.Usagef("states: strata: %q: want lenbin:2 to lenbin:100", s)
		}
	}
	return bins, nil
}

// stratify names the stratum of every document and returns the columns used.
func (s *survey) stratify(o *Options, bins int) ([]string, error) {
	strata := o.Strata
	if strata == nil && slices.ContainsFunc(s.items, func(c columns) bool { return c.topic != "" }) {
		strata = []string{"topic"}
	}
	if len(strata) == 0 || strata[0] == "none" {
		return nil, nil
	}
	edges := s.edges(bins)
	for i := range s.docs {
		var parts []string
		for _, name := range strata {
			v := ""
			switch {
			case strings.HasPrefix(name, "lenbin:"):
				v = binName(edges, s.docs[i].Span)
			case name == "topic":
				v = s.items[i].topic
			case name == "source":
				v = s.items[i].source
			default:
				if k := slices.Index(o.Extra, name); k >= 0 {
					v = s.items[i].extra[k]
				}
			}
			if v == "" {
				return nil, fault.Inputf("bad-stratum", "states: document %q: no %s, and --strata names it", s.docs[i].ID, name).
					Hint("fill the column in every row, or leave it out (--strata none)")
			}
			parts = append(parts, v)
		}
		s.docs[i].Stratum = strings.Join(parts, "|")
	}
	return strata, nil
}

// edges are the span lengths that end the bins: quantiles over all documents, so
// that equal lengths share a bin.
func (s *survey) edges(bins int) []int32 {
	if bins == 0 {
		return nil
	}
	n := make([]int32, len(s.docs))
	for i, d := range s.docs {
		n[i] = d.Span
	}
	slices.Sort(n)
	var out []int32
	for b := 1; b < bins; b++ {
		out = append(out, n[max(0, (len(n)*b+bins-1)/bins-1)])
	}
	return slices.Compact(out)
}

// binName names a bin by the lengths it holds.
func binName(edges []int32, n int32) string {
	k, _ := slices.BinarySearch(edges, n)
	lo, hi := int32(1), int32(math.MaxInt32)
	if k > 0 {
		lo = edges[k-1] + 1
	}
	if k < len(edges) {
		hi = edges[k]
	}
	if hi == math.MaxInt32 {
		return fmt.Sprintf("len%d-", lo)
	}
	return fmt.Sprintf("len%d-%d", lo, hi)
}

// lens chooses at most n positions, documents in an order drawn from the seed.
func (s *survey) lens(n int, seed uint64) []trace.LensPosition {
	order := make([]int, len(s.docs))
	key := make([]uint64, len(s.docs))
	for i := range order {
		order[i], key[i] = i, lensOrder(seed, s.docs[i].ID)
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Or(cmp.Compare(key[a], key[b]), cmp.Compare(a, b)) })
	var out []trace.LensPosition
	for _, i := range order {
		for _, at := range s.places[i] {
			if len(out) == n {
				break
			}
			out = append(out, trace.LensPosition{Doc: i, Pos: at.pos, Target: at.target})
		}
	}
	slices.SortStableFunc(out, func(a, b trace.LensPosition) int { return cmp.Compare(a.Doc, b.Doc) })
	return out
}

package trace

import (
	"errors"
	"fmt"
	"math"

	"assay/internal/fault"
	"assay/model/trace/window"
)

// lawTolerance (nats) covers float32 rounding of quantities that obey a law exactly.
const lawTolerance = 1e-4

// Finding is one violation of the format.
type Finding struct {
	DocID  string `json:"doc_id,omitempty"`
	Pos    int32  `json:"pos"` // Null when it is not about one row
	Law    string `json:"law"`
	Detail string `json:"detail"` // what was found and the bound
}

func (f Finding) String() string {
	s := f.Law + ": " + f.Detail
	if f.Pos != Null {
		s = fmt.Sprintf("pos %d: %s", f.Pos, s)
	}
	if f.DocID != "" {
		s = fmt.Sprintf("document %q: %s", f.DocID, s)
	}
	return s
}

// inspector checks documents against the identity they were measured under. Its
// emit function gets each violation and says whether to go on.
type inspector struct {
	of      *Identity
	options Options
	emit    func(Finding) bool
	stopped bool

	reported int
}

func (in *inspector) report(d *Doc, pos int, law, format string, args ...any) {
	if in.stopped {
		return
	}
	in.reported++
	in.stopped = !in.emit(Finding{d.ID, int32(pos), law, fmt.Sprintf(format, args...)})
}

// firstFault returns an inspector that keeps the first violation, and a function that
// returns it as an input fault.
func firstFault(of *Identity, o Options, where string) (*inspector, func() error) {
	var found *Finding
	in := &inspector{of: of, options: o, emit: func(f Finding) bool { found = &f; return false }}
	return in, func() error {
		if found == nil {
			return nil
		}
		code := "malformed"
		if found.Law == lawFinite {
			code = "nonfinite"
		}
		err := fault.Inputf(code, "trace: %s: %s", where, found)
		found, in.stopped = nil, false
		return err
	}
}

// Laws that callers name.
const (
	lawFinite  = "finite"
	lawPlan    = "planner"
	lawColumns = "columns"
)

// planned is what the policy says about one document.
type planned struct {
	windows []window.Window
	status  string
	first   int // index in S of the first document id
}

func plan(of *Identity, d *Doc) (planned, error) {
	prefix := len(of.Policy.PrefixIDs)
	p := planned{first: prefix + int(d.Context), status: StatusOK}
	ws, err := window.Plan(of.Policy, prefix, int(d.Context), int(d.Tokens))
	switch {
	case errors.Is(err, window.ErrTooLong):
		p.status = StatusOverContext
	case errors.Is(err, window.ErrTooShort):
		p.status = StatusNoTargets
	case err != nil:
		return p, err
	case d.Tokens == 0:
		p.status = StatusNoTokens
	case len(ws) == 0:
		p.status = StatusNoTargets
	}
	p.windows = ws
	return p, nil
}

// document checks what the document table says about a document against the plan.
func (in *inspector) document(d *Doc) (planned, bool) {
	if d.Doc < 0 || d.Tokens < 0 || d.Context < 0 {
		in.report(d, Null, lawColumns, "doc %d, n_tokens %d, n_context %d: want 0 or more", d.Doc, d.Tokens, d.Context)
		return planned{}, false
	}
	if d.ID == "" {
		in.report(d, Null, lawColumns, "doc %d has an empty doc_id", d.Doc)
	}
	text := [...]int64{d.Bytes, d.Chars, d.Words, d.Pieces, d.Zlib}
	for i, v := range text {
		if (v == Null) != (d.Bytes == Null) || v < Null || i > 0 && i < 3 && v > d.Bytes {
			in.report(d, Null, lawColumns, "n_bytes, n_chars, n_words, n_pieces, zlib_bytes %v: want all or none, no more code points or words than bytes", text)
			break
		}
	}
	p, err := plan(in.of, d)
	if err != nil {
		in.report(d, Null, lawPlan, "%v", err)
		return p, false
	}
	scored := 0
	for _, w := range p.windows {
		scored += w.Hi - w.Lo
	}
	if d.Status != p.status || int(d.Windows) != len(p.windows) || int(d.Scored) != scored {
		in.report(d, Null, lawPlan, "status %s, %d windows, %d scored; the policy gives %s, %d, %d", d.Status, d.Windows, d.Scored, p.status, len(p.windows), scored)
	}
	return p, true
}

// all checks a document and its rows; the laws only where the structure holds.
func (in *inspector) all(x *DocTokens) {
	p, ok := in.document(&x.Doc)
	if ok {
		ok = in.rows(&x.Doc, &x.Tokens, p)
	}
	if ok && !in.stopped {
		in.laws(&x.Doc, &x.Tokens)
	}
}

// rows checks the structure of a document's rows: lengths, positions, ids,
// tiles, planner columns and nulls.
func (in *inspector) rows(d *Doc, t *Tokens, p planned) bool {
	if !in.lengths(d, t) {
		return false
	}
	before := in.reported
	vocab := int32(math.MaxInt32)
	if v := in.of.Checkpoint.Vocab; v > 0 {
		vocab = int32(min(v, math.MaxInt32))
	}
	for i, id := range t.ID {
		if id < 0 || id >= vocab {
			in.report(d, i, "id", "%d, want 0 to %d", id, vocab-1)
		}
	}
	at := int64(0)
	for i, off := range t.ByteOff {
		n := int64(t.ByteLen[i])
		if off != at || n < 0 || at+n > d.Bytes {
			in.report(d, i, "tiles", "[%d, %d+%d) after byte %d of %d", off, off, n, at, d.Bytes)
			break
		}
		at += n
	}
	next := 0
	unscored := func(end int) {
		for ; next < end; next++ {
			in.unscored(d, t, next)
		}
	}
	for k, w := range p.windows {
		lo, hi := w.Lo-p.first, w.Hi-p.first
		unscored(min(lo, t.Len()))
		for ; next < min(hi, t.Len()); next++ {
			in.scored(d, t, next, int32(k), int32(w.Ctx(next+p.first)), vocab)
		}
	}
	unscored(t.Len())
	return in.reported == before
}

// lengths checks that the columns that must be there are there and equally long.
func (in *inspector) lengths(d *Doc, t *Tokens) bool {
	n, ok := int(d.Tokens), true
	check := func(name string, want, present bool, length int) {
		switch {
		case n == 0 && length == 0:
		case present && !want:
			in.report(d, Null, lawColumns, "%s is there, want it absent", name)
			ok = false
		case want && length != n:
			in.report(d, Null, lawColumns, "%s has %d values, want %d", name, length, n)
			ok = false
		}
	}
	check("pos", true, t.Pos != nil, len(t.Pos))
	check("window", true, t.Window != nil, len(t.Window))
	check("scored", true, t.Scored != nil, len(t.Scored))
	check("ctx", true, t.Ctx != nil, len(t.Ctx))
	check("logprob", true, t.Logprob != nil, len(t.Logprob))
	check("entropy", true, t.Entropy != nil, len(t.Entropy))
	check("sd", true, t.SD != nil, len(t.SD))
	check("rank", true, t.Rank != nil, len(t.Rank))
	check("argmax_logprob", true, t.ArgmaxLogprob != nil, len(t.ArgmaxLogprob))
	check("id", !in.options.Redact, t.ID != nil, len(t.ID))
	check("argmax_id", !in.options.Redact, t.ArgmaxID != nil, len(t.ArgmaxID))
	text := !in.options.Redact && d.HasText()
	check("byte_off", text, t.ByteOff != nil, len(t.ByteOff))
	check("byte_len", text, t.ByteLen != nil, len(t.ByteLen))
	check("umean", in.options.Moments, t.UMean != nil, len(t.UMean))
	check("usd", in.options.Moments, t.USD != nil, len(t.USD))
	check("top_id", in.options.TopK > 0 && !in.options.Redact, t.TopID != nil, len(t.TopID))
	check("top_logprob", in.options.TopK > 0, t.TopLogprob != nil, len(t.TopLogprob))
	for i, pos := range t.Pos {
		if int(pos) != i {
			in.report(d, i, "pos", "%d, want %d", pos, i)
			return false
		}
	}
	return ok
}

func (in *inspector) unscored(d *Doc, t *Tokens, i int) {
	if t.Scored[i] || t.Window[i] != Null || t.Ctx[i] != Null {
		in.report(d, i, lawPlan, "scored %v, window %d, ctx %d; the policy does not score it", t.Scored[i], t.Window[i], t.Ctx[i])
		return
	}
	nan := func(v []float32) bool { return v == nil || v[i] != v[i] }
	if t.Rank[i] != Null || t.ArgmaxID != nil && t.ArgmaxID[i] != Null ||
		!nan(t.Logprob) || !nan(t.Entropy) || !nan(t.SD) || !nan(t.ArgmaxLogprob) || !nan(t.UMean) || !nan(t.USD) ||
		t.TopID != nil && t.TopID[i] != nil || t.TopLogprob != nil && t.TopLogprob[i] != nil {
		in.report(d, i, lawColumns, "an unscored row has model columns")
	}
}

func (in *inspector) scored(d *Doc, t *Tokens, i int, win, ctx, vocab int32) {
	if !t.Scored[i] || t.Window[i] != win || t.Ctx[i] != ctx {
		in.report(d, i, lawPlan, "scored %v, window %d, ctx %d; the policy gives true, %d, %d", t.Scored[i], t.Window[i], t.Ctx[i], win, ctx)
		return
	}
	l, h, s, a := float64(t.Logprob[i]), float64(t.Entropy[i]), float64(t.SD[i]), float64(t.ArgmaxLogprob[i])
	// The difference of a finite sum to itself is 0; NaN and Inf give NaN.
	x := l + h + s + a
	if t.UMean != nil {
		x += float64(t.UMean[i]) + float64(t.USD[i])
	}
	if x-x != 0 {
		in.report(d, i, lawFinite, "id %s, logprob %v, entropy %v, sd %v, argmax_logprob %v", t.idAt(i), l, h, s, a)
		return
	}
	if t.Rank[i] < 0 || t.Rank[i] >= vocab || t.ArgmaxID != nil && (t.ArgmaxID[i] < 0 || t.ArgmaxID[i] >= vocab) {
		in.report(d, i, lawColumns, "rank %d, argmax_id %v: want 0 to %d", t.Rank[i], t.argmaxAt(i), vocab-1)
	}
}

func (t *Tokens) idAt(i int) string {
	if t.ID == nil {
		return "redacted"
	}
	return fmt.Sprint(t.ID[i])
}

func (t *Tokens) argmaxAt(i int) int32 {
	if t.ArgmaxID == nil {
		return Null
	}
	return t.ArgmaxID[i]
}

// laws checks the mathematics of scored rows. Its rows have passed rows.
func (in *inspector) laws(d *Doc, t *Tokens) {
	lnV := math.Inf(1)
	if v := in.of.Checkpoint.Vocab; v > 0 {
		lnV = math.Log(float64(v))
	}
	const tol = lawTolerance
	for i, ok := range t.Scored {
		if !ok {
			continue
		}
		l, h, s, a := float64(t.Logprob[i]), float64(t.Entropy[i]), float64(t.SD[i]), float64(t.ArgmaxLogprob[i])
		rank := t.Rank[i]
		if !(l <= a && a <= tol) {
			in.report(d, i, "logprob <= argmax_logprob <= 0", "%v, %v", l, a)
		}
		if rank == 0 && l != a {
			in.report(d, i, "rank 0: logprob = argmax_logprob", "%v, %v", l, a)
		}
		if rank > 0 && l > tol-math.Log(float64(rank)+1) {
			in.report(d, i, "logprob <= -ln(rank+1)", "%v, rank %d", l, rank)
		}
		if !(-a <= h+tol && h <= lnV+tol) {
			in.report(d, i, "-argmax_logprob <= entropy <= ln V", "%v, %v, %v", -a, h, lnV)
		}
		if !(a >= -lnV-tol) {
			in.report(d, i, "argmax_logprob >= -ln V", "%v, %v", a, -lnV)
		}
		if !(s >= 0) {
			in.report(d, i, "sd >= 0", "%v", s)
		}
	}
	in.top(d, t)
}

// top checks the optional lists: sorted, ties by id, the first the argmax.
func (in *inspector) top(d *Doc, t *Tokens) {
	for i := range t.TopLogprob {
		if !t.Scored[i] {
			continue
		}
		lp := t.TopLogprob[i]
		if len(lp) == 0 || lp[0] != t.ArgmaxLogprob[i] {
			in.report(d, i, "top_logprob[0] = argmax_logprob", "%v, %v", lp, t.ArgmaxLogprob[i])
			continue
		}
		var id []int32
		if t.TopID != nil {
			id = t.TopID[i]
			if len(id) != len(lp) || t.ArgmaxID != nil && id[0] != t.ArgmaxID[i] {
				in.report(d, i, "top_id[0] = argmax_id", "%v, %d, %d values for %d", id, t.argmaxAt(i), len(id), len(lp))
				continue
			}
		}
		for k := 1; k < len(lp); k++ {
			if !(lp[k] <= lp[k-1]) {
				in.report(d, i, "top_logprob descending", "%v", lp)
				break
			}
		}
	}
}

// sums sets the figures of d that follow from its rows. It does not set Greedy
// when the ids are redacted.
func sums(d *Doc, t *Tokens) {
	var l1, l2, h sum
	n, greedy := int32(0), int32(0)
	for i, ok := range t.Scored {
		if !ok {
			continue
		}
		l := float64(t.Logprob[i])
		l1.add(l)
		l2.add(l * l)
		h.add(float64(t.Entropy[i]))
		n++
		if t.ID != nil && t.ArgmaxID != nil && t.ID[i] == t.ArgmaxID[i] {
			greedy++
		}
	}
	d.Scored, d.SumLogprob, d.SumLogprob2, d.SumEntropy = n, l1.value(), l2.value(), h.value()
	if t.ID != nil && t.ArgmaxID != nil || t.Len() == 0 {
		d.Greedy = greedy
	}
}

// sums reports document figures that the rows do not give.
func (in *inspector) sums(d *Doc, t *Tokens) {
	c := *d
	sums(&c, t)
	if c.SumLogprob != d.SumLogprob || c.SumLogprob2 != d.SumLogprob2 || c.SumEntropy != d.SumEntropy || c.Scored != d.Scored || c.Greedy != d.Greedy {
		in.report(d, Null, "document sums", "sum_logprob %v, sum_logprob2 %v, sum_entropy %v, n_scored %d, n_greedy %d; the rows give %v, %v, %v, %d, %d",
			d.SumLogprob, d.SumLogprob2, d.SumEntropy, d.Scored, d.Greedy, c.SumLogprob, c.SumLogprob2, c.SumEntropy, c.Scored, c.Greedy)
	}
}

package palimpsest

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"

	"assay/internal/fault"
	"assay/probes"
)

// JoinOptions says which rows of a transcript enter a test and what is shuffled.
type JoinOptions struct {
	Epoch      string     // last (default), first, or a pass K = 1, 2, ...
	Window     [2]float64 // fractions of the run; zero means all of it
	Pos        [2]int64   // positions A <= t < B; zero means all
	AfterStep  int64      // steps above this one only; 0 means all
	Duplicates string     // drop (default): all copies; stratify: last position, multiplicity as stratum; keep
	Unit       string     // column whose values are the shuffled units: row, unit, step; "" means unit if present
	Strata     string     // column of blocks of uniform shuffling: none, stratum, source, epoch; "" means stratum if present
	Partial    bool       // accept traces that lack rows

	sums bool // units take the sums of their rows' scores, not the means
}

func (o JoinOptions) withDefaults(t *Transcript) JoinOptions {
	set := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	set(&o.Epoch, "last")
	set(&o.Duplicates, "drop")
	if t.Unit != nil {
		set(&o.Unit, "unit")
	}
	set(&o.Unit, "row")
	if t.Block != nil {
		set(&o.Strata, "stratum")
	}
	set(&o.Strata, "none")
	return o
}

// Validate reports the first option out of range.
func (o JoinOptions) Validate() error {
	if _, ok := passOf(o.Epoch, nil); !ok && o.Epoch != "" {
		return fault.Usagef("palimpsest: epoch %q, want last, first or a number from 1", o.Epoch)
	}
	for _, c := range []struct {
		name, v string
		ok      []string
	}{{"duplicates", o.Duplicates, []string{"", "drop", "stratify", "keep"}}, {"unit", o.Unit, []string{"", "row", "unit", "step"}},
		{"strata", o.Strata, []string{"", "none", "stratum", "source", "epoch"}}} {
		if !slices.Contains(c.ok, c.v) {
			return fault.Usagef("palimpsest: %s %q, want one of %q", c.name, c.v, c.ok[1:])
		}
	}
	if o.Pos != ([2]int64{}) && !(o.Pos[0] >= 0 && o.Pos[0] < o.Pos[1]) {
		return fault.Usagef("palimpsest: positions %d:%d, want 0 <= A < B", o.Pos[0], o.Pos[1])
	}
	_, _, err := windowBounds(1<<40, o.Window)
	return err
}

// passOf picks the position of a pass; ok is false for a name it does not know.
func passOf(name string, p []int64) (t int64, ok bool) {
	switch name {
	case "last":
		if len(p) > 0 {
			t = p[len(p)-1]
		}
		return t, true
	case "first":
		if len(p) > 0 {
			t = p[0]
		}
		return t, true
	}
	k, err := strconv.Atoi(name)
	if err != nil || k < 1 {
		return 0, false
	}
	if k > len(p) {
		return -1, true // seen fewer times
	}
	return p[k-1], true
}

// Join matches a transcript with the scores of a suspect and of references, row by
// row on seq and on the digest of the content, and forms the units. The
// transcript's derived columns must be filled (Derive, or a reader of this
// package). Models must have read the same rows under the same policy. Rows that
// are non-finite under any model are dropped and counted. O(n log n).
func Join(t *Transcript, suspect Scores, refs []Scores, o JoinOptions) (*Sample, error) {
	if err := t.Validate(); err != nil {
		return nil, err
	}
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if t.SHA256 == nil || t.Tokens == nil {
		return nil, fault.Inputf("malformed", "palimpsest: transcript: content digests are missing, want Derive to have run")
	}
	o = o.withDefaults(t)
	models := append([]Scores{suspect}, refs...)
	measure, err := agree(t, models)
	if err != nil {
		return nil, err
	}
	j := joiner{t: t, o: o, bySeq: make([]int32, t.Len())}
	for i := range j.bySeq {
		j.bySeq[i] = int32(i)
	}
	slices.SortFunc(j.bySeq, func(a, b int32) int { return cmp.Compare(t.Seq[a], t.Seq[b]) })

	s := &Sample{Meta: t.Meta, Measure: measure, GroupedBy: o.Unit}
	columns := make([]column, len(models))
	var wg sync.WaitGroup
	for m := range models {
		wg.Go(func() { columns[m] = j.column(models[m], measure) })
	}
	wg.Wait()
	for m, sc := range models {
		c := columns[m]
		if c.err != nil {
			return nil, c.err
		}
		s.L = append(s.L, c.l)
		s.Partial = s.Partial || c.partial
		if c.device != nil {
			s.Categories = append(s.Categories, *c.device)
		}
		s.Models = append(s.Models, Model{Name: sc.Name, Digest: sc.Digest, Weights: sc.Weights})
		s.Warnings = append(s.Warnings, sc.Warnings...)
	}
	if err := j.fill(s); err != nil {
		return nil, err
	}
	s.Settings = map[string]any{"epoch": o.Epoch, "window": windowText(o.Window), "positions": fmt.Sprintf("%d:%d", o.Pos[0], o.Pos[1]),
		"after_step": o.AfterStep, "duplicates": o.Duplicates, "unit": o.Unit, "strata": o.Strata, "allow_partial": o.Partial}
	return s, s.finish()
}

func windowText(w [2]float64) string {
	if w == ([2]float64{}) {
		w[1] = 1
	}
	return fmt.Sprintf("%g:%g", w[0], w[1])
}

// agree checks that all models read the same thing in the same way.
func agree(t *Transcript, models []Scores) (measure string, err error) {
	a := models[0]
	measure = "nats/token"
	for _, b := range models[1:] {
		for _, c := range []struct{ what, a, b, hint string }{
			{"text digest", a.Text, b.Text, "score both models on the same transcript file"},
			{"policy (BOS, window, mask)", a.Policy, b.Policy, "score both models with the same --policy, --window and --bos"},
			{"numeric policy", a.Precision, b.Precision, "score both models with the same precision"},
		} {
			if c.a != c.b {
				return "", fault.Inputf("mismatch", "palimpsest: %s and %s: %s %s and %s, want equal", a.Name, b.Name, c.what, c.a, c.b).Hint("%s", c.hint)
			}
		}
		if a.Tokenizer != b.Tokenizer {
			if t.Bytes == nil {
				return "", fault.Inputf("mismatch", "palimpsest: %s and %s: tokenizers %s and %s on a transcript of ids, want one tokenizer", a.Name, b.Name, a.Tokenizer, b.Tokenizer).
					Hint("models with different tokenizers can be compared on a transcript with a text column, per byte")
			}
			measure = "nats/byte"
		}
	}
	return measure, nil
}

type joiner struct {
	t     *Transcript
	o     JoinOptions
	bySeq []int32 // rows sorted by seq
}

func (j *joiner) find(seq int64) (int32, bool) {
	k, ok := slices.BinarySearchFunc(j.bySeq, seq, func(i int32, s int64) int { return cmp.Compare(j.t.Seq[i], s) })
	if !ok {
		return 0, false
	}
	return j.bySeq[k], true
}

// column is what a join takes from one model's scores, in row order of the
// transcript.
type column struct {
	l       []float64 // NaN where a row has no finite score, +Inf where it has none at all
	device  *Category // nil for one device
	partial bool
	err     error
}

func (j *joiner) column(sc Scores, measure string) (c column) {
	c.err = j.read(&c, sc, measure)
	return c
}

func (j *joiner) read(c *column, sc Scores, measure string) error {
	l := make([]float64, j.t.Len())
	for i := range l {
		l[i] = math.Inf(1) // not seen yet
	}
	devices := map[string]int32{}
	device := make([]int32, j.t.Len())
	for v, err := range sc.Rows {
		if err != nil {
			return fmt.Errorf("palimpsest: %s: %w", sc.Name, err)
		}
		i, ok := j.find(v.Seq)
		switch {
		case !ok:
			return fault.Inputf("mismatch", "palimpsest: %s: seq %d is not in the transcript", sc.Name, v.Seq).
				Hint("the trace was made from another transcript: score this one")
		case v.SHA256 != j.t.SHA256[i]:
			return fault.Inputf("mismatch", "palimpsest: %s: seq %d has content digest %s, transcript has %s", sc.Name, v.Seq,
				hex.EncodeToString(v.SHA256[:8]), hex.EncodeToString(j.t.SHA256[i][:8])).
				Hint("the trace was made from another text: score this transcript")
		case !math.IsInf(l[i], 1):
			return fault.Inputf("mismatch", "palimpsest: %s: seq %d appears twice", sc.Name, v.Seq)
		}
		den := float64(v.Scored)
		if measure == "nats/byte" {
			den = float64(j.t.Bytes[i])
		}
		l[i] = v.Sum / den
		if v.Scored == 0 || math.IsInf(l[i], 0) {
			l[i] = math.NaN()
		}
		code, ok := devices[v.Device]
		if !ok {
			code = int32(len(devices))
			devices[v.Device] = code
		}
		device[i] = code
	}
	missing, firstRow := 0, -1
	for i := range l {
		if math.IsInf(l[i], 1) {
			if missing++; firstRow < 0 {
				firstRow = i
			}
		}
	}
	if missing > 0 && !j.o.Partial {
		return fault.Inputf("incomplete", "palimpsest: %s: %d of %d transcript rows have no score (first: seq %d)", sc.Name, missing, len(l), j.t.Seq[firstRow]).
			Hint("finish the trace with assay score --resume, or accept it with --allow-partial (tier B)")
	}
	c.l, c.partial = l, missing > 0
	if len(devices) > 1 {
		names := make([]string, len(devices))
		for n, c := range devices {
			names[c] = n
		}
		c.device = &Category{Name: "device of " + sc.Name, Code: device, Names: names}
	}
	return nil
}

// fill turns rows into units, in seq order.
func (j *joiner) fill(s *Sample) error {
	rows, pos, mult, err := j.rows(s)
	if err != nil {
		return err
	}
	t := j.t
	get := func(x []float64) []float64 { return take(x, rows) }
	for m := range s.L {
		s.L[m] = get(s.L[m])
	}
	for c := range s.Categories {
		s.Categories[c].Code = take(s.Categories[c].Code, rows)
	}
	s.Seq, s.Pos, s.Step, s.Wrong = take(t.Seq, rows), pos, take(t.Step, rows), take(t.Wrong, rows)
	col := func(name string, x []float64) { s.Covariates = append(s.Covariates, Covariate{name, x}) }
	col("length", get(floats(t.Tokens)))
	if t.Bytes != nil {
		col("bytes", get(floats(t.Bytes)))
	}
	if t.Surprisal != nil {
		col("unigram surprisal", get(t.Surprisal))
	}
	if j.o.Duplicates != "drop" {
		col("multiplicity", mult)
	}
	if t.Source != nil {
		s.Categories = append(s.Categories, category("source", take(t.Source, rows)))
	}
	j.strata(s, rows, mult)
	s.Stored = rankOrder(rows)
	if j.o.Unit != "row" {
		return j.group(s, rows)
	}
	return nil
}

// rankOrder returns, in stored order, the index of each kept row.
func rankOrder(rows []int32) []int32 {
	idx := make([]int32, len(rows))
	for k := range idx {
		idx[k] = int32(k)
	}
	slices.SortFunc(idx, func(a, b int32) int { return cmp.Compare(rows[a], rows[b]) })
	return idx
}

// rows picks the rows of the test in seq order with their positions and the
// multiplicity of their contents.
func (j *joiner) rows(s *Sample) (rows []int32, pos []int64, mult []float64, err error) {
	t, o := j.t, j.o
	n := t.Meta.N
	if n == 0 && o.Window != ([2]float64{}) {
		return nil, nil, nil, fault.Inputf("malformed", "palimpsest: transcript: run length unknown, so a window in fractions has no meaning").
			Hint("give positions instead: --pos A:B")
	}
	lo, hi := int64(0), int64(math.MaxInt64)
	if n > 0 {
		if lo, hi, err = windowBounds(n, o.Window); err != nil {
			return nil, nil, nil, err
		}
	}
	if o.Pos != ([2]int64{}) {
		lo, hi = max(lo, o.Pos[0]), min(hi, o.Pos[1])
	}
	if o.AfterStep != 0 && t.Step == nil {
		return nil, nil, nil, fault.Inputf("malformed", "palimpsest: transcript: no column step, which --after-step needs")
	}
	for _, i := range j.bySeq {
		p, _ := passOf(o.Epoch, t.Positions[i])
		unscored := false
		for _, l := range s.L {
			unscored = unscored || math.IsInf(l[i], 1)
		}
		switch {
		case p < lo || p >= hi || o.AfterStep != 0 && t.Step[i] <= o.AfterStep:
			s.Dropped.OutsideWindow++
		case unscored:
			s.Dropped.Unscored++
		default:
			rows = append(rows, i)
			pos = append(pos, p)
		}
	}
	rows, pos, mult = j.duplicates(s, rows, pos)
	return rows, pos, mult, nil
}

// duplicates applies the policy on equal contents. Keeping the last copy without
// strata would be invalid: contents seen twice sit later on average and are
// easier text.
func (j *joiner) duplicates(s *Sample, rows []int32, pos []int64) ([]int32, []int64, []float64) {
	t := j.t
	type item struct {
		key uint64 // first bytes of the digest: they decide all but true copies
		k   int32
	}
	items := make([]item, len(rows))
	for k, i := range rows {
		items[k] = item{binary.BigEndian.Uint64(t.SHA256[i][:]), int32(k)}
	}
	slices.SortFunc(items, func(a, b item) int {
		if a.key != b.key {
			return cmp.Compare(a.key, b.key)
		}
		c := bytes.Compare(t.SHA256[rows[a.k]][:], t.SHA256[rows[b.k]][:])
		return cmp.Or(c, cmp.Compare(pos[a.k], pos[b.k]), cmp.Compare(a.k, b.k))
	})
	idx := make([]int32, len(rows))
	for n, e := range items {
		idx[n] = e.k
	}
	mult := make([]float64, len(rows))
	keep := make([]bool, len(rows))
	for lo := 0; lo < len(idx); {
		hi := lo + 1
		for hi < len(idx) && t.SHA256[rows[idx[hi]]] == t.SHA256[rows[idx[lo]]] {
			hi++
		}
		for _, k := range idx[lo:hi] {
			mult[k] = float64(hi - lo)
			keep[k] = j.o.Duplicates == "keep" || hi-lo == 1
		}
		if j.o.Duplicates == "stratify" {
			keep[idx[hi-1]] = true // the last position
		}
		lo = hi
	}
	var r []int32
	var p []int64
	var m []float64
	for k := range rows {
		if keep[k] {
			r, p, m = append(r, rows[k]), append(p, pos[k]), append(m, mult[k])
		}
	}
	s.Dropped.Duplicate = len(rows) - len(r)
	if share := float64(s.Dropped.Duplicate) / float64(max(1, len(rows))); share > 0.01 {
		s.Warnings = append(s.Warnings, probes.Warning{Code: "duplicates-dropped",
			Text: fmt.Sprintf("%d of %d rows (%.1f %%) share their content with another row and were left out (%s)", s.Dropped.Duplicate, len(rows), 100*share, j.o.Duplicates)})
	}
	return r, p, m
}

// strata codes the blocks, crossed with multiplicity under stratify.
func (j *joiner) strata(s *Sample, rows []int32, mult []float64) {
	label := make([]string, len(rows))
	switch {
	case j.o.Strata == "stratum" && j.t.Block != nil:
		copy(label, take(j.t.Block, rows))
	case j.o.Strata == "source" && j.t.Source != nil:
		copy(label, take(j.t.Source, rows))
	case j.o.Strata == "epoch" && j.t.Epoch != nil:
		for k, i := range rows {
			label[k] = fmt.Sprintf("epoch %d", j.t.Epoch[i])
		}
	}
	if j.o.Duplicates == "stratify" {
		for k, m := range mult {
			label[k] += fmt.Sprintf(" x%g", m)
		}
	}
	c := category("stratum", label)
	if len(c.Names) > 1 {
		s.Stratum, s.Strata = c.Code, c.Names
	}
}

func category(name string, label []string) Category {
	names := slices.Clone(label)
	slices.Sort(names)
	names = slices.Compact(names)
	code := make([]int32, len(label))
	for i, l := range label {
		k, _ := slices.BinarySearch(names, l)
		code[i] = int32(k)
	}
	return Category{Name: name, Code: code, Names: names}
}

func floats[T int32 | int64](x []T) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v)
	}
	return out
}

// group replaces rows by their units.
func (j *joiner) group(s *Sample, rows []int32) error {
	key := j.t.Unit
	if j.o.Unit == "step" {
		key = j.t.Step
	}
	if key == nil {
		return fault.Inputf("malformed", "palimpsest: transcript: no column %s, which --unit names", j.o.Unit)
	}
	return s.groupBy(take(key, rows), j.o.sums)
}

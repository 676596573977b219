package trace

import (
	"errors"
	"slices"
)

// Peaks are the largest activations over the tokens of each document, documents x
// layers.
type Peaks struct {
	Layers            []int
	Max               []float32 // largest |x|
	Pos, Dim, Massive []int32   // its position and dimension; number of massive activations
}

// tap returns the layers and width of a tap's statistics.
func (s *States) tap(name string) (View, bool) {
	if !slices.Contains(s.s.header.Of.Plan.Stats, name) {
		return View{}, false
	}
	i := slices.IndexFunc(s.s.header.Of.Views, func(v View) bool { return v.Tap == name })
	return s.s.header.Of.Views[i], true
}

// Peaks returns the peaks of a tap; nil if not kept.
func (s *States) Peaks(tap string) (*Peaks, error) {
	v, ok := s.tap(tap)
	if !ok {
		return nil, nil
	}
	n, k := len(s.docs.ID), len(v.Layers)
	m, err := s.need("doc.max."+tap, "F32", n, k)
	p := &Peaks{Layers: v.Layers, Max: viewFloats(m)}
	for name, dst := range map[string]*[]int32{"max_pos": &p.Pos, "max_dim": &p.Dim, "massive": &p.Massive} {
		b, e := s.need("doc."+name+"."+tap, "I32", n, k)
		err = errors.Join(err, e)
		*dst = viewInts(b)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Sameness returns, documents x layers of the tap's statistics, the mean cosine of pairs
// of positions inside each document's span: (|sum u|^2 - T) / (T (T-1)) over the T
// vectors that are not zero, u = x/|x|; NaN where T < 2. It is nil if not kept.
func (s *States) Sameness(tap string) ([]float32, error) {
	v, ok := s.tap(tap)
	if !ok || !s.s.header.Of.Plan.Sameness {
		return nil, nil
	}
	b, err := s.need("doc.same."+tap, "F32", len(s.docs.ID), len(v.Layers))
	return viewFloats(b), err
}

// TokenSums are sums over tokens at one layer; row 0 is the first position of the
// windows, row 1 all others, each of the tap's width.
type TokenSums struct {
	Sq  [2][]float64 // of x^2
	Max [2][]float32 // largest |x|
	N6  [2][]int64   // count of |x| >= 6
}

// TokenSums returns the sums of a tap at a layer (its number, not its index); nil if
// not kept.
func (s *States) TokenSums(tap string, layer int) (*TokenSums, error) {
	v, ok := s.tap(tap)
	if !ok || !slices.Contains(v.Layers, layer) {
		return nil, nil
	}
	name := tap + "." + itoa(layer)
	sq, err1 := s.need("tok.sq."+name, "F64", 2, v.Width)
	m, err2 := s.need("tok.max."+name, "F32", 2, v.Width)
	n6, err3 := s.need("tok.n6."+name, "I64", 2, v.Width)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	t := &TokenSums{}
	for r := range 2 {
		at, end := r*v.Width, (r+1)*v.Width
		t.Sq[r], t.Max[r], t.N6[r] = viewDoubles(sq)[at:end], viewFloats(m)[at:end], viewLongs(n6)[at:end]
	}
	return t, nil
}

// TokenRows are vectors of single positions: rows Offsets[i] to Offsets[i+1] are
// those of document i.
type TokenRows struct {
	Offsets []int64
	Pos     []int32
	X       Matrix
}

// TokenRows returns the rows of a tap's token view at a layer (its number); nil if not
// kept.
func (s *States) TokenRows(tap string, layer int) (*TokenRows, error) {
	i := slices.IndexFunc(s.s.header.Of.Views, func(v View) bool { return v.Tap == tap && v.Tokens() && slices.Contains(v.Layers, layer) })
	if i < 0 {
		return nil, nil
	}
	v := s.s.header.Of.Views[i]
	off, err1 := s.need("tokens.offsets", "I64", len(s.docs.ID)+1)
	pos, err2 := s.need("tokens.pos", "I32", -1)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	t := &TokenRows{Offsets: viewLongs(off), Pos: viewInts(pos)}
	n := len(t.Pos)
	if t.Offsets[0] != 0 || t.Offsets[len(t.Offsets)-1] != int64(n) || !slices.IsSorted(t.Offsets) {
		return nil, s.bad("tokens.offsets do not rise from 0 to %d", n)
	}
	m, err := s.matrix("tokens."+tap+"."+itoa(layer), n, v.Width)
	if err == nil && m.Data == nil {
		err = s.bad("tensor tokens.%s.%d is missing", tap, layer)
	}
	t.X = m
	return t, err
}

// Lens holds what the checkpoint's own head reads at every layer: P positions, K
// layers, row-major P x K; TopID and TopLogProb P x K x 5.
type Lens struct {
	Layers               []int
	Doc, Pos, Target     []int32 // Target is the next token, -1 at the end of the text
	LogProb, Entropy, KL []float32
	Rank, TopID          []int32
	TopLogProb           []float32
}

// Lens returns the lens readings; nil if not kept.
func (s *States) Lens() (*Lens, error) {
	layers := s.s.header.Of.Plan.LensLayers
	k := len(layers)
	if k == 0 {
		return nil, nil
	}
	l := &Lens{Layers: layers}
	b, err := s.need("lens.doc", "I32", -1)
	l.Doc = viewInts(b)
	n := len(l.Doc)
	for name, dst := range map[string]*[]int32{"pos": &l.Pos, "target": &l.Target} {
		b, e := s.need("lens."+name, "I32", n)
		err = errors.Join(err, e)
		*dst = viewInts(b)
	}
	for name, dst := range map[string]*[]float32{"logprob": &l.LogProb, "entropy": &l.Entropy, "kl": &l.KL} {
		b, e := s.need("lens."+name, "F32", n, k)
		err = errors.Join(err, e)
		*dst = viewFloats(b)
	}
	rank, e1 := s.need("lens.rank", "I32", n, k)
	id, e2 := s.need("lens.top_id", "I32", n, k, lensTop)
	lp, e3 := s.need("lens.top_logprob", "F32", n, k, lensTop)
	if err = errors.Join(err, e1, e2, e3); err != nil {
		return nil, err
	}
	l.Rank, l.TopID, l.TopLogProb = viewInts(rank), viewInts(id), viewFloats(lp)
	from := int32(0)
	if p := s.s.header.Parts; len(p) > 0 {
		from = int32(p[0].Docs[0])
	}
	for i, d := range l.Doc {
		if d < from || int(d-from) >= len(s.docs.ID) {
			return nil, s.bad("lens.doc %d is document %d of %d", i, d, len(s.docs.ID))
		}
	}
	return l, nil
}

// runDigest recomputes the run from what the file holds.
func (h StatesHeader) runDigest() (string, error) {
	if h.rawOf == nil {
		return h.Of.RunDigest()
	}
	return rawDigest(h.rawOf)
}

// Doc finds a document by its id; -1 if there is none.
func (d Docs) Doc(id string) int { return slices.Index(d.ID, id) }

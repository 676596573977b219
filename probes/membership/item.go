package membership

import (
	"math"
	"slices"

	"assay/model/trace"
)

// Needs lists what a score reads, as bits.
type Needs uint

// What a score may need besides the document table.
const (
	NeedRows        Needs = 1 << iota // token rows
	NeedMoments                       // columns umean and usd
	NeedText                          // a document given as text: bytes, characters, zlib length
	NeedRef                           // a reference trace of the same documents
	NeedRefRows                       // and its token rows, same tokenizer
	NeedLower                         // a trace of the lower-cased texts
	NeedShots                         // a trace of the texts after non-member shots
	NeedMemberShots                   // and one after member shots
	NeedNeighbours                    // traces of edited copies
	NeedSwaps                         // token rows of word-swapped copies
	NeedSelf                          // a trace of the texts after themselves
	NeedCounts                        // token counts of a corpus
)

// Flag names the command-line flag that supplies a need.
func (n Needs) Flag() string {
	for _, f := range []struct {
		n Needs
		s string
	}{
		{NeedRows, "a trace scored with --per token"}, {NeedMoments, "a trace scored with --moments"}, {NeedText, "a trace of texts, not ids"},
		{NeedRef | NeedRefRows, "--ref"}, {NeedLower, "--lower"}, {NeedShots, "--shots"}, {NeedMemberShots, "--member-shots"},
		{NeedNeighbours, "--neighbours"}, {NeedSwaps, "--swaps"}, {NeedSelf, "--self"}, {NeedCounts, "--freq"},
	} {
		if n&f.n != 0 {
			return f.s
		}
	}
	return ""
}

// Item is one document with everything that a score may look at. Only Doc is
// always there.
type Item struct {
	Doc trace.Doc
	Tok trace.Tokens // rows, scored or not

	Ref         []Reference
	Lower       *trace.Doc
	Changed     float64 // share of letters that lower-casing changes; NaN = unknown
	Shots       *trace.Doc
	MemberShots *trace.Doc
	Self        *trace.Doc
	Neighbours  []trace.Doc
	Swaps       []trace.Tokens
	Counts      *Counts

	view *view
}

// Reference is the same document under another model.
type Reference struct {
	Doc           trace.Doc
	Tok           trace.Tokens
	SameTokenizer bool
}

// Counts are token counts of a large corpus, by id.
type Counts struct {
	N     []int64
	Total float64
}

// NewCounts sums the counts once.
func NewCounts(n []int64) *Counts {
	c := &Counts{N: n}
	for _, v := range n {
		c.Total += float64(v)
	}
	return c
}

// view holds the scored rows of an item as float64, made once for all scores.
type view struct {
	l, h       []float64
	rows       []int32   // index of each scored row in the trace's rows
	sl, sz, sp []float64 // increasing: l, z, plain z; made on demand
	// degenerate counts rows whose sd is below the floor, flat those whose usd is.
	degenerate, flat int
	mean             float64
}

// flatSD is the floor below which a distribution over the vocabulary counts as
// constant, and its z score as 0.
const flatSD = 1e-6

func (in *Item) rows() *view {
	if in.view != nil {
		return in.view
	}
	t := in.Tok
	v := &view{}
	n := 0
	for _, s := range t.Scored {
		if s {
			n++
		}
	}
	buf := make([]float64, 2*n)
	v.l, v.h = buf[:n:n], buf[n:]
	v.rows = make([]int32, n)
	i := 0
	for r, s := range t.Scored {
		if !s {
			continue
		}
		v.l[i] = float64(t.Logprob[r])
		if t.Entropy != nil {
			v.h[i] = float64(t.Entropy[r])
		}
		v.rows[i] = int32(r)
		i++
	}
	v.mean = mean(v.l)
	in.view = v
	return v
}

func mean(x []float64) float64 {
	s := 0.0
	for _, v := range x {
		s += v
	}
	return s / float64(len(x))
}

// sorted returns the scored log-probs in increasing order.
func (v *view) sorted() []float64 {
	if v.sl == nil {
		v.sl = slices.Clone(v.l)
		slices.Sort(v.sl)
	}
	return v.sl
}

// sortedZ returns z = (l + H)/sd in increasing order: l standardised by its mean
// and deviation under the model's own distribution.
func (v *view) sortedZ(t trace.Tokens) []float64 {
	if v.sz == nil {
		v.sz = make([]float64, len(v.l))
		for i, r := range v.rows {
			if sd := float64(t.SD[r]); sd >= flatSD {
				v.sz[i] = (v.l[i] + v.h[i]) / sd
			} else {
				v.degenerate++
			}
		}
		slices.Sort(v.sz)
	}
	return v.sz
}

// sortedPlain is sortedZ with the unweighted mean and deviation over the vocabulary.
func (v *view) sortedPlain(t trace.Tokens) []float64 {
	if v.sp == nil {
		v.sp = make([]float64, len(v.l))
		for i, r := range v.rows {
			if sd := float64(t.USD[r]); sd >= flatSD {
				v.sp[i] = (v.l[i] - float64(t.UMean[r])) / sd
			} else {
				v.flat++
			}
		}
		slices.Sort(v.sp)
	}
	return v.sp
}

// low is the mean of the n smallest of sorted x, n = max(1, floor(k T)). The guard
// keeps k T = 63 from becoming 62.999 (k = .7, T = 90).
func low(sorted []float64, k float64) float64 {
	n := share(k, len(sorted))
	return mean(sorted[:n])
}

func share(k float64, t int) int { return max(1, int(math.Floor(k*float64(t)+1e-9))) }

// meanLogProb of a document from its sums.
func meanLogProb(d trace.Doc) float64 { return d.SumLogprob / float64(d.Scored) }

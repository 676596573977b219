package palimpsest

// ngramIndex holds the n-grams of a text, for all lengths minN..maxN, and the
// units of a transcript in which each occurs. Its size depends on the text alone:
// the transcript streams past. An n-gram is known by a 64-bit hash; at 10^8
// transcript tokens against 10^6 text tokens a false match has probability 10^-4.
type ngramIndex struct {
	minN, maxN int
	maxOcc     int32

	slots  []int32 // open addressing into grams, 1-based; power of two, at most half full
	grams  []gram
	nodes  []node // occurrence lists, shared
	free   int32  // list of nodes given back by n-grams that became too common
	filter []uint64
	prefix []uint64 // scratch: running polynomial hash of a token sequence
	powers []uint64 // of base, by n
	tokens []uint64 // scratch
}

// gram is one n-gram of the text.
type gram struct {
	hash  uint64
	head  int32 // newest occurrence, 1-based
	count int32 // units seen, up to maxOcc+1
}

type node struct{ unit, next int32 }

const hashBase = 0x9e3779b97f4a7c15 // odd

func newNgramIndex(minN, maxN, maxOcc int) *ngramIndex {
	x := &ngramIndex{minN: minN, maxN: maxN, maxOcc: int32(maxOcc), slots: make([]int32, 1024), filter: make([]uint64, 1<<16), powers: make([]uint64, maxN+1)}
	p := uint64(1)
	for n := range x.powers {
		x.powers[n] = p
		p *= hashBase
	}
	return x
}

// mix is the output function of splitmix64.
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// wordHash is FNV-1a, which is the same on every machine.
func wordHash(s string) uint64 {
	h := uint64(0xcbf29ce484222325)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 0x100000001b3
	}
	return mix(h)
}

// sequence hashes the tokens of ids, or of the words of text, into x.prefix, where
// prefix[i] covers the first i tokens, and returns their number.
func (x *ngramIndex) sequence(c Contents) int {
	x.tokens = x.tokens[:0]
	if c.IDs != nil {
		for _, v := range c.IDs {
			x.tokens = append(x.tokens, mix(uint64(v)+1))
		}
	} else {
		for w := range words(c.Text) {
			x.tokens = append(x.tokens, wordHash(w))
		}
	}
	x.prefix = append(x.prefix[:0], 0)
	h := uint64(0)
	for _, t := range x.tokens {
		h = h*hashBase + t
		x.prefix = append(x.prefix, h)
	}
	return len(x.tokens)
}

// hash of the n tokens from i on.
func (x *ngramIndex) hash(i, n int) uint64 {
	return mix(x.prefix[i+n] - x.prefix[i]*x.powers[n] + uint64(n)*0xd1342543de82ef95)
}

// add indexes the n-grams of one document and returns for each start the gram of
// each length (1-based; 0 where the document ends first), minN first.
func (x *ngramIndex) add(c Contents) []int32 {
	n := x.sequence(c)
	width := x.maxN - x.minN + 1
	at := make([]int32, 0, max(0, n-x.minN+1)*width)
	for i := 0; i+x.minN <= n; i++ {
		for k := x.minN; k <= x.maxN; k++ {
			g := int32(0)
			if i+k <= n {
				g = x.insert(x.hash(i, k))
			}
			at = append(at, g)
		}
	}
	return at
}

func (x *ngramIndex) insert(h uint64) int32 {
	if 2*(len(x.grams)+1) > len(x.slots) {
		x.grow()
	}
	s := x.slot(h)
	if x.slots[s] == 0 {
		x.grams = append(x.grams, gram{hash: h})
		x.slots[s] = int32(len(x.grams))
		f := h >> 42 // 22 bits: 4 million filter bits
		x.filter[f/64] |= 1 << (f % 64)
	}
	return x.slots[s]
}

// slot is where h is, or would be.
func (x *ngramIndex) slot(h uint64) uint64 {
	m := uint64(len(x.slots) - 1)
	for s := h & m; ; s = (s + 1) & m {
		if g := x.slots[s]; g == 0 || x.grams[g-1].hash == h {
			return s
		}
	}
}

func (x *ngramIndex) grow() {
	x.slots = make([]int32, 2*len(x.slots))
	for i := range x.grams {
		x.slots[x.slot(x.grams[i].hash)] = int32(i + 1)
	}
}

// match records one transcript row: every indexed n-gram that it holds gets the
// unit, once. A longer n-gram can only be in the text if its first minN tokens are.
func (x *ngramIndex) match(unit int32, c Contents) {
	n := x.sequence(c)
	for i := 0; i+x.minN <= n; i++ {
		for k := x.minN; k <= x.maxN && i+k <= n; k++ {
			h := x.hash(i, k)
			if f := h >> 42; x.filter[f/64]>>(f%64)&1 == 0 {
				break
			}
			g := x.slots[x.slot(h)]
			if g == 0 {
				break
			}
			x.occur(&x.grams[g-1], unit)
		}
	}
}

func (x *ngramIndex) occur(g *gram, unit int32) {
	if g.count > x.maxOcc {
		return
	}
	if g.head != 0 && x.nodes[g.head-1].unit == unit {
		return // a second time in the same row
	}
	g.count++
	if g.count > x.maxOcc { // too common to say anything: give the list back
		for i := g.head; i != 0; {
			next := x.nodes[i-1].next
			x.nodes[i-1].next = x.free
			x.free, i = i, next
		}
		g.head = 0
		return
	}
	i := x.free
	if i != 0 {
		x.free = x.nodes[i-1].next
	} else {
		x.nodes = append(x.nodes, node{})
		i = int32(len(x.nodes))
	}
	x.nodes[i-1] = node{unit, g.head}
	g.head = i
}

// score walks the starts of a document, takes at each the longest n-gram that
// occurs in 1..maxOcc units, and adds 1 to h of each of them. It returns the
// number of starts that had one.
func (x *ngramIndex) score(at []int32, h []int32) (matched int) {
	width := x.maxN - x.minN + 1
	for i := 0; i < len(at); i += width {
		for k := width - 1; k >= 0; k-- {
			if at[i+k] == 0 {
				continue
			}
			g := x.grams[at[i+k]-1]
			if g.count < 1 || g.count > x.maxOcc {
				continue
			}
			for o := g.head; o != 0; o = x.nodes[o-1].next {
				h[x.nodes[o-1].unit]++
			}
			matched++
			break
		}
	}
	return matched
}

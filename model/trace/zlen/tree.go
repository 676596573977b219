package zlen

const (
	literals  = 256
	endBlock  = 256
	litCodes  = literals + 1 + 29
	distCodes = 30
	lenCodes  = 19 // the code that transmits code lengths
	heapSize  = 2*litCodes + 1

	repeatPrev  = 16 // 3 to 6 times the previous length
	repeatZero  = 17 // 3 to 10 zeros
	repeatZeros = 18 // 11 to 138 zeros
)

// Extra bits by code, and the order in which length codes are sent (RFC 1951, 3.2.5 and 3.2.7).
var (
	extraLen   = [29]uint8{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	extraDist  = [distCodes]uint8{0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13}
	extraLens  = [lenCodes]uint8{repeatPrev: 2, repeatZero: 3, repeatZeros: 7}
	lensOrder  = [lenCodes]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}
	lengthCode = makeLengthCode()
)

func makeLengthCode() (t [maxMatch - minMatch + 1]uint8) {
	n := 0
	for code := range 28 {
		for range 1 << extraLen[code] {
			t[n] = uint8(code)
			n++
		}
	}
	t[len(t)-1] = 28 // 258 has a code without extra bits
	return t
}

// block counts the symbols of the block that is being filled.
type block struct {
	symbols int
	lit     [litCodes]uint16
	dist    [distCodes]uint16
	lens    [lenCodes]uint16
	tree    tree
}

func (b *block) reset() {
	b.symbols = 0
	clear(b.lit[:])
	clear(b.dist[:])
	clear(b.lens[:])
	b.lit[endBlock] = 1
}

// literal adds a byte; it reports whether the block is full.
func (b *block) literal(c byte) bool {
	b.lit[c]++
	b.symbols++
	return b.symbols == blockSymbols
}

// match adds a match; it reports whether the block is full.
func (b *block) match(dist, length int) bool {
	b.lit[literals+1+int(lengthCode[length-minMatch])]++
	b.dist[distCode(dist)]++
	b.symbols++
	return b.symbols == blockSymbols
}

func distCode(dist int) int {
	d := uint(dist - 1)
	if d < 4 {
		return int(d)
	}
	n := uint(0)
	for d>>n > 3 {
		n++
	}
	return int(2*n + d>>n)
}

// end returns the number of bits after the block is written behind bits bits in
// the cheapest of its three forms, and starts the next block. stored is its length
// in bytes; inWindow says whether these are still at hand. Of equal bytes, fixed
// codes win over dynamic ones and the stored form wins over both.
func (b *block) end(bits, stored int, inWindow bool) int {
	fixed := b.fixed()
	dynamic := b.dynamic()
	fixedBytes, best := (fixed+3+7)/8, (dynamic+3+7)/8
	if fixedBytes <= best {
		best = fixedBytes
	}
	switch {
	case inWindow && stored+4 <= best:
		bits = (bits+3+7)/8*8 + 32 + 8*stored
	case fixedBytes == best:
		bits += 3 + fixed
	default:
		bits += 3 + dynamic
	}
	b.reset()
	return bits
}

// fixed returns the bits of the block under the fixed codes.
func (b *block) fixed() int {
	n := 0
	for i, f := range b.lit {
		switch {
		case i < 144:
			n += 8 * int(f)
		case i < 256:
			n += 9 * int(f)
		case i == endBlock:
			n += 7 * int(f)
		case i < 280:
			n += (7 + int(extraLen[i-257])) * int(f)
		default:
			n += (8 + int(extraLen[i-257])) * int(f)
		}
	}
	for i, f := range b.dist {
		n += (5 + int(extraDist[i])) * int(f)
	}
	return n
}

// dynamic returns the bits of the block under its own codes, their description
// included.
func (b *block) dynamic() int {
	t := &b.tree
	n := t.build(b.lit[:], extraLen[:], literals+1, 15)
	b.runs(t.len[:t.max+1])
	sum := 5 + 5 + 4 + n
	sum += t.build(b.dist[:], extraDist[:], 0, 15)
	b.runs(t.len[:t.max+1])
	sum += t.build(b.lens[:], extraLens[:], 0, 7)
	last := lenCodes - 1
	for last >= 3 && t.len[lensOrder[last]] == 0 {
		last--
	}
	return sum + 3*(last+1)
}

// runs counts the symbols that transmit a sequence of code lengths.
func (b *block) runs(lens []uint8) {
	prev := -1
	for i := 0; i < len(lens); {
		cur := lens[i]
		longest, least := 7, 4 // the first of a run is sent as it is
		switch {
		case cur == 0:
			longest, least = 138, 3
		case int(cur) == prev:
			longest, least = 6, 3
		}
		n := 1
		for n < longest && i+n < len(lens) && lens[i+n] == cur {
			n++
		}
		switch {
		case n < least:
			b.lens[cur] += uint16(n)
		case cur != 0:
			if int(cur) != prev {
				b.lens[cur]++
			}
			b.lens[repeatPrev]++
		case n <= 10:
			b.lens[repeatZero]++
		default:
			b.lens[repeatZeros]++
		}
		prev = int(cur)
		i += n
	}
}

// tree builds a Huffman code with zlib's rule for ties, which decides the lengths
// and so the size of their description.
type tree struct {
	len   [heapSize]uint8 // code lengths of the symbols 0..max, then of inner nodes
	max   int             // largest symbol that has a code
	freq  [heapSize]uint16
	dad   [heapSize]uint16
	depth [heapSize]uint8
	heap  [heapSize + 1]uint16 // heap[1:n+1]; behind it the nodes by falling frequency
	n     int
	count [16]int
}

func (t *tree) before(a, b uint16) bool {
	return t.freq[a] < t.freq[b] || t.freq[a] == t.freq[b] && t.depth[a] <= t.depth[b]
}

func (t *tree) down(k int) {
	v := t.heap[k]
	for j := 2 * k; j <= t.n; j *= 2 {
		if j < t.n && t.before(t.heap[j+1], t.heap[j]) {
			j++
		}
		if t.before(v, t.heap[j]) {
			break
		}
		t.heap[k], k = t.heap[j], j
	}
	t.heap[k] = v
}

// build sets the code lengths for the frequencies and returns the bits of all
// symbols, with the extra bits of those from base on.
func (t *tree) build(freq []uint16, extra []uint8, base, maxLen int) int {
	t.n, t.max = 0, -1
	for i, f := range freq {
		t.freq[i], t.len[i] = f, 0
		if f != 0 {
			t.n++
			t.heap[t.n], t.max, t.depth[i] = uint16(i), i, 0
		}
	}
	forced := 0
	for t.n < 2 { // a code needs two symbols
		i := 0
		if t.max < 2 {
			t.max++
			i = t.max
		}
		t.n++
		t.heap[t.n], t.freq[i], t.depth[i] = uint16(i), 1, 0
		forced++
	}
	for k := t.n / 2; k >= 1; k-- {
		t.down(k)
	}
	node, top := len(freq), heapSize
	for t.n >= 2 {
		a := t.heap[1]
		t.heap[1] = t.heap[t.n]
		t.n--
		t.down(1)
		b := t.heap[1]
		top -= 2
		t.heap[top+1], t.heap[top] = a, b
		t.freq[node] = t.freq[a] + t.freq[b]
		t.depth[node] = max(t.depth[a], t.depth[b]) + 1
		t.dad[a], t.dad[b] = uint16(node), uint16(node)
		t.heap[1] = uint16(node)
		node++
		t.down(1)
	}
	top--
	t.heap[top] = t.heap[1]
	return t.lengths(top, len(freq), extra, base, maxLen) - forced
}

// lengths assigns code lengths from the root down, shortens what exceeds maxLen,
// and returns the bits. heap[top:] holds all nodes, parents before children.
func (t *tree) lengths(top, leaves int, extra []uint8, base, maxLen int) int {
	clear(t.count[:])
	over, sum := 0, 0
	t.len[t.heap[top]] = 0
	for _, n := range t.heap[top+1 : heapSize] {
		l := int(t.len[t.dad[n]]) + 1
		if l > maxLen {
			l = maxLen
			over++
		}
		t.len[n] = uint8(l)
		if int(n) >= leaves {
			continue
		}
		t.count[l]++
		if int(n) >= base {
			l += int(extra[int(n)-base])
		}
		sum += l * int(t.freq[n])
	}
	if over == 0 {
		return sum
	}
	for ; over > 0; over -= 2 {
		l := maxLen - 1
		for t.count[l] == 0 {
			l--
		}
		t.count[l]--
		t.count[l+1] += 2
		t.count[maxLen]--
	}
	h := heapSize
	for l := maxLen; l > 0; l-- {
		for n := t.count[l]; n > 0; {
			h--
			m := t.heap[h]
			if int(m) >= leaves {
				continue
			}
			sum += (l - int(t.len[m])) * int(t.freq[m])
			t.len[m] = uint8(l)
			n--
		}
	}
	return sum
}

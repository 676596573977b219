// Package zlen counts the bytes that C zlib at its default level 6 writes for a
// text, header and checksum included. Membership scores divide by that length,
// and published ones were made with C zlib.
//
// It refuses to compress: only bits are counted. compress/zlib of the standard
// library is no substitute, its matcher and its blocks differ: for the pangram
// of the example it gives 56 bytes, C zlib 51. Nor is a build on zlib-ng.
//
// Source: the behaviour of zlib 1.2.13 with window bits 15 and memory level 8
// (deflate.c, trees.c), and RFC 1950 and 1951. Every text of the tests is
// compared with Python's zlib module over that version.
package zlen

import (
	"encoding/binary"
	"math/bits"
)

const (
	windowSize   = 1 << 15
	windowMask   = windowSize - 1
	minMatch     = 3
	maxMatch     = 258
	minLookahead = maxMatch + minMatch + 1
	maxDist      = windowSize - minLookahead
	hashMask     = 1<<15 - 1
	tooFar       = 4096      // a match of three bytes this far back costs more than it saves
	blockSymbols = 1<<14 - 1 // a block ends when its buffer is full

	// Level 6.
	goodMatch = 8   // search a quarter of the chain behind a match this long
	lazyMatch = 16  // do not look for a better match behind one this long
	niceMatch = 128 // stop searching at this length
	maxChain  = 128
)

// Len returns the length of b as C zlib's compress (level 6) gives it.
// It allocates the tables of one Counter.
func Len(b []byte) int { return new(Counter).Len(b) }

// Counter holds the tables, about 140 KiB, for repeated use by one goroutine.
// The zero value is ready.
type Counter struct {
	head, prev [windowSize]uint16 // window positions; 0 means none, so position 0 never matches
	block      block

	win        []byte // input from the start of the window on
	unread     int    // input bytes that the window has not taken in yet
	start      int    // window position of the next byte
	lookahead  int    // bytes of the window behind start
	matchStart int
	blockStart int // may be negative after a slide
	bits       int
}

// Len returns the length of b as C zlib's compress (level 6) gives it.
// It does not allocate.
func (c *Counter) Len(b []byte) int {
	clear(c.head[:])
	c.block.reset()
	c.win, c.unread, c.start, c.lookahead, c.matchStart, c.blockStart, c.bits = b, len(b), 0, 0, 0, 0, 0
	c.deflate()
	c.win = nil
	return 2 + (c.bits+7)/8 + 4
}

// fill takes input into the window, sliding it by half when start is near the
// end. Where this happens decides which old positions can still be found.
func (c *Counter) fill() {
	for {
		more := 2*windowSize - c.lookahead - c.start
		if c.start >= windowSize+maxDist {
			c.win = c.win[windowSize:]
			c.start -= windowSize
			c.matchStart -= windowSize
			c.blockStart -= windowSize
			slide(&c.head)
			slide(&c.prev)
			more += windowSize
		}
		if c.unread == 0 {
			return
		}
		n := min(more, c.unread)
		c.lookahead += n
		c.unread -= n
		if c.lookahead >= minLookahead {
			return
		}
	}
}

func slide(t *[windowSize]uint16) {
	for i, p := range t {
		t[i] = max(p, windowSize) - windowSize
	}
}

// insert puts window position p into its hash chain and returns the position
// that was first in it, 0 if none.
func (c *Counter) insert(p int) int {
	w := c.win[p : p+3 : p+3]
	h := (uint(w[0])<<10 ^ uint(w[1])<<5 ^ uint(w[2])) & hashMask
	old := c.head[h]
	c.prev[p&windowMask] = old
	c.head[h] = uint16(p)
	return int(old)
}

// deflate is zlib's lazy matcher: a match is taken only when the next position
// has no longer one.
func (c *Counter) deflate() {
	matchLen, pending := minMatch-1, false // pending: the byte before start is not coded yet
	for {
		if c.lookahead < minLookahead {
			c.fill()
			if c.lookahead == 0 {
				break
			}
		}
		first := 0
		if c.lookahead >= minMatch {
			first = c.insert(c.start)
		}
		prevLen, prevMatch := matchLen, c.matchStart
		matchLen = minMatch - 1
		if first != 0 && prevLen < lazyMatch && c.start-first <= maxDist {
			matchLen = c.longest(first, prevLen)
			if matchLen == minMatch && c.start-c.matchStart > tooFar {
				matchLen = minMatch - 1
			}
		}
		switch {
		case prevLen >= minMatch && matchLen <= prevLen:
			last := c.start + c.lookahead - minMatch // the last position with three bytes
			full := c.block.match(c.start-1-prevMatch, prevLen)
			c.lookahead -= prevLen - 1
			end := c.start + prevLen - 1
			for p := c.start + 1; p < end && p <= last; p++ {
				c.insert(p)
			}
			c.start = end
			pending, matchLen = false, minMatch-1
			if full {
				c.flush()
			}
		case pending:
			if c.block.literal(c.win[c.start-1]) {
				c.flush()
			}
			c.start++
			c.lookahead--
		default:
			pending = true
			c.start++
			c.lookahead--
		}
	}
	if pending {
		c.block.literal(c.win[c.start-1])
	}
	c.flush()
}

// longest searches the chain from cur for a match at start longer than best,
// sets matchStart, and returns the longest length, never above the lookahead.
func (c *Counter) longest(cur, best int) int {
	chain := maxChain
	if best >= goodMatch {
		chain >>= 2
	}
	limit := max(c.start-maxDist, 0)
	longestPossible := min(c.lookahead, maxMatch)
	if best >= longestPossible {
		return min(best, c.lookahead)
	}
	nice := min(niceMatch, c.lookahead)
	win := c.win[:c.start+longestPossible]
	scan := win[c.start:]
	end := binary.LittleEndian.Uint16(scan[best-1:])
	for {
		// A longer match agrees in the two bytes around best: most candidates end here.
		if binary.LittleEndian.Uint16(win[cur+best-1:]) == end {
			if n := common(scan, win[cur:cur+longestPossible]); n > best {
				c.matchStart, best = cur, n
				if n >= nice {
					break
				}
				end = binary.LittleEndian.Uint16(scan[best-1:])
			}
		}
		cur = int(c.prev[cur&windowMask])
		if chain--; cur <= limit || chain == 0 {
			break
		}
	}
	return min(best, c.lookahead)
}

// common returns the length of the common prefix of two slices of one length.
func common(a, b []byte) int {
	b = b[:len(a)]
	i := 0
	for ; i+8 <= len(a); i += 8 {
		if x := binary.LittleEndian.Uint64(a[i:]) ^ binary.LittleEndian.Uint64(b[i:]); x != 0 {
			return i + bits.TrailingZeros64(x)/8
		}
	}
	for ; i < len(a); i++ {
		if a[i] != b[i] {
			return i
		}
	}
	return i
}

// flush adds the cheapest form of the block to the count.
func (c *Counter) flush() {
	c.bits = c.block.end(c.bits, c.start-c.blockStart, c.blockStart >= 0)
	c.blockStart = c.start
}

package trace

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// checkZstd bounds what unpacking b can produce and allocate, from the frame and
// block headers alone (RFC 8878, 3.1.1): a block gives at most 128 KiB, and the
// decoder allocates what a frame claims. It returns the bound.
func checkZstd(b []byte, most int64) (int64, error) {
	total := int64(0)
	for len(b) > 0 {
		size, rest, err := zstdFrame(b)
		if err != nil {
			return 0, err
		}
		if total += size; total > most+zstdBlock {
			return 0, fmt.Errorf("zstd: at least %d bytes unpacked, want at most %d", total, most)
		}
		b = rest
	}
	return total, nil
}

const (
	zstdMagic = 0xfd2fb528
	zstdBlock = 1 << 17
)

var errZstd = errors.New("zstd: frame cut short or malformed")

// zstdFrame returns an upper bound of the unpacked size of the first frame (what
// it claims, if that is less) and what follows it.
func zstdFrame(b []byte) (size int64, rest []byte, err error) {
	if len(b) < 5 {
		return 0, nil, errZstd
	}
	if m := binary.LittleEndian.Uint32(b); m != zstdMagic {
		return 0, nil, fmt.Errorf("zstd: frame starts with %#x, want %#x", m, uint32(zstdMagic))
	}
	d := b[4]
	b = b[5:]
	single, checksum := d>>5&1, d>>2&1
	skip := 1 - int(single) + [4]int{0, 1, 2, 4}[d&3] // window and dictionary
	fcs := [4]int{int(single), 2, 4, 8}[d>>6]
	if len(b) < skip+fcs {
		return 0, nil, errZstd
	}
	claimed := int64(-1)
	if fcs > 0 {
		var v [8]byte
		copy(v[:], b[skip:skip+fcs])
		c := binary.LittleEndian.Uint64(v[:])
		if fcs == 2 {
			c += 256
		}
		if c > 1<<40 {
			return 0, nil, fmt.Errorf("zstd: frame claims %d bytes", c)
		}
		claimed = int64(c)
	}
	b = b[skip+fcs:]
	for last := false; !last; {
		if len(b) < 3 {
			return 0, nil, errZstd
		}
		h := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
		last = h&1 != 0
		n := int(h >> 3)
		switch h >> 1 & 3 {
		case 0: // raw
			size += int64(n)
		case 1: // one byte, repeated
			if n > zstdBlock {
				return 0, nil, errZstd
			}
			size += int64(n)
			n = 1
		case 2:
			size += zstdBlock
		default:
			return 0, nil, errZstd
		}
		if n > len(b)-3 {
			return 0, nil, errZstd
		}
		b = b[3+n:]
	}
	if checksum != 0 {
		if len(b) < 4 {
			return 0, nil, errZstd
		}
		b = b[4:]
	}
	switch {
	case claimed > size:
		return 0, nil, fmt.Errorf("zstd: frame claims %d bytes, its blocks hold at most %d", claimed, size)
	case claimed >= 0:
		size = claimed
	}
	return size, b, nil
}

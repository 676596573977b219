package weights

import (
	"encoding/binary"

	"assay/weights/internal/gguf"
)

// finding is what a pass over a tensor's values saw.
type finding struct {
	float bool  // the type has non-finite values
	zero  bool  // every value is 0 (or -0)
	count int64 // non-finite values
	first int64 // index of the first one
}

// probe looks for non-finite values eight bytes at a time. A value is
// non-finite when its exponent bits are all ones; adding the exponent's lowest
// bit to the masked exponent then carries into the sign's place, and nowhere
// else, so one addition tests all values in a word.
type probe struct {
	finding
	size     int    // bytes of a value
	exponent uint64 // exponent bits of every value in a word
	low      uint64 // lowest exponent bit
	sign     uint64
	seen     uint64 // all bits seen but signs
	at       int64  // bytes looked at before

	format *gguf.Type // blocks: only their scales can be non-finite
}

func newProbe(d DType) *probe {
	p := &probe{size: d.Size()}
	spread := func(unit, exponent, low, sign uint64) {
		p.float = true
		p.exponent, p.low, p.sign = unit*exponent, unit*low, unit*sign
	}
	switch d {
	case F16:
		spread(0x0001_0001_0001_0001, 0x7c00, 0x0400, 0x8000)
	case BF16:
		spread(0x0001_0001_0001_0001, 0x7f80, 0x0080, 0x8000)
	case F32:
		spread(0x0000_0001_0000_0001, 0x7f80_0000, 0x0080_0000, 0x8000_0000)
	case F64:
		spread(1, 0x7ff0_0000_0000_0000, 0x0010_0000_0000_0000, 0x8000_0000_0000_0000)
	}
	p.zero = p.float
	return p
}

// chunk returns how many bytes to look at in one call.
func (p *probe) chunk() int {
	if p.format != nil {
		return p.format.RowBytes(1 << 20)
	}
	return scanChunk
}

// look takes the next bytes; all calls but the last give a multiple of 8 or
// whole blocks.
func (p *probe) look(data []byte) {
	if !p.float {
		return
	}
	if p.format != nil {
		p.blocks(data)
		return
	}
	exponent, low, sign, seen := p.exponent, p.low, p.sign, p.seen
	rest := data
	for len(rest) >= 8 {
		v := binary.LittleEndian.Uint64(rest)
		seen |= v &^ sign
		if (v&exponent+low)&sign != 0 {
			p.word(v, len(data)-len(rest))
		}
		rest = rest[8:]
	}
	if len(rest) > 0 {
		var last [8]byte // what is missing stays 0, which is finite
		copy(last[:], rest)
		v := binary.LittleEndian.Uint64(last[:])
		seen |= v &^ sign
		p.word(v, len(data)-len(rest))
	}
	p.at += int64(len(data))
	p.seen = seen
	p.zero = seen == 0
}

// word counts the non-finite values in a word that lies at an offset of the
// bytes being looked at.
func (p *probe) word(v uint64, offset int) {
	hits := (v&p.exponent + p.low) & p.sign
	for i := range 8 / p.size {
		if hits>>(8*p.size*(i+1)-1)&1 == 0 {
			continue
		}
		if p.count == 0 {
			p.first = (p.at+int64(offset))/int64(p.size) + int64(i)
		}
		p.count++
	}
}

func (p *probe) blocks(data []byte) {
	count, first, zero := p.format.NonFinite(data)
	if count > 0 && p.count == 0 {
		p.first = p.at + first
	}
	p.count += count
	p.zero = p.zero && zero
	p.at += 1 << 20 // values here, since a chunk holds that many
}

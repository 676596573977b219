package text

import "unicode"

// Tiles turns the ends that a tokenizer reports, in bytes, into tiles: with
// E(-1) = 0, token i covers [E(i-1), E(i)) where E(i) = max(E(i-1), end i), and
// the last token takes what is left of the text if that is white space only. So
// tiles never overlap, white space belongs to the token after it, and a
// character split over tokens belongs to its first one; a tile may be empty.
//
// dropped is the number of bytes after the last tile: text that the tokenizer
// threw away (warning `bytes-dropped`). Text thrown away between tokens is part
// of the tile that follows and cannot be told apart.
func Tiles(ends []int64, text string) (off []int64, length []int32, dropped int) {
	off = make([]int64, len(ends))
	length = make([]int32, len(ends))
	total := int64(len(text))
	var e int64
	for i, end := range ends {
		off[i] = e
		e = max(e, min(end, total))
		length[i] = int32(e - off[i])
	}
	if n := len(ends); n > 0 && e < total && blank(text[e:]) {
		length[n-1] += int32(total - e)
		e = total
	}
	return off, length, int(total - e)
}

// Space says whether a character is white space as Python's str.split has it:
// unicode.IsSpace and the separators U+001C to U+001F.
func Space(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }

func blank(s string) bool {
	for _, r := range s {
		if !Space(r) {
			return false
		}
	}
	return true
}

package vecfile

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"math"
)

// binary reads the rows that the header promises: an optional LF, the word, a
// space, D little-endian float32. The format cannot hold a word with a space.
func (rd *reader) binary() error {
	d := rd.file.D
	for rd.file.Rows < rd.n {
		row := rd.file.Rows + 1
		word, err := rd.in.ReadSlice(' ')
		switch {
		case err == bufio.ErrBufferFull, err == nil && len(word) > maxWord+2:
			return rd.bad("row %d: found no space within %d bytes, want the end of the word", row, maxWord)
		case err == io.EOF:
			return rd.bad("row %d: found the end of the data, want %d rows as line 1 says", row, rd.n)
		case err != nil:
			return rd.readError(err)
		}
		word = word[:len(word)-1]
		if len(word) > 0 && word[0] == '\n' {
			word = word[1:]
		}
		if bytes.IndexByte(word, 0) >= 0 { // the bytes of numbers: the rows are not where D says
			return rd.bad("row %d: found a NUL byte in a word, want text: does the header state the right dimension?", row)
		}
		rd.file.Rows = row
		_, wanted := rd.want[string(word)]
		wanted = wanted || row <= rd.o.Keep
		var key string // the slice dies with the next read
		if wanted || rd.collecting() {
			key = string(word)
		}
		raw, err := rd.in.Peek(4 * d)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return rd.bad("row %d: found %d bytes of numbers, want %d: the file is truncated", row, len(raw), 4*d)
		}
		if err != nil {
			return rd.readError(err)
		}
		if wanted || rd.collecting() {
			if err := rd.floats(raw, key, wanted); err != nil {
				return err
			}
		}
		if _, err := rd.in.Discard(4 * d); err != nil {
			return rd.readError(err)
		}
	}
	return rd.binaryEnd()
}

func (rd *reader) floats(raw []byte, key string, wanted bool) error {
	v := make([]float64, rd.file.D)
	for k := range v {
		x := float64(math.Float32frombits(binary.LittleEndian.Uint32(raw[4*k:])))
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return rd.bad("row %d: word %q: number %d: found %v, want a finite number", rd.file.Rows, clip([]byte(key)), k+1, x)
		}
		v[k] = x
	}
	if rd.collecting() {
		rd.file.Moments.Add(v)
	}
	if wanted {
		rd.keep(key, v)
	}
	return nil
}

// binaryEnd allows one LF after the last row and reads to the end, so that a
// gzip checksum is verified.
func (rd *reader) binaryEnd() error {
	rest, err := rd.in.Peek(2)
	if err != nil && err != io.EOF {
		return rd.readError(err)
	}
	if len(rest) > 1 || len(rest) == 1 && rest[0] != '\n' {
		return rd.bad("found data after row %d, want the end: line 1 promises %d rows", rd.file.Rows, rd.n)
	}
	if _, err := io.Copy(io.Discard, rd.in); err != nil {
		return rd.readError(err)
	}
	return nil
}

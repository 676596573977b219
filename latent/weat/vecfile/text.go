package vecfile

import (
	"bufio"
	"bytes"
	"io"
	"math"
	"strconv"
)

// next returns the next line without its end; io.EOF after the last. The line
// is valid until the next call.
func (rd *reader) next() ([]byte, error) {
	line, err := rd.in.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		rd.long = append(rd.long[:0], line...)
		for err == bufio.ErrBufferFull {
			if len(rd.long) > maxLine {
				return nil, rd.bad("line %d: found over %d bytes, want shorter lines", rd.line+1, maxLine)
			}
			line, err = rd.in.ReadSlice('\n')
			rd.long = append(rd.long, line...)
		}
		line = rd.long
	}
	if err != nil && err != io.EOF {
		return nil, rd.readError(err)
	}
	if len(line) == 0 {
		return nil, io.EOF
	}
	rd.line++
	line = bytes.TrimSuffix(line, []byte{'\n'})
	return bytes.TrimSuffix(line, []byte{'\r'}), nil
}

// text reads rows of text; first is a row already read.
func (rd *reader) text(first []byte) error {
	heads := map[string]bool{} // first tokens of wanted words; true when the token is itself wanted
	for w := range rd.want {
		head, _, more := cut(w)
		heads[head] = heads[head] || !more
	}
	blank := int64(0) // blank lines are only allowed at the end
	for line := first; ; {
		if line != nil {
			if err := rd.row(line, heads, &blank); err != nil {
				return err
			}
		}
		var err error
		if line, err = rd.next(); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
	}
	if rd.n >= 0 && rd.n != rd.file.Rows {
		return rd.bad("found %d rows, want %d as line 1 says", rd.file.Rows, rd.n)
	}
	return nil
}

func (rd *reader) row(line []byte, heads map[string]bool, blank *int64) error {
	if len(line) == 0 {
		*blank++
		return nil
	}
	if *blank > 0 {
		return rd.bad("line %d: found an empty line, want a word and its numbers", rd.line-1)
	}
	if n := len(line); line[n-1] == ' ' { // word2vec and fastText end each row with a space
		line = line[:n-1]
	}
	if rd.file.D == 0 {
		if err := rd.firstRow(line); err != nil {
			return err
		}
	}
	rd.file.Rows++
	i := bytes.IndexByte(line, ' ')
	if i < 0 {
		i = len(line)
	}
	whole, needed := heads[string(line[:i])]
	if !needed && !rd.collecting() && rd.file.Rows > rd.o.Keep {
		return nil
	}
	return rd.parse(line, i, whole)
}

// parse splits off the last D fields; the word is all before them.
func (rd *reader) parse(line []byte, head int, whole bool) error {
	d, end := rd.file.D, len(line)
	for range d {
		i := bytes.LastIndexByte(line[:end], ' ')
		if i < 0 {
			if whole || rd.collecting() {
				return rd.bad("line %d: word %q: found %d numbers, want %d", rd.line, clip(line[:head]), bytes.Count(line, []byte{' '}), d)
			}
			return nil
		}
		end = i
	}
	word := line[:end]
	if whole && end > head && allNumbers(line[head+1:end]) {
		return rd.bad("line %d: word %q: found %d numbers, want %d", rd.line, clip(line[:head]), bytes.Count(line[head:], []byte{' '}), d)
	}
	_, wanted := rd.want[string(word)]
	wanted = wanted || rd.file.Rows <= rd.o.Keep
	if !wanted && !rd.collecting() {
		return nil
	}
	v := make([]float64, d)
	rest := line[end+1:]
	for k := range v {
		f := rest
		if i := bytes.IndexByte(rest, ' '); i >= 0 {
			f, rest = rest[:i], rest[i+1:]
		}
		x, ok := number(f)
		if !ok {
			return rd.bad("line %d: word %q: number %d: found %q, want a finite decimal", rd.line, clip(word), k+1, clip(f))
		}
		v[k] = x
	}
	if rd.collecting() {
		rd.file.Moments.Add(v)
	}
	if wanted {
		rd.keep(string(word), v)
	}
	return nil
}

// firstRow finds the dimension of a GloVe file: the trailing numbers of its
// first row, less the word should that be a number too.
func (rd *reader) firstRow(line []byte) error {
	d, end := 0, len(line)
	for end > 0 {
		i := bytes.LastIndexByte(line[:end], ' ')
		if _, ok := number(line[i+1 : end]); !ok || i < 0 {
			break
		}
		d, end = d+1, i
	}
	if d < minDim || d > maxDim {
		return rd.bad("line %d: found %d numbers after the word, want %d to %d", rd.line, d, minDim, maxDim)
	}
	rd.file.D = d
	return rd.startMoments()
}

// number parses a plain decimal: no hexadecimal, no Inf, no NaN.
func number(b []byte) (float64, bool) {
	if len(b) == 0 {
		return 0, false
	}
	for _, c := range b {
		if !numeric(c) {
			return 0, false
		}
	}
	x, err := strconv.ParseFloat(string(b), 64)
	return x, err == nil && !math.IsInf(x, 0)
}

func allNumbers(b []byte) bool {
	for f := range bytes.SplitSeq(b, []byte{' '}) {
		if _, ok := number(f); !ok {
			return false
		}
	}
	return true
}

// cut splits a word at its first space.
func cut(w string) (head, rest string, more bool) {
	for i := range len(w) {
		if w[i] == ' ' {
			return w[:i], w[i+1:], true
		}
	}
	return w, "", false
}

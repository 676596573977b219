// Package vecfile reads files of word vectors: GloVe text, word2vec text (also
// fastText .vec) and word2vec binary, plain or gzip, in one pass, keeping only
// the words that are wanted. It answers "what is the vector of this word in
// this file", byte for byte as the file has it: words are bytes, split on the
// byte 0x20 alone, never normalised; numbers become float64.
//
// Memory is that of the wanted rows and a buffer of at most 4 MiB; nothing is
// allocated from a number that the file claims. Rows that are not wanted are
// skipped without parsing. It refuses a needed row with too few or too many
// numbers, a non-number or a non-finite one, fewer than 2 dimensions, a header
// whose count is wrong, and truncated data, with file, line or byte, found and
// wanted. A word that occurs twice keeps its first row, and says so.
//
// The text scanner is our own because bufio.Scanner refuses long lines and
// splits on Unicode space, which occurs inside GloVe 840B words.
package vecfile

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"assay/internal/fault"
	"assay/latent/weat"
)

// Format is a file format.
type Format string

const (
	// Auto tells the formats apart by their first bytes.
	Auto Format = "auto"
	// GloVe is lines of a word and its numbers.
	GloVe Format = "glove"
	// W2V is the same after a line "rows dimensions"; fastText .vec too.
	W2V Format = "w2v"
	// W2VBin is that line, then words and little-endian float32.
	W2VBin Format = "w2v-bin"
)

const (
	maxDim   = 65536
	minDim   = 2
	maxWord  = 1024
	bufBytes = 1 << 20
	maxLine  = 2 << 20
)

// Options say how to read. The zero value reads any format.
type Options struct {
	Format Format
	Name   string // of the file, for errors
	Size   int64  // bytes of the uncompressed file if known: a header that claims more is refused at once
	// Moments also collects mean and covariance of the file's rows, for centring
	// on them: of the first MomentsRows (files are sorted by frequency), or of
	// all with 0. It parses those rows and takes 8 D^2 bytes.
	Moments     bool
	MomentsRows int64
	// Keep also keeps the first rows, wanted or not: a pool of other words.
	Keep int64
}

// Duplicate is a wanted word that the file holds again.
type Duplicate struct {
	Word       string
	First, Row int64 // 1-based
	Differs    bool  // the vectors are not equal
}

// File is the wanted part of a vector file. It is a weat.Space.
type File struct {
	Format     Format
	Gzip       bool
	D          int
	Rows       int64
	Words      []string // found, in file order
	Duplicates []Duplicate
	Moments    *weat.Moments // with Options.Moments

	vec   map[string][]float64
	first map[string]int64
}

// Vector returns the vector of a word.
func (f *File) Vector(word string) ([]float64, weat.Why) {
	if v, ok := f.vec[word]; ok {
		return v, ""
	}
	return nil, weat.Absent
}

// Dim returns the number of dimensions.
func (f *File) Dim() int { return f.D }

// Notes returns the warnings that results of this file carry.
func (f *File) Notes() []weat.Note {
	var rows []string
	for _, d := range f.Duplicates {
		if d.Differs {
			rows = append(rows, fmt.Sprintf("%s (rows %d and %d, different)", d.Word, d.First, d.Row))
		} else {
			rows = append(rows, fmt.Sprintf("%s (rows %d and %d, equal)", d.Word, d.First, d.Row))
		}
	}
	if rows == nil {
		return nil
	}
	return []weat.Note{{Code: "duplicate-vector", Text: "the first row was used of " + strings.Join(rows, ", ")}}
}

// Read reads the wanted words from r in one pass.
func Read(r io.Reader, f Format, want map[string]struct{}) (*File, error) {
	return Options{Format: f}.Read(r, want)
}

// Read reads the wanted words from r in one pass. Errors of the content are
// faults of class Input with code bad-vectors; errors of reading are Retry.
func (o Options) Read(r io.Reader, want map[string]struct{}) (*File, error) {
	if o.Name == "" {
		o.Name = "vectors"
	}
	br := bufio.NewReaderSize(r, bufBytes)
	rd := reader{o: o, want: want, file: &File{Format: o.Format, vec: map[string][]float64{}, first: map[string]int64{}}}
	if magic, _ := br.Peek(2); len(magic) == 2 && magic[0] == 0x1f && magic[1] == 0x8b {
		z, err := gzip.NewReader(br)
		if err != nil {
			return nil, rd.readError(err)
		}
		rd.file.Gzip = true
		br = bufio.NewReaderSize(z, bufBytes)
	}
	rd.in = br
	if err := rd.read(); err != nil {
		return nil, err
	}
	return rd.file, nil
}

type reader struct {
	o    Options
	in   *bufio.Reader
	want map[string]struct{}
	file *File
	n    int64 // rows the header claims; -1 without a header
	line int64 // lines read
	long []byte
}

func (rd *reader) bad(format string, args ...any) error {
	return fault.Inputf("bad-vectors", "vecfile: %s: "+format, append([]any{rd.o.Name}, args...)...)
}

// readError tells content that ends or lies from a disk that fails.
func (rd *reader) readError(err error) error {
	var corrupt flate.CorruptInputError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return rd.bad("found the end of the data after line %d, want more: the file is truncated", rd.line)
	case errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader), errors.As(err, &corrupt):
		return rd.bad("gzip data is damaged: %w", err)
	}
	return fault.Retryf("read", "vecfile: %s: after line %d: %w", rd.o.Name, rd.line, err)
}

func (rd *reader) read() error {
	rd.n = -1
	first, err := rd.next()
	if err == io.EOF {
		return rd.bad("found no data, want at least one row")
	}
	if err != nil {
		return err
	}
	rows, dim, header := parseHeader(first)
	if rd.o.Format == "" || rd.o.Format == Auto {
		rd.file.Format = GloVe
		if header {
			rd.file.Format = W2V
			if rd.looksBinary() {
				rd.file.Format = W2VBin
			}
		}
	}
	switch rd.file.Format {
	case GloVe:
		if header {
			return rd.bad("line 1: found the word2vec header %q, want a word and its numbers", clip(first)).(*fault.Fault).Hint("use the format w2v or w2v-bin")
		}
		return rd.text(first)
	case W2V, W2VBin:
		if !header {
			return rd.bad("line 1: found %q, want two integers, rows and dimensions", clip(first))
		}
		if err := rd.header(rows, dim); err != nil {
			return err
		}
		if rd.file.Format == W2VBin {
			return rd.binary()
		}
		return rd.text(nil)
	}
	return fault.Usagef("vecfile: format: found %q, want auto, glove, w2v or w2v-bin", rd.o.Format)
}

// parseHeader reads exactly two decimal integers and nothing else.
func parseHeader(line []byte) (rows, dim int64, ok bool) {
	sp := -1
	for i, b := range line {
		if b == ' ' && sp < 0 && i > 0 {
			sp = i
		} else if b < '0' || b > '9' {
			return 0, 0, false
		}
	}
	if sp < 0 || sp == len(line)-1 {
		return 0, 0, false
	}
	rows, err1 := strconv.ParseInt(string(line[:sp]), 10, 64)
	dim, err2 := strconv.ParseInt(string(line[sp+1:]), 10, 64)
	if err1 != nil || err2 != nil {
		return math.MaxInt64, math.MaxInt64, true
	}
	return rows, dim, true
}

func (rd *reader) header(rows, dim int64) error {
	if dim < minDim || dim > maxDim {
		return rd.bad("line 1: found %d dimensions, want %d to %d", dim, minDim, maxDim)
	}
	least := 2 * dim // a digit and a space
	if rd.file.Format == W2VBin {
		least = 4 * dim
	}
	if rd.o.Size > 0 && !rd.file.Gzip && rows > rd.o.Size/least {
		return rd.bad("line 1: found a claim of %d rows of %d numbers, want what %d bytes can hold", rows, dim, rd.o.Size)
	}
	rd.n, rd.file.D = rows, int(dim)
	return rd.startMoments()
}

// collecting reports whether the row at hand counts for the moments.
func (rd *reader) collecting() bool {
	return rd.file.Moments != nil && (rd.o.MomentsRows <= 0 || rd.file.Rows <= rd.o.MomentsRows)
}

func (rd *reader) startMoments() error {
	if !rd.o.Moments {
		return nil
	}
	m, err := weat.NewMoments(rd.file.D)
	if err != nil {
		return rd.bad("%w", err)
	}
	rd.file.Moments = m
	return nil
}

// looksBinary peeks at what follows a header: text holds nothing after its
// first word but digits, signs, points, exponents and spaces.
func (rd *reader) looksBinary() bool {
	b, _ := rd.in.Peek(maxWord + 64)
	i := 0
	for i < len(b) && b[i] != ' ' {
		i++
	}
	if i == len(b) {
		return len(b) > 0
	}
	for _, c := range b[i:] {
		if c == '\n' || c == '\r' {
			return false
		}
		if !numeric(c) && c != ' ' {
			return true
		}
	}
	return false
}

func numeric(c byte) bool {
	return c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E'
}

// keep stores a wanted row, or notes that it came again.
func (rd *reader) keep(word string, v []float64) {
	f := rd.file
	if old, ok := f.vec[word]; ok {
		d := Duplicate{Word: word, First: f.first[word], Row: f.Rows}
		for i, x := range v {
			d.Differs = d.Differs || x != old[i]
		}
		f.Duplicates = append(f.Duplicates, d)
		return
	}
	f.vec[word], f.first[word] = v, f.Rows
	f.Words = append(f.Words, word)
}

func clip(b []byte) []byte {
	if len(b) > 60 {
		return append(append([]byte{}, b[:60]...), "..."...)
	}
	return b
}

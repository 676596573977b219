package ghost

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"assay/internal/fault"
)

//go:embed words.txt
var shipped []byte

// List is a word list after cleaning: lower case, distinct, in file order.
type List struct {
	Words  []string
	Lines  int // lines read, before cleaning
	CMax   int // largest number of list words that are prefixes of one list word, itself included
	Digest [32]byte
}

const minWords = 256

// Shipped returns the list that comes with assay: 2,048 English words (11 bits
// each) of 4 to 9 letters from public-domain texts, prefix-free.
func Shipped() *List {
	l, err := ReadList(bytes.NewReader(shipped))
	if err != nil { // the file is compiled in and tested
		return &List{}
	}
	return l
}

// ReadList reads a word list: one word a line, dice form ("11111 word"), or
// either inside a PGP-signed wrapper. Words are lower-cased and deduplicated;
// empty lines and lines that start with # are dropped.
//
// It refuses white space inside a word, invalid UTF-8, and fewer than 256
// distinct words.
func ReadList(r io.Reader) (*List, error) {
	l := &List{}
	seen := make(map[string]bool)
	br := bufio.NewReader(r)
	signed, header := false, false
	for {
		line, err := br.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fault.Retryf("io", "ghost: word list: %w", err)
		}
		if line == "" && err != nil {
			break
		}
		l.Lines++
		if !utf8.ValidString(line) {
			return nil, fault.Inputf("malformed", "ghost: word list line %d: found invalid UTF-8, want UTF-8", l.Lines)
		}
		s := strings.TrimSpace(line)
		switch {
		case s == "-----BEGIN PGP SIGNED MESSAGE-----":
			signed, header = true, true
			continue
		case signed && strings.HasPrefix(s, "-----BEGIN PGP SIGNATURE-----"):
			return l.finish()
		case header: // armour headers end at the first empty line
			header = s != ""
			continue
		case s == "" || strings.HasPrefix(s, "#"):
			continue
		}
		if signed {
			s = strings.TrimPrefix(s, "- ") // dash escaping of RFC 9580
		}
		w := strings.ToLower(undice(s))
		if i := strings.IndexFunc(w, unicode.IsSpace); i >= 0 {
			return nil, fault.Inputf("malformed", "ghost: word list line %d: found white space inside %q, want one word", l.Lines, w)
		}
		if !seen[w] {
			seen[w] = true
			l.Words = append(l.Words, w)
		}
		if err != nil {
			break
		}
	}
	return l.finish()
}

// undice drops the dice number of "11111 word".
func undice(s string) string {
	f := strings.Fields(s)
	if len(f) == 2 && strings.Trim(f[0], "123456") == "" {
		return f[1]
	}
	return s
}

func (l *List) finish() (*List, error) {
	if len(l.Words) < minWords {
		return nil, fault.Inputf("malformed", "ghost: word list: found %d distinct words on %d lines, want at least %d", len(l.Words), l.Lines, minWords)
	}
	h := sha256.New()
	for _, w := range l.Words {
		fmt.Fprintf(h, "%s\n", w)
	}
	h.Sum(l.Digest[:0])
	l.CMax = CMax(l.Words)
	return l, nil
}

// CMax returns the largest number of words that are prefixes of one of the
// words, itself included: 1 for a prefix-free list. In sorted order the prefixes of
// a word that are present form a chain just before it.
func CMax(words []string) int {
	w := slices.Clone(words)
	slices.Sort(w)
	w = slices.Compact(w)
	var chain []string
	most := 0
	for _, x := range w {
		for len(chain) > 0 && !strings.HasPrefix(x, chain[len(chain)-1]) {
			chain = chain[:len(chain)-1]
		}
		chain = append(chain, x)
		most = max(most, len(chain))
	}
	return most
}

package membership

import (
	"bufio"
	"errors"
	"io"
	"strconv"
	"strings"

	"assay/internal/fault"
	"assay/model/trace"
)

// ReadCounts reads token counts: one "id<tab>count" or "id,count" a line, # starts a
// comment, ids that are missing count 0. An id outside the vocabulary, an id twice or
// a count that is no whole number is an error.
func ReadCounts(r io.Reader, vocab int) (*Counts, error) {
	n := make([]int64, vocab)
	seen := make([]bool, vocab)
	br := bufio.NewReader(r)
	rows := 0
	for line := 1; ; line++ {
		s, err := br.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fault.Retryf("io", "membership: counts: %w", err)
		}
		if s == "" {
			break
		}
		s = strings.TrimSpace(s)
		if s == "" || strings.HasPrefix(s, "#") {
			continue
		}
		f := strings.FieldsFunc(s, func(r rune) bool { return r == '\t' || r == ',' || r == ' ' })
		if len(f) != 2 {
			return nil, fault.Inputf("malformed", "membership: counts:%d: found %d fields, want id and count", line, len(f))
		}
		id, err1 := strconv.Atoi(f[0])
		c, err2 := strconv.ParseInt(f[1], 10, 64)
		switch {
		case err1 != nil || id < 0 || id >= vocab:
			return nil, fault.Inputf("malformed", "membership: counts:%d: found id %q, want 0..%d", line, f[0], vocab-1)
		case err2 != nil || c < 0:
			return nil, fault.Inputf("malformed", "membership: counts:%d: found count %q, want a whole number of at least 0", line, f[1])
		case seen[id]:
			return nil, fault.Inputf("duplicate", "membership: counts:%d: id %d appears twice", line, id)
		}
		n[id], seen[id] = c, true
		rows++
	}
	if rows == 0 {
		return nil, fault.Inputf("empty", "membership: counts: found no line")
	}
	return NewCounts(n), nil
}

// CountTrace counts the token ids of a trace of some large text.
func CountTrace(r *trace.Reader, vocab int) (*Counts, error) {
	if err := r.Need("id"); err != nil {
		return nil, err
	}
	n := make([]int64, vocab)
	for d, err := range r.Columns("id") {
		if err != nil {
			return nil, err
		}
		for i, id := range d.Tokens.ID {
			if id < 0 || int(id) >= vocab {
				return nil, fault.Inputf("malformed", "membership: counts: document %q, pos %d: found id %d, want 0..%d", d.Doc.ID, i, id, vocab-1)
			}
			n[id]++
		}
	}
	return NewCounts(n), nil
}

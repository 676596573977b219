package palimpsest

import (
	"bufio"
	"compress/gzip"
	"encoding/json/jsontext"
	"encoding/json/v2"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"assay/internal/fault"
)

// maxLine bounds a line of the JSONL form.
const maxLine = 16 << 20

// line is one row of the JSONL form.
type line struct {
	Pos       *int64   `json:"pos,omitzero"`
	Positions []int64  `json:"positions,omitzero"`
	IDs       []uint32 `json:"ids,omitzero"`
	Text      *string  `json:"text,omitzero"`
	Seq       *int64   `json:"seq,omitzero"`
	Step      *int64   `json:"step,omitzero"`
	Epoch     *int32   `json:"epoch,omitzero"`
	Unit      *int64   `json:"unit,omitzero"`
	Stratum   *string  `json:"stratum,omitzero"`
	Source    *string  `json:"source,omitzero"`
	Wrong     *int64   `json:"wrong_pos,omitzero"`
}

func openJSONL(path string) (*Transcript, error) {
	t := &Transcript{}
	lines := func(each func(n int, b []byte) error) error { return eachLine(path, each) }
	if err := readJSONL(t, lines); err != nil {
		return nil, err
	}
	t.file = func(yield func(Contents, error) bool) {
		err := lines(func(n int, b []byte) error {
			if n == 1 && isMeta(b) {
				return nil
			}
			var l line
			if err := l.parse(b); err != nil {
				return err
			}
			c := Contents{IDs: l.IDs}
			if l.Text != nil {
				c.Text = *l.Text
			}
			if !yield(c, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(Contents{}, err)
		}
	}
	return t, nil
}

func isMeta(b []byte) bool { return strings.HasPrefix(string(b), `{"`+metaKey+`":`) }

func (l *line) parse(b []byte) error {
	if err := json.Unmarshal(b, l, json.RejectUnknownMembers(true)); err != nil {
		return err
	}
	if (l.IDs == nil) == (l.Text == nil) {
		return errors.New("want exactly one of ids (not empty) and text")
	}
	if (l.Pos == nil) == (l.Positions == nil) {
		return errors.New("want exactly one of pos and positions")
	}
	return nil
}

// readJSONL fills everything but the contents. A column must be in every row or
// in none.
func readJSONL(t *Transcript, lines func(func(n int, b []byte) error) error) error {
	var first *line
	kind := func(l *line) [9]bool {
		return [9]bool{l.Pos != nil, l.IDs != nil, l.Seq != nil, l.Step != nil, l.Epoch != nil, l.Unit != nil, l.Stratum != nil, l.Source != nil, l.Wrong != nil}
	}
	err := lines(func(n int, b []byte) error {
		if n == 1 && isMeta(b) {
			var m struct {
				Meta jsontext.Value `json:"assay.transcript"`
			}
			if err := json.Unmarshal(b, &m, json.RejectUnknownMembers(true)); err != nil {
				return err
			}
			return t.Meta.parse(m.Meta)
		}
		l := &line{}
		if err := l.parse(b); err != nil {
			return err
		}
		if first == nil {
			first = l
		} else if kind(l) != kind(first) {
			return errors.New("fields differ from those of the first row, want the same columns in every row")
		}
		if l.Pos != nil {
			l.Positions = []int64{*l.Pos}
		}
		t.Positions = append(t.Positions, l.Positions)
		appendPtr(&t.Seq, l.Seq)
		appendPtr(&t.Step, l.Step)
		appendPtr(&t.Epoch, l.Epoch)
		appendPtr(&t.Unit, l.Unit)
		appendPtr(&t.Block, l.Stratum)
		appendPtr(&t.Source, l.Source)
		appendPtr(&t.Wrong, l.Wrong)
		return nil
	})
	t.rowSeq()
	return err
}

func appendPtr[T any](to *[]T, v *T) {
	if v != nil {
		*to = append(*to, *v)
	}
}

// eachLine calls each with the number and bytes of every line.
func eachLine(path string, each func(n int, b []byte) error) error {
	f, err := os.Open(path)
	if err != nil {
		return fault.Retryf("io", "palimpsest: %w", err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			return fault.Inputf("malformed", "palimpsest: %s: %w", path, err)
		}
	}
	return scanLines(path, r, each)
}

func scanLines(path string, r io.Reader, each func(n int, b []byte) error) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 0, 1<<16), maxLine)
	n := 0
	for sc.Scan() {
		n++
		if err := each(n, sc.Bytes()); err != nil {
			if errors.Is(err, errStop) || fault.As(err) != nil {
				return err
			}
			return fault.Inputf("malformed", "palimpsest: %s:%d: %w", path, n, err)
		}
	}
	if err := sc.Err(); err != nil {
		return fault.Inputf("malformed", "palimpsest: %s:%d: %w (lines hold at most 16 MiB)", path, n+1, err)
	}
	return nil
}

// WriteJSONL writes a metadata line and one line a row. Contents must be in memory.
func (t *Transcript) WriteJSONL(w io.Writer) error {
	meta, err := t.metaJSON()
	if err != nil {
		return err
	}
	single := t.singlePass()
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "{%q:%s}\n", metaKey, meta)
	for i := range t.Seq {
		l := line{Seq: &t.Seq[i]}
		if single {
			l.Pos = &t.Positions[i][0]
		} else {
			l.Positions = t.Positions[i]
		}
		if t.IDs != nil {
			l.IDs = t.IDs[i]
		} else {
			l.Text = &t.Text[i]
		}
		set(&l.Step, t.Step, i)
		set(&l.Epoch, t.Epoch, i)
		set(&l.Unit, t.Unit, i)
		set(&l.Stratum, t.Block, i)
		set(&l.Source, t.Source, i)
		set(&l.Wrong, t.Wrong, i)
		j, err := json.Marshal(l)
		if err != nil {
			return fault.Inputf("malformed", "palimpsest: transcript: row %d: %w", i, err)
		}
		b.Write(j)
		b.WriteByte('\n')
	}
	if err := b.Flush(); err != nil {
		return fault.Retryf("io", "palimpsest: transcript: %w", err)
	}
	return nil
}

func set[T any](to **T, x []T, i int) {
	if x != nil {
		*to = &x[i]
	}
}

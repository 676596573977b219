package palimpsest

import (
	"encoding/json/v2"
	"fmt"
	"iter"
	"slices"
	"strings"

	"assay/internal/fault"
)

// metaKey is the key of Meta in the Parquet key-value metadata and in the first
// line of the JSONL form.
const metaKey = "assay.transcript"

// Contents is what one row holds: ids or text.
type Contents struct {
	IDs  []uint32
	Text string
}

// Contents yields the rows in stored order, from memory or from the file that the
// transcript was opened from. The ids are reused between rows.
func (t *Transcript) Contents() iter.Seq2[Contents, error] {
	switch {
	case t.IDs != nil:
		return func(yield func(Contents, error) bool) {
			for _, r := range t.IDs {
				if !yield(Contents{IDs: r}, nil) {
					return
				}
			}
		}
	case t.Text != nil:
		return func(yield func(Contents, error) bool) {
			for _, r := range t.Text {
				if !yield(Contents{Text: r}, nil) {
					return
				}
			}
		}
	case t.file != nil:
		return t.file
	}
	return func(yield func(Contents, error) bool) {
		yield(Contents{}, fault.Inputf("malformed", "palimpsest: transcript: neither ids nor text"))
	}
}

// Open reads a transcript table, .parquet, .jsonl or .jsonl.gz, and fills its
// derived columns. Contents stay in the file, from where Contents streams them,
// unless keep is true.
func Open(path string, keep bool) (*Transcript, error) {
	var t *Transcript
	var err error
	switch {
	case strings.HasSuffix(path, ".parquet"):
		t, err = openParquetTranscript(path)
	case strings.HasSuffix(path, ".jsonl"), strings.HasSuffix(path, ".jsonl.gz"):
		t, err = openJSONL(path)
	default:
		return nil, fault.Usagef("palimpsest: %s: found another file type, want .parquet, .jsonl or .jsonl.gz", path)
	}
	if err != nil {
		return nil, err
	}
	if err := t.Validate(); err != nil {
		return nil, err
	}
	return t, t.load(keep)
}

// load makes the two passes of Derive over the file, and a third to keep it.
func (t *Transcript) load(keep bool) error {
	d := newDeriver(0)
	isText := false
	for c, err := range t.file {
		if err != nil {
			return err
		}
		if isText = c.IDs == nil; isText {
			d.countText(c.Text)
		} else {
			d.countIDs(c.IDs)
		}
	}
	for c, err := range t.file {
		if err != nil {
			return err
		}
		if isText {
			d.text(c.Text)
		} else {
			d.ids(c.IDs)
		}
		if keep && isText {
			t.Text = append(t.Text, c.Text)
		} else if keep {
			t.IDs = append(t.IDs, slices.Clone(c.IDs))
		}
	}
	if len(d.sha) != t.Len() {
		return fault.Inputf("malformed", "palimpsest: transcript: %d rows of contents, want %d", len(d.sha), t.Len())
	}
	d.into(t)
	return nil
}

// rowSeq numbers the rows when the table has no keys.
func (t *Transcript) rowSeq() {
	if t.Seq == nil {
		for i := range t.Positions {
			t.Seq = append(t.Seq, int64(i))
		}
	}
}

func (m *Meta) parse(b []byte) error {
	if err := json.Unmarshal(b, m, json.RejectUnknownMembers(true)); err != nil {
		return err
	}
	if m.Schema != TranscriptSchema {
		return fmt.Errorf("schema %q, want %q", m.Schema, TranscriptSchema)
	}
	if m.N < 0 {
		return fmt.Errorf("n %d, want at least 0", m.N)
	}
	if m.Design != "" {
		if _, _, err := parseDesign(m.Design); err != nil {
			return err
		}
	}
	_, _, err := windowBounds(1<<40, m.Window)
	return err
}

func (t *Transcript) metaJSON() ([]byte, error) {
	if err := t.Validate(); err != nil {
		return nil, err
	}
	if t.IDs == nil && t.Text == nil {
		return nil, fault.Inputf("malformed", "palimpsest: transcript: contents are not in memory, want ids or text")
	}
	m := t.Meta
	m.Schema = TranscriptSchema
	return json.Marshal(m)
}

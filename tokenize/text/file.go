package text

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json/jsontext"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"unicode/utf8"

	"assay/internal/fault"
)

// File is a file of rows that is read more than once. Readers of other schemas of
// rows (model/states/items) share it, [Lines], [Dirt] and [Object].
type File struct {
	Path string
	Gzip bool
	Pkg  string // names the reader in messages
	info fs.FileInfo
}

// Stat notes size and time of the file and refuses what is none.
func (f *File) Stat() error {
	info, err := os.Stat(f.Path)
	if err != nil {
		return f.pathFault(err)
	}
	if !info.Mode().IsRegular() {
		return fault.Inputf("no-file", "%s: %s: found a folder or a special file, want a file (it is read twice)", f.Pkg, f.Path)
	}
	f.info = info
	return nil
}

// Unchanged compares size and time with those that Stat noted. A difference is an
// error that a second try may cure.
func (f *File) Unchanged() error {
	info, err := os.Stat(f.Path)
	if err != nil {
		return f.pathFault(err)
	}
	if info.Size() != f.info.Size() || !info.ModTime().Equal(f.info.ModTime()) {
		return fault.Retryf("changed", "%s: %s: changed while it was read", f.Pkg, f.Path)
	}
	return nil
}

func (f *File) pathFault(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fault.Inputf("no-file", "%s: %w", f.Pkg, err)
	}
	return fault.Retryf("io", "%s: %s: %w", f.Pkg, f.Path, err)
}

// Read gives use the file's bytes, unpacked. bom tells that they begin with a byte
// order mark, which is still there. Errors of reading are classed: a disk may
// recover, damaged gzip data will not.
func (f *File) Read(use func(r *bufio.Reader, bom bool) error) error {
	file, err := os.Open(f.Path)
	if err != nil {
		return f.pathFault(err)
	}
	defer file.Close()
	var in io.Reader = file
	if f.Gzip {
		z, err := gzip.NewReader(bufio.NewReader(file))
		if err != nil {
			return f.readFault(err)
		}
		defer z.Close()
		in = z
	}
	r := bufio.NewReaderSize(in, 1<<16)
	head, _ := r.Peek(3)
	if len(head) > 1 && head[0] == 0x1f && head[1] == 0x8b {
		return fault.Inputf("malformed", "%s: %s: found gzip data, want plain text; a compressed file ends in .jsonl.gz", f.Pkg, f.Path)
	}
	return f.readFault(use(r, string(head) == "\ufeff"))
}

func (f *File) readFault(err error) error {
	var disk *fs.PathError
	switch {
	case err == nil || fault.As(err) != nil:
		return err
	case f.Gzip && !errors.As(err, &disk):
		return fault.Inputf("malformed", "%s: %s: damaged gzip data: %w", f.Pkg, f.Path, err)
	}
	return fault.Retryf("io", "%s: %s: %w", f.Pkg, f.Path, err)
}

// Lines reads line by line. A line longer than MaxLine is skipped, never held in
// memory.
type Lines struct {
	r       *bufio.Reader
	buf     []byte
	Number  int  // of the last line read, from 1
	TooLong bool // the last line read
}

// NewLines reads the lines of r.
func NewLines(r *bufio.Reader) *Lines { return &Lines{r: r} }

// Next returns a line without its line feed; ended tells whether it had one.
// The slice is valid until the next call. At the end of the file err is io.EOF.
func (l *Lines) Next() (line []byte, ended bool, err error) {
	l.buf, l.TooLong = l.buf[:0], false
	any := false
	for {
		part, err := l.r.ReadSlice('\n')
		any = any || len(part) > 0
		if len(l.buf)+len(part) > MaxLine+2 { // line ending apart
			l.TooLong = true
			l.buf = l.buf[:0]
		}
		if !l.TooLong {
			l.buf = append(l.buf, part...)
		}
		switch {
		case err == nil:
			l.Number++
			return bytes.TrimSuffix(l.buf, []byte{'\n'}), true, nil
		case errors.Is(err, bufio.ErrBufferFull):
		case err == io.EOF && any:
			l.Number++
			return l.buf, false, nil
		default:
			return nil, false, err
		}
	}
}

// Dirt finds the first byte that no row may hold, bad UTF-8 or a NUL: its 1-based
// column, what it is and what is wanted; ok if there is none.
func Dirt(b []byte) (column int, found, want string, ok bool) {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			return i + 1, fmt.Sprintf("byte 0x%02x", b[i]), "UTF-8", false
		case r == 0:
			return i + 1, "a NUL", "none", false
		}
		i += n
	}
	return 0, "", "", true
}

// Object reads the members of the JSON object that b is, one by one, so that a
// repeated key is seen. Columns are those of the key and of the value, from 1.
// It returns the column after the object, or the first fault.
func Object(b []byte, member func(key string, keyColumn int, value jsontext.Value, column int)) (end int, bad *Problem) {
	syntax := func(err error) (int, *Problem) {
		p := &Problem{Column: len(b) + 1, Found: "the end of the line", Want: "a JSON object"}
		var s *jsontext.SyntacticError
		if errors.As(err, &s) {
			p.Column, p.Found = int(s.ByteOffset)+1, s.Err.Error()
		}
		return 0, p
	}
	// Repeated keys are for the caller to find, whose message can name the field.
	dec := jsontext.NewDecoder(bytes.NewBuffer(b), jsontext.AllowDuplicateNames(true))
	if k := dec.PeekKind(); k > 0 && k != '{' {
		value, err := dec.ReadValue()
		if err != nil {
			return syntax(err)
		}
		return 0, &Problem{Column: 1, Found: Describe(value), Want: "an object"}
	}
	if _, err := dec.ReadToken(); err != nil {
		return syntax(err)
	}
	for dec.PeekKind() != '}' {
		name, err := dec.ReadValue()
		if err != nil {
			return syntax(err)
		}
		keyColumn := int(dec.InputOffset()) - len(name) + 1
		key, err := jsontext.AppendUnquote(nil, name)
		if err != nil {
			return syntax(err)
		}
		value, err := dec.ReadValue()
		if err != nil {
			return syntax(err)
		}
		member(string(key), keyColumn, value, int(dec.InputOffset())-len(value)+1)
	}
	if _, err := dec.ReadToken(); err != nil {
		return syntax(err)
	}
	end = int(dec.InputOffset()) + 1
	if _, err := dec.ReadToken(); err != io.EOF {
		return 0, &Problem{Column: end, Found: "more after the object", Want: "one object per line"}
	}
	return end, nil
}

// Describe says what a value is, for messages.
func Describe(v jsontext.Value) string {
	s := string(v)
	if cut := 40; len(s) > cut {
		for cut > 0 && s[cut]&0xc0 == 0x80 { // not inside a character
			cut--
		}
		s = s[:cut] + "..."
	}
	switch v.Kind() {
	case '"':
		return "string " + s
	case '0':
		return "number " + s
	case '{':
		return "object " + s
	case '[':
		return "list " + s
	}
	return s
}

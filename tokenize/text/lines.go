package text

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"unicode/utf8"

	"assay/internal/fault"
)

// lines reads a file line by line. A line longer than MaxLine is reported once
// and skipped, never held in memory.
type lines struct {
	r       *bufio.Reader
	buf     []byte
	line    int  // of the last line read, from 1
	tooLong bool // the last line read
}

// next returns a line without its line feed; ended tells whether it had one.
// The slice is valid until the next call. At the end of the file err is io.EOF.
func (l *lines) next() (line []byte, ended bool, err error) {
	l.buf, l.tooLong = l.buf[:0], false
	any := false
	for {
		part, err := l.r.ReadSlice('\n')
		any = any || len(part) > 0
		if len(l.buf)+len(part) > MaxLine+2 { // line ending apart
			l.tooLong = true
			l.buf = l.buf[:0]
		}
		if !l.tooLong {
			l.buf = append(l.buf, part...)
		}
		switch {
		case err == nil:
			l.line++
			return bytes.TrimSuffix(l.buf, []byte{'\n'}), true, nil
		case errors.Is(err, bufio.ErrBufferFull):
		case err == io.EOF && any:
			l.line++
			return l.buf, false, nil
		default:
			return nil, false, err
		}
	}
}

// each reads the file and calls f for every document until it returns false.
// Faults of rows go to problems; such rows still come out, for their ids.
func (s *Source) each(problems *Problems, f func(Doc) bool) error {
	file, err := os.Open(s.path)
	if err != nil {
		return pathFault(s.path, err)
	}
	defer file.Close()
	var in io.Reader = file
	if s.kind == kindGzip {
		z, err := gzip.NewReader(bufio.NewReader(file))
		if err != nil {
			return s.readFault(err)
		}
		defer z.Close()
		in = z
	}
	l := &lines{r: bufio.NewReaderSize(in, 1<<16)}
	if head, _ := l.r.Peek(3); string(head) == "\ufeff" {
		problems.add(Problem{s.path, 1, 1, "file", "a byte order mark", "none"})
		l.r.Discard(3)
	} else if len(head) > 1 && head[0] == 0x1f && head[1] == 0x8b {
		return fault.Inputf("malformed", "text: %s: found gzip data, want plain text; a compressed file ends in .jsonl.gz", s.path)
	}
	c := &cutter{source: s, problems: problems, f: f}
	switch {
	case s.kind != kindTxt:
		err = c.jsonl(l)
	case s.opt.Split == SplitLine:
		err = c.byLine(l)
	case s.opt.Split == SplitBlank:
		err = c.byBlank(l)
	default:
		err = c.whole(l)
	}
	return s.readFault(err)
}

// readFault classes an error of reading: a disk may recover, damaged gzip data
// will not.
func (s *Source) readFault(err error) error {
	var disk *fs.PathError
	switch {
	case err == nil || fault.As(err) != nil:
		return err
	case s.kind == kindGzip && !errors.As(err, &disk):
		return fault.Inputf("malformed", "text: %s: damaged gzip data: %w", s.path, err)
	}
	return fault.Retryf("io", "text: %s: %w", s.path, err)
}

// cutter makes documents of lines.
type cutter struct {
	source   *Source
	problems *Problems
	f        func(Doc) bool
}

func (c *cutter) add(line, column int, field, found, want string) {
	c.problems.add(Problem{c.source.path, line, column, field, found, want})
}

// clean reports bad UTF-8 and NUL in a line; false if there is any.
func (c *cutter) clean(b []byte, line int) bool {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			c.add(line, i+1, "line", fmt.Sprintf("byte 0x%02x", b[i]), "UTF-8")
			return false
		case r == 0:
			c.add(line, i+1, "line", "a NUL", "none")
			return false
		}
		i += n
	}
	return true
}

func (c *cutter) doc(text string, line int) Doc {
	return Doc{ID: fmt.Sprintf("line:%d", line), Line: line, HasText: true, Text: text}
}

func (c *cutter) tooLong(line int) {
	c.add(line, 1, "line", fmt.Sprintf("over %d bytes", MaxLine), "a shorter line")
}

func (c *cutter) byLine(l *lines) error {
	for {
		b, ended, err := l.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if ended {
			b = bytes.TrimSuffix(b, []byte{'\r'})
		}
		if l.tooLong || len(b) > MaxLine {
			c.tooLong(l.line)
			continue
		}
		if c.clean(b, l.line) && !c.f(c.doc(string(b), l.line)) {
			return nil
		}
	}
}

// paragraph gathers the lines of one document with their line endings.
type paragraph struct {
	text  []byte
	start int // line
	long  bool
}

func (p *paragraph) add(b []byte, ended bool, line int) {
	if p.start == 0 {
		p.start = line
	}
	if p.long = p.long || len(p.text)+len(b)+1 > MaxLine+1; p.long {
		return
	}
	p.text = append(p.text, b...)
	if ended {
		p.text = append(p.text, '\n')
	}
}

func (c *cutter) byBlank(l *lines) error {
	var p paragraph
	flush := func() bool {
		defer func() { p = paragraph{text: p.text[:0]} }()
		switch {
		case p.start == 0:
			return true
		case p.long:
			c.add(p.start, 1, "document", fmt.Sprintf("over %d bytes", MaxLine), "a shorter one")
			return true
		}
		t := bytes.TrimSuffix(bytes.TrimSuffix(p.text, []byte{'\n'}), []byte{'\r'})
		return c.f(c.doc(string(t), p.start))
	}
	for {
		b, ended, err := l.next()
		if err == io.EOF {
			flush()
			return nil
		}
		if err != nil {
			return err
		}
		switch {
		case l.tooLong:
			c.tooLong(l.line)
		case ended && (len(b) == 0 || string(b) == "\r"):
			if !flush() {
				return nil
			}
		case c.clean(b, l.line):
			p.add(b, ended, l.line)
		}
	}
}

func (c *cutter) whole(l *lines) error {
	var p paragraph
	for {
		b, ended, err := l.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if l.tooLong {
			p.long = true
		} else if c.clean(b, l.line) {
			p.add(b, ended, l.line)
		}
	}
	switch {
	case p.long || len(p.text) > MaxLine:
		return fault.Inputf("text", "text: %s: found a document over %d bytes, want a shorter one", c.source.path, MaxLine).
			Hint("cut the file with --split line or --split blank, or into a .jsonl file of documents")
	case p.start > 0:
		c.f(c.doc(string(p.text), 1))
	}
	return nil
}

package text

import (
	"bufio"
	"bytes"
	"fmt"
	"io"

	"assay/internal/fault"
)

// each reads the file and calls f for every document until it returns false.
// Faults of rows go to problems; such rows still come out, for their ids.
func (s *Source) each(problems *Problems, f func(Doc) bool) error {
	return s.file.Read(func(r *bufio.Reader, bom bool) error {
		if bom {
			problems.add(Problem{s.path, 1, 1, "file", "a byte order mark", "none"})
			r.Discard(3)
		}
		l := NewLines(r)
		c := &cutter{source: s, problems: problems, f: f}
		switch {
		case s.kind != kindTxt:
			return c.jsonl(l)
		case s.opt.Split == SplitLine:
			return c.byLine(l)
		case s.opt.Split == SplitBlank:
			return c.byBlank(l)
		}
		return c.whole(l)
	})
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
	column, found, want, ok := Dirt(b)
	if !ok {
		c.add(line, column, "line", found, want)
	}
	return ok
}

func (c *cutter) doc(text string, line int) Doc {
	return Doc{ID: fmt.Sprintf("line:%d", line), Line: line, HasText: true, Text: text}
}

func (c *cutter) tooLong(line int) {
	c.add(line, 1, "line", fmt.Sprintf("over %d bytes", MaxLine), "a shorter line")
}

func (c *cutter) byLine(l *Lines) error {
	for {
		b, ended, err := l.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if ended {
			b = bytes.TrimSuffix(b, []byte{'\r'})
		}
		if l.TooLong || len(b) > MaxLine {
			c.tooLong(l.Number)
			continue
		}
		if c.clean(b, l.Number) && !c.f(c.doc(string(b), l.Number)) {
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

func (c *cutter) byBlank(l *Lines) error {
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
		b, ended, err := l.Next()
		if err == io.EOF {
			flush()
			return nil
		}
		if err != nil {
			return err
		}
		switch {
		case l.TooLong:
			c.tooLong(l.Number)
		case ended && (len(b) == 0 || string(b) == "\r"):
			if !flush() {
				return nil
			}
		case c.clean(b, l.Number):
			p.add(b, ended, l.Number)
		}
	}
}

func (c *cutter) whole(l *Lines) error {
	var p paragraph
	for {
		b, ended, err := l.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if l.TooLong {
			p.long = true
		} else if c.clean(b, l.Number) {
			p.add(b, ended, l.Number)
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

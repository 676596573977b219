package weat

import (
	"bufio"
	"bytes"
	"io"
	"math"
	"strconv"
	"strings"

	"assay/internal/fault"
	"assay/probes/assoc"
)

// recode gives a fault of a shared reader the code of this package's table.
func recode(err error, code string) error {
	f := fault.As(err)
	if f == nil || f.Class != fault.Input {
		return err
	}
	return fault.New(fault.Input, code, "weat: %w", err)
}

// ReadProperty reads a CSV with the columns word and value. A word twice or a
// value that is not a finite number is a fault of code bad-property.
func ReadProperty(r io.Reader, file string) (words []string, values []float64, err error) {
	rep := &assoc.Report{File: file}
	seen := map[string]bool{}
	err = assoc.Records(r, ',', rep, []string{"word", "value"}, nil, func(c assoc.Record) {
		w := c.Text("word")
		v, err := strconv.ParseFloat(c.Get("value"), 64)
		if err != nil || !finite(v) {
			c.Fault("value", "a finite number")
		}
		if seen[w] {
			c.Fault("word", "each word once")
		}
		seen[w] = true
		words, values = append(words, w), append(values, v)
	})
	if err == nil {
		err = rep.Err()
	}
	return words, values, recode(err, "bad-property")
}

// ReadFreq reads occurrences, one "word count" a line: the count follows the
// last space or tab and is above 0. A word twice is a fault of code bad-freq.
func ReadFreq(r io.Reader, file string) (map[string]float64, error) {
	out := map[string]float64{}
	b := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := b.ReadString('\n')
		if err != nil && err != io.EOF {
			return nil, fault.Retryf("read", "weat: %s: %w", file, err)
		}
		line = strings.TrimRight(line, "\r\n")
		if line != "" {
			i := strings.LastIndexAny(line, " \t")
			if i < 1 {
				return nil, fault.Inputf("bad-freq", "weat: %s:%d: found %q, want a word and a count", file, n, line)
			}
			v, perr := strconv.ParseFloat(line[i+1:], 64)
			if perr != nil || !(v > 0) || math.IsInf(v, 0) {
				return nil, fault.Inputf("bad-freq", "weat: %s:%d: found count %q, want a number above 0", file, n, line[i+1:])
			}
			if _, again := out[line[:i]]; again {
				return nil, fault.Inputf("bad-freq", "weat: %s:%d: found the word %q again", file, n, line[:i])
			}
			out[line[:i]] = v
		}
		if err == io.EOF {
			return out, nil
		}
	}
}

// ReadTemplates reads one template a line; blank lines are passed over. Check
// them with CheckTemplates.
func ReadTemplates(r io.Reader, file string) ([]string, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxWordsets+1))
	if err != nil {
		return nil, fault.Retryf("read", "weat: %s: %w", file, err)
	}
	if len(data) > maxWordsets {
		return nil, fault.Inputf("bad-template", "weat: %s: found over %d bytes, want less", file, maxWordsets)
	}
	var out []string
	for line := range bytes.Lines(data) {
		if s := strings.TrimSpace(string(line)); s != "" {
			out = append(out, s)
		}
	}
	return out, nil
}

// ReadContexts reads prompts of single words, JSON Lines with word and prompt:
// the word follows the prompt after a space.
func ReadContexts(r io.Reader, file string) ([]Context, error) {
	rep := &assoc.Report{File: file}
	var out []Context
	err := assoc.Lines(r, rep, []string{"word", "prompt"}, func(l assoc.Line) {
		w := l.Text("word")
		out = append(out, Context{Word: w, Prompt: strings.TrimRight(l.Text("prompt"), " "), Response: " " + w})
	})
	if err == nil {
		err = rep.Err()
	}
	return out, recode(err, "bad-template")
}

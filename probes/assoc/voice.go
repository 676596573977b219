package assoc

import (
	"fmt"
	"io"
	"math"
	"strconv"

	"assay/internal/fault"
)

// Voice is how a wording is put to the checkpoint: as plain text, or as the
// user's turn of its chat template, with or without a system prompt.
type Voice struct {
	Chat   bool   `json:"chat,omitempty"`
	System string `json:"system,omitempty"`
}

// Suffix marks the names of wordings in this voice; "" for plain text.
func (v Voice) Suffix() string {
	switch {
	case v.System != "":
		return "+chat+system"
	case v.Chat:
		return "+chat"
	}
	return ""
}

// Put writes a request in this voice: plain text ends with the beginning of the
// answer; in a chat it begins the answer's turn.
func (v Voice) Put(prompt, seam, prefix string, targets []string) Request {
	if v.Chat {
		return Request{Prompt: prompt, Prefix: prefix, Chat: true, System: v.System, Targets: targets}
	}
	return Request{Prompt: prompt + seam + prefix, Targets: targets}
}

// Wording is one line of a file of wordings.
type Wording struct{ Name, Prompt, Prefix, System string }

// ReadWordings reads JSON Lines with name and prompt, and where a probe has them
// prefix (how the answer begins) and system (then through the chat template).
// Names must differ; the fields of prompts are the probe's to check.
func ReadWordings(r io.Reader, file string) ([]Wording, error) {
	rep := &Report{File: file}
	var out []Wording
	seen := map[string]int{}
	err := Lines(r, rep, []string{"name", "prompt", "prefix", "system"}, func(l Line) {
		w := Wording{Name: l.Text("name"), Prompt: l.Text("prompt")}
		for key, dst := range map[string]*string{"prefix": &w.Prefix, "system": &w.System} {
			if l.Has(key) {
				*dst = l.Text(key)
			}
		}
		if at, again := seen[w.Name]; again {
			l.Fault("name", fmt.Sprintf("%q as in line %d", w.Name, at), "a name of its own")
		}
		seen[w.Name] = l.N
		out = append(out, w)
	})
	if err == nil {
		err = rep.Err()
	}
	if err == nil && len(out) == 0 {
		err = fault.Inputf("bad-data", "assoc: %s: found no wording, want at least one line with name and prompt", file)
	}
	return out, err
}

// ItemTable is what a result is made of, one row a unit: names of columns with
// their units, then the cells; "" where a number is undefined.
type ItemTable struct {
	Head []string
	Rows [][]string
}

// Cell writes a number for an ItemTable: "" where it is not finite.
func Cell(x float64) string {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return ""
	}
	return strconv.FormatFloat(x, 'g', -1, 64)
}

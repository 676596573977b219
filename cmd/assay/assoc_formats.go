package main

import (
	"fmt"
	"io"
	"math"
	"strings"

	"assay/internal/fault"
	"assay/probes"
	"assay/probes/assoc"
	"assay/probes/assoc/bbq"
	"assay/probes/assoc/figure"
	"assay/probes/assoc/iat"
	"assay/probes/assoc/swap"

	"github.com/spf13/cobra"
)

// wordingFlags choose how questions are put.
type wordingFlags struct {
	formats, file, system string
	chat                  chatFlags
}

func (w *wordingFlags) register(cmd *cobra.Command, fields string) {
	fl := cmd.Flags()
	fl.StringVar(&w.formats, "formats", "default", "wordings to average: default, all (with --template also plain text, with --system also without), or one (tier C: what wording decides cannot be seen)")
	fl.StringVar(&w.file, "templates", "", "own wordings (.jsonl): "+fields)
	fl.StringVar(&w.system, "system", "", "system prompt, with --template")
	w.chat.register(fl)
}

// voices are the ways in which every wording is put.
func (w *wordingFlags) voices() ([]assoc.Voice, error) {
	if w.chat.template == "" {
		if w.system != "" {
			return nil, fault.Usagef("--system: want --template too: plain text has no system prompt")
		}
		return []assoc.Voice{{}}, nil
	}
	out := []assoc.Voice{{Chat: true, System: w.system}}
	if w.formats == "all" {
		if w.system != "" {
			out = append(out, assoc.Voice{Chat: true})
		}
		out = append(out, assoc.Voice{})
	}
	return out, nil
}

// inVoices puts every wording in every voice; a wording with a system prompt of its
// own keeps it and is put through the chat template alone.
func inVoices[T any](w *wordingFlags, ts []T, part func(*T) (name *string, v *assoc.Voice)) ([]T, error) {
	voices, err := w.voices()
	if err != nil {
		return nil, err
	}
	var out []T
	for k, v := range voices {
		for _, t := range ts {
			name, at := part(&t)
			if own := at.System; own != "" {
				if k > 0 {
					continue
				}
				v = assoc.Voice{Chat: true, System: own}
			}
			if *at = v; len(voices) > 1 {
				*name += v.Suffix()
			}
			out = append(out, t)
		}
	}
	if w.formats == "one" {
		out = out[:1]
	}
	return out, nil
}

// own reads the user's wordings; nil without.
func (w *wordingFlags) own() ([]assoc.Wording, error) {
	switch w.formats {
	case "default", "all", "one":
	default:
		return nil, fault.Usagef("--formats: found %q, want default, all or one", w.formats)
	}
	if w.file == "" {
		return nil, nil
	}
	return readNamed(w.file, assoc.ReadWordings)
}

// ownOr returns the user's wordings in the form of a probe, or the shipped ones.
func ownOr[T any](w *wordingFlags, shipped []T, form func(assoc.Wording) T) ([]T, error) {
	own, err := w.own()
	if err != nil || own == nil {
		return shipped, err
	}
	out := make([]T, len(own))
	for i, x := range own {
		out[i] = form(x)
	}
	return out, nil
}

func iatTemplates(w *wordingFlags, ts []iat.Template) ([]iat.Template, error) {
	ts, err := ownOr(w, ts, func(x assoc.Wording) iat.Template {
		return iat.Template{Name: x.Name, Prompt: x.Prompt, Voice: assoc.Voice{System: x.System}}
	})
	if err != nil {
		return nil, err
	}
	return inVoices(w, ts, func(t *iat.Template) (*string, *assoc.Voice) { return &t.Name, &t.Voice })
}

func swapPrompts(w *wordingFlags, ps []swap.Prompt) ([]swap.Prompt, error) {
	ps, err := ownOr(w, ps, func(x assoc.Wording) swap.Prompt {
		return swap.Prompt{Name: x.Name, User: x.Prompt, Prefix: x.Prefix, Voice: assoc.Voice{System: x.System}}
	})
	if err != nil {
		return nil, err
	}
	return inVoices(w, ps, func(p *swap.Prompt) (*string, *assoc.Voice) { return &p.Name, &p.Voice })
}

func bbqTemplates(w *wordingFlags, ts []bbq.Template) ([]bbq.Template, error) {
	ts, err := ownOr(w, ts, func(x assoc.Wording) bbq.Template {
		return bbq.Template{Name: x.Name, Prompt: x.Prompt, Voice: assoc.Voice{System: x.System}}
	})
	if err != nil {
		return nil, err
	}
	if w.formats == "all" {
		plain := ts
		for _, l := range []bbq.Labels{bbq.Letters, bbq.Numbers} {
			for _, t := range plain {
				t.Name, t.Labels = t.Name+"+"+string(l), l
				ts = append(ts, t)
			}
		}
	}
	return inVoices(w, ts, func(t *bbq.Template) (*string, *assoc.Voice) { return &t.Name, &t.Voice })
}

// extras are the files that a probe can write beside its result.
type extras struct {
	items func() (assoc.ItemTable, error)
	draw  func(path string) error
}

// iatExtras lists the words of all sets, and draws one figure a set.
func iatExtras(sets []iat.Set, o iat.Options, ev assoc.Evidence) extras {
	return extras{func() (t assoc.ItemTable, err error) {
		for _, s := range sets {
			one, err := iat.Items(s, o, ev)
			if err != nil {
				return t, err
			}
			t.Head, t.Rows = one.Head, append(t.Rows, one.Rows...)
		}
		return t, nil
	}, func(path string) error {
		for i, s := range sets {
			p, _, err := iat.Chances(s, o, ev)
			if err != nil {
				return err
			}
			groups := []figure.Group{{Label: "words listed for " + shortList(s.A)}, {Label: "words listed for " + shortList(s.B)}}
			for k, word := range s.Words {
				g := &groups[0]
				if s.IsB[k] {
					g = &groups[1]
				}
				g.Points = append(g.Points, figure.Point{Label: word, X: p[k]})
			}
			axis := fmt.Sprintf("probability of %s against %s", shortList(s.B), shortList(s.A))
			if err := writeFile(numbered(path, i), func(w io.Writer) error { return figure.Groups(w, s.Name, axis, .5, groups) }); err != nil {
				return err
			}
		}
		return nil
	}}
}

// forestOfResult draws the estimates of a unit, but those whose names hold one of
// the given parts.
func forestOfResult(title, axis string, neutral float64, r *probes.Result, unit string, without ...string) func(string) error {
	return func(path string) error {
		var rows []figure.Effect
	estimates:
		for _, e := range r.Estimates {
			if e.Unit != unit || e.Value == nil {
				continue
			}
			for _, part := range without {
				if strings.Contains(e.Name, part) {
					continue estimates
				}
			}
			row := figure.Effect{Label: e.Name, D: *e.Value, Lo: math.NaN(), Hi: math.NaN(), Bound: math.NaN(), Hollow: r.Verdict.Tier == probes.TierC}
			if e.CI != nil {
				row.Lo, row.Hi = e.CI.Lo, e.CI.Hi
			}
			rows = append(rows, row)
		}
		if r.Verdict.Tier == probes.TierC {
			axis += "; hollow: descriptive"
		}
		return writeFile(path, func(w io.Writer) error { return figure.Forest(w, title, axis, neutral, rows) })
	}
}

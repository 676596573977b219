package main

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"assay/cmd/assay/internal/show"
	"assay/weights"
)

func showInspection(w io.Writer, in *inspection) error {
	rows := [][]string{{"checkpoint", in.Path}}
	add := func(k, format string, args ...any) { rows = append(rows, []string{k, fmt.Sprintf(format, args...)}) }
	if in.Runs {
		add("runs", "yes")
	}
	for _, r := range in.Reasons {
		add("runs", "no: %s", r.Text)
		for _, h := range r.Hint {
			add("hint", "%s", h)
		}
	}
	if m := in.Model; m != nil {
		add("family", "%s", m.Family)
		add("shape", "%d layers, width %d, vocabulary %d, %s positions", m.Layers, m.Width, m.Vocab, unlimited(m.Positions))
		head := map[bool]string{true: "tied head", false: "own head"}[m.Tied]
		if m.Headless {
			head = "no head: hidden states alone"
		}
		add("parameters", "%d (%d outside embeddings), %s", m.Params, m.Body, head)
		if m.Active < m.Body {
			add("experts", "a token meets %d of the %d parameters outside embeddings", m.Active, m.Body)
		}
		if m.Encoder {
			add("kind", "encoder: a token is predicted from both sides (policy pll), vectors depend on the whole text")
		}
		add("memory", "about %s to run windows of %d ids, %s of it weights in float32", show.Bytes(in.Memory.Total()), in.Window, show.Bytes(in.Memory.Weights))
		for _, d := range m.Defaulted {
			add("default", "%s = %s (not in config.json)", d.Key, d.Value)
		}
	}
	add("tensors", "%d, %s: %s", in.Tensors, show.Bytes(in.Bytes), dtypeCounts(in.DTypes))
	if in.Model != nil {
		add("", "%d used, %d ignorable%s, none missing, none unexpected", in.Tensors-len(in.Unused), len(in.Unused), some(in.Unused))
		add("config keys", "%d read, %d without effect%s, none refused", len(in.Keys.Read), len(in.Keys.Without), some(in.Keys.Without))
	}
	if t := in.Tokenizer; t != nil {
		add("tokenizer", "%s, BOS %s, EOS %s, adds BOS: %s, chat template: %s", t.Kind, optional(t.BOS), optional(t.EOS), t.AddsBOS, map[bool]string{true: "yes", false: "no"}[t.Template])
		if in.Model != nil {
			add("vocabulary", "%d ids in the tokenizer, %d rows in the embedding%s", t.VocabSize, in.Model.Vocab, map[bool]string{true: " (the rest is padding)", false: ""}[t.VocabSize < in.Model.Vocab])
		}
	} else {
		add("tokenizer", "none: token ids only")
	}
	for _, f := range in.Files {
		add("file", "%s (%s, %s)", f.Name, f.Role, show.Bytes(f.Bytes))
	}
	for _, f := range in.NeverRead {
		add("never read", "%s: %s", f, neverWhy(f))
	}
	if in.Digests != nil {
		add("weights", "%s", in.Digests.Weights)
	}
	if in.Config != "" {
		add("config", "%s", in.Config)
	}
	if in.Tokenizer != nil {
		add("tokenizer", "%s", in.Tokenizer.Digest)
	}
	for _, x := range in.Warnings {
		add("warning "+x.Code, "%s", x.Text)
	}
	for _, t := range in.Listing {
		add("tensor", "%s %s %v", t.Name, t.DType, t.Shape)
	}
	return show.Table(w, rows)
}

// some lists the first few of names in parentheses.
func some(names []string) string {
	switch {
	case len(names) == 0:
		return ""
	case len(names) > 4:
		return fmt.Sprintf(" (%s and %d more)", joined(names[:4]), len(names)-4)
	}
	return " (" + joined(names) + ")"
}

func unlimited(n int) string {
	if n == 0 {
		return "unlimited"
	}
	return fmt.Sprint(n)
}

func optional(id *int32) string {
	if id == nil {
		return "none"
	}
	return fmt.Sprint(*id)
}

func dtypeCounts(m map[weights.DType]int) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%d %s", m[k], k))
	}
	return joined(parts)
}

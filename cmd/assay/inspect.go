package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"assay/cmd/assay/internal/show"
	"assay/internal/fault"
	"assay/model"
	"assay/tokenize"
	"assay/weights"

	"github.com/spf13/cobra"
)

// inspection is the result of `assay inspect`.
type inspection struct {
	Path      string                `json:"path"`
	Runs      bool                  `json:"runs"`
	Reasons   []reason              `json:"reasons"` // why not
	Model     *model.Info           `json:"model"`
	Tensors   int                   `json:"tensors"`
	DTypes    map[weights.DType]int `json:"dtypes"` // tensors of each stored type
	Bytes     int64                 `json:"bytes"`
	Files     []weights.File        `json:"files"`
	NeverRead []string              `json:"never_read"` // files that lie there and are never opened or run
	Tokenizer *tokenizerInfo        `json:"tokenizer"`
	Digests   *weights.Digests      `json:"digests"`
	Config    string                `json:"config_digest,omitempty"`
	Warnings  []weights.Warning     `json:"warnings"`
	Listing   []weights.Info        `json:"listing,omitempty"`
}

type reason struct {
	Code string   `json:"code"`
	Text string   `json:"text"`
	Hint []string `json:"hint"`
}

type tokenizerInfo struct {
	Digest    string `json:"digest"`
	VocabSize int    `json:"vocab_size"` // largest id + 1
	ByteLevel bool   `json:"byte_level"`
	BOS       *int32 `json:"bos"`
	EOS       *int32 `json:"eos"`
	AddsBOS   string `json:"adds_bos"` // yes, no or unsaid, as tokenizer_config.json has it
}

func newInspect(a *app) *cobra.Command {
	var noDigest, listing bool
	var accept []string
	cmd := &cobra.Command{
		Use:   "inspect CKPT",
		Short: "Say what is in a checkpoint, whether it is whole, whether assay runs it, and its digests",
		Long: `inspect reads the headers of a checkpoint (a folder, a hub cache folder or one
.safetensors file) and answers whether assay can run it exactly, or the first
reason why not. Digests read every byte; --no-digest leaves them out. Code in the
folder is never run, pickles are never opened. Exit code 3 when it cannot run.`,
		Example: `  assay inspect ./pythia-70m
  assay inspect ~/.cache/huggingface/hub/models--EleutherAI--pythia-70m --no-digest --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in, err := inspect(cmd.Context(), args[0], !noDigest, listing, accept)
			if err != nil {
				return err
			}
			if err := a.print(in, func(w io.Writer) error { return showInspection(w, in) }); err != nil {
				return err
			}
			if !in.Runs {
				r := in.Reasons[0]
				return &fault.Fault{Class: fault.Input, Code: r.Code, Err: fmt.Errorf("inspect: assay cannot run %s", args[0])}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&noDigest, "no-digest", false, "read headers only")
	cmd.Flags().BoolVar(&listing, "tensors", false, "list every tensor")
	cmd.Flags().StringArrayVar(&accept, "accept-key", nil, "as in score")
	return cmd
}

// inspect opens a checkpoint; what keeps it from running is a reason in the
// result, what keeps it from being read at all an error.
func inspect(ctx context.Context, path string, digest, listing bool, accept []string) (*inspection, error) {
	ck, err := weights.Open(path)
	if err != nil {
		return nil, err
	}
	defer ck.Close()
	in := &inspection{Path: path, DTypes: map[weights.DType]int{}, Files: ck.Files(), NeverRead: ck.Ignored(), Reasons: []reason{}}
	for t := range ck.Tensors() {
		in.Tensors++
		in.DTypes[t.DType]++
		in.Bytes += t.Bytes
		if listing {
			in.Listing = append(in.Listing, t)
		}
	}
	var ignorable []string
	if d, err := model.Describe(ck, accept...); err != nil {
		in.refuse(err)
	} else {
		in.Model, in.Config, ignorable = &d.Info, d.Info.Config, d.Ignorable()
	}
	if err := in.tokenizer(ck); err != nil {
		in.refuse(err)
	}
	if digest {
		if d, err := ck.Scan(ctx, ignorable...); err == nil {
			in.Digests = &d
		} else if f := fault.As(err); f != nil && f.Class == fault.Input {
			in.refuse(err)
		} else {
			return nil, err
		}
	}
	in.Warnings = ck.Warnings()
	if in.Model != nil {
		in.Warnings = append(in.Warnings, in.Model.Warnings...)
	}
	in.Runs = len(in.Reasons) == 0
	return in, nil
}

func (in *inspection) refuse(err error) {
	r := reason{Code: "io", Text: err.Error()}
	if f := fault.As(err); f != nil {
		r.Code, r.Hint = f.Code, f.Hints
	}
	in.Reasons = append(in.Reasons, r)
}

// tokenizer reads what the tokenizer's files say. A checkpoint without one runs
// on ids.
func (in *inspection) tokenizer(ck *weights.Checkpoint) error {
	path := ck.Tokenizer()
	if path == "" {
		return nil
	}
	f, err := tokenize.Read(path)
	if err != nil {
		return err
	}
	t := &tokenizerInfo{Digest: f.Digest(), VocabSize: f.VocabSize(), ByteLevel: f.ByteLevel(), AddsBOS: "unsaid"}
	if id, ok := f.BOS(); ok {
		t.BOS = &id
	}
	if id, ok := f.EOS(); ok {
		t.EOS = &id
	}
	if add, said := f.AddBOS(); said {
		t.AddsBOS = map[bool]string{true: "yes", false: "no"}[add]
	}
	in.Tokenizer = t
	if in.Model != nil && t.VocabSize > in.Model.Vocab {
		return fault.Inputf("tensor", "inspect: tokenizer: largest id %d, the embedding has %d rows", t.VocabSize-1, in.Model.Vocab)
	}
	return nil
}

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
		add("memory", "%s of float32 weights to run", show.Bytes(m.WeightSize))
		for _, d := range m.Defaulted {
			add("default", "%s = %s (not in config.json)", d.Key, d.Value)
		}
	}
	add("tensors", "%d, %s: %s", in.Tensors, show.Bytes(in.Bytes), dtypeCounts(in.DTypes))
	if t := in.Tokenizer; t != nil {
		add("tokenizer", "%d ids, byte level %v, BOS %s, EOS %s, adds BOS: %s", t.VocabSize, t.ByteLevel, optional(t.BOS), optional(t.EOS), t.AddsBOS)
	} else {
		add("tokenizer", "none: token ids only")
	}
	for _, f := range in.Files {
		add("file", "%s (%s, %s)", f.Name, f.Role, show.Bytes(f.Bytes))
	}
	for _, f := range in.NeverRead {
		add("never read", "%s", f)
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

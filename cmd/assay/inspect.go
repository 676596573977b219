package main

import (
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

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
	Unused    []string              `json:"ignorable_tensors"` // stored, but no number depends on them
	Keys      *configKeys           `json:"config_keys"`
	Memory    *model.Forecast       `json:"memory"` // forecast of scoring windows of Window ids
	Window    int                   `json:"memory_window"`
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

// configKeys says what became of every key of config.json.
type configKeys struct {
	Read    []string `json:"read"`    // the mathematics follows them
	Without []string `json:"without"` // they change nothing
}

type tokenizerInfo struct {
	Digest    string `json:"digest"`
	Kind      string `json:"kind"`
	Template  bool   `json:"chat_template"`
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
func inspect(ctx context.Context, dir string, digest, listing bool, accept []string) (*inspection, error) {
	ck, err := weights.Open(dir)
	if err != nil {
		return nil, err
	}
	defer ck.Close()
	in := &inspection{Path: dir, DTypes: map[weights.DType]int{}, Files: ck.Files(), NeverRead: ck.Ignored(), Reasons: []reason{}}
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
		in.describe(ck, d)
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

// describe fills what follows from a checkpoint that can run.
func (in *inspection) describe(ck *weights.Checkpoint, d *model.Description) {
	in.Unused = []string{}
	for t := range ck.Tensors() {
		if slices.ContainsFunc(d.Ignorable(), func(p string) bool { return matches(p, t.Name) || matches("*."+p, t.Name) }) { // with and without the family's prefix
			in.Unused = append(in.Unused, t.Name)
		}
	}
	in.Keys = &configKeys{Read: []string{}, Without: []string{}}
	i := slices.IndexFunc(model.Families(), func(f *model.Family) bool { return f.Name == d.Info.Family })
	for _, k := range ck.Config().Keys() {
		if i >= 0 && slices.Contains(model.Families()[i].Keys, k) || k == "model_type" {
			in.Keys.Read = append(in.Keys.Read, k)
		} else {
			in.Keys.Without = append(in.Keys.Without, k)
		}
	}
	in.Window = d.Info.Positions
	if in.Window == 0 || in.Window > 2048 {
		in.Window = 2048
	}
	f := d.Forecast(in.Window, 0)
	in.Memory = &f
}

func matches(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}

// neverWhy says why a file is never opened.
func neverWhy(name string) string {
	switch ext := strings.ToLower(path.Ext(name)); ext {
	case ".py":
		return "code is never run"
	case ".bin", ".pt", ".pth", ".ckpt", ".pkl":
		return "pickles run code when they are opened"
	case ".npy", ".npz", ".h5", ".msgpack", ".onnx", ".gguf", ".safetensors":
		return "weights in another form"
	}
	return "not needed"
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
	file := ck.Tokenizer()
	if file == "" {
		return nil
	}
	f, err := tokenize.Read(file)
	if err != nil {
		return err
	}
	t := &tokenizerInfo{Digest: f.Digest(), VocabSize: f.VocabSize(), ByteLevel: f.ByteLevel(), AddsBOS: "unsaid",
		Kind: map[bool]string{true: "byte level", false: "not byte level"}[f.ByteLevel()]}
	_, t.Template = f.ChatTemplate("")
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

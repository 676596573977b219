package model

import (
	"assay/weights"
)

// Info describes a checkpoint that the program can run.
type Info struct {
	Family     string
	Params     int64 // weights, each stored matrix once
	Body       int64 // weights outside embeddings and output matrix
	Active     int64 // those of Body that one token meets: not the experts that it leaves out
	Vocab      int   // rows of the output head
	Width      int
	Layers     int
	Positions  int    // longest window; 0 = no limit
	RoPE       string // how rotary positions were extended, "" where they were not
	Tied       bool
	Encoder    bool                // tokens are predicted at their own place, by what stands on both sides
	Headless   bool                // no output matrix: hidden states alone
	Config     string              // digest of the Spec
	Defaulted  []weights.Default   // config keys that were missing and the value used
	Accepted   []string            // keys that were accepted although unknown
	FLOP       func(T int) float64 `json:"-"` // floating-point operations per token in a bucket of T
	WeightSize int64               // bytes of the weights in memory where they are held in float32
	Warnings   []weights.Warning   // about the configuration: gemma-act
}

// Description is the result of Describe.
type Description struct {
	Spec *Spec
	Info Info

	family    *Family
	inventory *inventory
}

// Describe resolves the configuration and accounts for every tensor without
// reading any: it answers whether Load would accept the checkpoint, apart from
// the values of the weights. Keys in accept are not refused.
func Describe(ck Source, accept ...string) (d *Description, err error) {
	defer edge("describe", &err)
	cfg, err := configOf(ck)
	if err != nil {
		return nil, err
	}
	f, s, err := resolve(cfg, accept)
	if err != nil {
		return nil, err
	}
	s.Head.None = s.headOptional && !f.storesHead(ck.Tensors())
	if s.Head.None {
		s.Head = Head{None: true}
	}
	inv, err := account(f, s, ck.Tensors())
	if err != nil {
		return nil, err
	}
	digest, err := s.Digest()
	if err != nil {
		return nil, err
	}
	all, emb := inv.params()
	info := Info{
		Family: f.Name, Params: all, Body: all - emb, Active: all - emb - s.idle(), Vocab: s.Vocab, Width: s.Width, Layers: len(s.Layers), Positions: s.Positions,
		Tied: s.Head.Tied, Encoder: s.Encoder(), Headless: s.Head.None, Config: digest, Defaulted: cfg.Defaulted(), Accepted: accept,
		Warnings: s.warnings,
	}
	for i := range s.Kinds {
		if r := s.Kinds[i].Attn.Rope; r != nil && r.extension != "" {
			info.RoPE = r.extension
			break
		}
	}
	info.FLOP = func(T int) float64 { return s.flop(info.Active, T) }
	info.WeightSize = s.weightBytes(inv, false)
	return &Description{Spec: s, Info: info, family: f, inventory: inv}, nil
}

// flop is 2 P + 2 V d + 4 L d T: two operations per weight outside the
// embeddings, the output product, and scores and values of T keys.
func (s *Spec) flop(body int64, T int) float64 {
	return 2*float64(body) + 2*float64(s.Vocab)*float64(s.Width) + 4*float64(len(s.Layers))*float64(s.Width)*float64(T)
}

package model

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Family is everything the program knows about one model_type. Adding one means
// adding a value to families: no code path depends on a family's name.
type Family struct {
	Name string // exact model_type of config.json
	Says string // one line for tables

	// Keys are the config keys that change the mathematics and are read; Inert
	// keys do nothing here. Any other key is refused unless its value is empty
	// (Common keys, the same for all families, aside).
	Keys, Inert []string

	Names Names
	// Ignorable are path.Match patterns of stored tensors that are not weights:
	// mask buffers, rotary tables, heads that are not run.
	Ignorable []string

	spec func(c *conf) (*Spec, error)
}

// Names are the checkpoint's tensor names: without ".weight" and ".bias", with
// {l} for the layer.
type Names struct {
	Base  string // prefix of all but Head; some files leave out its first part or all of it
	Embed string
	// Elsewhere are the places where other files keep the same tensors.
	Elsewhere []Place
	// Positions, Types, EmbedNorm and EmbedProj stand between ids and block 0.
	Positions, Types, EmbedNorm, EmbedProj string
	Layer                                  string // prefix of a layer's tensors, after Base
	// Block holds n1..n4, q k v or qkv, qn, kn, o, gate up or gateup, down; qn and kn
	// with {h} where the gain of each head is a tensor of its own. A slot named
	// after a form, "par.n1", counts for blocks of that form instead of "n1".
	// In layers of experts: router, egate eup edown with {e}, and sgate sup sdown
	// and sg for the shared expert and its gate.
	Block    map[string]string
	Final    string
	Head     string
	HeadBias string // where the output bias does not stand with the output matrix
	HeadProj string
	// Transform and its norm stand before the output matrix of a masked language model.
	Transform, TransformNorm string

	// Grouped: the rows of a fused qkv stand per key head (its queries, its
	// key, its value); otherwise all queries, all keys, all values.
	Grouped bool
	// Transposed matrices are stored [in, out] (Conv1D).
	Transposed bool
}

// Place is a prefix of all tensors but the output matrix, and that matrix.
type Place struct{ Base, Head string }

// families in the order of the documentation.
func families() []*Family {
	return slices.Concat(
		[]*Family{gptNeoX(), llama(), mistral(), qwen2(), qwen3()},
		denseFamilies(), expertFamilies(), encoderFamilies(),
	)
}

// denseFamilies are the other decoders without experts.
func denseFamilies() []*Family {
	return []*Family{
		gpt2(), gptNeo(), gptJ(), olmo(), olmo2(), olmo3(), gemma(), gemma2(), gemma3Text(), gemma3(), phi(), phi3(), opt(), falcon(),
		bloom(), mpt(), stablelm(), starcoder2(), cohere(), cohere2(), granite(), smollm3(), glm4(),
	}
}

// expertFamilies are the decoders with mixtures of experts.
func expertFamilies() []*Family { return []*Family{mixtral(), qwen2MoE(), qwen3MoE(), olmoe()} }

// encoderFamilies are the encoders with masked language models' heads.
func encoderFamilies() []*Family { return []*Family{bert(), roberta(), distilbert()} }

// Families lists the families that run, for documentation and inspect.
func Families() []*Family { return families() }

// familyOf returns the family of a model_type.
func familyOf(modelType string) (*Family, bool) {
	fs := families()
	i := slices.IndexFunc(fs, func(f *Family) bool { return f.Name == modelType })
	if i < 0 {
		return nil, false
	}
	return fs[i], true
}

// Supported lists the model_type values that Load accepts.
func Supported() []string {
	var out []string
	for _, f := range families() {
		out = append(out, f.Name)
	}
	return out
}

// need is one tensor that the checkpoint must hold.
type need struct {
	key  string // "embed.w", "final.g", "3.qkv.w"
	name string
	dims []int
}

// needs lists the checkpoint tensors of s, with base as the prefix.
func (f *Family) needs(s *Spec, base string) []need {
	var out []need
	n := &f.Names
	add := func(ok bool, key, name string, dims ...int) {
		if ok {
			out = append(out, need{key, name, dims})
		}
	}
	matrix := func(key, name string, bias bool, rows, cols int) {
		if n.Transposed && key != "embed" && key != "head" {
			add(true, key+".w", name+".weight", cols, rows)
		} else {
			add(true, key+".w", name+".weight", rows, cols)
		}
		add(bias, key+".b", name+".bias", rows)
	}
	gains := func(key, name string, p *Norm, dims ...int) {
		if p != nil {
			add(p.Gain, key+".g", name+".weight", dims...)
			add(p.Bias, key+".b", name+".bias", dims...)
		}
	}
	d := s.Width
	e := d
	if s.Embed.Width != 0 {
		e = s.Embed.Width
		matrix("embedproj", base+n.EmbedProj, false, d, e)
		matrix("headproj", base+n.HeadProj, false, e, d)
	}
	matrix("embed", base+n.Embed, false, s.Vocab, e)
	if p := s.Embed.Learned; p != nil {
		add(true, "positions.w", base+n.Positions+".weight", p.Rows, d)
	}
	add(s.Embed.Types > 0, "types.w", base+n.Types+".weight", s.Embed.Types, d)
	gains("embednorm", base+n.EmbedNorm, s.Embed.Norm, d)
	for l := range s.Layers {
		b := s.Block(l)
		a, m := &b.Attn, &b.MLP
		key := strconv.Itoa(l) + "."
		at := func(slot string) string {
			if _, ok := n.Block[b.Form+"."+slot]; ok {
				slot = b.Form + "." + slot
			}
			return base + strings.ReplaceAll(n.Layer, "{l}", strconv.Itoa(l)) + n.Block[slot]
		}
		for i := range norms[b.Form] {
			slot := "n" + strconv.Itoa(i+1)
			gains(key+slot, at(slot), &b.Norm, d)
		}
		if n.Block["qkv"] != "" {
			matrix(key+"qkv", at("qkv"), a.Bias, (a.Heads+2*a.KVHeads)*a.HeadDim, d)
		} else {
			matrix(key+"q", at("q"), a.Bias, a.Heads*a.HeadDim, d)
			matrix(key+"k", at("k"), a.Bias, a.KVHeads*a.HeadDim, d)
			matrix(key+"v", at("v"), a.Bias, a.KVHeads*a.HeadDim, d)
		}
		if q := a.QKNorm; q != nil {
			perHead := func(slot string, heads int) {
				name := at(slot)
				if !strings.Contains(name, "{h}") {
					gains(key+slot, name, &q.Norm, q.dims(heads, a.HeadDim)...)
					return
				}
				for h := range heads { // reader.get joins them
					i := strconv.Itoa(h)
					one := strings.ReplaceAll(name, "{h}", i)
					add(q.Gain, key+slot+".g."+i, one+".weight", a.HeadDim)
					add(q.Bias, key+slot+".b."+i, one+".bias", a.HeadDim)
				}
			}
			perHead("qn", a.Heads)
			perHead("kn", a.KVHeads)
		}
		matrix(key+"o", at("o"), a.BiasO, d, a.Heads*a.HeadDim)
		if x := m.Experts; x != nil {
			matrix(key+"router", at("router"), false, x.N, d)
			for e := range x.N {
				i := strconv.Itoa(e)
				for _, p := range []struct {
					slot       string
					rows, cols int
				}{{"gate", m.Width, d}, {"up", m.Width, d}, {"down", d, m.Width}} {
					matrix(expertKey(key, e, p.slot), strings.ReplaceAll(at("e"+p.slot), "{e}", i), false, p.rows, p.cols)
				}
			}
			if x.Shared > 0 {
				matrix(key+"sgate", at("sgate"), false, x.Shared, d)
				matrix(key+"sup", at("sup"), false, x.Shared, d)
				matrix(key+"sdown", at("sdown"), false, d, x.Shared)
				matrix(key+"sg", at("sg"), false, 1, d)
			}
			continue
		}
		switch {
		case m.Gated && n.Block["gateup"] != "":
			matrix(key+"gateup", at("gateup"), m.Bias, 2*m.Width, d)
		case m.Gated:
			matrix(key+"gate", at("gate"), m.Bias, m.Width, d)
			fallthrough
		default:
			matrix(key+"up", at("up"), m.Bias, m.Width, d)
		}
		matrix(key+"down", at("down"), m.BiasDown, d, m.Width)
	}
	gains("final", base+n.Final, s.Final, d)
	if s.Head.None {
		return out
	}
	if t := s.Head.Transform; t != nil {
		matrix("transform", n.Transform, true, d, d)
		gains("transform.n", n.TransformNorm, &t.Norm, d)
	}
	if !s.Head.Tied {
		matrix("head", n.Head, false, s.Vocab, e)
	}
	add(s.Head.Bias, "head.b", n.headBias()+".bias", s.Vocab)
	return out
}

func (n *Names) headBias() string { return cmp.Or(n.HeadBias, n.Head) }

// dims is the shape of the gain of a q or k norm.
func (q *QKNorm) dims(heads, hd int) []int {
	switch q.Scope {
	case ScopeHeads:
		return []int{heads, hd}
	case ScopeWhole:
		return []int{heads * hd}
	}
	return []int{hd}
}

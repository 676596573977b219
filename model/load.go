package model

import (
	"cmp"
	"context"
	"iter"
	"path"
	"slices"
	"strconv"
	"strings"

	"assay/internal/fault"
	"assay/weights"
)

// Source is what Load reads of a checkpoint; *weights.Checkpoint satisfies it.
type Source interface {
	Config() *weights.Config
	Tensors() iter.Seq[weights.Info]
	F32(name string, dst []float32) error
}

// inventory is the accounting of a checkpoint's tensors: what each need is
// called in this file. Every stored tensor is needed, ignorable or an error.
type inventory struct {
	names map[string]string // need key -> stored name
	dims  map[string][]int
	kinds map[string]weights.DType
	keys  []string
	spare string // a stored output matrix of a tied model, to be compared
	bias  string // a second output bias, to be compared
}

// account matches the stored tensors with what f and s need.
func account(f *Family, s *Spec, ts iter.Seq[weights.Info]) (*inventory, error) {
	have := map[string]weights.Info{}
	for t := range ts {
		have[t.Name] = t
	}
	f = f.in(have)
	base := f.Names.Base
	inv := &inventory{names: map[string]string{}, dims: map[string][]int{}, kinds: map[string]weights.DType{}}
	used := map[string]bool{}
	var missing []string
	for _, n := range f.needs(s, base) {
		name, ok := stored(have, n.name)
		if !ok {
			missing = append(missing, n.name)
			continue
		}
		t := have[name]
		if !slices.Equal(t.Shape, n.dims) {
			return nil, fault.Inputf("tensor", "model: tensor %q: shape %v, want %v", name, t.Shape, n.dims)
		}
		switch t.DType {
		case weights.F32, weights.F16, weights.BF16, weights.F64:
		default:
			if t.DType.Size() != 0 {
				return nil, fault.Inputf("tensor", "model: tensor %q: dtype %s, want a floating-point type", name, t.DType)
			}
		}
		used[name] = true
		inv.names[n.key], inv.dims[n.key], inv.kinds[n.key] = name, n.dims, t.DType
		inv.keys = append(inv.keys, n.key)
	}
	if len(missing) > 0 {
		e := fault.Inputf("tensor", "model: tensor %q: missing (%d missing in all)", missing[0], len(missing))
		if strings.HasPrefix(missing[0], f.Names.Head) {
			return nil, e.Hint("config.json says that the output matrix is its own (tie_word_embeddings false), but none is stored")
		}
		return nil, e.Hint("compare num_hidden_layers and the sizes of config.json with the tensors that `assay inspect` lists")
	}
	if s.Head.Tied {
		if t, ok := have[f.Names.Head+".weight"]; ok {
			if want := inv.dims["embed.w"]; !slices.Equal(t.Shape, want) {
				return nil, fault.Inputf("tensor", "model: tensor %q: shape %v, want %v", t.Name, t.Shape, want)
			}
			inv.spare = t.Name
			used[t.Name] = true
		}
	}
	if n := &f.Names; s.Head.Bias && n.HeadBias != "" {
		if t, ok := have[n.Head+".bias"]; ok {
			if want := inv.dims["head.b"]; !slices.Equal(t.Shape, want) {
				return nil, fault.Inputf("tensor", "model: tensor %q: shape %v, want %v", t.Name, t.Shape, want)
			}
			inv.bias = t.Name
			used[t.Name] = true
		}
	}
	var extra []string
	for name := range have {
		if !used[name] && !ignorable(f, base, name) {
			extra = append(extra, name)
		}
	}
	if len(extra) > 0 {
		slices.SortFunc(extra, cmp.Compare[string])
		return nil, fault.Inputf("tensor", "model: tensor %q: not part of a %s model (%d such tensors)", extra[0], f.Name, len(extra)).
			Hint("the checkpoint may hold adapters, or more layers than config.json says; nothing is left out silently")
	}
	return inv, nil
}

// in returns f with the prefixes that the stored tensors have: those of the
// family, those of Elsewhere, or the family's without its first parts.
func (f *Family) in(have map[string]weights.Info) *Family {
	n := f.Names
	places := append([]Place{{n.Base, n.Head}}, n.Elsewhere...)
	for base := n.Base; base != ""; {
		_, base, _ = strings.Cut(base, ".")
		places = append(places, Place{base, n.Head})
	}
	for _, p := range places {
		if _, ok := have[p.Base+n.Embed+".weight"]; ok {
			g := *f
			g.Names.Base, g.Names.Head = p.Base, p.Head
			return &g
		}
	}
	return f
}

// stored finds a tensor under its name or under the name that the first
// releases used for norms.
func stored(have map[string]weights.Info, name string) (string, bool) {
	if _, ok := have[name]; ok {
		return name, true
	}
	for _, r := range [][2]string{{".weight", ".gamma"}, {".bias", ".beta"}} {
		if head, ok := strings.CutSuffix(name, r[0]); ok {
			if _, ok := have[head+r[1]]; ok {
				return head + r[1], true
			}
		}
	}
	return "", false
}

func ignorable(f *Family, base, name string) bool {
	short := strings.TrimPrefix(name, base)
	return slices.ContainsFunc(f.Ignorable, func(p string) bool {
		a, _ := path.Match(p, name)
		b, _ := path.Match(p, short)
		return a || b
	})
}

// params counts the weights, each stored tensor once.
func (inv *inventory) params() (all, embedding int64) {
	for _, k := range inv.keys {
		n := int64(size(inv.dims[k]))
		all += n
		if k == "embed.w" || k == "positions.w" || k == "types.w" || k == "head.w" || k == "head.b" {
			embedding += n
		}
	}
	return all, embedding
}

func size(dims []int) int {
	n := 1
	for _, d := range dims {
		n *= d
	}
	return n
}

// reader widens tensors of a checkpoint by need key.
type reader struct {
	ctx  context.Context
	src  Source
	inv  *inventory
	half bool // keep 16-bit matrices in 16 bits
	// mapped leaves matrices in the mapped file until they are laid out.
	mapped bool
}

// get returns the tensor of key in float32, nil where it is not needed. Where
// the parts of a tensor are stored one by one, they are joined.
func (r *reader) get(key string) ([]float32, error) {
	name, ok := r.inv.names[key]
	if !ok {
		var out []float32
		for i := 0; ; i++ {
			part := key + "." + strconv.Itoa(i)
			if r.inv.names[part] == "" {
				return out, nil
			}
			x, err := r.get(part)
			if err != nil {
				return nil, err
			}
			out = append(out, x...)
		}
	}
	if err := r.ctx.Err(); err != nil {
		return nil, err
	}
	x := make([]float32, size(r.inv.dims[key]))
	if err := r.src.F32(name, x); err != nil {
		return nil, err
	}
	return x, nil
}

// checkTie compares a stored output matrix with the embedding of a tied model,
// and a second output bias with the first.
func (r *reader) checkTie(embed matrix) error {
	if r.inv.spare != "" {
		if err := r.same(r.inv.spare, embed, "the embedding's", "that they are one matrix (tie_word_embeddings)"); err != nil {
			return err
		}
	}
	if r.inv.bias == "" {
		return nil
	}
	b, err := r.get("head.b")
	if err != nil {
		return err
	}
	return r.same(r.inv.bias, matrix{f: b}, "that of "+r.inv.names["head.b"], "of no second output bias")
}

// same compares the tensor name with want, part by part.
func (r *reader) same(name string, want matrix, whose, says string) error {
	have, ok := r.raw(name)
	if !ok {
		have.f = make([]float32, want.len())
		if err := r.src.F32(name, have.f); err != nil {
			return err
		}
	}
	const chunk = 1 << 16
	x, y := make([]float32, chunk), make([]float32, chunk)
	return weights.Guard(func() error {
		for from := 0; from < want.len(); from += chunk {
			n := min(chunk, want.len()-from)
			have.widen(from, x[:n])
			want.widen(from, y[:n])
			for i, v := range y[:n] {
				if x[i] != v {
					return fault.Inputf("tie-mismatch", "model: tensor %q: value %d is %g, %s is %g; config.json says %s", name, from+i, x[i], whose, v, says)
				}
			}
		}
		return nil
	})
}

package model

import (
	"strconv"
)

// The internal layout is one for all families: matrices [in, out]; q, k and v
// in one matrix, all queries first; gate and up in one matrix, gate first;
// rotary pairs half a head apart. What a checkpoint stores in another order
// is permuted here once.

// part is a run of rows of a stored matrix that becomes columns of an internal one.
type part struct {
	w, b  []float32
	rows  []int // stored row of each internal column
	scale float32
}

// seqRows is from, from+1, ...
func seqRows(from, n int) []int {
	r := make([]int, n)
	for i := range r {
		r[i] = from + i
	}
	return r
}

// headRows lists the stored rows of heads for one of q, k, v. at gives the
// first stored row of head h.
func headRows(heads, hd int, rope *Rope, at func(h int) int) []int {
	order := channelOrder(hd, rope)
	r := make([]int, 0, heads*hd)
	for h := range heads {
		for _, c := range order {
			r = append(r, at(h)+c)
		}
	}
	return r
}

// channelOrder is the stored channel of each internal channel of a head: the
// rotated pairs stand half a head apart, whatever share of the head is rotated
// and whether the checkpoint stores the members of a pair side by side. Scores
// do not change, since q and k are reordered alike.
func channelOrder(hd int, rope *Rope) []int {
	order := seqRows(0, hd)
	if rope == nil {
		return order
	}
	half, r := hd/2, rope.Dim/2
	for c := range r {
		if rope.Interleaved {
			order[c], order[half+c] = 2*c, 2*c+1
		} else {
			order[c], order[half+c] = c, r+c
		}
	}
	for c := range half - r { // not rotated
		order[r+c], order[half+r+c] = 2*r+c, half+r+c
	}
	return order
}

// qkvParts reads q, k and v of a layer, whatever their stored order.
func (r *reader) qkvParts(f *Family, a *Attn, key string) ([]part, error) {
	H, K, hd := a.Heads, a.KVHeads, a.HeadDim
	if f.Names.Block["qkv"] == "" {
		var ps []part
		for _, p := range []struct {
			name  string
			heads int
			rope  *Rope
		}{{"q", H, a.Rope}, {"k", K, a.Rope}, {"v", K, nil}} {
			w, err := r.get(key + p.name + ".w")
			if err != nil {
				return nil, err
			}
			b, err := r.get(key + p.name + ".b")
			if err != nil {
				return nil, err
			}
			ps = append(ps, part{w, b, headRows(p.heads, hd, p.rope, func(h int) int { return h * hd }), 1})
		}
		return ps, nil
	}
	w, err := r.get(key + "qkv.w")
	if err != nil {
		return nil, err
	}
	b, err := r.get(key + "qkv.b")
	if err != nil {
		return nil, err
	}
	q := func(h int) int { return h * hd }
	k := func(h int) int { return (H + h) * hd }
	v := func(h int) int { return (H + K + h) * hd }
	if f.Names.Grouped {
		g := H / K
		q = func(h int) int { return (h/g*(g+2) + h%g) * hd }
		k = func(h int) int { return (h*(g+2) + g) * hd }
		v = func(h int) int { return (h*(g+2) + g + 1) * hd }
	}
	return []part{
		{w, b, headRows(H, hd, a.Rope, q), 1},
		{w, b, headRows(K, hd, a.Rope, k), 1},
		{w, b, headRows(K, hd, nil, v), 1},
	}, nil
}

// blockSlots reads the parameters of layer l in the internal layout: slot name -> values.
func (r *reader) blockSlots(f *Family, s *Spec, l int, fold bool) (map[string][]float32, error) {
	b := s.Block(l)
	a, m := &b.Attn, &b.MLP
	d := s.Width
	key := strconv.Itoa(l) + "."
	out := map[string][]float32{}
	get := func(slot string) ([]float32, error) { return r.get(key + slot) }

	gain := map[int][]float32{} // gains to fold
	for i := 1; i <= norms[b.Form]; i++ {
		n := "n" + strconv.Itoa(i)
		g, err := get(n + ".g")
		if err != nil {
			return nil, err
		}
		if g != nil && b.Norm.PlusOne {
			plusOne(g)
		}
		if g != nil && fold && b.folds(i) {
			gain[i] = g
		} else {
			out[n+".g"] = g
		}
		if out[n+".b"], err = get(n + ".b"); err != nil {
			return nil, err
		}
	}
	up := map[string]int{Seq: 2, Par: 2, Par1: 1, Sandwich: 3}[b.Form] // norm that the MLP reads

	ps, err := r.qkvParts(f, a, key)
	if err != nil {
		return nil, err
	}
	if b.scaleInWeights(fold) {
		ps[0].scale = float32(a.Scale)
	}
	out["qkv.w"], out["qkv.b"] = join(ps, d, f.Names.Transposed, gain[1])

	if q := a.QKNorm; q != nil {
		for _, n := range []string{"qn", "kn"} {
			for _, x := range []string{".g", ".b"} {
				v, err := get(n + x)
				if err != nil {
					return nil, err
				}
				if v == nil {
					continue
				}
				if q.PlusOne && x == ".g" {
					plusOne(v)
				}
				v = permuteHeads(v, a.HeadDim, channelOrder(a.HeadDim, a.Rope))
				if n == "qn" && b.scaleInNorm(fold) {
					for i := range v {
						v[i] *= float32(a.Scale)
					}
				}
				out[n+x] = v
			}
		}
	}
	single := func(slot string, in, rows int, g []float32) error {
		w, err := get(slot + ".w")
		if err != nil {
			return err
		}
		bias, err := get(slot + ".b")
		if err != nil {
			return err
		}
		out[slot+".w"], out[slot+".b"] = join([]part{{w, bias, seqRows(0, rows), 1}}, in, f.Names.Transposed, g)
		return nil
	}
	if err := single("o", a.Heads*a.HeadDim, d, nil); err != nil {
		return nil, err
	}
	switch {
	case m.Gated && f.Names.Block["gateup"] != "":
		w, err := get("gateup.w")
		if err != nil {
			return nil, err
		}
		bias, err := get("gateup.b")
		if err != nil {
			return nil, err
		}
		out["up.w"], out["up.b"] = join([]part{{w, bias, seqRows(0, 2*m.Width), 1}}, d, f.Names.Transposed, gain[up])
	case m.Gated:
		var ps []part
		for _, n := range []string{"gate", "up"} {
			w, err := get(n + ".w")
			if err != nil {
				return nil, err
			}
			bias, err := get(n + ".b")
			if err != nil {
				return nil, err
			}
			ps = append(ps, part{w, bias, seqRows(0, m.Width), 1})
		}
		out["up.w"], out["up.b"] = join(ps, d, f.Names.Transposed, gain[up])
	default:
		if err := single("up", d, m.Width, gain[up]); err != nil {
			return nil, err
		}
	}
	return out, single("down", m.Width, d, nil)
}

// scaleInWeights reports whether the attention scale is multiplied into the
// query rows at load: nothing may stand between the product and the scale.
func (b *Block) scaleInWeights(fold bool) bool {
	return fold && b.Attn.QKNorm == nil && b.Attn.Clip == 0
}

// scaleInNorm reports whether the scale is multiplied into the query norm.
func (b *Block) scaleInNorm(fold bool) bool {
	q := b.Attn.QKNorm
	return fold && q != nil && q.Gain && !(q.First && b.Attn.Clip != 0)
}

// join lays stored rows out as the columns of one [in, out] matrix, and their
// biases as one vector; input channel i is multiplied by gain[i] where given.
func join(ps []part, in int, transposed bool, gain []float32) (w, b []float32) {
	out := 0
	for _, p := range ps {
		out += len(p.rows)
	}
	w = make([]float32, in*out)
	if ps[0].b != nil {
		b = make([]float32, out)
	}
	col := 0
	for _, p := range ps {
		if transposed {
			stride := len(p.w) / in
			for i := range in {
				g := p.scale
				if gain != nil {
					g *= gain[i]
				}
				for c, row := range p.rows {
					w[i*out+col+c] = p.w[i*stride+row] * g
				}
			}
		} else {
			transpose(w, out, col, p, in, gain)
		}
		if b != nil {
			for c, row := range p.rows {
				b[col+c] = p.b[row] * p.scale
			}
		}
		col += len(p.rows)
	}
	return w, b
}

// transpose writes the rows of p as columns from col on, in tiles that fit the cache.
func transpose(w []float32, out, col int, p part, in int, gain []float32) {
	const tile = 32
	for c0 := 0; c0 < len(p.rows); c0 += tile {
		c1 := min(c0+tile, len(p.rows))
		for i0 := 0; i0 < in; i0 += tile {
			i1 := min(i0+tile, in)
			for c := c0; c < c1; c++ {
				src := p.w[p.rows[c]*in : (p.rows[c]+1)*in]
				for i := i0; i < i1; i++ {
					g := p.scale
					if gain != nil {
						g *= gain[i]
					}
					w[i*out+col+c] = src[i] * g
				}
			}
		}
	}
}

func plusOne(g []float32) {
	for i := range g {
		g[i]++
	}
}

// permuteHeads reorders the channels of every head of v.
func permuteHeads(v []float32, hd int, order []int) []float32 {
	out := make([]float32, len(v))
	for i := range v {
		out[i] = v[i/hd*hd+order[i%hd]]
	}
	return out
}

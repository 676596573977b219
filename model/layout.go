package model

import (
	"strconv"

	"assay/weights"
)

// The internal layout is one for all families: matrices [in, out]; q, k and v
// in one matrix, all queries first; gate and up in one matrix, gate first;
// rotary pairs half a head apart. What a checkpoint stores in another order
// is permuted here once.

// layerKey begins the keys of layer l.
func layerKey(l int) string { return strconv.Itoa(l) + "." }

// part is a run of rows of a stored matrix that becomes columns of an internal one.
type part struct {
	w     matrix
	b     []float32
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

// part reads a matrix and its bias; all its rows, in order.
func (r *reader) part(key string, rows int) (part, error) {
	var w matrix
	var err error
	ok := false
	switch {
	case r.half:
		ok = true
		w, err = r.matrix(key + ".w")
	case r.mapped: // not as bits: gains and scales are multiplied in
		w, ok = r.raw(r.inv.names[key+".w"])
	}
	if !ok {
		w.f, err = r.get(key + ".w")
	}
	if err != nil {
		return part{}, err
	}
	b, err := r.get(key + ".b")
	return part{w, b, seqRows(0, rows), 1}, err
}

// qkvParts reads q, k and v of a layer, whatever their stored order.
func (r *reader) qkvParts(f *Family, a *Attn, key string) ([]part, error) {
	H, K, hd := a.Heads, a.KVHeads, a.HeadDim
	q := func(h int) int { return h * hd }
	if f.Names.Block["qkv"] == "" {
		ps := make([]part, 3)
		for i, heads := range []int{H, K, K} {
			p, err := r.part(key+[]string{"q", "k", "v"}[i], 0)
			if err != nil {
				return nil, err
			}
			rope := a.Rope
			if i == 2 {
				rope = nil
			}
			p.rows = headRows(heads, hd, rope, q)
			ps[i] = p
		}
		return ps, nil
	}
	p, err := r.part(key+"qkv", 0)
	if err != nil {
		return nil, err
	}
	k := func(h int) int { return (H + h) * hd }
	v := func(h int) int { return (H + K + h) * hd }
	if f.Names.Grouped {
		g := H / K
		q = func(h int) int { return (h/g*(g+2) + h%g) * hd }
		k = func(h int) int { return (h*(g+2) + g) * hd }
		v = func(h int) int { return (h*(g+2) + g + 1) * hd }
	}
	return []part{
		{p.w, p.b, headRows(H, hd, a.Rope, q), 1},
		{p.w, p.b, headRows(K, hd, a.Rope, k), 1},
		{p.w, p.b, headRows(K, hd, nil, v), 1},
	}, nil
}

// blockSlots reads the parameters of layer l in the internal layout: slot name -> values.
func (r *reader) blockSlots(f *Family, s *Spec, l int, fold bool) (map[string]matrix, error) {
	b := s.Block(l)
	a, m := &b.Attn, &b.MLP
	d := s.Width
	key := layerKey(l)
	out := map[string]matrix{}

	gain := map[int][]float32{} // gains to fold
	for i := 1; i <= norms[b.Form]; i++ {
		n := "n" + strconv.Itoa(i)
		g, err := r.get(key + n + ".g")
		if err != nil {
			return nil, err
		}
		if g != nil && b.Norm.PlusOne {
			plusOne(g)
		}
		if g != nil && fold && b.folds(i) {
			gain[i] = g
		} else {
			out[n+".g"] = matrix{f: g}
		}
		bias, err := r.get(key + n + ".b")
		if err != nil {
			return nil, err
		}
		out[n+".b"] = matrix{f: bias}
	}
	up := map[string]int{Seq: 2, Par: 2, Par1: 1, Sandwich: 3}[b.Form] // norm that the MLP reads

	ps, err := r.qkvParts(f, a, key)
	if err != nil {
		return nil, err
	}
	if b.scaleInWeights(fold) {
		ps[0].scale = float32(a.Scale)
	}
	put := func(slot string, in int, g []float32, ps ...part) {
		w, bias := join(ps, in, f.Names.Transposed, g)
		out[slot+".w"], out[slot+".b"] = w, matrix{f: bias}
	}
	put("qkv", d, gain[1], ps...)
	if a.QKNorm != nil {
		for _, n := range []string{"qn", "kn"} {
			if err := r.headNorm(a, key, n, b.scaleInNorm(fold), out); err != nil {
				return nil, err
			}
		}
	}
	o, err := r.part(key+"o", d)
	if err != nil {
		return nil, err
	}
	put("o", a.Heads*a.HeadDim, nil, o)
	if m.Experts != nil {
		return out, r.expertSlots(m, key, d, gain[up], out, put)
	}
	ups := []part{}
	for _, n := range map[bool][]string{true: {"gate", "up"}, false: {"up"}}[m.Gated] {
		if m.Gated && f.Names.Block["gateup"] != "" { // gate first, then up, in one matrix
			p, err := r.part(key+"gateup", 2*m.Width)
			if err != nil {
				return nil, err
			}
			ups = []part{p}
			break
		}
		p, err := r.part(key+n, m.Width)
		if err != nil {
			return nil, err
		}
		ups = append(ups, p)
	}
	put("up", d, gain[up], ups...)
	down, err := r.part(key+"down", d)
	if err != nil {
		return nil, err
	}
	put("down", m.Width, nil, down)
	return out, nil
}

// headNorm reads the gain and bias of the norm on q or k, in the order of the
// channels in memory; scaled multiplies those of q by the attention scale.
func (r *reader) headNorm(a *Attn, key, n string, scaled bool, out map[string]matrix) error {
	for _, x := range []string{".g", ".b"} {
		v, err := r.get(key + n + x)
		if err != nil {
			return err
		}
		if v == nil {
			continue
		}
		if a.QKNorm.PlusOne && x == ".g" {
			plusOne(v)
		}
		v = permuteHeads(v, a.HeadDim, channelOrder(a.HeadDim, a.Rope))
		if n == "qn" && scaled {
			for i := range v {
				v[i] *= float32(a.Scale)
			}
		}
		out[n+x] = matrix{f: v}
	}
	return nil
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
// biases as one vector. A part's scale multiplies its columns, gain[i] input
// channel i; both ask for float32. Parts of different types become float32. The
// float32 values are laid out where and when they are wanted, so that no second
// copy stands beside the stored one.
func join(ps []part, in int, transposed bool, gain []float32) (w matrix, b []float32) {
	out, half := 0, true
	for _, p := range ps {
		out += len(p.rows)
		half = half && p.w.bits != nil && p.w.kind == ps[0].w.kind
	}
	if ps[0].b != nil {
		b = make([]float32, 0, out)
		for _, p := range ps {
			for _, row := range p.rows {
				b = append(b, p.b[row]*p.scale)
			}
		}
	}
	if half {
		w = matrix{bits: make([]uint16, in*out), kind: ps[0].w.kind}
		col := 0
		for _, p := range ps {
			lay(w.bits, out, col, p.w.bits, p.rows, in, transposed)
			col += len(p.rows)
		}
		return w, b
	}
	fill := func(dst []float32) error {
		col := 0
		for _, p := range ps {
			p.w.lay(dst, out, col, p.rows, in, transposed)
			scale(dst, out, col, len(p.rows), gain, p.scale)
			col += len(p.rows)
		}
		return nil
	}
	return matrix{n: in * out, fill: func(dst []float32) error {
		return weights.Guard(func() error { return fill(dst) })
	}}, b
}

// lay is lay of a matrix whose values are widened on the way.
func (m matrix) lay(w []float32, out, col int, rows []int, in int, transposed bool) {
	if m.f != nil {
		lay(w, out, col, m.f, rows, in, transposed)
		return
	}
	if transposed {
		x := make([]float32, m.len()/in)
		for i := range in {
			m.widen(i*len(x), x)
			for c, row := range rows {
				w[i*out+col+c] = x[row]
			}
		}
		return
	}
	// Rows of a tile stand a little more than a power of two apart: they would
	// else compete for the same places of the cache.
	const high, wide, stride = 32, 256, 256 + 16
	tile := make([]float32, high*stride)
	for c0 := 0; c0 < len(rows); c0 += high {
		c1 := min(c0+high, len(rows))
		for i0 := 0; i0 < in; i0 += wide {
			i1 := min(i0+wide, in)
			for c := c0; c < c1; c++ {
				m.widen(rows[c]*in+i0, tile[(c-c0)*stride:(c-c0)*stride+i1-i0])
			}
			for i := i0; i < i1; i++ {
				dst := w[i*out+col+c0 : i*out+col+c1]
				for c := range dst {
					dst[c] = tile[c*stride+i-i0]
				}
			}
		}
	}
}

// lay writes rows of src as columns from col on of w [in, out], in tiles that
// fit the cache. A transposed src is [in, rows] already.
func lay[T float32 | uint16](w []T, out, col int, src []T, rows []int, in int, transposed bool) {
	if transposed {
		stride := len(src) / in
		for i := range in {
			for c, row := range rows {
				w[i*out+col+c] = src[i*stride+row]
			}
		}
		return
	}
	const tile = 32
	for c0 := 0; c0 < len(rows); c0 += tile {
		c1 := min(c0+tile, len(rows))
		for i0 := 0; i0 < in; i0 += tile {
			i1 := min(i0+tile, in)
			for c := c0; c < c1; c++ {
				x := src[rows[c]*in : (rows[c]+1)*in]
				for i := i0; i < i1; i++ {
					w[i*out+col+c] = x[i]
				}
			}
		}
	}
}

// scale multiplies columns [col, col+n) of w [in, out] by gain of the input
// channel (nil = 1) and s.
func scale(w []float32, out, col, n int, gain []float32, s float32) {
	if gain == nil && s == 1 {
		return
	}
	for i := range len(w) / out {
		g := s
		if gain != nil {
			g *= gain[i]
		}
		row := w[i*out+col : i*out+col+n]
		for c := range row {
			row[c] *= g
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

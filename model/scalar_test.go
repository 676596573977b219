package model

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

// scalar is a readable forward pass in float64, one number at a time, that
// reads the tensors as they are stored. It shares with the graphs the Spec and
// the names of the tensors, and nothing else: no layout, no table, no folding.
type scalar struct {
	t    testing.TB
	f    *Family
	s    *Spec
	src  Source
	inv  *inventory
	memo map[string][]float64
}

// vec is a list of vectors, one per position.
type vec = [][]float64

func newScalar(t testing.TB, f *Family, s *Spec, src Source) *scalar {
	t.Helper()
	inv, err := account(f, s, src.Tensors())
	if err != nil {
		t.Fatal(err)
	}
	return &scalar{t, f, s, src, inv, map[string][]float64{}}
}

// get returns the stored tensor of a need key, nil where the Spec has none.
func (m *scalar) get(key string) []float64 {
	if x, ok := m.memo[key]; ok {
		return x
	}
	name, ok := m.inv.names[key]
	if !ok {
		var all []float64 // the gains of the heads may be stored one by one
		for i := 0; m.inv.names[fmt.Sprintf("%s.%d", key, i)] != ""; i++ {
			all = append(all, m.get(fmt.Sprintf("%s.%d", key, i))...)
		}
		return all
	}
	x := make([]float32, size(m.inv.dims[key]))
	if err := m.src.F32(name, x); err != nil {
		m.t.Fatal(err)
	}
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v)
	}
	m.memo[key] = out
	return out
}

// linear applies rows of a stored matrix; pick maps an output to its stored row.
func (m *scalar) linear(key string, x []float64, stored int, pick []int) []float64 {
	w, b := m.get(key+".w"), m.get(key+".b")
	conv1d := m.f.Names.Transposed && !strings.HasPrefix(key, "embed") && !strings.HasPrefix(key, "head")
	out := make([]float64, len(pick))
	for o, row := range pick {
		for i, v := range x {
			if conv1d { // stored [in, out]
				out[o] += w[i*stored+row] * v
			} else {
				out[o] += w[row*len(x)+i] * v
			}
		}
		if b != nil {
			out[o] += b[row]
		}
	}
	return out
}

func upTo(n int) []int {
	r := make([]int, n)
	for i := range r {
		r[i] = i
	}
	return r
}

func (m *scalar) norm(n *Norm, x []float64, gain, bias []float64) []float64 {
	d := float64(len(x))
	mean, ms := 0.0, 0.0
	if n.Kind == LayerNorm {
		for _, v := range x {
			mean += v / d
		}
	}
	for _, v := range x {
		ms += (v - mean) * (v - mean) / d
	}
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = (v - mean) / math.Sqrt(ms+float64(n.Eps))
		if gain != nil {
			g := gain[i]
			if n.PlusOne {
				g++
			}
			out[i] *= g
		}
		if bias != nil {
			out[i] += bias[i]
		}
	}
	return out
}

func (m *scalar) act(kind string, x float64) float64 {
	switch kind {
	case GELU:
		return x / 2 * (1 + math.Erf(x/math.Sqrt2))
	case GELUTanh:
		return x / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
	case SiLU:
		return x / (1 + math.Exp(-x))
	case ReLU:
		return math.Max(0, x)
	}
	m.t.Fatalf("activation %q", kind)
	return 0
}

// project returns q, k, v of one head at every position, before norm and RoPE.
func (m *scalar) project(a *Attn, l int, x vec) (q, k, v []vec) {
	H, K, hd := a.Heads, a.KVHeads, a.HeadDim
	key := fmt.Sprintf("%d.", l)
	fused := m.f.Names.Block["qkv"] != ""
	head := func(part string, h int) []int {
		var first int
		switch {
		case !fused:
			first = h * hd
		case m.f.Names.Grouped: // per key head: its queries, its key, its value
			per := H/K + 2
			switch part {
			case "q":
				first = (h/(H/K)*per + h%(H/K)) * hd
			case "k":
				first = (h*per + H/K) * hd
			case "v":
				first = (h*per + H/K + 1) * hd
			}
		default:
			first = (map[string]int{"q": 0, "k": H, "v": H + K}[part] + h) * hd
		}
		r := upTo(hd)
		for i := range r {
			r[i] += first
		}
		return r
	}
	one := func(part string, n int) []vec {
		name, stored := key+part, n*hd
		if fused {
			name, stored = key+"qkv", (H+2*K)*hd
		}
		out := make([]vec, n)
		for h := range n {
			for _, xt := range x {
				out[h] = append(out[h], m.linear(name, xt, stored, head(part, h)))
			}
		}
		return out
	}
	return one("q", H), one("k", K), one("v", K)
}

func (m *scalar) clip(a *Attn, parts ...[]vec) {
	if a.Clip == 0 {
		return
	}
	for _, p := range parts {
		for _, head := range p {
			for _, x := range head {
				for i := range x {
					x[i] = math.Max(-float64(a.Clip), math.Min(float64(a.Clip), x[i]))
				}
			}
		}
	}
}

func (m *scalar) qkNorm(a *Attn, l int, heads []vec, name string) {
	n := a.QKNorm
	gain, bias := m.get(fmt.Sprintf("%d.%s.g", l, name)), m.get(fmt.Sprintf("%d.%s.b", l, name))
	hd := a.HeadDim
	for t := range heads[0] {
		if n.Scope == ScopeWhole {
			var all []float64
			for h := range heads {
				all = append(all, heads[h][t]...)
			}
			all = m.norm(&n.Norm, all, gain, bias)
			for h := range heads {
				heads[h][t] = all[h*hd : (h+1)*hd]
			}
			continue
		}
		for h := range heads {
			g, b := gain, bias
			if n.Scope == ScopeHeads {
				if g != nil {
					g = gain[h*hd : (h+1)*hd]
				}
				if b != nil {
					b = bias[h*hd : (h+1)*hd]
				}
			}
			heads[h][t] = m.norm(&n.Norm, heads[h][t], g, b)
		}
	}
}

// rope rotates the pairs of x at position t of a window of n.
func (m *scalar) rope(r *Rope, x []float64, t, n int) {
	freq := r.Freq
	if r.Long != nil && n > r.Original {
		freq = r.Long
	}
	f := float64(r.Factor)
	if f == 0 {
		f = 1
	}
	for c := range r.Dim / 2 {
		i, j := c, c+r.Dim/2
		if r.Interleaved {
			i, j = 2*c, 2*c+1
		}
		sin, cos := math.Sincos(float64(t) * float64(freq[c]))
		x[i], x[j] = f*(x[i]*cos-x[j]*sin), f*(x[j]*cos+x[i]*sin)
	}
}

// slope is the ALiBi slope of head h of n: for n a power of two 2^(-8(h+1)/n);
// otherwise the slopes of the power below, then every second one of the power above.
func slope(h, n int) float64 {
	p := 1 << (63 - int(leading(uint64(n))))
	if h < p {
		return math.Pow(2, -8*float64(h+1)/float64(p))
	}
	return math.Pow(2, -8*float64(2*(h-p)+1)/float64(2*p))
}

// bf16 rounds to the nearest number of eight significant bits, ties to even.
func bf16(x float64) float64 {
	frac, exp := math.Frexp(x)
	return math.Ldexp(math.RoundToEven(math.Ldexp(frac, 8)), exp-8)
}

func leading(x uint64) (n uint) {
	for ; x>>63 == 0; x <<= 1 {
		n++
	}
	return n
}

func (m *scalar) attention(a *Attn, l int, x vec) vec {
	q, k, v := m.project(a, l, x)
	if n := a.QKNorm; n != nil && n.First {
		m.qkNorm(a, l, q, "qn")
		m.qkNorm(a, l, k, "kn")
	}
	m.clip(a, q, k, v)
	if n := a.QKNorm; n != nil && !n.First {
		m.qkNorm(a, l, q, "qn")
		m.qkNorm(a, l, k, "kn")
	}
	T := len(x)
	if a.Rope != nil {
		for _, heads := range [][]vec{q, k} {
			for h := range heads {
				for t := range heads[h] {
					m.rope(a.Rope, heads[h][t], t, T)
				}
			}
		}
	}
	out := make(vec, T)
	for i := range T {
		all := make([]float64, 0, a.Heads*a.HeadDim)
		for h := range a.Heads {
			kv := h / (a.Heads / a.KVHeads)
			var s []float64
			top := math.Inf(-1)
			for j := range T {
				x := math.Inf(-1)
				if a.Bidirectional || j <= i && (a.Window == 0 || j > i-a.Window) {
					x = 0
					for c, qc := range q[h][i] {
						x += qc * k[kv][j][c] * float64(a.Scale)
					}
					if b := a.ALiBi; b != nil {
						bias := slope(h, a.Heads) * float64(j)
						if b.Rounded {
							bias = bf16(bf16(slope(h, a.Heads)) * bf16(float64(j)))
						}
						x += bias * float64(b.Scale)
					}
					if a.Cap != 0 {
						x = float64(a.Cap) * math.Tanh(x/float64(a.Cap))
					}
				}
				s = append(s, x)
				top = math.Max(top, x)
			}
			sum := 0.0
			for j := range s {
				s[j] = math.Exp(s[j] - top)
				sum += s[j]
			}
			o := make([]float64, a.HeadDim)
			for j := range s {
				for c := range o {
					o[c] += s[j] / sum * v[kv][j][c]
				}
			}
			all = append(all, o...)
		}
		out[i] = m.linear(fmt.Sprintf("%d.o", l), all, m.s.Width, upTo(m.s.Width))
	}
	return out
}

func (m *scalar) mlp(p *MLP, l int, x vec) (out, act vec) {
	key := fmt.Sprintf("%d.", l)
	if p.Experts != nil {
		return m.experts(p, key, x), nil
	}
	for _, xt := range x {
		var up, gate []float64
		switch {
		case p.Gated && m.f.Names.Block["gateup"] != "":
			both := m.linear(key+"gateup", xt, 2*p.Width, upTo(2*p.Width))
			gate, up = both[:p.Width], both[p.Width:]
		case p.Gated:
			gate = m.linear(key+"gate", xt, p.Width, upTo(p.Width))
			fallthrough
		default:
			up = m.linear(key+"up", xt, p.Width, upTo(p.Width))
		}
		h := make([]float64, p.Width)
		for i := range h {
			if p.Gated {
				h[i] = m.act(p.Act, gate[i]) * up[i]
			} else {
				h[i] = m.act(p.Act, up[i])
			}
		}
		act = append(act, h)
		out = append(out, m.linear(key+"down", h, m.s.Width, upTo(m.s.Width)))
	}
	return out, act
}

// experts is the mixture: softmax over all experts, the largest few, their
// outputs weighted, then the shared expert times a sigmoid.
func (m *scalar) experts(p *MLP, key string, x vec) (out vec) {
	e := p.Experts
	one := func(prefix string, xt []float64, width int) []float64 {
		h := m.linear(prefix+"up", xt, width, upTo(width))
		for i, g := range m.linear(prefix+"gate", xt, width, upTo(width)) {
			h[i] *= m.act(p.Act, g)
		}
		return m.linear(prefix+"down", h, m.s.Width, upTo(m.s.Width))
	}
	for _, xt := range x {
		scores := m.linear(key+"router", xt, e.N, upTo(e.N))
		all := 0.0
		for _, s := range scores {
			all += math.Exp(s)
		}
		taken, sum := map[int]bool{}, 0.0
		for range e.Top {
			best := -1
			for i, s := range scores {
				if !taken[i] && (best < 0 || s > scores[best]) {
					best = i
				}
			}
			taken[best] = true
			sum += math.Exp(scores[best])
		}
		if !e.Normalise {
			sum = all
		}
		y := make([]float64, m.s.Width)
		for i := range taken {
			for c, v := range one(fmt.Sprintf("%se%d.", key, i), xt, p.Width) {
				y[c] += math.Exp(scores[i]) / sum * v
			}
		}
		if e.Shared > 0 {
			gate := 1 / (1 + math.Exp(-m.linear(key+"sg", xt, 1, upTo(1))[0]))
			for c, v := range one(key+"s", xt, e.Shared) {
				y[c] += gate * v
			}
		}
		out = append(out, y)
	}
	return out
}

// states are the values of one window at every boundary, by tap and layer.
type states map[string]vec

func stateKey(tap string, layer int) string { return fmt.Sprintf("%s %d", tap, layer) }

// forward returns the states and the logits at every position; without types
// they are all 0.
func (m *scalar) forward(ids []int32, types ...int32) (states, vec) {
	s := m.s
	st := states{}
	x := m.embed(ids, types)
	st[stateKey(TapResidPost, 0)] = clone(x)
	for l := range s.Layers {
		b := s.Block(l)
		st[stateKey(TapResidPre, l+1)] = clone(x)
		normed := func(i int, x vec) vec {
			var out vec
			for _, v := range x {
				out = append(out, m.norm(&b.Norm, v, m.get(fmt.Sprintf("%d.n%d.g", l, i)), m.get(fmt.Sprintf("%d.n%d.b", l, i))))
			}
			return out
		}
		scaled := func(x vec) vec {
			r := float64(b.Residual)
			if r == 0 {
				r = 1
			}
			for _, v := range x {
				for i := range v {
					v[i] *= r
				}
			}
			return x
		}
		attn := func(x vec) vec { return m.attention(&b.Attn, l, x) }
		var act vec
		mlp := func(x vec) vec {
			out, a := m.mlp(&b.MLP, l, x)
			act = a
			return out
		}
		var a, f vec
		switch b.Form {
		case Seq:
			n := normed(1, x)
			a = scaled(attn(n))
			if b.FromNorm {
				x = n
			}
			x = sum(x, a)
			n = normed(2, x)
			f = scaled(mlp(n))
			if b.FromNorm {
				x = n
			}
			x = sum(x, f)
		case Par:
			a, f = scaled(attn(normed(1, x))), scaled(mlp(normed(2, x)))
			x = sum(sum(x, a), f)
		case Par1:
			a, f = scaled(attn(normed(1, x))), scaled(mlp(normed(1, x)))
			x = sum(sum(x, a), f)
		case Post:
			a = scaled(normed(1, attn(x)))
			x = sum(x, a)
			f = scaled(normed(2, mlp(x)))
			x = sum(x, f)
		case Sandwich:
			a = scaled(normed(2, attn(normed(1, x))))
			x = sum(x, a)
			f = scaled(normed(4, mlp(normed(3, x))))
			x = sum(x, f)
		case PostNorm:
			a = scaled(attn(x))
			x = normed(1, sum(x, a))
			f = scaled(mlp(x))
			x = normed(2, sum(x, f))
		}
		st[stateKey(TapAttnOut, l+1)], st[stateKey(TapMLPOut, l+1)], st[stateKey(TapMLPAct, l+1)] = a, f, act
		st[stateKey(TapResidPost, l+1)] = clone(x)
	}
	if s.Final != nil {
		for t := range x {
			x[t] = m.norm(s.Final, x[t], m.get("final.g"), m.get("final.b"))
		}
	}
	if s.Embed.Width != 0 {
		for t := range x {
			x[t] = m.linear("headproj", x[t], s.Embed.Width, upTo(s.Embed.Width))
		}
	}
	st[stateKey(TapFinalNorm, len(s.Layers))] = clone(x)
	return st, m.logits(x)
}

func (m *scalar) embed(ids, types []int32) vec {
	e := &m.s.Embed
	w := m.get("embed.w")
	width := len(w) / m.s.Vocab
	var x vec
	counted := 0
	for t, id := range ids {
		v := append([]float64(nil), w[int(id)*width:(int(id)+1)*width]...)
		if e.Scale != 0 {
			for i := range v {
				v[i] *= float64(e.Scale)
			}
		}
		if e.Width != 0 {
			v = m.linear("embedproj", v, m.s.Width, upTo(m.s.Width))
		}
		if p := e.Learned; p != nil {
			at := t + p.Offset
			if p.Pad != nil { // padding is not counted
				if at = *p.Pad; int(id) != *p.Pad {
					at = counted + p.Offset
					counted++
				}
			}
			for i := range v {
				v[i] += m.get("positions.w")[at*m.s.Width+i]
			}
		}
		if e.Types > 0 {
			k := 0
			if types != nil {
				k = int(types[t])
			}
			for i := range v {
				v[i] += m.get("types.w")[k*m.s.Width+i]
			}
		}
		if e.Norm != nil {
			v = m.norm(e.Norm, v, m.get("embednorm.g"), m.get("embednorm.b"))
		}
		x = append(x, v)
	}
	return x
}

func (m *scalar) logits(x vec) vec {
	s := m.s
	var out vec
	for _, v := range x {
		if p := s.Head.Transform; p != nil {
			v = m.linear("transform", v, s.Width, upTo(s.Width))
			for i := range v {
				v[i] = m.act(p.Act, v[i])
			}
			v = m.norm(&p.Norm, v, m.get("transform.n.g"), m.get("transform.n.b"))
		}
		key := "head"
		if s.Head.Tied {
			key = "embed"
		}
		y := m.linear(key, v, s.Vocab, upTo(s.Vocab))
		for i := range y {
			if b := m.get("head.b"); b != nil && s.Head.Tied {
				y[i] += b[i]
			}
			if s.Head.Scale != 0 {
				y[i] *= float64(s.Head.Scale)
			}
			if c := float64(s.Head.Cap); c != 0 {
				y[i] = c * math.Tanh(y[i]/c)
			}
		}
		out = append(out, y)
	}
	return out
}

// rowScores are the statistics of one row of logits for a target.
func rowScores(x []float64, target int32) (logprob, entropy, sd float64, rank int) {
	top := math.Inf(-1)
	for _, v := range x {
		top = math.Max(top, v)
	}
	sum := 0.0
	for _, v := range x {
		sum += math.Exp(v - top)
	}
	lse := top + math.Log(sum)
	for i, v := range x {
		entropy -= math.Exp(v-lse) * (v - lse)
		if i != int(target) && v > x[target] {
			rank++
		}
	}
	for _, v := range x {
		sd += math.Exp(v-lse) * (v - lse + entropy) * (v - lse + entropy)
	}
	return x[target] - lse, entropy, math.Sqrt(sd), rank
}

func sum(x, y vec) vec {
	out := make(vec, len(x))
	for t := range x {
		out[t] = make([]float64, len(x[t]))
		for i := range x[t] {
			out[t][i] = x[t][i] + y[t][i]
		}
	}
	return out
}

func clone(x vec) vec {
	out := make(vec, len(x))
	for t := range x {
		out[t] = append([]float64(nil), x[t]...)
	}
	return out
}

func flat(x vec) []float64 {
	var out []float64
	for _, v := range x {
		out = append(out, v...)
	}
	return out
}

package model

import (
	"context"
	"hash/fnv"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"assay/weights"
)

// randomSource holds random weights of any shape, large enough that every part
// of the mathematics moves the output.
type randomSource struct{ infos []weights.Info }

func newRandomSource(f *Family, s *Spec) *randomSource {
	r := &randomSource{}
	for _, n := range f.needs(s, f.Names.Base) {
		r.infos = append(r.infos, weights.Info{Name: n.name, DType: weights.F32, Shape: n.dims})
	}
	return r
}

func (r *randomSource) Config() *weights.Config         { return &weights.Config{} }
func (r *randomSource) Tensors() iter.Seq[weights.Info] { return slices.Values(r.infos) }
func (r *randomSource) F32(name string, dst []float32) error {
	h := fnv.New64a()
	h.Write([]byte(name))
	g := rand.New(rand.NewPCG(3, h.Sum64()))
	i := slices.IndexFunc(r.infos, func(t weights.Info) bool { return t.Name == name })
	scale := 0.7
	if s := r.infos[i].Shape; len(s) == 2 && !strings.HasPrefix(name, "embed") {
		scale = 1.6 / math.Sqrt(float64(min(s[0], s[1])))
	}
	for j := range dst {
		dst[j] = float32(scale * g.NormFloat64())
	}
	return nil
}

// form is a Spec that stands for a form of block that the table of families has.
type form struct {
	name  string
	spec  func(s *Spec, b *Block)
	names func(n *Names)
}

// forms go beyond the families that run today: each part of a Spec is on in at
// least one of them.
func forms() []form {
	ln := Norm{Kind: LayerNorm, Eps: 1e-5, Gain: true, Bias: true}
	rms := Norm{Kind: RMSNorm, Eps: 1e-6, Gain: true}
	ropeOf := func(dim int, interleaved bool) *Rope {
		r := &Rope{Dim: dim, Interleaved: interleaved}
		for i := range dim / 2 {
			r.Freq = append(r.Freq, Float(math.Pow(100, -float64(2*i)/float64(dim))))
		}
		return r
	}
	fused := func(n *Names) { n.Block["qkv"] = "qkv" }
	return []form{
		{name: "seq rms gated rope", spec: func(s *Spec, b *Block) {}},
		{name: "seq rms heads norm window", spec: func(s *Spec, b *Block) {
			b.Attn.QKNorm = &QKNorm{Norm: rms, Scope: ScopeHead}
			b.Attn.Window = 37
		}},
		{name: "whole norm first clip", spec: func(s *Spec, b *Block) {
			b.Attn.QKNorm = &QKNorm{Norm: rms, Scope: ScopeWhole, First: true}
			b.Attn.Clip = 0.4
		}},
		{name: "clip then layer norm per head", spec: func(s *Spec, b *Block) {
			n := ln
			b.Attn.QKNorm = &QKNorm{Norm: n, Scope: ScopeHeads}
			b.Attn.Clip = 0.9
		}},
		{name: "heads norm without bias interleaved", spec: func(s *Spec, b *Block) {
			b.Attn.QKNorm = &QKNorm{Norm: Norm{Kind: LayerNorm, Eps: 1e-5, Gain: true}, Scope: ScopeHeads}
			b.Attn.Rope = ropeOf(8, true)
		}},
		{name: "par ln plain partial grouped", spec: func(s *Spec, b *Block) {
			b.Form, b.Norm, s.Final = Par, ln, &ln
			b.Attn.Rope = ropeOf(4, false)
			b.Attn.Bias, b.Attn.BiasO = true, true
			b.MLP = MLP{Width: 20, Act: GELU, Bias: true, BiasDown: true}
		}, names: func(n *Names) { fused(n); n.Grouped = true }},
		{name: "par1 ln stacked head bias", spec: func(s *Spec, b *Block) {
			b.Form, b.Norm, s.Final = Par1, ln, &ln
			b.Attn.Rope = ropeOf(4, true)
			b.MLP = MLP{Width: 20, Act: GELUTanh, Bias: true, BiasDown: true}
			s.Head.Bias = true
		}, names: fused},
		{name: "par1 rms scaled head", spec: func(s *Spec, b *Block) {
			b.Form = Par1
			s.Head = Head{Tied: true, Scale: 0.25}
		}},
		{name: "post rms whole norm", spec: func(s *Spec, b *Block) {
			b.Form = Post
			b.Attn.QKNorm = &QKNorm{Norm: rms, Scope: ScopeWhole}
		}},
		{name: "sandwich plus one caps embed scale", spec: func(s *Spec, b *Block) {
			n := rms
			n.PlusOne = true
			b.Form, b.Norm, s.Final = Sandwich, n, &n
			b.Attn.Cap, s.Head.Cap, s.Head.Tied = 1.5, 2.5, true
			b.MLP.Act = GELUTanh
			s.Embed.Scale = 4.8989794855663561
		}},
		{name: "bert form learned offset narrow", spec: func(s *Spec, b *Block) {
			b.Form, b.Norm, s.Final = PostNorm, ln, nil
			b.Attn.Rope = nil
			s.Embed = Embed{Width: 10, Learned: &Learned{Rows: 400, Offset: 2}}
			s.Positions = 398
			b.MLP = MLP{Width: 20, Act: ReLU, Bias: true, BiasDown: true}
			s.Head.Tied = true
		}},
		{name: "seq ln conv1d learned", spec: func(s *Spec, b *Block) {
			b.Norm, s.Final = ln, &ln
			b.Attn.Rope, b.Attn.Bias, b.Attn.BiasO = nil, true, true
			s.Embed.Learned = &Learned{Rows: 400}
			s.Positions = 400
			b.MLP = MLP{Width: 20, Act: GELUTanh, Bias: true, BiasDown: true}
		}, names: func(n *Names) { fused(n); n.Transposed = true }},
		{name: "alibi embed norm from norm", spec: func(s *Spec, b *Block) {
			b.Norm, s.Final, s.Embed.Norm = ln, &ln, &ln
			b.Attn.Heads, b.Attn.KVHeads = 6, 6
			b.Attn.Rope, b.Attn.ALiBi = nil, &ALiBi{Scale: 1}
			b.FromNorm = true
		}, names: func(n *Names) { fused(n); n.Grouped = true }},
		{name: "alibi scaled no parameters", spec: func(s *Spec, b *Block) {
			n := Norm{Kind: LayerNorm, Eps: 1e-5}
			b.Norm, s.Final = n, &n
			b.Attn.Rope, b.Attn.ALiBi = nil, &ALiBi{Scale: 0.35}
			b.MLP.Act = ReLU
		}},
		{name: "residual multiplier fused gate", spec: func(s *Spec, b *Block) {
			b.Residual = 0.22
			b.MLP.Bias, b.MLP.BiasDown = true, true
		}, names: func(n *Names) { n.Block["gateup"] = "gateup" }},
		{name: "longrope factor", spec: func(s *Spec, b *Block) {
			r := ropeOf(8, false)
			r.Original, r.Factor = 64, 1.15
			for i, f := range r.Freq {
				r.Long = append(r.Long, f/Float(i+1))
			}
			b.Attn.Rope = r
		}},
		{name: "experts renormalised", spec: func(s *Spec, b *Block) {
			b.MLP.Experts = &Experts{N: 5, Top: 2, Normalise: true}
		}},
		{name: "experts shared sliding", spec: func(s *Spec, b *Block) {
			b.Attn.Window = 37
			b.MLP.Act = GELUTanh
			b.MLP.Experts = &Experts{N: 7, Top: 3, Shared: 12}
		}},
		{name: "both ways types transform", spec: func(s *Spec, b *Block) {
			b.Form, b.Norm, s.Final = PostNorm, ln, nil
			b.Attn.Rope, b.Attn.Bidirectional, b.Attn.Bias, b.Attn.BiasO = nil, true, true, true
			s.Embed = Embed{Learned: &Learned{Rows: 400}, Types: 3, Norm: &ln}
			s.Positions = 400
			b.MLP = MLP{Width: 20, Act: GELU, Bias: true, BiasDown: true}
			s.Head = Head{Tied: true, Bias: true, Transform: &Transform{Act: GELU, Norm: ln}}
		}},
		{name: "both ways grouped cap positions from padding", spec: func(s *Spec, b *Block) {
			b.Attn.Rope, b.Attn.Bidirectional, b.Attn.Cap = nil, true, 1.5
			pad := 3
			s.Embed.Learned = &Learned{Rows: 404, Offset: 4, Pad: &pad}
			s.Positions = 400
			s.Head = Head{Transform: &Transform{Act: ReLU, Norm: rms}, Bias: true}
		}},
		{name: "no positions multi-query", spec: func(s *Spec, b *Block) {
			b.Attn.Rope, b.Attn.KVHeads = nil, 1
		}, names: func(n *Names) { fused(n) }},
	}
}

// build makes the family, spec and source of a form.
func (f form) build() (*Family, *Spec, *randomSource) {
	rms := Norm{Kind: RMSNorm, Eps: 1e-6, Gain: true}
	fam := &Family{Name: "test", Names: Names{
		Base: "m.", Embed: "embed", Positions: "pos", Types: "types", Transform: "transform", TransformNorm: "transformnorm", EmbedNorm: "embednorm", EmbedProj: "embedproj", HeadProj: "headproj",
		Layer: "{l}.", Final: "final", Head: "head",
		Block: map[string]string{"n1": "n1", "n2": "n2", "n3": "n3", "n4": "n4", "q": "q", "k": "k", "v": "v", "o": "o",
			"qn": "qn", "kn": "kn", "gate": "gate", "up": "up", "down": "down",
			"router": "router", "egate": "e{e}.gate", "eup": "e{e}.up", "edown": "e{e}.down", "sgate": "sgate", "sup": "sup", "sdown": "sdown", "sg": "sg"},
	}}
	s := &Spec{Family: "test", Vocab: 101, Width: 24, Positions: 1000, Final: &rms}
	r := &Rope{Dim: 8}
	for i := range 4 {
		r.Freq = append(r.Freq, Float(math.Pow(100, -float64(i)/4)))
	}
	b := Block{Form: Seq, Norm: rms, Attn: Attn{Heads: 4, KVHeads: 2, HeadDim: 8, Scale: Float(1 / math.Sqrt(8)), Rope: r},
		MLP: MLP{Width: 28, Act: SiLU, Gated: true}}
	f.spec(s, &b)
	if f.names != nil {
		f.names(&fam.Names)
	}
	if err := s.repeat(2, func(int) Block { return b }); err != nil {
		panic(err)
	}
	return fam, s, newRandomSource(fam, s)
}

// loadForm loads a family and spec that no config.json describes.
func loadForm(t testing.TB, f *Family, s *Spec, src Source, o Options) *Model {
	t.Helper()
	inv, err := account(f, s, src.Tensors())
	if err != nil {
		t.Fatal(err)
	}
	m, err := load(context.Background(), src, &Description{Spec: s, family: f, inventory: inv}, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// TestForms compares every boundary of every form with the scalar forward pass,
// from the front, and names the first tensor that differs.
func TestForms(t *testing.T) {
	for _, f := range forms() {
		t.Run(f.name, func(t *testing.T) {
			fam, s, src := f.build()
			ref := newScalar(t, fam, s, src)
			m := loadForm(t, fam, s, src, Options{BatchTokens: 128})
			g := rand.New(rand.NewPCG(5, 5))
			var ws []Window
			lengths := []int{7, 70, 300} // one bucket each; the last takes blocks of queries
			if s.Kinds[0].MLP.Experts != nil {
				lengths = lengths[:2] // attention is that of the others
			}
			for i, n := range lengths {
				w := Window{Doc: i}
				for k := range n {
					if s.Encoder() { // a token is predicted at its own place
						w.Rows = append(w.Rows, int32(k))
					}
					if s.Embed.Types > 0 {
						w.Types = append(w.Types, int32(g.IntN(s.Embed.Types)))
					}
					w.IDs = append(w.IDs, int32(g.IntN(s.Vocab)))
					w.Targets = append(w.Targets, int32(g.IntN(s.Vocab)))
				}
				ws = append(ws, w)
			}
			compareWithScalar(t, m, ref, ws)
		})
	}
}

// compareWithScalar runs ws through m and ref.
func compareWithScalar(t *testing.T, m *Model, ref *scalar, ws []Window) {
	t.Helper()
	var taps []Tap
	sparse := m.spec.Kinds[0].MLP.Experts != nil
	for _, name := range Taps() {
		if name == TapMLPAct && sparse {
			continue // experts share none
		}
		taps = append(taps, Tap{Name: name})
	}
	got := make([]map[string][]float32, len(ws))
	scores := make([]Scores, len(ws))
	err := m.Run(context.Background(), each(ws), Job{
		Score: &ScoreOptions{}, Emit: func(w Window, s Scores) error { scores[w.Doc] = s; return nil },
		Taps: taps, Reduce: func(w Window, tap Tap, layer int, x View) error {
			if got[w.Doc] == nil {
				got[w.Doc] = map[string][]float32{}
			}
			got[w.Doc][stateKey(tap.Name, layer)] = slices.Clone(x.X)
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	worst := 0.0
	for i, w := range ws {
		want, logits := ref.forward(w.IDs, w.Types...)
		var order []string
		order = append(order, stateKey(TapResidPost, 0))
		for l := range m.spec.Layers {
			for _, tap := range []string{TapResidPre, TapAttnOut, TapMLPAct, TapMLPOut, TapResidPost} {
				if tap == TapMLPAct && sparse {
					continue
				}
				order = append(order, stateKey(tap, l+1))
			}
		}
		for _, key := range append(order, stateKey(TapFinalNorm, len(m.spec.Layers))) {
			x, y := got[i][key], flat(want[key])
			if len(x) != len(y) {
				t.Fatalf("window %d: %s: %d values, want %d", i, key, len(x), len(y))
			}
			d, at := relative(x, y)
			worst = max(worst, d)
			if !(d <= tolHidden) {
				t.Fatalf("window %d: first tensor that differs: %s: at %d got %v, want %v (%.2g of the rms)", i, key, at, x[at], y[at], d)
			}
		}
		for j, id := range w.Targets {
			lp, ent, sd, _ := rowScores(logits[j], id)
			for k, d := range []float64{float64(scores[i].Logprob[j]) - lp, float64(scores[i].Entropy[j]) - ent, float64(scores[i].SD[j]) - sd} {
				if tol := []float64{tolLogprob, tolMoment, tolMoment}[k]; !(math.Abs(d) <= tol) {
					t.Fatalf("window %d target %d: %s off by %g", i, j, []string{"logprob", "entropy", "sd"}[k], d)
				}
			}
		}
	}
	t.Logf("largest difference of states: %.1e of the rms", worst)
}

// TestScalarReference compares the scalar pass itself with transformers'
// float64 values, block by block: it must be a reference before it serves as one.
func TestScalarReference(t *testing.T) {
	for _, c := range referenceCheckpoints(t) {
		t.Run(c.Name, func(t *testing.T) {
			ck := openReference(t, c.Name)
			d, err := Describe(ck)
			if err != nil {
				t.Fatal(err)
			}
			e := readExpected(t, c.Name)
			ref := newScalar(t, d.family, d.Spec, ck)
			var ids []int32
			for _, v := range e.tensors["ids.1"].i {
				ids = append(ids, int32(v))
			}
			st, logits := ref.forward(ids)
			check := func(name, key string) {
				t.Helper()
				want, got := e.tensors[name].f, flat(st[key])
				for i := range want { // golden states are stored in float32
					if d := math.Abs(got[i] - want[i]); d > 1e-6*(1+math.Abs(want[i])) {
						t.Fatalf("%s: at %d got %v, want %v", name, i, got[i], want[i])
					}
				}
			}
			check("hidden.1.embed", stateKey(TapResidPost, 0))
			for l := range d.Spec.Layers {
				check("hidden.1.block."+string(rune('0'+l)), stateKey(TapResidPost, l+1))
			}
			check("hidden.1.final", stateKey(TapFinalNorm, len(d.Spec.Layers)))
			lp, ent, sd := e.tensors["logprob.1"].f, e.tensors["entropy.1"].f, e.tensors["sd.1"].f
			targets := e.windows()[1].Targets
			for i := range lp {
				a, b, c, rank := rowScores(logits[i], targets[i])
				for k, d := range []float64{a - lp[i], b - ent[i], c - sd[i]} {
					if math.Abs(d) > 1e-9 {
						t.Fatalf("target %d: %s off by %g", i, []string{"logprob", "entropy", "sd"}[k], d)
					}
				}
				if int64(rank) != e.tensors["rank.1"].i[i]-1 {
					t.Fatalf("target %d: rank %d, want %d", i, rank, e.tensors["rank.1"].i[i]-1)
				}
			}
		})
	}
}

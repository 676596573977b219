package model

import (
	"fmt"
	"slices"

	"assay/internal/fault"
	"github.com/gomlx/gomlx/core/tensors"
)

// Names of taps. L is the number of layers.
const (
	TapResidPost = "resid_post" // layer 0..L: 0 = input of the first block, l = output of block l
	TapResidPre  = "resid_pre"  // layer 1..L: input of block l
	TapFinalNorm = "final_norm" // layer L: output of the final norm, narrowed where the output matrix is (OPT 350m)
	TapAttnOut   = "attn_out"   // layer 1..L: what attention adds to the residual stream
	TapMLPOut    = "mlp_out"    // layer 1..L: what the MLP adds
	TapMLPAct    = "mlp_act"    // layer 1..L: input of the down projection
)

// Taps lists the tap names.
func Taps() []string {
	return []string{TapResidPost, TapResidPre, TapFinalNorm, TapAttnOut, TapMLPOut, TapMLPAct}
}

// Tap asks for a named hidden state at some layers; nil means all that it has.
type Tap struct {
	Name   string
	Layers []int
}

// View is a hidden state of one window: Rows x Width values, row t for input t.
// It is valid during the call that receives it.
type View struct {
	X           []float32
	Rows, Width int
}

// Row returns the vector at input t.
func (v View) Row(t int) []float32 { return v.X[t*v.Width : (t+1)*v.Width : (t+1)*v.Width] }

// TapLayers returns the layer indices that a tap has, and its width.
func (m *Model) TapLayers(name string) (layers []int, width int, err error) {
	return m.spec.TapLayers(name)
}

// TapLayers returns the layer indices that a tap has, and its width; it needs no
// weights.
func (s *Spec) TapLayers(name string) (layers []int, width int, err error) {
	L := len(s.Layers)
	switch name {
	case TapResidPost:
		return seqRows(0, L+1), s.Width, nil
	case TapResidPre, TapAttnOut, TapMLPOut:
		return seqRows(1, L), s.Width, nil
	case TapMLPAct:
		if slices.ContainsFunc(s.Kinds, func(b Block) bool { return b.MLP.Experts != nil }) {
			return nil, 0, fault.Usagef("model: tap %q: each token takes experts of its own, which share no input of a down projection", name)
		}
		return seqRows(1, L), s.Kinds[0].MLP.Width, nil
	case TapFinalNorm:
		return []int{L}, s.headWidth(), nil
	}
	return nil, 0, fault.Usagef("model: tap %q: unknown, want one of %v", name, Taps())
}

// want is one tap at one layer.
type want struct {
	tap   Tap
	layer int
}

// tapPlan lists the taps to reduce after each step: step 0 is the embedding,
// step l block l.
type tapPlan struct {
	pre, post, attn, mlp, act [][]want // by step
	final                     []want
}

func (p *tapPlan) parts(l int) int {
	n := 0
	for i, w := range [][][]want{p.attn, p.mlp, p.act} {
		if len(w[l]) > 0 {
			n |= 1 << i
		}
	}
	return n
}

// planTaps checks the taps and sorts them by the step that computes them.
func (m *Model) planTaps(taps []Tap) (tapPlan, error) {
	L := len(m.spec.Layers)
	var p tapPlan
	for _, s := range []*[][]want{&p.pre, &p.post, &p.attn, &p.mlp, &p.act} {
		*s = make([][]want, L+1)
	}
	for _, t := range taps {
		have, _, err := m.TapLayers(t.Name)
		if err != nil {
			return p, err
		}
		layers := t.Layers
		if layers == nil {
			layers = have
		}
		for _, l := range layers {
			if !slices.Contains(have, l) {
				return p, fault.Usagef("model: tap %q: layer %d: want %d to %d", t.Name, l, have[0], have[len(have)-1])
			}
			w := want{t, l}
			switch t.Name {
			case TapResidPost:
				p.post[l] = append(p.post[l], w)
			case TapResidPre:
				p.pre[l] = append(p.pre[l], w)
			case TapAttnOut:
				p.attn[l] = append(p.attn[l], w)
			case TapMLPOut:
				p.mlp[l] = append(p.mlp[l], w)
			case TapMLPAct:
				p.act[l] = append(p.act[l], w)
			case TapFinalNorm:
				p.final = append(p.final, w)
			}
		}
	}
	return p, nil
}

// reduce shows x [B, T, width] to the reducer, window by window.
func (r *run) reduce(b batch, ws []want, x *tensors.Tensor) error {
	if len(ws) == 0 {
		return nil
	}
	width := x.Shape().Dimensions[2]
	var rerr error
	err := read(x, func(flat []float32) {
		r.mu.Lock()
		defer r.mu.Unlock()
		for i, it := range b.items {
			n := len(it.w.IDs)
			at := i * b.T * width
			v := View{X: flat[at : at+n*width : at+n*width], Rows: n, Width: width}
			if t, ok := finite(v.X); !ok {
				rerr = r.m.badState(it.w, ws[0], t/width, v.X[t])
				return
			}
			for _, w := range ws {
				if rerr = r.job.Reduce(it.w, w.tap, w.layer, v); rerr != nil {
					return
				}
			}
		}
	})
	if rerr != nil {
		return rerr
	}
	return err
}

// finite reports whether all of x is finite, else the first index that is not.
func finite(x []float32) (int, bool) {
	for i, v := range x {
		if v-v != 0 { // NaN and the infinities
			return i, false
		}
	}
	return 0, true
}

// StateError says where a hidden state is not finite.
type StateError struct {
	Doc, Window int
	Tap         string
	Layer, Row  int // Row: input of the window
	ID          int32
	Value       float32
}

func (e *StateError) Error() string {
	return fmt.Sprintf("model: doc %d window %d: %s layer %d input %d (id %d): value %g", e.Doc, e.Window, e.Tap, e.Layer, e.Row, e.ID, e.Value)
}

func (m *Model) badState(w Window, t want, row int, v float32) error {
	return &fault.Fault{Class: fault.Input, Code: "nonfinite", Err: &StateError{w.Doc, w.Index, t.tap.Name, t.layer, row, w.IDs[row], v}}
}

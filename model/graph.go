package model

import (
	"math"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"
)

// masked is the score of a key that must not be seen: a finite value, since a
// row of -Inf would make softmax NaN, and large enough that exp underflows.
const masked = -1e30

// dense returns x w + b; w is [in, out]. On the Go backend this layout packs
// faster than [out, in] when few rows are multiplied.
func dense(x, w, b *node) *node { return denseAct(x, w, b, "") }

// denseAct returns act(x w + b): fused, the result is written once.
func denseAct(x, w, b *node, act string) *node {
	out, _ := graph.InternalFusedOpCaller(
		func() *node {
			return graph.BackendFusedDense(x, w, b, compute.DenseConfig{WeightLayout: compute.DenseLayoutInputOutputs, Activation: fusedAct(act)})
		},
		func() *node {
			r := x.Rank()
			y := graph.DotGeneral(x, []int{r - 1}, nil, w, []int{0}, nil)
			if b != nil {
				y = graph.Add(y, graph.ExpandLeftToRank(b, r))
			}
			if act != "" {
				y = activate(act, y)
			}
			return y
		}, false)
	return out
}

// fusedAct is the backend's name of what activate computes; "" is none.
func fusedAct(kind string) compute.ActivationConfig {
	switch kind {
	case GELU:
		return compute.ActivationConfig{Type: compute.ActivationGelu}
	case GELUTanh:
		return compute.ActivationConfig{Type: compute.ActivationGeluApproximate}
	case SiLU:
		return compute.ActivationConfig{Type: compute.ActivationSilu}
	case ReLU:
		return compute.ActivationConfig{Type: compute.ActivationRelu}
	}
	return compute.ActivationConfig{}
}

// norm applies n over the last axis; gain and bias may be nil.
func norm(n *Norm, x, gain, bias *node) *node {
	axis := x.Rank() - 1
	if n.Kind == RMSNorm {
		ms := graph.ReduceAndKeep(graph.Mul(x, x), graph.ReduceMean, axis)
		y := graph.Mul(x, graph.Rsqrt(graph.AddScalar(ms, float64(n.Eps))))
		if gain != nil {
			y = graph.Mul(y, graph.ExpandLeftToRank(gain, x.Rank()))
		}
		return y
	}
	out, _ := graph.InternalFusedOpCaller(
		func() *node { return graph.BackendFusedLayerNorm(x, []int{axis}, float64(n.Eps), gain, bias) },
		func() *node {
			c := graph.Sub(x, graph.ReduceAndKeep(x, graph.ReduceMean, axis))
			v := graph.ReduceAndKeep(graph.Mul(c, c), graph.ReduceMean, axis)
			y := graph.Mul(c, graph.Rsqrt(graph.AddScalar(v, float64(n.Eps))))
			if gain != nil {
				y = graph.Mul(y, graph.ExpandLeftToRank(gain, x.Rank()))
			}
			if bias != nil {
				y = graph.Add(y, graph.ExpandLeftToRank(bias, x.Rank()))
			}
			return y
		}, false)
	return out
}

// activate applies an activation elementwise.
func activate(kind string, x *node) *node {
	plain := map[string]func() *node{
		GELU: func() *node {
			return graph.Mul(graph.MulScalar(x, .5), graph.OnePlus(graph.Erf(graph.MulScalar(x, math.Sqrt2/2))))
		},
		GELUTanh: func() *node {
			u := graph.MulScalar(graph.Add(x, graph.MulScalar(graph.Mul(x, graph.Mul(x, x)), .044715)), math.Sqrt(2/math.Pi))
			return graph.Mul(graph.MulScalar(x, .5), graph.OnePlus(graph.Tanh(u)))
		},
		SiLU: func() *node { return graph.Mul(x, graph.Sigmoid(x)) },
		ReLU: func() *node { return graph.MaxScalar(x, 0) },
	}[kind]
	out, _ := graph.InternalFusedOpCaller(
		func() *node { return graph.BackendFusedActivation(x, fusedAct(kind)) }, plain, false)
	return out
}

// gated returns act(gate) * up for x = [gate, up] along the last axis.
func gated(kind string, x *node) *node {
	plain := func() *node {
		p := graph.Split(x, x.Rank()-1, 2)
		return graph.Mul(activate(kind, p[0]), p[1])
	}
	if kind != SiLU {
		return plain()
	}
	out, _ := graph.InternalFusedOpCaller(
		func() *node {
			return graph.BackendFusedActivation(x, compute.ActivationConfig{Type: compute.ActivationSwiGLU})
		}, plain, false)
	return out
}

// softcap returns c tanh(x/c).
func softcap(c Float, x *node) *node {
	if c == 0 {
		return x
	}
	return graph.MulScalar(graph.Tanh(graph.MulScalar(x, 1/float64(c))), float64(c))
}

// softmax is over the last axis.
func softmax(x *node) *node {
	axis := x.Rank() - 1
	out, _ := graph.InternalFusedOpCaller(
		func() *node { return graph.BackendFusedSoftmax(x, axis) },
		func() *node {
			e := graph.Exp(graph.Sub(x, graph.ReduceAndKeep(x, graph.ReduceMax, axis)))
			return graph.Div(e, graph.ReduceAndKeep(e, graph.ReduceSum, axis))
		}, false)
	return out
}

// cut returns columns [from, to) of the last axis.
func cut(x *node, from, to int) *node {
	return graph.SliceAxis(x, x.Rank()-1, graph.AxisRange(from, to))
}

// widen brings a 16-bit argument to float32.
func widen(x *node) *node {
	if x == nil || x.DType() == dtypes.Float32 {
		return x
	}
	return graph.ConvertDType(x, dtypes.Float32)
}

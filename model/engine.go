package model

import (
	"fmt"
	"sync"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/dtypes/bfloat16"
	"github.com/gomlx/compute/dtypes/float16"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

type node = graph.Node

// engine compiles and runs stages on one backend. Each stage has one shape, so
// a row always meets the same kernels.
type engine struct {
	backend compute.Backend
	mu      sync.Mutex
	execs   map[string]*graph.Exec
}

func newEngine(b compute.Backend) *engine {
	return &engine{backend: b, execs: map[string]*graph.Exec{}}
}

// run executes the stage named key, building it at the first call. Inputs that
// are *tensors.Tensor stay with the caller; others are donated (see donate).
func (e *engine) run(key string, build func(in []*node) []*node, in ...any) ([]*tensors.Tensor, error) {
	x, err := e.stage(key, build)
	if err != nil {
		return nil, err
	}
	out, err := x.Call(in...)
	if err != nil {
		return nil, fmt.Errorf("model: stage %s: %w", key, err)
	}
	return out, nil
}

func (e *engine) stage(key string, build func(in []*node) []*node) (*graph.Exec, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if x := e.execs[key]; x != nil {
		return x, nil
	}
	x, err := graph.NewExecCanonical(e.backend, func(_ *graph.Graph, in []*node) []*node { return build(in) },
		0, 0, false, true, true)
	if err != nil {
		return nil, fmt.Errorf("model: stage %s: %w", key, err)
	}
	x.WithName(key).SetMaxCache(-1).SetNodeLogger(nil)
	e.execs[key] = x
	return x, nil
}

// forget frees the stage named key and its constants; it must not be running.
func (e *engine) forget(key string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if x := e.execs[key]; x != nil {
		x.Finalize()
		delete(e.execs, key)
	}
}

// has reports whether a stage is built.
func (e *engine) has(key string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.execs[key] != nil
}

// close frees the compiled stages and the backend.
func (e *engine) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, x := range e.execs {
		x.Finalize()
	}
	e.execs = map[string]*graph.Exec{}
	e.backend.Finalize()
}

// f32 makes a float32 tensor on the backend and lets fill write it; where the
// backend shares memory with the host nothing is copied.
func (e *engine) f32(dims []int, fill func(x []float32) error) (*tensors.Tensor, error) {
	return newTensor(e.backend, dtypes.Float32, dims, fill)
}

func (e *engine) i32(dims []int, fill func(x []int32) error) (*tensors.Tensor, error) {
	return newTensor(e.backend, dtypes.Int32, dims, fill)
}

func newTensor[T float32 | int32 | bfloat16.BFloat16 | float16.Float16](b compute.Backend, d dtypes.DType, dims []int, fill func(x []T) error) (*tensors.Tensor, error) {
	t, err := tensors.FromShapeForBackend(b, 0, shapes.Make(d, dims...))
	if err != nil {
		return nil, fmt.Errorf("model: tensor %v: %w", dims, err)
	}
	var ferr error
	if err := t.MutableFlatData(func(flat any) { ferr = fill(flat.([]T)) }); err != nil {
		return nil, fmt.Errorf("model: tensor %v: %w", dims, err)
	}
	if ferr != nil {
		return nil, ferr
	}
	return t, nil
}

// donate hands a tensor's memory to the next run; t must not be used again.
func (e *engine) donate(t *tensors.Tensor) (any, error) {
	x, err := graph.DonateTensorBuffer(t, e.backend, 0)
	if err != nil {
		return nil, fmt.Errorf("model: donate: %w", err)
	}
	return x, nil
}

// read lets use see the values of t without a copy where memory is shared.
func read[T float32 | int32](t *tensors.Tensor, use func(x []T)) error {
	if err := tensors.ConstFlatData(t, use); err != nil {
		return fmt.Errorf("model: read %s: %w", t.Shape(), err)
	}
	return nil
}

// free releases tensors; a failure to free is not an error of the results.
func free(ts ...*tensors.Tensor) {
	for _, t := range ts {
		if t != nil {
			_ = t.FinalizeAll()
		}
	}
}

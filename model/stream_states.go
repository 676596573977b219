package model

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"unsafe"

	"assay/internal/fault"
	"github.com/gomlx/gomlx/core/tensors"
)

// layerStates keeps the hidden states of a group between two layers: in memory as
// far as the forecast leaves room, the rest in a scratch file in the system's folder
// for temporary files (TMPDIR).
type layerStates struct {
	m    *Model
	x    []*tensors.Tensor
	at   []int64 // place in the file; -1 = in memory
	dims [][]int
	file *os.File
}

func newLayerStates(m *Model, batches []batch) *layerStates {
	s := &layerStates{m: m, x: make([]*tensors.Tensor, len(batches)), at: make([]int64, len(batches))}
	T := 0
	for _, b := range batches {
		T = max(T, b.T)
	}
	keep := m.Forecast(T).States
	if m.streamKeep != nil {
		keep = *m.streamKeep
	}
	var held, end int64
	for i, b := range batches {
		n := 4 * int64(b.B*b.T) * int64(m.spec.Width)
		s.dims = append(s.dims, []int{b.B, b.T, m.spec.Width})
		if s.at[i] = -1; m.limit > 0 && held+n > keep {
			s.at[i] = end
			end += n
			continue
		}
		held += n
	}
	return s
}

// put keeps the states of batch i. Batches may be put and taken side by side once
// the file is there.
func (s *layerStates) put(i int, x *tensors.Tensor) error {
	if s.at[i] < 0 {
		s.x[i] = x
		return nil
	}
	defer free(x)
	f, err := s.scratch()
	if err != nil {
		return err
	}
	var werr error
	if err := read(x, func(v []float32) { _, werr = f.WriteAt(bytesOf(v), s.at[i]) }); err != nil {
		return err
	}
	return scratchError(werr)
}

// take returns the states of batch i, which are then the caller's.
func (s *layerStates) take(i int) (*tensors.Tensor, error) {
	if s.at[i] < 0 {
		x := s.x[i]
		s.x[i] = nil
		return x, nil
	}
	f, err := s.scratch()
	if err != nil {
		return nil, err
	}
	return s.m.eng.f32(s.dims[i], func(v []float32) error {
		_, err := f.ReadAt(bytesOf(v), s.at[i])
		return scratchError(err)
	})
}

func (s *layerStates) scratch() (*os.File, error) {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	if s.file != nil {
		return s.file, nil
	}
	f, err := os.CreateTemp("", "assay-states-*")
	if err != nil {
		return nil, scratchError(err)
	}
	// A name that is gone leaves nothing behind, however the process ends. Where
	// an open file cannot be removed, close does it.
	_ = os.Remove(f.Name())
	s.file = f
	return f, nil
}

func scratchError(err error) error {
	if err == nil {
		return nil
	}
	return fault.Retryf("io", "model: hidden states: %w", err).Hint("they go to a scratch file where memory is short; TMPDIR names another folder, --memory allows more memory")
}

// close frees what is left.
func (s *layerStates) close() error {
	free(s.x...)
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	if rerr := os.Remove(s.file.Name()); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	if err != nil {
		return fmt.Errorf("model: hidden states: %w", err)
	}
	return nil
}

// bytesOf is the memory of x: the file is read by the process that wrote it.
func bytesOf(x []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(x))), 4*len(x))
}

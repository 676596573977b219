package states

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"

	"assay/internal/fault"
	"assay/model/trace"
	"assay/weights"
)

// Directions are vectors onto which every document's vectors are projected.
type Directions struct {
	N, Width int
	x        []float32 // N x Width
	digest   string
}

// maxDirections bounds the projections of a document to about the size of its rows.
const maxDirections = 4096

// OpenDirections reads the directions of a safetensors file: every tensor, in the
// order of names, is one (its only axis the width) or several (directions x width).
// They are taken as they are: a projection is the inner product.
func OpenDirections(path string) (*Directions, error) {
	if !strings.HasSuffix(path, ".safetensors") {
		return nil, fault.Usagef("states: directions %s: want a .safetensors file", path)
	}
	ck, err := weights.Open(path)
	if err != nil {
		return nil, err
	}
	defer ck.Close()
	infos := slices.SortedFunc(ck.Tensors(), func(a, b weights.Info) int { return strings.Compare(a.Name, b.Name) })
	d := &Directions{}
	for _, t := range infos {
		n, width := 1, 0
		switch len(t.Shape) {
		case 1:
			width = t.Shape[0]
		case 2:
			n, width = t.Shape[0], t.Shape[1]
		}
		if width < 1 || n < 1 || d.Width > 0 && width != d.Width || d.N+n > maxDirections {
			return nil, fault.Inputf("bad-direction", "states: %s: tensor %q: shape %v, want [width] or [directions, width], the same width in all and at most %d directions",
				path, t.Name, t.Shape, maxDirections)
		}
		x := make([]float32, n*width)
		if err := ck.F32(t.Name, x); err != nil {
			return nil, err
		}
		for i, v := range x {
			if v-v != 0 {
				return nil, fault.Inputf("nonfinite", "states: %s: tensor %q: value %d is %v", path, t.Name, i, v)
			}
		}
		d.N, d.Width, d.x = d.N+n, width, append(d.x, x...)
	}
	if d.N == 0 {
		return nil, fault.Inputf("bad-direction", "states: %s: no tensors", path)
	}
	h := sha256.New()
	_ = binary.Write(h, binary.LittleEndian, []int64{int64(d.N), int64(d.Width)}) // to memory
	_ = binary.Write(h, binary.LittleEndian, d.x)
	d.digest = "sha256:" + hex.EncodeToString(h.Sum(nil))
	return d, nil
}

// plan asks the file for projections in place of rows.
func (d *Directions) plan(views []trace.View, o *trace.PlanOptions) error {
	if d == nil {
		return nil
	}
	for _, v := range views {
		if v.Width != d.Width && !v.Tokens() {
			return fault.Usagef("states: view %s has width %d, the directions %d", v.Name(), v.Width, d.Width)
		}
	}
	o.Directions, o.DirectionsDigest = d.N, d.digest
	return nil
}

// project returns the inner products of x[k], the vector of layer k, with every
// direction, layers x directions. Sums are float64, rounded once.
func (d *Directions) project(x [][]float32) []float32 {
	out := make([]float32, 0, len(x)*d.N)
	for _, row := range x {
		for i := range d.N {
			sum := 0.0
			for c, v := range d.x[i*d.Width : (i+1)*d.Width] {
				sum += float64(float64(v) * float64(row[c]))
			}
			out = append(out, float32(sum))
		}
	}
	return out
}

// projections are those of all views of a document, nil for views of tokens.
func (d *Directions) projections(views []trace.View, x [][][]float32) [][]float32 {
	if d == nil {
		return nil
	}
	out := make([][]float32, len(views))
	for v := range views {
		if !views[v].Tokens() {
			out[v] = d.project(x[v])
		}
	}
	return out
}

package states

import (
	"slices"

	"assay/internal/fault"
	"assay/model"
	"assay/model/trace"
)

// pooling makes the vectors of one document in one view.
type pooling struct {
	view   trace.View
	pool   *pool
	id     string
	lo, hi int // span, as positions
	pieces int // windows of the document

	sums []ordered   // by layer
	x    [][]float32 // by layer: vectors of last, rows of tokens
}

// ordered adds the sums of a document's windows in the order of the windows, whatever
// the order in which batches end: the last bit must not depend on batch mates.
type ordered struct {
	sum     []float64
	next    int
	waiting map[int][]float64
}

// room returns where window i may sum; put takes it back.
func (o *ordered) room(i, width int) []float64 {
	if o.sum == nil && i == 0 {
		o.sum = make([]float64, width)
		return o.sum
	}
	return make([]float64, width)
}

func (o *ordered) put(i int, sum []float64) {
	if i == 0 {
		o.next = 1
	} else {
		if o.waiting == nil {
			o.waiting = map[int][]float64{}
		}
		o.waiting[i] = sum
	}
	for o.next > 0 {
		x, ok := o.waiting[o.next]
		if !ok {
			return
		}
		for c, v := range x {
			o.sum[c] += v
		}
		delete(o.waiting, o.next)
		o.next++
	}
}

// add takes the rows of a window that are its own.
func (p *pooling) add(layer, index int, own piece, x model.View) {
	k := slices.Index(p.view.Layers, layer)
	if k < 0 {
		return
	}
	lo, hi := max(p.lo, own.lo), min(p.hi, own.hi)
	if p.x == nil {
		p.x, p.sums = make([][]float32, len(p.view.Layers)), make([]ordered, len(p.view.Layers))
	}
	n := p.hi - p.lo
	switch p.pool.kind {
	case poolLast:
		if lo < hi && hi == p.hi {
			p.x[k] = slices.Clone(x.Row(hi - 1 - own.begin))
		}
		return
	case poolTokens:
		rows := p.pool.rows(p.id, n)
		if p.x[k] == nil {
			p.x[k] = make([]float32, len(rows)*x.Width)
		}
		for i, r := range rows {
			if at := p.lo + int(r); at >= lo && at < hi {
				copy(p.x[k][i*x.Width:], x.Row(at-own.begin))
			}
		}
		return
	}
	sum := p.sums[k].room(index, x.Width)
	if weigh := p.pool.weigh(p.id, n); weigh != nil {
		for at := lo; at < hi; at++ {
			f := weigh(at - p.lo)
			for c, v := range x.Row(at - own.begin) {
				sum[c] += float64(f * float64(v))
			}
		}
	} else {
		for c := 0; c < x.Width; c += blockDims {
			end := min(c+blockDims, x.Width)
			for at := lo; at < hi; at++ {
				addRow(sum[c:end], x.Row(at - own.begin)[c:end])
			}
		}
	}
	if p.sums[k].put(index, sum); p.sums[k].next == p.pieces {
		p.round(k)
	}
}

// round makes the vector of layer k, rounding its sum once. The sum goes at once: where
// layers run one after the other, many documents are under way.
func (p *pooling) round(k int) {
	d := 1.0
	if p.pool.kind == poolMean {
		d = float64(p.hi - p.lo)
	}
	p.x[k] = make([]float32, len(p.sums[k].sum))
	for c, v := range p.sums[k].sum {
		p.x[k][c] = float32(v / d)
	}
	p.sums[k] = ordered{}
}

// vectors returns the vectors of the complete document.
func (p *pooling) vectors() ([][]float32, error) {
	if k := slices.IndexFunc(p.x, func(x []float32) bool { return x == nil }); k >= 0 || len(p.x) == 0 {
		return nil, fault.Inputf("internal", "states: document %q: view %s is incomplete", p.id, p.view.Name())
	}
	return p.x, nil
}

package compare

import (
	"fmt"

	"assay/latent/geom"
	"assay/latent/internal/par"
)

// maps fills the maps of alignment and returns every layer's nearest neighbours.
// Inner products of A stay, each pair once; B's come one layer at a time.
func (p *pairing) maps(out *Report) (na, nb []geom.Neighbours, err error) {
	k := len(p.layers)
	ka := make([]geom.Kernel, k)
	na, nb = make([]geom.Neighbours, k), make([]geom.Neighbours, k)
	out.Map, out.Inside = make([][]float64, k), make([][]float64, k)
	for i := range p.layers {
		out.Map[i], out.Inside[i] = make([]float64, k), make([]float64, k)
	}
	read := func(layer int, second bool) (geom.Kernel, geom.Neighbours, error) {
		if err := p.ctx.Err(); err != nil {
			return geom.Kernel{}, nil, err
		}
		defer p.o.step()
		x, y, err := p.rows(layer)
		if err != nil {
			return geom.Kernel{}, nil, err
		}
		if second {
			x = y
		}
		c := geom.NewCloud(x, p.o.Workers)
		kern, err := geom.NewKernel(c)
		if err != nil {
			return kern, nil, fmt.Errorf("compare: layer %d: %w", p.view.Layers[layer], err)
		}
		return kern, p.nearest(c, true), nil
	}
	for i, l := range p.layers {
		if ka[i], na[i], err = read(l, false); err != nil {
			return nil, nil, err
		}
	}
	p.r.N["documents"] = len(na[0])
	if docs, err := p.a.Docs(); err == nil && len(na[0]) < docs.Len() {
		p.r.Warn("sampled", "%d of %d documents", len(na[0]), docs.Len())
	}
	par.For(k, p.o.Workers, func(i int) {
		for j := range k {
			out.Inside[i][j] = ka[i].CKA(ka[j])
		}
	})
	for j, l := range p.layers {
		kb, n, err := read(l, true)
		if err != nil {
			return nil, nil, err
		}
		nb[j] = n
		par.For(k, p.o.Workers, func(i int) { out.Map[i][j] = ka[i].CKA(kb) })
	}
	return na, nb, nil
}

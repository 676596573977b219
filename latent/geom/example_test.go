package geom_test

import (
	"fmt"

	"assay/latent/geom"
)

// Two groups on a line, 0 2 and 10 12: the means lie 10 apart and each within
// variance is 2.
func Example() {
	x := geom.Dense{N: 4, W: 1, Data: []float64{0, 2, 10, 12}}
	units := []geom.Unit{{Label: 0}, {Label: 0}, {Label: 1}, {Label: 1}}
	t, err := geom.FromRows(x, geom.Singles(4), units, 2, 1, geom.Independent, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := t.Separation()
	fmt.Println(s.D2u, s.Theta, s.R2, err)
	g := t.Groups()
	d2u, theta, _ := geom.Separation(g[0], g[1])
	fmt.Println(d2u, theta)
	m := geom.MomentIndices(g)
	fmt.Println(m.XBI.Value, m.CHI.Value)
	// Output:
	// 98 49 0.9245283018867925 <nil>
	// 98 49
	// 0.01 50
}

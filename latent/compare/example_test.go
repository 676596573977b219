package compare_test

import (
	"context"
	"fmt"

	"assay/latent/compare"
	"assay/latent/geom"
	"assay/latent/internal/mem"
)

// The second checkpoint is the first one turned by a quarter: another basis, the
// same geometry.
func Example() {
	a := mem.Set{Name: "a", First: 1, Rows: true, Layers: []geom.Dense{geom.NewDense(12, 2)}}
	b := mem.Set{Name: "b", First: 1, Rows: true, Layers: []geom.Dense{geom.NewDense(12, 2)}}
	for i := range 12 {
		x, y := float64(7*i%11), float64(5*i%7)
		a.Layers[0].Row(i)[0], a.Layers[0].Row(i)[1] = x, y
		b.Layers[0].Row(i)[0], b.Layers[0].Row(i)[1] = -y, x
		a.Label, b.Label = append(a.Label, ""), append(b.Label, "")
	}
	r, err := compare.States(context.Background(), mem.New(a), mem.New(b), compare.Default())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range r.Estimates {
		switch e.Name {
		case "compare.cka@resid_post.mean.1", "compare.procrustes@resid_post.mean.1", "compare.cosine@resid_post.mean.1":
			fmt.Printf("%s %.3f\n", e.Name, *e.Value)
		}
	}
	// Output:
	// compare.cka@resid_post.mean.1 1.000
	// compare.cosine@resid_post.mean.1 0.000
	// compare.procrustes@resid_post.mean.1 1.000
}

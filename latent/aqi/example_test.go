package aqi_test

import (
	"context"
	"fmt"

	"assay/latent/aqi"
	"assay/latent/geom"
	"assay/latent/internal/mem"
)

// Ten documents per group, one layer of width 3.
func Example() {
	set := mem.Set{Name: "example", First: 1, Rows: true}
	x := geom.NewDense(20, 3)
	for i := range 20 {
		set.Label = append(set.Label, []string{"question", "order"}[i/10])
		x.Row(i)[0], x.Row(i)[1], x.Row(i)[2] = float64(7*i%11), float64(3*i%5), float64(5*i%7)
		if i >= 10 {
			x.Row(i)[0] += 6
		}
	}
	set.Layers = []geom.Dense{x}
	o := aqi.Default()
	o.Indices = []string{"r2", "chi"}
	r, err := aqi.Run(context.Background(), mem.New(set), o)
	if err != nil {
		fmt.Println(err)
		return
	}
	e := r.Estimates[0]
	fmt.Printf("%s %.3f [%.3f, %.3f]\n", e.Name, *e.Value, e.CI.Lo, e.CI.Hi)
	fmt.Println("tier", r.Verdict.Tier, "p-values", len(r.P))
	// Output:
	// aqi.r2@resid_post.mean.pool 0.274 [0.000, 0.461]
	// tier C p-values 0
}

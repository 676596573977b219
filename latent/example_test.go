package latent_test

import (
	"fmt"

	"assay/latent"
	"assay/latent/geom"
	"assay/latent/internal/mem"
)

// A design names what is compared; documents without a label stay out.
func Example() {
	s := mem.New(mem.Set{
		Name: "example", Layers: []geom.Dense{geom.NewDense(5, 2)}, Rows: true,
		Label: []string{"plain", "plain", "tinted", "tinted", ""},
	})
	d, err := latent.NewDesign(s, nil, true)
	if err != nil {
		fmt.Println(err)
		return
	}
	units, rows := d.Counts()
	fmt.Println(d.Groups, units, rows, d.Form)
	// Output: [plain tinted] [2 2] [2 2] independent
}

package swap_test

import (
	"fmt"

	"assay/probes/assoc/swap"
)

// Two questions, margins for white male, white female, Black male, Black female.
func ExampleFit() {
	var rows []swap.Row
	for q, ys := range [][]float64{{1, 1.5, 2, 2.5}, {0, 1, 1, 2}} {
		for i, y := range ys {
			rows = append(rows, swap.Row{Question: fmt.Sprint(q), Y: y,
				Levels: map[string]string{"race": []string{"white", "Black"}[i/2], "gender": []string{"male", "female"}[i%2]}})
		}
	}
	e, err := swap.Fit(rows)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range e.Coefs {
		fmt.Printf("%s %.2f (se %.2f)\n", c.Name, c.Value, c.SE)
	}
	// Output:
	// intercept 0.50 (se 0.50)
	// Black 1.00 (se 0.00)
	// female 0.75 (se 0.25)
}

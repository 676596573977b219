package iat_test

import (
	"fmt"

	"assay/probes/assoc/iat"
)

// Group B has probability .8 and .7 after its two words, .4 and .3 after others.
func ExampleD() {
	d, effect, err := iat.D([]float64{.8, .7, .4, .3}, []bool{true, true, false, false})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("D %.4f, effect %.4f nats\n", d, effect)
	// Output: D 0.4040, effect 1.7432 nats
}

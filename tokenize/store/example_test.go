package store_test

import (
	"fmt"

	"assay/tokenize/store"
)

func ExampleOpen() {
	rows, err := store.Open("testdata/u2.npy", store.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rows.Close()
	ids, err := rows.Row(1, nil)
	fmt.Println(rows.Len(), ids, err)
	// Output: 3 [200 5 6 7] <nil>
}

// The order of epoch 1 of a run that shuffles with numpy's default generator.
func ExampleShuffle() {
	const seed, epoch = 6197, 1
	order, err := store.Shuffle(store.NewPCG64(seed+epoch), 10)
	fmt.Println(order, err)
	// Output: [2 4 7 3 8 9 0 6 1 5] <nil>
}

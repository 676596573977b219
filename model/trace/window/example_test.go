package window_test

import (
	"fmt"

	"assay/model/trace/window"
)

func Example() {
	p := window.Policy{Name: "hf-stride"}.WithDefaults(4)
	ws, err := window.Plan(p, 0, 0, 10)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, w := range ws {
		fmt.Printf("feed [%d,%d) score [%d,%d) first with %d ids before it\n", w.Begin, w.End, w.Lo, w.Hi, w.Ctx(w.Lo))
	}
	// Output:
	// feed [0,4) score [1,4) first with 1 ids before it
	// feed [2,6) score [4,6) first with 2 ids before it
	// feed [4,8) score [6,8) first with 2 ids before it
	// feed [6,10) score [8,10) first with 2 ids before it
}

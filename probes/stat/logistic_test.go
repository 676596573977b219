package stat

import (
	"math"
	"testing"
)

func TestLogistic(t *testing.T) {
	// numpy 2.4, Newton on the standardised column.
	x := [][]float64{{0}, {0}, {1}, {1}, {2}, {2}}
	d, _ := Dense(x, []int{0, 1, 2, 3, 4, 5})
	w, b, err := Logistic(d, []float64{0, 0, 0, 1, 1, 1}, 1, 1e-10)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "w", w[0], 1.0553541658, 1e-9)
	near(t, "b", b, 0, 1e-9)
	// A column of one value is left out, and a model without columns is its prior.
	d, kept := Dense([][]float64{{3}, {3}, {3}, {3}}, []int{0, 1, 2, 3})
	w, b, err = Logistic(d, []float64{0, 1, 1, 1}, 1, 1e-10)
	if err != nil || len(kept) != 0 || len(w) != 0 {
		t.Fatal(kept, w, err)
	}
	near(t, "prior", b, math.Log(3), 1e-9)
}

package trace

import "math"

// sum adds float64 values with Neumaier's compensation (1974): the error of
// every addition is collected and added at the end. The result depends on the
// order of the values and on nothing else.
type sum struct{ s, c float64 }

func (a *sum) add(x float64) {
	t := a.s + x
	if math.Abs(a.s) >= math.Abs(x) {
		a.c += (a.s - t) + x
	} else {
		a.c += (x - t) + a.s
	}
	a.s = t
}

func (a *sum) value() float64 { return a.s + a.c }

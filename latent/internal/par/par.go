// Package par runs independent pieces of work on a bounded number of
// goroutines. It answers for nothing but the bound: every piece writes its own
// result slot, so that the caller can combine slots in a fixed order and get
// the same bytes for any number of workers. It refuses to carry errors or
// cancellation; a caller that needs them keeps them in the slots.
package par

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Workers returns n, or the number of usable cores if n is not positive.
func Workers(n int) int {
	if n > 0 {
		return n
	}
	return runtime.GOMAXPROCS(0)
}

// For calls f(i) once for every i in [0, n), on at most workers goroutines
// (0 = one per core). The order of calls is not defined.
func For(n, workers int, f func(i int)) {
	workers = min(Workers(workers), n)
	if workers <= 1 {
		for i := range n {
			f(i)
		}
		return
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wg.Wait()
}

// Package peak answers: how many float32 operations a second could this machine
// do, and how much memory has this process used? A loop of independent fused
// multiply-adds is timed on every core at once; on processors or builds without
// vector instructions a plain loop takes its place and says so. Speeds of the
// model are printed as a share of it.
package peak

import (
	"runtime"
	"sync"
	"time"
)

// Rate is a measured speed.
type Rate struct {
	GFlops float64 // all threads together, by the clock on the wall
	// PerCPU is the speed of one core by the processor time of this process: it
	// holds on a machine that others use too. 0 where processor time is unknown.
	PerCPU float64
	How    string // what was timed
}

// FMA times the loop on threads cores for about d.
func FMA(threads int, d time.Duration) Rate {
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	var mu sync.Mutex
	var flops float64
	var wg sync.WaitGroup
	cpu, start := CPUSeconds(), time.Now()
	for range threads {
		wg.Go(func() {
			n := 0.0
			for time.Since(start) < d {
				n += chain()
			}
			mu.Lock()
			defer mu.Unlock()
			flops += n
		})
	}
	wg.Wait()
	r := Rate{GFlops: flops / time.Since(start).Seconds() / 1e9, How: how()}
	if used := CPUSeconds() - cpu; used > 0 {
		r.PerCPU = flops / used / 1e9
	}
	return r
}

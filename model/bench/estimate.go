package bench

import (
	"runtime"
	"time"

	"assay/model"
	"assay/model/internal/peak"
)

// typicalShare is the share of the peak of the multiply-add loop that scoring
// reaches with vector kernels: 0.55 (AVX2) to 0.8 (AVX-512). An estimate that is
// a little long annoys less than one that is short.
const typicalShare = 0.6

// Cost is what a run will take.
type Cost struct {
	Tokens  int64
	FLOP    float64 // of the whole run
	Seconds float64 // on this machine as it is now; 0 for a run that is short anyway
	Memory  int64   // bytes, peak
	Threads int
}

// short is the number of operations that no machine needs timing for.
const short = 1e12

// Estimate forecasts scoring tokens in windows of about length inputs. For runs
// that are not short it times the multiply-add loop for 20 ms.
func Estimate(m *model.Model, tokens int64, length int) Cost {
	c := EstimateTime(m.Info(), tokens, length)
	c.Memory = m.Forecast(length).Total()
	return c
}

// EstimateTime is Estimate without the memory, for which the model must be loaded.
func EstimateTime(info model.Info, tokens int64, length int) Cost {
	threads := runtime.GOMAXPROCS(0)
	c := Cost{Tokens: tokens, FLOP: float64(tokens) * info.FLOP(length), Threads: threads}
	if c.FLOP < short {
		return c
	}
	p := peak.FMA(threads, 20*time.Millisecond)
	share := typicalShare
	if !model.SIMD {
		share = .5 // of a peak without vector instructions
	}
	if p.GFlops > 0 {
		c.Seconds = c.FLOP / p.GFlops / 1e9 / share
	}
	return c
}

package model

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"

	"assay/internal/fault"
	"assay/weights"
)

// weightBytes is the memory of the weights. The body is held in float32 or, with
// half, as it is stored. The embedding rows stay as stored; the output matrix
// is in float32 and the backend's layout even where it is tied, and twice (as
// given and packed) where it is held as a constant.
func (s *Spec) weightBytes(inv *inventory, half bool) (n int64) {
	for _, key := range inv.keys {
		values, bytes := int64(size(inv.dims[key])), int64(4)
		if k := inv.kinds[key]; k == weights.F16 || k == weights.BF16 {
			if key == "embed.w" || half && strings.HasSuffix(key, ".w") {
				bytes = 2
			}
		}
		if key != "head.w" {
			n += values * bytes
		}
	}
	if s.Head.None {
		return n
	}
	head := 4 * int64(s.Vocab) * int64(s.headWidth())
	if head <= headConstBytes {
		head *= 2
	}
	return n + head
}

// Forecast is an estimate of the peak resident memory of scoring, in bytes.
type Forecast struct {
	Weights int64 // the weights as they are held
	Batch   int64 // activations of the batches that run at once
	Head    int64 // logits and their statistics
	Runtime int64 // program, tables, garbage between collections
}

// Total is the sum of the parts.
func (f Forecast) Total() int64 { return f.Weights + f.Batch + f.Head + f.Runtime }

// Forecast estimates the memory of scoring windows of up to T inputs.
func (m *Model) Forecast(T int) Forecast {
	return m.spec.forecast(m.spec.weightBytes(m.source.inv, m.half), m.opts.BatchTokens, m.inflight, T)
}

func (s *Spec) forecast(held int64, batchTokens, inflight, T int) Forecast {
	T = bucket(T)
	tokens := int64(s.batchRows(batchTokens, T)) * int64(T)
	var most int64 // values held at the widest point of a block
	for k := range s.Kinds {
		a, m := &s.Kinds[k].Attn, &s.Kinds[k].MLP
		q, kv := int64(a.Heads*a.HeadDim), int64(a.KVHeads*a.HeadDim)
		scores := 2 * int64(a.Heads*T) * tokens // and their softmax
		if T >= longBucket {
			scores = 2 * int64(a.Heads*queryBlock*T)
		}
		attn := 2*(q+2*kv)*tokens + scores
		up := int64(m.Width) * tokens
		if m.Gated {
			up *= 3 // gate and up, and their product
		}
		most = max(most, attn, up)
	}
	most += 3 * int64(s.Width) * tokens // the residual stream, its norm, what is added
	f := Forecast{
		Weights: held,
		Batch:   2 * 4 * most * int64(inflight), // twice: buffers of other sizes wait in the backend's pool
		Head:    4 * 4 * headChunk * int64(s.Vocab) * int64(inflight),
	}
	// The collector lets garbage grow to gcPercent of what lives.
	f.Runtime = 32<<20 + (f.Weights+f.Batch+f.Head)*gcPercent/100
	return f
}

// gcPercent is the growth of the heap between collections. Weights and
// activations are few large arrays without pointers: a collection costs little
// and garbage much.
const gcPercent = 25

// admit makes the model fit: fewer batches at once, then, with WeightsAuto, the
// matrices in 16 bits. It refuses what cannot fit and sets the collector up.
func (m *Model) admit() error {
	if m.limit == 0 {
		m.limit = memoryLimit() * 85 / 100
	}
	debug.SetGCPercent(gcPercent)
	if m.limit <= 0 {
		return nil
	}
	batches := m.inflight
	for m.inflight > 1 && !m.fit(m.usual()) {
		m.inflight--
	}
	if auto := m.opts.Weights == "" || m.opts.Weights == WeightsAuto; auto && !m.fit(m.usual()) {
		m.half = true
		for m.inflight = batches; m.inflight > 1 && !m.fit(m.usual()); {
			m.inflight--
		}
	}
	debug.SetMemoryLimit(m.limit)
	return m.fits(m.usual())
}

func (m *Model) fit(T int) bool { return m.limit <= 0 || m.Forecast(T).Total() <= m.limit }

// usual is a window length that most runs do not exceed.
func (m *Model) usual() int { return min(512, max(1, m.spec.Positions)) }

// fits refuses a run whose forecast exceeds the limit.
func (m *Model) fits(T int) error {
	if m.fit(T) {
		return nil
	}
	return fault.Retryf("memory", "model: memory: %d MB needed for windows of %d, %d MB allowed", m.Forecast(T).Total()>>20, T, m.limit>>20).
		Hint("lower --batch-tokens, take shorter windows, or allow more with --memory")
}

// memoryLimit is the limit of the control group, or the machine's memory; 0 if unknown.
func memoryLimit() int64 {
	best := int64(0)
	for _, name := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		b, err := os.ReadFile(filepath.Clean(name))
		if err != nil {
			continue
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && n > 0 {
			best = n
			break
		}
	}
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return best
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) >= 2 && f[0] == "MemTotal:" {
			if kb, err := strconv.ParseInt(f[1], 10, 64); err == nil && (best == 0 || kb<<10 < best) {
				return kb << 10
			}
		}
	}
	return best
}

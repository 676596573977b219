package model

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"

	"assay/internal/fault"
)

// weightBytes is the memory of the weights in float32: the body, the embedding
// rows, and the output matrix, which stands transposed even where it is tied.
func (s *Spec) weightBytes(i Info) int64 {
	return 4 * (i.Body + 2*int64(s.Vocab)*int64(s.Width))
}

// Forecast is an estimate of the peak resident memory of scoring, in bytes.
type Forecast struct {
	Weights int64 // float32 weights
	Batch   int64 // activations of the batches that run at once
	Head    int64 // logits and their statistics
	Runtime int64 // program, buffers of the backend
}

// Total is the sum of the parts.
func (f Forecast) Total() int64 { return f.Weights + f.Batch + f.Head + f.Runtime }

// Forecast estimates the memory of scoring windows of up to T inputs.
func (m *Model) Forecast(T int) Forecast {
	return forecast(m.spec, m.info, m.opts.BatchTokens, m.inflight, T)
}

func forecast(s *Spec, i Info, batchTokens, inflight, T int) Forecast {
	T = bucket(T)
	B := int64(s.batchRows(batchTokens, T))
	tokens := B * int64(T)
	var widest int64
	for k := range s.Kinds {
		a, m := &s.Kinds[k].Attn, &s.Kinds[k].MLP
		qkv := int64(a.Heads+2*a.KVHeads) * int64(a.HeadDim)
		up := int64(m.Width)
		if m.Gated {
			up *= 3
		} else {
			up *= 2
		}
		attn := 2*int64(a.Heads)*int64(T)*tokens + 3*qkv*tokens
		widest = max(widest, attn, up*tokens)
	}
	widest += 4 * int64(s.Width) * tokens
	return Forecast{
		Weights: i.WeightSize,
		Batch:   4 * widest * int64(inflight),
		Head:    4 * 5 * headChunk * int64(s.Vocab) * int64(inflight),
		Runtime: 64 << 20,
	}
}

// admit refuses a model that cannot fit and sets the collector's limit.
func (m *Model) admit(limit int64) error {
	if limit == 0 {
		limit = memoryLimit() * 85 / 100
	}
	if limit <= 0 {
		return nil
	}
	need := forecast(m.spec, m.info, m.opts.BatchTokens, m.inflight, min(512, max(1, m.spec.Positions))).Total()
	if need > limit {
		return fault.Retryf("memory", "model: memory: %d MB needed, %d MB allowed", need>>20, limit>>20).
			Hint("lower --batch-tokens, or allow more with --memory")
	}
	debug.SetMemoryLimit(limit)
	return nil
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

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

// streamBytes is the memory of the weights where layers run one after the other:
// ahead layers in float32, then the output matrix. The embedding is read in the
// mapped file. Where the source cannot give a matrix as it is stored, its values
// stand beside it in float32 until they are laid out.
func (s *Spec) streamBytes(r *reader, ahead int64) int64 {
	_, raw := r.raw(r.inv.names["embed.w"])
	blocks := map[string]int64{}
	var block, small int64
	for _, key := range r.inv.keys {
		n := 4 * int64(size(r.inv.dims[key]))
		if l, _, ok := strings.Cut(key, "."); ok && l[0] >= '0' && l[0] <= '9' {
			blocks[l] += n
			block = max(block, blocks[l])
		} else if key != "head.w" && (key != "embed.w" || !raw) {
			small += n
		}
	}
	head := 4 * int64(s.Vocab) * int64(s.headWidth())
	if s.Head.None {
		head = 0
	}
	if head <= headConstBytes {
		head *= 2
	}
	if !raw {
		ahead++
		head += 4 * int64(s.Vocab) * int64(s.headWidth())
	}
	return small + max(ahead*block, head)
}

// Forecast is an estimate of the peak resident memory of scoring, in bytes.
type Forecast struct {
	Weights int64 // the weights as they are held
	Batch   int64 // activations of the batches that run at once
	Head    int64 // logits and their statistics
	States  int64 // hidden states between two layers, where layers run one after the other
	Runtime int64 // program, tables, garbage between collections
}

// Total is the sum of the parts.
func (f Forecast) Total() int64 { return f.Weights + f.Batch + f.Head + f.States + f.Runtime }

// Forecast estimates the memory of scoring windows of up to T inputs.
func (m *Model) Forecast(T int) Forecast {
	held := int64(0)
	if m.stream {
		held = m.spec.streamBytes(m.source, 1)
		if m.streamAhead {
			held = m.spec.streamBytes(m.source, 2)
		}
	} else {
		held = m.spec.weightBytes(m.source.inv, m.half)
	}
	f := m.spec.forecast(held, m.opts.BatchTokens, m.inflight, T)
	if m.stream {
		need := 4 * int64(m.groupSize(m.opts.BatchTokens)) * int64(m.spec.Width)
		if f.States = need; m.limit > 0 {
			left := max(0, m.limit-f.Total()) * 100 / (100 + gcPercent)
			f.States = min(need, left)
		}
		f.Runtime += f.States * gcPercent / 100
	}
	return f
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
// matrices in 16 bits, then layers one after the other. It refuses what cannot fit
// and sets the collector up.
func (m *Model) admit() error {
	if m.limit == 0 {
		m.limit = memoryLimit() * 85 / 100
	}
	debug.SetGCPercent(gcPercent)
	m.streamAhead = m.stream
	if m.limit <= 0 {
		return nil
	}
	batches := m.inflight
	fewer := func() bool { // fewer batches at once
		for m.inflight = batches; m.inflight > 1 && !m.fit(m.usual()); {
			m.inflight--
		}
		return m.fit(m.usual())
	}
	if auto := m.opts.Weights == "" || m.opts.Weights == WeightsAuto; !fewer() && auto {
		m.half = true
		if !fewer() {
			m.half, m.stream, m.streamAhead = false, true, true
		}
	}
	if m.stream {
		if !fewer() {
			m.streamAhead = false
			fewer()
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

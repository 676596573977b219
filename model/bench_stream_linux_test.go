package model

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"assay/model/internal/peak"
	"assay/weights"
	"golang.org/x/sys/unix"
)

// writeSynthetic writes a synthetic checkpoint in bfloat16 to a folder of its own, which
// goes when the benchmark ends. It first asks for the space.
func writeSynthetic(b *testing.B, shape string) (dir string, bytesWritten int64) {
	b.Helper()
	config := []byte(Shapes()[shape])
	src, err := Synthetic(config, 1)
	if err != nil {
		b.Fatal(err)
	}
	type entry struct {
		DType   string   `json:"dtype"`
		Shape   []int    `json:"shape"`
		Offsets [2]int64 `json:"data_offsets"`
	}
	head, at := map[string]entry{}, int64(0)
	var names []string
	for t := range src.Tensors() {
		n := 2 * int64(size(t.Shape))
		head[t.Name] = entry{"BF16", t.Shape, [2]int64{at, at + n}}
		names = append(names, t.Name)
		at += n
	}
	dir = b.TempDir()
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		b.Fatal(err)
	}
	if free := int64(fs.Bavail) * int64(fs.Bsize); free < at+at/4 {
		b.Skipf("%s: %d GB free, the checkpoint takes %d", dir, free>>30, at>>30)
	}
	header, err := json.Marshal(head)
	if err != nil {
		b.Fatal(err)
	}
	header = append(header, bytes.Repeat([]byte(" "), (8-len(header)%8)%8)...)
	f, err := os.Create(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	write := func(p []byte) {
		if _, err := f.Write(p); err != nil {
			b.Fatal(err)
		}
	}
	write(binary.LittleEndian.AppendUint64(nil, uint64(len(header))))
	write(header)
	for _, name := range names {
		x := make([]float32, size(head[name].Shape))
		if err := src.F32(name, x); err != nil {
			b.Fatal(err)
		}
		half := make([]byte, 0, 2*len(x))
		for _, v := range x {
			half = binary.LittleEndian.AppendUint16(half, uint16(math.Float32bits(v)>>16))
		}
		write(half)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), config, 0o600); err != nil {
		b.Fatal(err)
	}
	return dir, at
}

// watch samples the anonymous resident memory of this process (RssAnon: what is not
// pages of a mapped file) and resets its peak resident size (VmHWM, all pages). The
// returned function ends it and gives both peaks in bytes; 0 where /proc is missing.
func watch() func() (anon, all int64) {
	debug.FreeOSMemory()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
	end, done := make(chan struct{}), make(chan int64)
	go func() {
		top := int64(0)
		for t := time.NewTicker(10 * time.Millisecond); ; {
			top = max(top, statusBytes("RssAnon:"))
			select {
			case <-end:
				t.Stop()
				done <- top
				return
			case <-t.C:
			}
		}
	}()
	return func() (anon, all int64) {
		close(end)
		return <-done, statusBytes("VmHWM:")
	}
}

// statusBytes reads one size of /proc/self/status.
func statusBytes(key string) int64 {
	b, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10
		}
	}
	return 0
}

// BenchmarkStream compares the ways to hold the weights of one checkpoint on disk: time
// of loading and of scoring, tokens per second, share of the peak of an FMA loop by the
// clock and by processor time, and peak memory, of mapped files apart (anon) and in
// all (hwm). llama-3b (6 GB of bfloat16) runs within 4 GiB, for which auto has to
// take stream; the small one within what the machine has.
//
//	go test ./model -run '^$' -bench Stream/gpt_neox-410m -benchtime 1x
//	go test ./model -run '^$' -bench Stream/llama-3b -benchtime 1x -timeout 1h
func BenchmarkStream(b *testing.B) {
	for _, c := range []struct {
		shape   string
		modes   []string
		memory  int64
		rows, T int
	}{
		{"gpt_neox-160m", []string{WeightsArgs, WeightsWide16, WeightsStream}, 0, 16, 512},
		{"gpt_neox-410m", []string{WeightsArgs, WeightsWide16, WeightsStream}, 0, 16, 512},
		{"llama-3b", []string{WeightsAuto}, 4 << 30, 2, 512},
		{"llama-7b", []string{WeightsAuto}, 8 << 30, 2, 512},
	} {
		b.Run(c.shape, func(b *testing.B) {
			dir, n := writeSynthetic(b, c.shape)
			for _, mode := range c.modes {
				b.Run(mode, func(b *testing.B) {
					ck, err := weights.Open(dir)
					if err != nil {
						b.Fatal(err)
					}
					defer ck.Close()
					top := peak.FMA(runtime.GOMAXPROCS(0), 300*time.Millisecond)
					peaks := watch()
					start := time.Now()
					m, err := Load(context.Background(), ck, Options{Weights: mode, Memory: c.memory})
					if err != nil {
						b.Fatal(err)
					}
					defer m.Close()
					loaded := time.Since(start).Seconds()
					if want := cmpOr(mode, WeightsAuto, WeightsStream); m.Weights() != want {
						b.Fatalf("weights %s, want %s", m.Weights(), want)
					}
					ws := randomWindows(c.rows, c.T, m.spec.Vocab)
					cpu, start := peak.CPUSeconds(), time.Now()
					for range b.N {
						scoreAll(b, m, ws, ScoreOptions{})
					}
					wall, cpu := time.Since(start).Seconds(), peak.CPUSeconds()-cpu
					anon, all := peaks()
					tokens := float64(b.N * c.rows * c.T)
					work := tokens * m.info.FLOP(c.T) / 1e9
					for unit, v := range map[string]float64{"s-load": loaded, "s-score": wall, "cpu-s": cpu, "tok/s": tokens / wall, "%peak": 100 * work / wall / top.GFlops,
						"%peak-cpu": 100 * work / cpu / top.PerCPU, "MB-anon": float64(anon >> 20), "MB-hwm": float64(all >> 20), "MB-file": float64(n >> 20),
						"MB-forecast": float64(m.Forecast(c.T).Total() >> 20), "ns/op": 0} {
						b.ReportMetric(v, unit)
					}
				})
			}
		})
	}
}

// cmpOr is x, or or where x is is.
func cmpOr(x, is, or string) string {
	if x == is {
		return or
	}
	return x
}

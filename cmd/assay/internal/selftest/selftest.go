// Package selftest is what `assay doctor` runs: does this machine, with this
// binary, compute what transformers computes in float64? It needs no files; the
// golden checkpoints are embedded.
package selftest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"assay/model"
	"assay/tokenize"

	"golang.org/x/sys/cpu"
)

// Status of a check.
const (
	OK   = "ok"
	Warn = "warn"
	Fail = "fail"
)

// Check is one line of the report.
type Check struct {
	Name   string `json:"check"`
	Status string `json:"status"`
	Text   string `json:"text"`
	Hint   string `json:"hint,omitempty"`
}

// Options of Run.
type Options struct {
	Backend    string // as --backend
	Version    string
	Commit     string
	Tags       []string // build tags of this binary
	Experiment string
	Temp       string // folder to try; "" = the system's
	Progress   func(what string)
}

// Steps is how many times Run calls Progress.
const Steps = 9

// Run performs every check in order; it never returns early except when ctx ends.
func Run(ctx context.Context, o Options) []Check {
	var out []Check
	steps := []struct {
		name string
		run  func(ctx context.Context, o *Options) []Check
	}{
		{"build", checkBuild}, {"processor", checkProcessor}, {"backend", checkBackend}, {"gpu", checkGPU}, {"tokenizer library", checkTokenizer},
		{"golden checkpoints", checkGolden}, {"every family", checkFamilies}, {"statistics", checkStatistics}, {"temporary folder", checkFolder},
	}
	for _, s := range steps {
		if ctx.Err() != nil {
			return out
		}
		if o.Progress != nil {
			o.Progress(s.name)
		}
		out = append(out, s.run(ctx, &o)...)
	}
	return out
}

func one(name, status, hint, format string, args ...any) []Check {
	return []Check{{Name: name, Status: status, Text: fmt.Sprintf(format, args...), Hint: hint}}
}

func checkBuild(_ context.Context, o *Options) []Check {
	tags := strings.Join(o.Tags, ",")
	if !model.SIMD {
		return one("build", Warn, "build with make, which sets GOEXPERIMENT=simd", "%s (%s), %s, tags [%s], without GOEXPERIMENT=simd: the CPU path is about 17 times slower", o.Version, o.Commit, runtime.Version(), tags)
	}
	return one("build", OK, "", "%s (%s), %s, tags [%s], experiment %s", o.Version, o.Commit, runtime.Version(), tags, o.Experiment)
}

func checkProcessor(context.Context, *Options) []Check {
	path := "portable loops"
	switch {
	case cpu.X86.HasAVX512F:
		path = "AVX-512"
	case cpu.X86.HasAVX2 && cpu.X86.HasFMA:
		path = "AVX2 with FMA"
	case runtime.GOARCH == "arm64":
		path = "NEON"
	}
	text := fmt.Sprintf("%s/%s, %s, %d cores, %d threads in use", runtime.GOOS, runtime.GOARCH, path, runtime.NumCPU(), runtime.GOMAXPROCS(0))
	if limit := model.MemoryLimit(); limit > 0 {
		text += fmt.Sprintf(", %d MiB of memory", limit>>20)
	}
	if quota, ok := cpuQuota(); ok && quota < float64(runtime.GOMAXPROCS(0)) {
		return one("processor", Warn, fmt.Sprintf("use --threads %d", max(1, int(quota))), "%s; the container's quota is %.1f cores", text, quota)
	}
	return one("processor", OK, "", "%s", text)
}

// cpuQuota is the processor quota of the control group in cores.
func cpuQuota() (float64, bool) {
	b, err := os.ReadFile("/sys/fs/cgroup/cpu.max")
	if err != nil {
		return 0, false
	}
	var quota, period float64
	if n, _ := fmt.Sscan(string(b), &quota, &period); n != 2 || period <= 0 {
		return 0, false
	}
	return quota / period, true
}

func checkBackend(_ context.Context, o *Options) []Check {
	desc, err := model.CheckBackend(o.Backend)
	if err != nil {
		return one("backend", Fail, "name a working backend with --backend", "%s: %v", o.Backend, err)
	}
	return one("backend", OK, "", "%s", desc)
}

// checkGPU says whether a GPU could be used; a named plugin is checkBackend's.
func checkGPU(_ context.Context, o *Options) []Check {
	switch {
	case strings.HasPrefix(o.Backend, "xla:"):
		return one("gpu", OK, "", "the plugin that --backend names is in use, TF32 off; none is ever downloaded")
	case slices.Contains(o.Tags, "xla"):
		return one("gpu", Warn, "name a PJRT plugin with --backend xla:/absolute/path/of/plugin.so to check it", "XLA is built in, no plugin is named: checkpoints run on the processor")
	}
	return one("gpu", Warn, "build with make xla to use a GPU", "XLA is not built in (build tag xla): checkpoints run on the processor")
}

func checkTokenizer(context.Context, *Options) []Check {
	const name = "tokenizer library"
	if !tokenize.Available {
		return one(name, Warn, "build with make; token ids (--ids) work without it", "not built in (build tag tokenizers)")
	}
	dir, done, err := unpack("gpt_neox-parallel")
	if err != nil {
		return one(name, Fail, "", "%v", err)
	}
	defer done()
	t, err := tokenize.Open(dir, tokenize.Options{})
	if err != nil {
		return one(name, Fail, "", "%v", err)
	}
	defer t.Close()
	g, err := readGolden(dir)
	if err != nil {
		return one(name, Fail, "", "%v", err)
	}
	ids, _, err := t.Encode(g.text)
	if err != nil {
		return one(name, Fail, "", "%v", err)
	}
	if want := g.ids[len(g.ids)-1]; fmt.Sprint(ids) != fmt.Sprint(want) {
		return one(name, Fail, "rebuild the library: remove tokenize/lib/libtokenizers.a and run make", "the golden text gives ids %v, want %v (tokenizers 0.23.3)", ids, want)
	}
	return one(name, OK, "", "the golden text gives the ids of tokenizers 0.23.3")
}

// checkFolder proves that a result file can be written the way commands do: under
// another name, locked, synced and renamed.
func checkFolder(_ context.Context, o *Options) []Check {
	const name, hint = "temporary folder", "set TMPDIR to a folder that can be written"
	base := o.Temp
	if base == "" {
		base = os.TempDir()
	}
	dir, err := os.MkdirTemp(base, "assay-doctor-")
	if err != nil {
		return one(name, Fail, hint, "%v", err)
	}
	defer os.RemoveAll(dir)
	from, to := filepath.Join(dir, "a.partial"), filepath.Join(dir, "a")
	if err := writeLocked(from); err != nil {
		return one(name, Fail, hint, "%v", err)
	}
	if err := os.Rename(from, to); err != nil {
		return one(name, Fail, hint, "%v", err)
	}
	if b, err := os.ReadFile(to); err != nil || string(b) != "assay" {
		return one(name, Fail, hint, "read back %q: %v", b, err)
	}
	return one(name, OK, "", "write, lock, sync and rename work in %s", base)
}

func writeLocked(path string) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	if err := lockFile(f); err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	if _, err := f.WriteString("assay"); err != nil {
		return err
	}
	return f.Sync()
}

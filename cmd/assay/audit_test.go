package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"assay/model/trace"
	"assay/probes/bundle"
)

// auditFolder holds a plan on token ids, so that it needs no tokenizer library.
func auditFolder(t *testing.T, rows int) string {
	t.Helper()
	dir := t.TempDir()
	demo, err := filepath.Abs("../../testdata/demo")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, "alice"), os.DirFS(filepath.Join(demo, "alice"))); err != nil {
		t.Fatal(err)
	}
	g := rand.New(rand.NewPCG(1, 2))
	var ids strings.Builder
	for i := range rows {
		x := make([]string, 40)
		for k := range x {
			x[k] = fmt.Sprint(g.IntN(2048))
		}
		fmt.Fprintf(&ids, "{\"id\": \"r%d\", \"ids\": [%s], \"label\": %d}\n", i, strings.Join(x, ", "), i%2)
	}
	for name, text := range map[string]string{"rows.jsonl": ids.String(), "plan.yaml": fmt.Sprintf(`schema: assay.audit/1
inputs:
  suspect: {checkpoint: alice}
  base: {checkpoint: %q}
  rows: {ids: rows.jsonl}
  order: {transcript: %q}
tests:
  - {id: vs, test: perplexity, on: suspect, refs: [base], data: rows}
  - {id: pal, test: palimpsest, on: suspect, data: order, primary: true, settings: {rows: 60, perm: 99}}
  - {id: ppl, test: perplexity, on: suspect, data: rows, primary: true, settings: {ci: percentile}}
bundle: {inputs: copy}
`, filepath.Join(demo, "reference"), filepath.Join(demo, "transcript.npy"))} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// runAssay runs the program in this process.
func runAssay(t *testing.T, want int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	if got := run(context.Background(), args, bytes.NewReader(nil), &out, &errs); got != want {
		t.Fatalf("assay %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, want, out.String(), errs.String())
	}
	return out.String(), errs.String()
}

// filesOf lists a folder's files.
func filesOf(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, p)
			out = append(out, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func readAll(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeAll(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// One changed bit in any file of a bundle or of a checkpoint is found, and the file
// named; so are a missing file, one more, and a link in a file's place.
func TestVerifyFindsEveryBit(t *testing.T) {
	dir := auditFolder(t, 12)
	b := filepath.Join(dir, "b")
	runAssay(t, 0, "audit", filepath.Join(dir, "plan.yaml"), "-o", b)
	runAssay(t, 0, "verify", b)
	g := rand.New(rand.NewPCG(3, 4))
	for _, f := range filesOf(t, b) {
		path := filepath.Join(b, filepath.FromSlash(f))
		whole := readAll(t, path)
		for _, at := range []int{g.IntN(len(whole)), len(whole) - 1} {
			bad := bytes.Clone(whole)
			bad[at] ^= 1 << g.IntN(7)
			writeAll(t, path, bad)
			want := 1
			if f == "manifest.json" {
				want = verifyCode(t, b)
				if want != 1 && want != 3 {
					t.Fatalf("manifest.json byte %d: exit code %d, want 1 or 3", at, want)
				}
			}
			_, stderr := runAssay(t, want, "verify", b, "--level", "files")
			if !strings.Contains(stderr, f) && f != "manifest.json" && f != "SHA256SUMS" {
				t.Errorf("%s byte %d: found, but not named: %s", f, at, stderr)
			}
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		want := 1
		if f == "manifest.json" {
			want = 3
		}
		if _, stderr := runAssay(t, want, "verify", b, "--level", "files"); !strings.Contains(stderr, f) {
			t.Errorf("%s missing: not named: %s", f, stderr)
		}
		if runtime.GOOS != "windows" {
			writeAll(t, path+".elsewhere", whole)
			if err := os.Rename(path+".elsewhere", filepath.Join(dir, "elsewhere")); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(filepath.Join(dir, "elsewhere"), path); err != nil {
				t.Fatal(err)
			}
			if _, stderr := runAssay(t, want, "verify", b, "--level", "files"); !strings.Contains(stderr, f) {
				t.Errorf("%s a link: not named: %s", f, stderr)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
		writeAll(t, path, whole)
	}
	writeAll(t, filepath.Join(b, "inputs", "more.txt"), nil)
	if _, stderr := runAssay(t, 1, "verify", b); !strings.Contains(stderr, "inputs/more.txt: unlisted-file") {
		t.Errorf("an added file: %s", stderr)
	}
	if err := os.Remove(filepath.Join(b, "inputs", "more.txt")); err != nil {
		t.Fatal(err)
	}
	ck := filepath.Join(dir, "alice")
	runAssay(t, 0, "verify", b, "--ckpt", "suspect="+ck, "--rescore", "2")
	for _, f := range filesOf(t, ck) {
		path := filepath.Join(ck, f)
		whole := readAll(t, path)
		for _, at := range []int{0, g.IntN(len(whole)), len(whole) - 1} {
			bad := bytes.Clone(whole)
			bad[at] ^= 1 << g.IntN(7)
			writeAll(t, path, bad)
			if code := verifyCode(t, b, "--ckpt", "suspect="+ck, "--rescore", "2"); code == 0 {
				t.Errorf("checkpoint %s byte %d of %d: not found", f, at, len(whole))
			}
		}
		writeAll(t, path, whole)
	}
}

func verifyCode(t *testing.T, b string, args ...string) int {
	t.Helper()
	var out, errs bytes.Buffer
	return run(context.Background(), append([]string{"verify", b}, args...), bytes.NewReader(nil), &out, &errs)
}

// reseal redoes every digest of a bundle, as a forger would.
func reseal(t *testing.T, b string) {
	t.Helper()
	m, err := bundle.ReadManifest(bytes.NewReader(readAll(t, filepath.Join(b, "manifest.json"))))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for i := range m.Files {
		f := &m.Files[i]
		data := readAll(t, filepath.Join(b, filepath.FromSlash(f.Path)))
		h := sha256.Sum256(data)
		f.SHA256, f.Bytes = hex.EncodeToString(h[:]), int64(len(data))
		lines = append(lines, f.SHA256+"  "+f.Path)
	}
	m.EvidenceID = bundle.EvidenceID(m.Files)
	j, err := m.JSON()
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.Sum256(j)
	lines = append(lines, hex.EncodeToString(h[:])+"  manifest.json")
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[66:], b[66:]) })
	writeAll(t, filepath.Join(b, "manifest.json"), j)
	writeAll(t, filepath.Join(b, "SHA256SUMS"), []byte(strings.Join(lines, "\n")+"\n"))
}

// A result that was edited with every digest redone does not follow from its trace.
func TestVerifyFindsEditedResult(t *testing.T) {
	dir := auditFolder(t, 12)
	b := filepath.Join(dir, "b")
	runAssay(t, 0, "audit", filepath.Join(dir, "plan.yaml"), "-o", b)
	for _, c := range []struct{ file, old, new string }{
		{"results/03-ppl.json", `"value": `, `"value": 1`},
		{"results/02-pal.json", `"tier": "B"`, `"tier": "A"`},
		{"results/02-pal.json", "says\": \"", "says\": \"by all means "},
		{"results/summary.csv", "perplexity", "perplexitx"},
		{"report.html", "does not", "does"},
		{"reproduce.sh", "perplexity", "true"},
		{"figures/02-pal-1.svg", "rho", "RHO"},
	} {
		path := filepath.Join(b, filepath.FromSlash(c.file))
		whole := readAll(t, path)
		bad := bytes.Replace(whole, []byte(c.old), []byte(c.new), 1)
		if bytes.Equal(bad, whole) {
			t.Fatalf("%s holds no %q", c.file, c.old)
		}
		writeAll(t, path, bad)
		reseal(t, b)
		if _, stderr := runAssay(t, 1, "verify", b); !strings.Contains(stderr, "statistics: "+c.file) {
			t.Errorf("%s: %q for %q: %s", c.file, c.new, c.old, stderr)
		}
		writeAll(t, path, whole)
		reseal(t, b)
	}
	runAssay(t, 0, "verify", b)
}

// forge copies a trace with the log-probabilities of every tenth document lowered
// by less than any law forbids.
func forge(t *testing.T, from, to string) {
	t.Helper()
	r, err := trace.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	h := r.Header()
	w, err := trace.Create(to, h.Of, trace.Options{Made: h.Made})
	if err != nil {
		t.Fatal(err)
	}
	for x, err := range r.All() {
		if err != nil {
			t.Fatal(err)
		}
		if x.Doc.Doc%10 == 0 {
			for i := range x.Tokens.Logprob {
				if x.Tokens.Scored[i] && x.Tokens.Rank[i] > 0 {
					x.Tokens.Logprob[i] -= 2e-3
				}
			}
		}
		if err := w.Append(x.Doc, x.Tokens); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// A bundle made with forged scores is whole and its statistics follow; only scoring
// again shows it, for whatever seed of the sample.
func TestVerifyFindsForgedTrace(t *testing.T) {
	dir := auditFolder(t, 40)
	b, forged := filepath.Join(dir, "b"), filepath.Join(dir, "forged.parquet")
	runAssay(t, 0, "audit", filepath.Join(dir, "plan.yaml"), "-o", b)
	forge(t, filepath.Join(b, "traces", "suspect-rows.parquet"), forged)
	plan := strings.Replace(string(readAll(t, filepath.Join(dir, "plan.yaml"))), "{checkpoint: alice}", "{checkpoint: alice, trace: {rows: forged.parquet}}", 1)
	writeAll(t, filepath.Join(dir, "forged.yaml"), []byte(plan))
	f := filepath.Join(dir, "f")
	runAssay(t, 0, "audit", filepath.Join(dir, "forged.yaml"), "-o", f)
	runAssay(t, 0, "verify", f)
	_, stderr := runAssay(t, 1, "verify", f, "--ckpt", "suspect="+filepath.Join(dir, "alice"), "--rescore", "40")
	if !strings.Contains(stderr, "scores: traces/suspect-rows.parquet: 4 of 40 documents differ") {
		t.Errorf("forged trace: %s", stderr)
	}
	// Of 1000 documents with 100 altered, 64 drawn at random miss all of them with
	// probability 0.9^64 = 0.0012.
	var ids []string
	for i := range 1000 {
		ids = append(ids, fmt.Sprintf("d%d", i))
	}
	found := 0
	for seed := range 100 {
		if slices.ContainsFunc(bundle.Choose(fmt.Sprint(seed), "run", ids, 64), func(id string) bool { return strings.HasSuffix(id, "0") }) {
			found++
		}
	}
	if found < 98 {
		t.Errorf("a tenth of altered documents was found with %d of 100 seeds, want 98", found)
	}
	// The trace of another text is refused with field and digests.
	other := auditFolder(t, 41)
	writeAll(t, filepath.Join(other, "plan.yaml"), []byte(strings.Replace(plan, "forged.parquet", forged, 1)))
	if _, stderr := runAssay(t, 3, "audit", filepath.Join(other, "plan.yaml"), "-o", filepath.Join(other, "b")); !strings.Contains(stderr, "text: found sha256:") {
		t.Errorf("a trace of another text: %s", stderr)
	}
}

// equalParts is what two audits of one plan must agree on: everything but times.
func equalParts(t *testing.T, b string) map[string]string {
	t.Helper()
	m, err := bundle.ReadManifest(bytes.NewReader(readAll(t, filepath.Join(b, "manifest.json"))))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{"evidence_id": m.EvidenceID}
	for _, f := range m.Files {
		switch {
		case f.Content != "":
			out[f.Path] = f.Content
		case f.Kind == bundle.KindReport:
			page := regexp.MustCompile(`Begun [^ ]+`).ReplaceAll(readAll(t, filepath.Join(b, f.Path)), []byte("Begun"))
			page = regexp.MustCompile(`<th scope="row">(environment.json|timing.json|log.jsonl|traces/[^<]*)</th>.*`).ReplaceAll(page, nil)
			out[f.Path] = string(page)
		case f.Kind != bundle.KindVolatile:
			out[f.Path] = f.SHA256
		}
	}
	return out
}

func sameBundles(t *testing.T, got, want map[string]string) {
	t.Helper()
	for f := range want {
		if got[f] != want[f] {
			t.Errorf("%s differs", f)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d files, want %d", len(got), len(want))
	}
}

// The program, killed at twenty random moments and started again, ends with the
// same bytes as one that ran through.
func TestKilledAudit(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no links to the test binary")
	}
	if testing.Short() {
		t.Skip("half a minute")
	}
	dir := auditFolder(t, 60)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "assay") // a name that TestMain answers to
	if err := os.Symlink(exe, program); err != nil {
		t.Fatal(err)
	}
	start := func(out string) *exec.Cmd {
		c := exec.Command(program, "audit", filepath.Join(dir, "plan.yaml"), "-o", filepath.Join(dir, out))
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		return c
	}
	begin := time.Now()
	if err := start("whole").Wait(); err != nil {
		t.Fatal(err)
	}
	whole := time.Since(begin)
	want := equalParts(t, filepath.Join(dir, "whole"))
	g := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	kills, rounds := 0, 0
	for kills < 20 && rounds < 60 {
		c := start("killed")
		rounds++
		done := make(chan error, 1)
		go func() { done <- c.Wait() }()
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			sameBundles(t, equalParts(t, filepath.Join(dir, "killed")), want)
			if err := os.RemoveAll(filepath.Join(dir, "killed")); err != nil {
				t.Fatal(err)
			}
		case <-time.After(time.Duration(g.Float64() * float64(whole) * 0.9)):
			if err := c.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			<-done
			kills++
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "killed")); err != nil { // not finished between the last kill and now
		if err := start("killed").Wait(); err != nil {
			t.Fatal(err)
		}
	}
	sameBundles(t, equalParts(t, filepath.Join(dir, "killed")), want)
	runAssay(t, 0, "verify", filepath.Join(dir, "killed"))
	if _, err := os.Stat(filepath.Join(dir, "killed.partial")); err == nil {
		t.Error("killed.partial is still there")
	}
	t.Logf("%d kills in %d starts, a whole run takes %v", kills, rounds, whole)
}

// A disk that is full in the middle is exit 4; with room the same command ends with
// a whole bundle.
func TestFullDisk(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil || runtime.GOOS == "windows" {
		t.Skip("no shell to limit file sizes with")
	}
	dir := auditFolder(t, 12)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "assay")
	if err := os.Symlink(exe, program); err != nil {
		t.Fatal(err)
	}
	for _, blocks := range []string{"8", "16", "64"} { // of 512 or 1024 bytes: the report, a trace, the transcript do not fit
		c := exec.Command(sh, "-c", fmt.Sprintf("ulimit -f %s; exec '%s' audit '%s/plan.yaml' -o '%s/b'", blocks, program, dir, dir))
		out, err := c.CombinedOutput()
		if code := c.ProcessState.ExitCode(); err == nil || code != 4 || !bytes.Contains(out, []byte("error: ")) {
			t.Errorf("limit %s: exit code %d, want 4\n%s", blocks, code, out)
		}
		if _, err := os.Stat(filepath.Join(dir, "b")); err == nil {
			t.Fatalf("limit %s: a bundle has its final name", blocks)
		}
	}
	runAssay(t, 0, "audit", filepath.Join(dir, "plan.yaml"), "-o", filepath.Join(dir, "b"))
	runAssay(t, 0, "verify", filepath.Join(dir, "b"))
}

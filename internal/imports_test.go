// Package internal holds no code; its test keeps the import graph of the module
// in the shape that the README promises.
package internal

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
)

// imports lists each package of the module with the packages it imports itself,
// tests left out, under the build tags that users build with.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	cmd := exec.Command("go", "list", "-tags", "tokenizers xla", "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, "assay/...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	g := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		g[f[0]] = f[1:]
	}
	return g
}

// below reports whether pkg is dir or lies under it.
func below(pkg, dir string) bool { return pkg == dir || strings.HasPrefix(pkg, dir+"/") }

func TestImportGraph(t *testing.T) {
	g := imports(t)
	if len(g) < 10 {
		t.Fatalf("go list found %d packages", len(g))
	}
	for pkg, deps := range g {
		for _, d := range deps {
			test := below(pkg, "assay/probes") || below(pkg, "assay/latent")
			modelCode := below(d, "assay/model") && !below(d, "assay/model/trace")
			switch {
			case test && (modelCode || below(d, "assay/tokenize") || below(d, "assay/weights")):
				t.Errorf("%s imports %s: tests see traces and states, never the model", pkg, d)
			case below(pkg, "assay/model/trace") && (modelCode || below(d, "assay/tokenize") || below(d, "assay/probes")):
				t.Errorf("%s imports %s: the trace knows nothing of who makes or reads it", pkg, d)
			case strings.HasPrefix(d, "github.com/gomlx/") && !below(pkg, "assay/model"):
				t.Errorf("%s imports %s: only model touches gomlx", pkg, d)
			case strings.HasPrefix(d, "github.com/daulet/tokenizers") && pkg != "assay/tokenize":
				t.Errorf("%s imports %s: only tokenize touches the tokenizer library", pkg, d)
			case strings.Contains(d, "autoinstall") || strings.HasSuffix(d, "backends/default") || strings.HasSuffix(d, "support/testutil"):
				t.Errorf("%s imports %s: it downloads plugins", pkg, d)
			case d == "net" || d == "net/http" || d == "plugin":
				t.Errorf("%s imports %s: nothing dials out", pkg, d)
			case d == "os/exec" && !below(pkg, "assay/internal"):
				t.Errorf("%s imports %s: the program starts no other", pkg, d)
			}
		}
	}
}

// No build of the program may link code that fetches plugins: not even unused.
func TestNoDownloaderLinked(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-tags", "tokenizers xla", "assay/cmd/assay").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	if !strings.Contains(string(out), "github.com/gomlx/go-xla/") {
		t.Fatal("the xla build does not link go-xla: this test looks at the wrong packages")
	}
	for dep := range strings.Lines(string(out)) {
		dep = strings.TrimSpace(dep)
		for _, bad := range []string{"xla/autoinstall", "support/testutil", "backends/default"} {
			if strings.HasSuffix(dep, bad) {
				t.Errorf("the program links %s, which downloads plugins", dep)
			}
		}
	}
}

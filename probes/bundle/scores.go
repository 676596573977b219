package bundle

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"assay/internal/fault"
	"assay/model/trace"

	"gonum.org/v1/gonum/mathext"
)

// Sample is what scoring a sample of documents again found.
type Sample struct {
	Path    string  `json:"path"`
	Docs    int     `json:"docs"`
	Tokens  int     `json:"tokens"`
	Differ  int     `json:"documents_that_differ"`
	Upper   float64 `json:"share_upper_95"` // Clopper-Pearson bound of the share of altered documents
	MaxAbs  float64 `json:"max_abs_nats"`
	Mean    float64 `json:"mean_nats"`
	Whole   bool    `json:"whole"` // every document was scored
	Comment string  `json:"comment,omitempty"`
}

// Choose orders documents by SHA-256(seed ":" run ":" id) and returns the first m;
// an empty seed drops its colon.
func Choose(seed, run string, ids []string, m int) []string {
	if seed != "" {
		seed += ":"
	}
	keys := make(map[string][32]byte, len(ids))
	for _, id := range ids {
		keys[id] = sha256.Sum256([]byte(seed + run + ":" + id))
	}
	out := slices.Clone(ids)
	slices.SortFunc(out, func(a, b string) int {
		ka, kb := keys[a], keys[b]
		return slices.Compare(ka[:], kb[:])
	})
	return out[:min(m, len(out))]
}

// UpperShare is the one-sided 95 % Clopper-Pearson upper bound of a share of which
// k in m were seen.
func UpperShare(k, m int) float64 {
	if m == 0 || k >= m {
		return 1
	}
	return mathext.InvRegIncBeta(float64(k+1), float64(m-k), 0.95)
}

// scores checks the checkpoints that were named and scores a sample again.
func (v *verification) scores(ctx context.Context) error {
	failed := v.rep.Failed
	if len(v.o.Ckpt) == 0 {
		v.rep.skip("scores: not-rescored (name checkpoints with --ckpt ROLE=DIR)")
		if v.o.Level == LevelScores {
			return fault.Usagef("verify: level scores needs --ckpt ROLE=DIR, the bundle has %s", strings.Join(v.roles(), ", "))
		}
		return nil
	}
	v.rep.Seed = v.o.Seed
	n := 0
	for _, m := range v.m.Models {
		dir := v.o.Ckpt[m.Role]
		if dir == "" {
			v.rep.skip("scores of %s: not-rescored (no --ckpt %s=DIR)", m.Role, m.Role)
			continue
		}
		ok, err := v.checkpoint(ctx, m, dir)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		for _, s := range v.w.Passes {
			if s.Place.Role != m.Role {
				continue
			}
			if s.isStates() {
				v.rep.skip("%s: states are not computed again", s.Path)
				continue
			}
			if err := v.rescore(ctx, s, dir); err != nil {
				return err
			}
			n++
		}
	}
	v.rep.level(LevelScores, failed, "%d traces sampled", n)
	v.rep.Checked = append(v.rep.Checked, fmt.Sprintf("samples of %d traces scored again", n))
	return nil
}

// checkpoint compares a folder with what the manifest says of a role.
func (v *verification) checkpoint(ctx context.Context, m ModelEntry, dir string) (bool, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return false, fault.Retryf("io", "verify: %w", err)
	}
	now, err := v.e.Model(ctx, abs)
	if err != nil {
		if f := fault.As(err); f != nil && f.Class == fault.Input {
			v.rep.find(LevelScores, m.Role, "%v", err)
			return false, nil
		}
		return false, err
	}
	if m.Weights == "" {
		return true, nil // only traces were given: their headers name the weights
	}
	for _, f := range m.Files {
		i := slices.IndexFunc(now.Files, func(x FileEntry) bool { return x.Path == f.Path })
		switch {
		case i < 0:
			v.rep.find(LevelScores, m.Role, "%s: missing", f.Path)
			return false, nil
		case now.Files[i].SHA256 != f.SHA256:
			v.rep.find(LevelScores, m.Role, "%s: SHA-256: found %s, the bundle says %s", f.Path, now.Files[i].SHA256, f.SHA256)
			return false, nil
		}
	}
	for _, d := range []struct{ what, found, want string }{{"weights", now.Weights, m.Weights}, {"config", now.Config, m.Config}, {"tokenizer", now.Tokenizer, m.Tokenizer}} {
		if d.found != d.want {
			v.rep.find(LevelScores, m.Role, "%s: found %s, the bundle says %s", d.what, d.found, d.want)
			return false, nil
		}
	}
	return true, nil
}

// rescore scores a sample of one trace again and compares token by token.
func (v *verification) rescore(ctx context.Context, s *Shared, dir string) error {
	path := filepath.Join(v.dir, filepath.FromSlash(s.Path))
	old, err := trace.Open(path)
	if err != nil {
		return err
	}
	defer old.Close()
	var ids []string
	for d, err := range old.Docs() {
		if err != nil {
			return err
		}
		ids = append(ids, d.ID)
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return fault.Retryf("io", "verify: %w", err)
	}
	jobs := v.jobs()
	k := slices.IndexFunc(jobs, func(j Job) bool { return slices.Contains(s.Tests, j.ID) })
	if why := v.unavailable(jobs[k]); why != "" {
		v.rep.skip("scores of %s: %s", s.Path, why)
		return nil
	}
	chosen := Choose(v.o.Seed, s.Run, ids, v.o.Sample)
	keep := map[string]bool{}
	for _, id := range chosen {
		keep[id] = true
	}
	tmp, err := os.MkdirTemp("", "assay-verify-")
	if err != nil {
		return fault.Retryf("io", "verify: %w", err)
	}
	defer os.RemoveAll(tmp)
	out := filepath.Join(tmp, "again.parquet")
	pass := s.Pass
	pass.Job, pass.Place = jobs[k], Place{Role: s.Place.Role, Path: abs, Ckpt: true}
	if err := v.e.Score(ctx, pass, out, keep); err != nil {
		return err
	}
	again, err := trace.Open(out)
	if err != nil {
		return err
	}
	defer again.Close()
	return v.compareScores(s.Path, old, again, len(ids) == len(chosen))
}

// Bounds of two float32 runs, each within 5e-5 nats of float64.
const (
	sameBackend  = 5e-5
	otherBackend = 1e-4
	relSpread    = 1e-4
	biasBound    = 2e-5
)

func (v *verification) compareScores(path string, old, again *trace.Reader, whole bool) error {
	tol := otherBackend
	if old.Header().Made.Backend == again.Header().Made.Backend {
		tol = sameBackend
	}
	at := map[string]int32{}
	for d, err := range old.Docs() {
		if err != nil {
			return err
		}
		at[d.ID] = d.Doc
	}
	smp := Sample{Path: path, Whole: whole}
	sum, first := 0.0, ""
	vocab := again.Header().Of.Checkpoint.Vocab
	for x, err := range again.All() {
		if err != nil {
			return err
		}
		was, err := old.Tokens(at[x.Doc.ID])
		if err != nil {
			return err
		}
		smp.Docs++
		why := ""
		if was.Len() != x.Tokens.Len() {
			why = fmt.Sprintf("found %d tokens, want %d", was.Len(), x.Tokens.Len())
		} else {
			for i := range x.Tokens.Pos {
				if s := tokenDiffers(&was, &x.Tokens, i, tol, vocab); s != "" && why == "" {
					why = fmt.Sprintf("pos %d: %s", i, s)
				}
				if x.Tokens.Scored[i] && was.Scored[i] {
					d := float64(was.Logprob[i]) - float64(x.Tokens.Logprob[i])
					sum += d
					smp.MaxAbs = max(smp.MaxAbs, math.Abs(d))
					smp.Tokens++
				}
			}
		}
		if why != "" {
			if smp.Differ++; first == "" {
				first = fmt.Sprintf("document %q %s", x.Doc.ID, why)
			}
		}
	}
	smp.Upper = UpperShare(smp.Differ, smp.Docs)
	if smp.Tokens > 0 {
		smp.Mean = sum / float64(smp.Tokens)
	}
	if smp.Differ > 0 {
		v.rep.find(LevelScores, path, "%d of %d documents differ from what the checkpoint gives, first: %s", smp.Differ, smp.Docs, first)
	}
	if math.Abs(smp.Mean) > biasBound {
		v.rep.find(LevelScores, path, "rescore-bias: mean difference %.3g nats over %d tokens, want at most %g", smp.Mean, smp.Tokens, biasBound)
	}
	v.rep.Samples = append(v.rep.Samples, smp)
	return nil
}

// tokenDiffers compares one row with its repetition.
func tokenDiffers(was, now *trace.Tokens, i int, tol float64, vocab int) string {
	far := func(a, b float32, bound float64) bool { return !(math.Abs(float64(a)-float64(b)) <= bound) }
	switch {
	case was.Scored[i] != now.Scored[i]:
		return fmt.Sprintf("scored %v, want %v", was.Scored[i], now.Scored[i])
	case was.ID[i] != trace.Null && was.ID[i] != now.ID[i]:
		return fmt.Sprintf("id %d, want %d", was.ID[i], now.ID[i])
	case !now.Scored[i]:
		return ""
	case far(was.Logprob[i], now.Logprob[i], tol):
		return fmt.Sprintf("logprob %g, want %g", was.Logprob[i], now.Logprob[i])
	case far(was.Entropy[i], now.Entropy[i], relSpread*(1+math.Abs(float64(now.Entropy[i])))):
		return fmt.Sprintf("entropy %g, want %g", was.Entropy[i], now.Entropy[i])
	case far(was.SD[i], now.SD[i], relSpread*(1+math.Abs(float64(now.SD[i])))):
		return fmt.Sprintf("sd %g, want %g", was.SD[i], now.SD[i])
	case far(was.ArgmaxLogprob[i], now.ArgmaxLogprob[i], tol):
		return fmt.Sprintf("argmax_logprob %g, want %g", was.ArgmaxLogprob[i], now.ArgmaxLogprob[i])
	}
	// Near-ties move a rank. At most this many of the vocabulary lie within 1e-4
	// nats of one log-probability, where the density of log-probabilities is below
	// one per nat.
	if slack := 2 + 2e-4*float64(vocab); math.Abs(float64(was.Rank[i])-float64(now.Rank[i])) > slack {
		return fmt.Sprintf("rank %d, want %d", was.Rank[i], now.Rank[i])
	}
	return ""
}

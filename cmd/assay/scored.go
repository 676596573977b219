package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"assay/internal/fault"
	"assay/model/score"
	"assay/model/trace"
)

// scorer gives commands traces: a trace file is opened, a checkpoint is scored
// first and the trace kept in a cache under the digest of its identity, so that
// the same work is never done twice and never mistaken for other work.
type scorer struct {
	app   *app
	model modelFlags
	cache string
}

// preparer is an input that depends on the checkpoint: how much text fits.
type preparer interface{ prepare(*session) error }

// isTrace tells trace files from checkpoints by name.
func isTrace(path string) bool {
	for _, ext := range []string{".parquet", ".jsonl", ".jsonl.gz"} {
		if strings.HasSuffix(path, ext) {
			return true
		}
	}
	return false
}

// trace opens path, or scores the checkpoint at path on the documents of in
// under the options and opens the result.
func (s *scorer) trace(ctx context.Context, path string, in score.Input, needTokenizer bool, o score.Options) (*trace.Reader, error) {
	if isTrace(path) {
		return trace.Open(path)
	}
	if s.app.traces != nil {
		return s.app.traces(ctx, s, path, in, needTokenizer, o)
	}
	s.app.warnNoSIMD()
	dir, err := s.folder()
	if err != nil {
		return nil, err
	}
	sess, err := s.model.open(ctx, path, needTokenizer)
	if err != nil {
		return nil, err
	}
	defer sess.close()
	if p, ok := in.(preparer); ok {
		if err := p.prepare(sess); err != nil {
			return nil, err
		}
	}
	sess.measure(&o)
	survey, err := score.Plan(in, &o)
	if err != nil {
		return nil, err
	}
	run, err := o.Of.RunDigest()
	if err != nil {
		return nil, err
	}
	name := run + extraColumns(o)
	o.Out = filepath.Join(dir, name+".parquet")
	if r, err := trace.Open(o.Out); err == nil && r.Header().Run == run {
		s.app.note("note: %s was scored on this text before: using %s", path, o.Out)
		return r, nil
	}
	s.app.note("note: scoring %s on %s", path, plural(survey.Docs, "document"))
	if err := s.model.load(ctx, s.app, sess); err != nil {
		return nil, err
	}
	rep, err := s.app.run(ctx, sess, in, survey, o)
	if err != nil {
		return nil, interruptedHint(err)
	}
	return trace.Open(rep.Path)
}

// measure fills what the checkpoint decides of a run that resumes by itself.
func (s *session) measure(o *score.Options) {
	o.Of, o.Positions, o.Made, o.Resume, o.TwoSided = s.identity(), s.info.Positions, s.made(), true, s.info.Encoder
	if s.tok != nil {
		o.Encoder = s.tok
	}
}

// extraColumns names what a trace holds beyond its identity, so that a trace
// without these columns never stands in for one with them.
func extraColumns(o score.Options) string {
	name := ""
	if o.PerDocument {
		name += ".compact"
	}
	if o.Redact {
		name += ".redacted"
	}
	if o.Score.Moments {
		name += ".moments"
	}
	if o.Score.TopK > 0 {
		name += fmt.Sprintf(".top%d", o.Score.TopK)
	}
	return name
}

// interruptedHint says that the cache resumes by itself.
func interruptedHint(err error) error {
	if f := fault.As(err); f != nil && f.Class == fault.Interrupted {
		return fault.New(f.Class, f.Code, "%w", f.Err).Hint("the same command goes on from there")
	}
	return err
}

// folder is the cache: --cache, else the user's cache folder.
func (s *scorer) folder() (string, error) { return cacheFolder(s.cache, "traces") }

// cacheFolder makes the folder that keeps what a command computed on the way.
func cacheFolder(dir, kind string) (string, error) {
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return "", fault.Usagef("--cache: no cache folder is known (%w)", err).Hint("name one with --cache DIR")
		}
		dir = filepath.Join(base, "assay", kind)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fault.Retryf("io", "cache: %w", err)
	}
	return dir, nil
}

package trace

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"path/filepath"
	"slices"

	"assay/internal/fault"
)

// Abort saves what is there and closes the partial file for ResumeStates.
func (w *StatesWriter) Abort() error {
	err := w.Save()
	w.gate.Lock()
	defer w.gate.Unlock()
	if !w.open {
		return err
	}
	w.open = false
	if e := w.f.Close(); err == nil && e != nil {
		err = retry(w.partial(), "close", e)
	}
	return err
}

// Close checks that every document is there, writes sums, digest and header, and
// gives the file its name. If it fails the partial file stays for ResumeStates.
func (w *StatesWriter) Close() error {
	w.gate.Lock()
	defer w.gate.Unlock()
	if w.err != nil {
		return w.err
	}
	if !w.open {
		return stateError(w.path, errClosed)
	}
	if err := w.missing(); err != nil {
		return err
	}
	if err := w.finish(); err != nil {
		return err
	}
	w.open = false
	if err := w.f.Close(); err != nil {
		return retry(w.partial(), "close", err)
	}
	if err := w.disk.rename(w.partial(), w.path); err != nil {
		return retry(w.path, "rename", err)
	}
	if err := w.disk.syncDir(filepath.Dir(w.path)); err != nil {
		return retry(w.path, "sync folder", err)
	}
	w.disk.remove(w.sums()) // complete: what stays is only in the way
	return nil
}

func (w *StatesWriter) missing() error {
	for _, done := range w.done {
		if i := slices.Index(done, false); i >= 0 {
			n := 0
			for _, d := range done {
				if d {
					n++
				}
			}
			doc := w.plan.options.From + i
			return fault.Retryf("incomplete", "trace: %s: %d of %d documents stored, the first missing is %d %q", w.path, n, len(done), doc, w.plan.Docs[doc].ID).
				Hint("run again with --resume")
		}
	}
	return nil
}

// finish writes the sums, then the digest and the header of a complete file.
func (w *StatesWriter) finish() error {
	h := w.header
	h.Counts = StatesCounts{Docs: int64(w.layout.docs)}
	for i := w.plan.options.From; i < w.plan.options.To; i++ {
		if w.plan.cell[i] >= 0 {
			h.Counts.Used++
		}
	}
	s := w.scratch()
	err := w.eachSum(sumVisitor{func(name string, at int, p pairs) error {
		hi := p.hi
		if w.layout.shard {
			s.b = appendDoubles(s.b[:0], p.lo)
			if err := w.put(low(name), at, s.b); err != nil {
				return err
			}
		} else {
			s.r = p.round(s.r[:0])
			hi = s.r
		}
		s.b = appendDoubles(s.b[:0], hi)
		return w.put(name, at, s.b)
	}, func(name string, v []int64) error { return w.put(name, 0, appendLongs(nil, v)) },
		func(name string, v []float32) error { return w.put(name, 0, appendFloats(nil, v)) }})
	if err != nil {
		return err
	}
	for _, s := range w.views {
		if s != nil {
			for _, z := range s.zero {
				h.Counts.Zero += z
			}
		}
	}
	h.Complete = !w.layout.shard
	return seal(w.f, w.partial(), w.layout, h)
}

// low names the tensor of the low parts.
func low(name string) string {
	for _, kind := range []string{"cell.sum", "cell.usum", "cell.q", "cell.v", "dim.sq", "tok.sq"} {
		if len(name) > len(kind) && name[:len(kind)] == kind && name[len(kind)] == '.' {
			return kind + "_lo" + name[len(kind):]
		}
	}
	return name
}

// sumVisitor sees all accumulators: runs of sums with their tensor and place there,
// and whole tensors of counts and maxima.
type sumVisitor struct {
	pairs  func(name string, at int, p pairs) error
	longs  func(name string, v []int64) error
	floats func(name string, v []float32) error
}

func (w *StatesWriter) eachSum(f sumVisitor) error {
	for i, s := range w.views {
		if s != nil {
			if err := s.each(w.plan.Views[i], len(w.plan.Cells), f); err != nil {
				return err
			}
		}
	}
	for i, s := range w.taps {
		tap := w.plan.options.Stats[i]
		for l, n := range w.layout.tapView(tap).Layers {
			at, size := 2*l*s.width, 2*s.width
			name := tap + "." + itoa(n)
			if err := f.pairs("tok.sq."+name, 0, s.sq.part(at, size)); err != nil {
				return err
			}
			if err := f.floats("tok.max."+name, s.max[at:at+size]); err != nil {
				return err
			}
			if err := f.longs("tok.n6."+name, s.n6[at:at+size]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *viewSums) each(v View, cells int, f sumVisitor) error {
	if err := f.longs("cell.zero."+v.Name(), s.zero); err != nil {
		return err
	}
	for l, n := range v.Layers {
		for c := range cells {
			at := (c*s.layers + l) * s.width
			if err := f.pairs("cell.sum."+v.layer(n), c*s.width, s.sum.part(at, s.width)); err != nil {
				return err
			}
			if err := f.pairs("cell.usum."+v.layer(n), c*s.width, s.usum.part(at, s.width)); err != nil {
				return err
			}
		}
		if err := f.pairs("dim.sq."+v.layer(n), 0, s.dim.part(l*s.labels*s.width, s.labels*s.width)); err != nil {
			return err
		}
	}
	if err := f.pairs("cell.q."+v.Name(), 0, s.q); err != nil {
		return err
	}
	return f.pairs("cell.v."+v.Name(), 0, s.v)
}

// seal writes the digest of the data section and the final header.
func seal(f file, path string, l *layout, h StatesHeader) error {
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(f, 8+l.headerSize, l.dataBytes)); err != nil {
		return retry(path, "read", err)
	}
	b, err := l.header(h, hex.EncodeToString(sum.Sum(nil)))
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(b, 0); err != nil {
		return retry(path, "write", err)
	}
	if err := f.Sync(); err != nil {
		return retry(path, "sync", err)
	}
	return nil
}

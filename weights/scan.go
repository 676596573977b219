package weights

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"

	"assay/internal/canon"
	"assay/internal/fault"
	"assay/weights/internal/mapped"
)

// Digests identifies a checkpoint. Every digest is "sha256:" and 64 hex digits.
//
// Weights is the SHA-256 of the line "assay-tensors-v1" and, for each tensor by
// name in byte order, the line
//
//	name TAB dtype TAB d0,d1,.. TAB hex(SHA-256(data))
//
// each ended by a line feed. Sharding, order, header padding and metadata do
// not enter it.
type Digests struct {
	Weights string            `json:"weights"`
	DType   DType             `json:"dtype"`           // the type with most bytes
	Quant   DType             `json:"quant,omitempty"` // the same, for GGUF
	Vocab   int               `json:"vocab,omitempty"` // vocab_size of the configuration, 0 if it has none
	Files   map[string]string `json:"files"`           // by name, of every file that was read
}

// ConfigDigest digests a resolved configuration: every key that the
// mathematics reads, defaults filled in, floats as shortest decimal strings.
func ConfigDigest(spec map[string]any) (string, error) {
	d, err := canon.Digest(spec)
	if err != nil {
		return "", fmt.Errorf("weights: config digest: %w", err)
	}
	return d, nil
}

// Scan reads every byte once per digest that it enters, tensors in parallel,
// and returns the digests. Non-finite values are an error (class Input, code
// nonfinite) that names the tensor, their number and the first index, unless
// the name is that of a mask buffer or matches one of the ignorable patterns
// (path.Match). Floating-point tensors that are all zero add a warning.
func (c *Checkpoint) Scan(ctx context.Context, ignorable ...string) (Digests, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return Digests{}, errClosed(c.path)
	}
	all := slices.Concat(c.tensors, c.hidden)
	slices.SortFunc(all, func(a, b tensor) int { return strings.Compare(a.Name, b.Name) })
	s := scanner{ctx: ctx, tensors: all, leaves: make([]leaf, len(all)), files: make([]string, len(c.files))}
	if err := s.run(c); err != nil {
		return Digests{}, err
	}
	for _, m := range c.maps {
		if err := m.Changed(); err != nil {
			return Digests{}, pathError(c.path, err)
		}
	}
	// Mask buffers, which old checkpoints store with the weights, hold -Inf.
	if err := s.nonFinite(append(ignorable, "*.masked_bias", "masked_bias")); err != nil {
		return Digests{}, err
	}
	if zero := s.zero(); len(zero) > 0 {
		c.warn("zero-tensor", "%d tensors are all zero: %s", len(zero), some(zero))
	}
	d := Digests{Weights: s.root(), DType: s.mainType(), Vocab: c.vocab(), Files: map[string]string{}}
	if c.gguf != nil {
		d.Quant = d.DType
	}
	for i, f := range c.files {
		d.Files[f.Name] = s.files[i]
	}
	return d, nil
}

// leaf is what one pass over a tensor found.
type leaf struct {
	sum [sha256.Size]byte
	finding
}

type scanner struct {
	ctx     context.Context
	tensors []tensor
	leaves  []leaf // one per tensor
	files   []string
}

// run hashes files and tensors on all processors. Files come first: one file
// is the longest job, and its bytes are then in memory for its tensors.
func (s *scanner) run(c *Checkpoint) error {
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	jobs := make(chan func() error)
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(c.files)+len(s.tensors)) {
		wg.Go(func() {
			for job := range jobs {
				if err := mapped.Guard(job); err != nil {
					cancel(err)
				}
			}
		})
	}
	send := func(job func() error) bool {
		select {
		case jobs <- job:
			return true
		case <-ctx.Done():
			return false
		}
	}
	for i := range c.files {
		if !send(func() error { return s.file(ctx, c, i) }) {
			break
		}
	}
	for i := range s.tensors {
		if !send(func() error { return s.tensor(ctx, &s.tensors[i], &s.leaves[i]) }) {
			break
		}
	}
	close(jobs)
	wg.Wait()
	err := context.Cause(ctx)
	if err != nil && errors.Is(err, mapped.ErrChanged) {
		return pathError(c.path, err)
	}
	if err != nil && s.ctx.Err() != nil {
		return fault.New(fault.Interrupted, "interrupted", "weights: %s: scan: %w", c.path, err)
	}
	return err
}

const scanChunk = 1 << 20 // a multiple of 8

// file digests one file as it lies on disk.
func (s *scanner) file(ctx context.Context, c *Checkpoint, i int) error {
	data, ok := c.mappedBytes(c.files[i].Name)
	if !ok {
		var err error
		if data, err = readSmall(c.place.root, c.place.join(c.files[i].Name), maxIndexBytes); err != nil {
			return pathError(c.files[i].Name, err)
		}
	}
	h := sha256.New()
	for len(data) > 0 {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n := min(len(data), scanChunk)
		h.Write(data[:n])
		data = data[n:]
	}
	s.files[i] = "sha256:" + hex.EncodeToString(h.Sum(nil))
	return nil
}

// mappedBytes returns the bytes of a mapped file. Maps are in the order of the
// files of role weights.
func (c *Checkpoint) mappedBytes(name string) ([]byte, bool) {
	i := 0
	for _, f := range c.files {
		if f.Role != "weights" {
			continue
		}
		if f.Name == name {
			return c.maps[i].Bytes(), true
		}
		i++
	}
	return nil, false
}

// tensor digests one tensor and looks at its values in the same pass.
func (s *scanner) tensor(ctx context.Context, t *tensor, out *leaf) error {
	h := sha256.New()
	p := newProbe(t.DType)
	if t.block != nil && !t.block.format.Plain() {
		p.format, p.float, p.zero = &t.block.format, true, true
	}
	for data := t.raw(); len(data) > 0; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n := min(len(data), p.chunk())
		h.Write(data[:n])
		p.look(data[:n])
		data = data[n:]
	}
	h.Sum(out.sum[:0])
	out.finding = p.finding
	return nil
}

func (s *scanner) root() string {
	h := sha256.New()
	h.Write([]byte("assay-tensors-v1\n"))
	for i, t := range s.tensors {
		dims := strings.Trim(strings.ReplaceAll(fmt.Sprint(t.Shape), " ", ","), "[]")
		fmt.Fprintf(h, "%s\t%s\t%s\t%x\n", t.Name, t.DType, dims, s.leaves[i].sum)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// mainType is the type with most bytes; ties go to the first in byte order.
func (s *scanner) mainType() DType {
	total := map[DType]int64{}
	for _, t := range s.tensors {
		total[t.DType] += t.Bytes
	}
	var best DType
	for d, n := range total {
		if best == "" || n > total[best] || n == total[best] && d < best {
			best = d
		}
	}
	return best
}

func (c *Checkpoint) vocab() int {
	conf := c.Config()
	if conf.Has("text_config") {
		conf = conf.Sub("text_config")
	}
	if !conf.Has("vocab_size") {
		return 0
	}
	return conf.Int("vocab_size")
}

func (s *scanner) nonFinite(ignorable []string) error {
	for i, t := range s.tensors {
		if l := s.leaves[i]; l.count > 0 && !matches(t.Name, ignorable) {
			return fault.Inputf("nonfinite", "weights: tensor %q: found %d non-finite values of %d, the first at index %d, want none", t.Name, l.count, t.Len(), l.first)
		}
	}
	return nil
}

func matches(name string, patterns []string) bool {
	for _, p := range patterns {
		if ok, _ := path.Match(p, name); ok || p == name {
			return true
		}
	}
	return false
}

// zero returns the names of floating-point tensors that hold only zeros.
func (s *scanner) zero() map[string]bool {
	zero := map[string]bool{}
	for i, t := range s.tensors {
		if s.leaves[i].float && t.Bytes > 0 && s.leaves[i].zero {
			zero[t.Name] = true
		}
	}
	return zero
}

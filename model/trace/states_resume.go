package trace

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"io"
	"io/fs"

	"assay/internal/fault"
)

// The saved sums: magic, run (32), the plan's shard as two u64, the done flags of all
// slots, then the sums in the order of eachSum (hi and lo of each run, counts as they
// are), and SHA-256 of everything before it.
const sumsMagic = "ASYSUMS1"

// Save makes everything added so far survive a kill: it syncs the partial file, then
// writes the sums to a file of their own and renames it into place. Call it from time
// to time; it waits for Adds in progress.
func (w *StatesWriter) Save() error {
	w.gate.Lock()
	defer w.gate.Unlock()
	if w.err != nil {
		return w.err
	}
	if !w.open {
		return stateError(w.path, errClosed)
	}
	if err := w.f.Sync(); err != nil {
		return retry(w.partial(), "sync", err)
	}
	f, tmp, err := temporary(w.disk, w.sums())
	if err != nil {
		return retry(w.sums(), "create", err)
	}
	err = w.saveTo(f)
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = w.disk.rename(tmp, w.sums())
	}
	if err != nil {
		w.disk.remove(tmp) // the first error is the one to report
		return retry(w.sums(), "save", err)
	}
	return nil
}

func (w *StatesWriter) saveTo(f file) error {
	h := sha256.New()
	b := bufio.NewWriterSize(io.MultiWriter(f, h), 1<<20)
	b.WriteString(sumsMagic)
	b.Write(w.sumsKey())
	for _, done := range w.done {
		for _, d := range done {
			x := byte(0)
			if d {
				x = 1
			}
			b.WriteByte(x)
		}
	}
	s := w.scratch()
	err := w.eachSum(sumVisitor{func(_ string, _ int, p pairs) error {
		s.b = appendDoubles(appendDoubles(s.b[:0], p.hi), p.lo)
		_, err := b.Write(s.b)
		return err
	}, func(_ string, v []int64) error {
		_, err := b.Write(appendLongs(nil, v))
		return err
	}, func(_ string, v []float32) error {
		_, err := b.Write(appendFloats(nil, v))
		return err
	}})
	if err == nil {
		err = b.Flush() // reports the first error of all the writes above
	}
	if err == nil {
		_, err = f.Write(h.Sum(nil))
	}
	if err == nil {
		err = f.Sync()
	}
	return err
}

// sumsKey ties saved sums to the run and the shard.
func (w *StatesWriter) sumsKey() []byte {
	run := sha256.Sum256([]byte(w.header.Run))
	b := append([]byte{}, run[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(w.plan.options.From))
	return binary.LittleEndian.AppendUint64(b, uint64(w.plan.options.To))
}

// ResumeStates continues the file that an interrupted run of the same identity left;
// without one it is CreateStates. What was added after the last Save is to be
// added again; Has tells.
func ResumeStates(path string, p *StatesPlan, h StatesHeader) (*StatesWriter, error) {
	return resumeStates(path, p, h, StatesOptions{})
}

func resumeStates(path string, p *StatesPlan, h StatesHeader, o StatesOptions) (*StatesWriter, error) {
	w, err := newStatesWriter(path, p, h, o)
	if err != nil {
		return nil, err
	}
	f, size, err := w.disk.edit(w.partial())
	if errors.Is(err, fs.ErrNotExist) {
		return createStates(path, p, h, o)
	}
	if err != nil {
		return nil, openError(w.partial(), err)
	}
	w.f = f
	if err = w.lock(); err == nil {
		err = w.restore(f, size)
	}
	if err != nil {
		f.Close() // the first error is the one to report
		return nil, err
	}
	return w, nil
}

func (w *StatesWriter) restore(f file, size int64) error {
	want := 8 + w.layout.headerSize + w.layout.dataBytes
	b, err := w.layout.header(w.header, "")
	if err != nil {
		return err
	}
	// A kill between creating the file and giving it its size leaves nothing worth
	// keeping, and a header without its identity is another run's.
	if size < want {
		return w.start()
	}
	found := make([]byte, len(b))
	if _, err := f.ReadAt(found, 0); err != nil {
		return retry(w.partial(), "read", err)
	}
	if old, err := parseStatesHeader(w.partial(), found, size); err != nil || old.header.Run != w.header.Run {
		run := "unknown"
		if err == nil {
			run = old.header.Run
		}
		return fault.Inputf("mismatch", "trace: %s: belongs to run %s, want %s", w.partial(), run, w.header.Run).Hint("remove the file to start again")
	}
	sums, n, err := w.disk.open(w.sums())
	if errors.Is(err, fs.ErrNotExist) {
		return w.start()
	}
	if err != nil {
		return openError(w.sums(), err)
	}
	defer sums.Close() // only read
	return w.load(sums, n)
}

// load reads saved sums, whose digest is verified first.
func (w *StatesWriter) load(f file, size int64) error {
	bad := func(what string) error {
		return fault.Inputf("malformed", "trace: %s: %s", w.sums(), what).Hint("remove it and %s to start again", w.partial())
	}
	if size < 32 {
		return bad("cut short")
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(f, 0, size-32)); err != nil {
		return retry(w.sums(), "read", err)
	}
	var sum [32]byte
	if _, err := f.ReadAt(sum[:], size-32); err != nil {
		return retry(w.sums(), "read", err)
	}
	if !hashIs(h, sum) {
		return bad("the digest does not hold")
	}
	r := &sumsReader{r: bufio.NewReaderSize(io.NewSectionReader(f, 0, size-32), 1<<20)}
	if !bytes.Equal(r.take(8), []byte(sumsMagic)) || !bytes.Equal(r.take(48), w.sumsKey()) {
		return bad("belongs to another run or shard")
	}
	for _, done := range w.done {
		for i, x := range r.take(len(done)) {
			done[i] = x != 0
		}
	}
	err := w.eachSum(sumVisitor{func(_ string, _ int, p pairs) error {
		r.doubles(p.hi)
		r.doubles(p.lo)
		return r.err
	}, func(_ string, v []int64) error {
		decodeLongs(v, r.take(8*len(v)))
		return r.err
	}, func(_ string, v []float32) error {
		decodeFloats(v, r.take(4*len(v)))
		return r.err
	}})
	if err == nil {
		err = r.err
	}
	if err != nil {
		return bad("cut short")
	}
	return nil
}

func hashIs(h hash.Hash, sum [32]byte) bool { return [32]byte(h.Sum(nil)) == sum }

type sumsReader struct {
	r   io.Reader
	err error
}

func (r *sumsReader) take(n int) []byte {
	b := make([]byte, n)
	if r.err == nil {
		_, r.err = io.ReadFull(r.r, b)
	}
	return b
}

func (r *sumsReader) doubles(dst []float64) {
	decodeDoubles(dst, r.take(8*len(dst)))
}

package gens

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"assay/internal/fault"
)

// Writer writes a file of generations. It lies beside its final name until Close;
// what is whole in it survives a process that is killed.
type Writer struct {
	path    string
	file    *os.File
	out     *bufio.Writer
	header  Header
	hash    hash.Hash
	records int
}

// partial is the name of the file while it is written.
func partial(path string) string { return path + ".partial" }

// Create begins a file.
func Create(path string, h Header) (*Writer, error) {
	w, err := begin(path, h)
	if err != nil {
		return nil, err
	}
	if w.file, err = os.OpenFile(partial(path), os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o644); err != nil {
		return nil, fault.Retryf("io", "gens: %w", err)
	}
	w.out = bufio.NewWriter(w.file)
	if _, err := w.line(map[string]any{"assay": w.header}); err != nil {
		w.file.Close()
		return nil, err
	}
	return w, nil
}

func begin(path string, h Header) (*Writer, error) {
	h.Schema = Schema
	var err error
	if h.Run, err = h.Of.Run(); err != nil {
		return nil, err
	}
	return &Writer{path: path, header: h, hash: sha256.New()}, nil
}

// Resume goes on with what an interrupted run of the same work left, or begins. The
// whole records of complete prompts are kept: done is their number, samples for
// each prompt.
func Resume(path string, h Header, samples int) (w *Writer, done int, err error) {
	if w, err = begin(path, h); err != nil {
		return nil, 0, err
	}
	f, err := os.OpenFile(partial(path), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		w, err = Create(path, h)
		return w, 0, err
	}
	if err != nil {
		return nil, 0, fault.Retryf("io", "gens: %w", err)
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	in := bufio.NewReader(f)
	old, n, err := readHeader(partial(path), in)
	if err != nil || n == 0 { // not even a header
		f.Close()
		w, err = Create(path, h)
		return w, 0, err
	}
	if old.Run != w.header.Run {
		return nil, 0, fault.Inputf("other-run", "gens: %s is of another run (%.12s, this is %.12s)", partial(path), old.Run, w.header.Run).
			Hint("other prompts, checkpoint, sampler or seed: remove the file, or leave --resume out to begin again")
	}
	w.header = old
	var kept []byte // of the prompt under way
	end := int64(n)
	for at := 2; ; at++ {
		b, err := readLine(partial(path), in, at)
		if err != nil {
			return nil, 0, err
		}
		if b == nil {
			break
		}
		l, err := parse(partial(path), b, at)
		if err != nil {
			return nil, 0, err
		}
		if l.End != nil {
			break
		}
		kept = append(kept, b...)
		if (w.records+bytes.Count(kept, []byte("\n")))%samples == 0 {
			w.records += bytes.Count(kept, []byte("\n"))
			w.hash.Write(kept)
			end += int64(len(kept))
			kept = kept[:0]
		}
	}
	if err := f.Truncate(end); err != nil {
		return nil, 0, fault.Retryf("io", "gens: %w", err)
	}
	if _, err := f.Seek(end, io.SeekStart); err != nil {
		return nil, 0, fault.Retryf("io", "gens: %w", err)
	}
	w.file, w.out = f, bufio.NewWriter(f)
	return w, w.records, nil
}

// Header returns the header with its run.
func (w *Writer) Header() Header { return w.header }

// Append writes a record.
func (w *Writer) Append(r Record) error {
	b, err := w.line(r)
	if err != nil {
		return err
	}
	w.hash.Write(b)
	w.records++
	return nil
}

func (w *Writer) line(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("gens: %w", err)
	}
	if _, err := w.out.Write(b.Bytes()); err != nil {
		return nil, fault.Retryf("io", "gens: %s: %w", w.path, err)
	}
	return b.Bytes(), nil
}

// Flush hands what was written to the system.
func (w *Writer) Flush() error {
	if err := w.out.Flush(); err != nil {
		return fault.Retryf("io", "gens: %s: %w", w.path, err)
	}
	return nil
}

// Abort closes the file and leaves it for Resume.
func (w *Writer) Abort() error {
	err := errors.Join(w.out.Flush(), w.file.Close())
	if err != nil {
		return fault.Retryf("io", "gens: %s: %w", w.path, err)
	}
	return nil
}

// Close writes the last line and gives the file its name.
func (w *Writer) Close() (End, error) {
	end := End{w.records, hex.EncodeToString(w.hash.Sum(nil))}
	if _, err := w.line(map[string]any{"end": end}); err != nil {
		return end, errors.Join(err, w.file.Close())
	}
	err := w.out.Flush()
	if err == nil {
		err = w.file.Sync()
	}
	if err = errors.Join(err, w.file.Close()); err == nil {
		err = os.Rename(partial(w.path), w.path)
	}
	if err == nil {
		if d, derr := os.Open(filepath.Dir(w.path)); derr == nil {
			_ = d.Sync() // not every file system can
			_ = d.Close()
		}
	}
	if err != nil {
		return end, fault.Retryf("io", "gens: %s: %w", w.path, err)
	}
	return end, nil
}

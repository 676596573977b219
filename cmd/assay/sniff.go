package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"strings"

	"assay/internal/fault"
)

// kind is what a path holds.
type kind string

const (
	kindCheckpoint kind = "checkpoint"
	kindTrace      kind = "trace"
	kindStates     kind = "states"
)

// detect tells what a path holds: a folder is a checkpoint, Parquet and JSONL are
// traces, safetensors with the header of states are states, any other weights
// file is a checkpoint.
func detect(path string) (kind, error) {
	st, err := os.Stat(path)
	if err != nil {
		return "", fault.Usagef("%w", err)
	}
	switch {
	case st.IsDir():
		return kindCheckpoint, nil
	case isTrace(path):
		return kindTrace, nil
	case strings.HasSuffix(path, ".safetensors"):
		return sniffSafetensors(path)
	case strings.HasSuffix(path, ".gguf"):
		return kindCheckpoint, nil
	}
	return "", fault.Usagef("%s: found neither a checkpoint, a trace nor states, want a folder, .gguf, .parquet, .jsonl, .jsonl.gz or .safetensors", path)
}

// sniffSafetensors looks for the name of our schema in a header, block by block.
func sniffSafetensors(path string) (kind, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fault.Retryf("io", "%w", err)
	}
	defer f.Close()
	var size [8]byte
	if _, err := io.ReadFull(f, size[:]); err != nil {
		return kindCheckpoint, nil // its reader says what is wrong
	}
	const limit, schema = 100 << 20, `"assay.states/`
	r := io.LimitReader(f, int64(min(binary.LittleEndian.Uint64(size[:]), limit)))
	buf, keep := make([]byte, 64<<10), 0
	for {
		n, err := r.Read(buf[keep:])
		// The header stands in a JSON string, where quotes are escaped.
		plain := bytes.ReplaceAll(buf[:keep+n], []byte(`\`), nil)
		if bytes.Contains(plain, []byte(schema)) {
			return kindStates, nil
		}
		if errors.Is(err, io.EOF) || n == 0 {
			return kindCheckpoint, nil
		}
		if err != nil {
			return "", fault.Retryf("io", "%s: %w", path, err)
		}
		tail := buf[max(0, keep+n-2*len(schema)) : keep+n]
		keep = copy(buf, tail)
	}
}

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"

	"assay/internal/fault"
	"assay/internal/outfile"
)

// writeFile writes path by rename: a failure leaves nothing under the name.
func writeFile(path string, write func(io.Writer) error) error {
	return outfile.Write(path, func(f *os.File) error { return write(f) })
}

// fileDigest is the SHA-256 of a file's bytes.
func fileDigest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fault.Inputf("no-file", "%w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fault.Retryf("io", "%s: %w", path, err)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}

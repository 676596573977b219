package main

import (
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"strings"

	"assay/internal/fault"
	"assay/latent/aqi"
)

// maxSideFile is the largest side file (assignments, margins, weights) that is read.
const maxSideFile = 256 << 20

// readSideFile returns the bytes of a file that the user wrote beside the evidence.
func readSideFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.Usagef("%w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSideFile+1))
	if err != nil {
		return nil, fault.Retryf("io", "%s: %w", path, err)
	}
	if len(b) > maxSideFile {
		return nil, fault.Inputf("too-large", "%s: found more than %d bytes", path, maxSideFile)
	}
	return b, nil
}

// readByID reads two columns, id and another, of a .csv or .jsonl file: a map by id.
func readByID(path, column string) (map[string]string, []byte, error) {
	b, err := readSideFile(path)
	if err != nil {
		return nil, nil, err
	}
	out := map[string]string{}
	put := func(line int, id, v string) error {
		if id == "" || v == "" {
			return fault.Inputf("row", "%s:%d: id %q, %s %q, want both", path, line, id, column, v)
		}
		if _, twice := out[id]; twice {
			return fault.Inputf("duplicate-id", "%s:%d: id %q: found twice, want each once", path, line, id)
		}
		out[id] = v
		return nil
	}
	if strings.HasSuffix(path, ".csv") {
		err = csvByID(path, b, column, put)
	} else {
		err = jsonlByID(path, b, column, put)
	}
	if err == nil && len(out) == 0 {
		err = fault.Inputf("empty", "%s: found no rows, want id and %s", path, column)
	}
	return out, b, err
}

func csvByID(path string, b []byte, column string, put func(line int, id, v string) error) error {
	r := csv.NewReader(strings.NewReader(strings.TrimPrefix(string(b), "\ufeff")))
	head, err := r.Read()
	if err != nil {
		return fault.Inputf("malformed", "%s: %w", path, err)
	}
	id, v := -1, -1
	for i, h := range head {
		switch h {
		case "id":
			id = i
		case column:
			v = i
		}
	}
	if id < 0 || v < 0 {
		return fault.Inputf("columns", "%s: columns %q, want id and %s", path, head, column)
	}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fault.Inputf("malformed", "%s: %w", path, err)
		}
		line, _ := r.FieldPos(0)
		if err := put(line, row[id], row[v]); err != nil {
			return err
		}
	}
}

func jsonlByID(path string, b []byte, column string, put func(line int, id, v string) error) error {
	line := 0
	for text := range strings.Lines(string(b)) {
		if line++; strings.TrimSpace(text) == "" {
			continue
		}
		var row map[string]any
		dec := json.NewDecoder(strings.NewReader(text))
		dec.UseNumber()
		if err := dec.Decode(&row); err != nil {
			return fault.Inputf("malformed", "%s:%d: %w", path, line, err)
		}
		id, _ := row["id"].(string)
		v := ""
		switch x := row[column].(type) {
		case string:
			v = x
		case json.Number:
			v = x.String()
		case bool:
			v = map[bool]string{true: "true", false: "false"}[x]
		}
		if err := put(line, id, v); err != nil {
			return err
		}
	}
	return nil
}

// readAssignment reads the auditor's own draw of labels.
func readAssignment(path string) (*aqi.Assignment, error) {
	m, b, err := readByID(path, "label")
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	return &aqi.Assignment{Digest: "sha256:" + hex.EncodeToString(sum[:]), Labels: m}, nil
}

// readWeights reads layer weights: a JSON array of numbers, each finite and not
// below 0, not all 0.
func readWeights(path string) ([]float64, error) {
	b, err := readSideFile(path)
	if err != nil {
		return nil, err
	}
	var w []float64
	if err := json.Unmarshal(b, &w); err != nil {
		return nil, fault.Inputf("malformed", "%s: %w, want a JSON array of layer weights", path, err)
	}
	sum := 0.0
	for i, v := range w {
		if v < 0 {
			return nil, fault.Inputf("bad-weights", "%s: weight %d: found %v, want 0 or more", path, i, v)
		}
		sum += v
	}
	if !(sum > 0) || math.IsInf(sum, 0) {
		return nil, fault.Inputf("bad-weights", "%s: weights sum to %v, want more than 0", path, sum)
	}
	return w, nil
}

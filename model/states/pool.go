package states

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"assay/internal/fault"
)

// pool turns the vectors of a span into one, or picks some of them.
type pool struct {
	name      string // as stored: files by digest
	kind      poolKind
	weights   map[string][]float64 // by document
	list      []int32
	positions map[string][]int32 // by document
}

type poolKind int

const (
	poolMean poolKind = iota
	poolLast
	poolLinear
	poolFile
	poolTokens
)

// Pools lists the pools, for messages and help.
func Pools() []string {
	return []string{"mean", "last", "weighted:linear", "weighted:FILE", "tokens:LIST", "tokens:FILE"}
}

// parsePool reads a pool and the file it names.
func parsePool(name string) (*pool, error) {
	p := &pool{name: name}
	switch rest, weighted := strings.CutPrefix(name, "weighted:"); {
	case name == "mean":
		return p, nil
	case name == "last":
		p.kind = poolLast
		return p, nil
	case name == "weighted:linear":
		p.kind = poolLinear
		return p, nil
	case weighted && rest != "":
		p.kind, p.weights = poolFile, map[string][]float64{}
		digest, err := readLists(rest, func(id string, r listRow) error {
			if r.Weights == nil {
				return fmt.Errorf("no weights")
			}
			p.weights[id] = r.Weights
			return nil
		})
		p.name = "weighted:" + digest
		return p, err
	}
	rest, tokens := strings.CutPrefix(name, "tokens:")
	if !tokens || rest == "" {
		return nil, fault.Usagef("states: pool %q: unknown, want one of %s", name, strings.Join(Pools(), ", "))
	}
	p.kind = poolTokens
	for _, f := range strings.Split(rest, ",") {
		n, err := strconv.ParseInt(f, 10, 32)
		if err != nil {
			p.list, p.positions = nil, map[string][]int32{}
			break
		}
		if slices.Contains(p.list, int32(n)) {
			return nil, fault.Usagef("states: pool %q: position %d is listed twice", name, n)
		}
		p.list = append(p.list, int32(n))
	}
	if p.positions == nil {
		return p, nil
	}
	digest, err := readLists(rest, func(id string, r listRow) error {
		if len(r.Positions) == 0 {
			return fmt.Errorf("no positions")
		}
		p.positions[id] = r.Positions
		return nil
	})
	p.name = "tokens:" + digest
	return p, err
}

// listRow is one line of a file of weights or positions; other fields are let by,
// so that the items file itself may be named.
type listRow struct {
	ID        string    `json:"id"`
	Weights   []float64 `json:"weights"`
	Positions []int32   `json:"positions"`
}

// maxLists bounds what a compressed file of lists unfolds to.
const maxLists = 4 << 30

// readLists reads a JSON Lines file by id and returns the first 16 digits of its SHA-256.
func readLists(path string, add func(id string, r listRow) error) (digest string, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fault.Usagef("states: pool: %w", err).Hint("want one of %s", strings.Join(Pools(), ", "))
	}
	if strings.HasSuffix(path, ".gz") {
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err == nil {
			b, err = io.ReadAll(io.LimitReader(z, maxLists+1))
		}
		if err == nil && len(b) > maxLists {
			err = fmt.Errorf("over %d bytes", maxLists)
		}
		if err != nil {
			return "", fault.Inputf("malformed", "states: %s: %w", path, err)
		}
	}
	sum := sha256.Sum256(b)
	seen := map[string]int{}
	n := 0
	for line := range strings.Lines(string(b)) {
		n++
		if strings.TrimSpace(line) == "" {
			continue
		}
		var r listRow
		err := json.Unmarshal([]byte(line), &r)
		if err == nil && r.ID == "" {
			err = fmt.Errorf("no id")
		}
		if err == nil && seen[r.ID] > 0 {
			return "", fault.Inputf("duplicate-id", "states: %s: id %q in lines %d and %d, want it once", path, r.ID, seen[r.ID], n)
		}
		if err == nil {
			seen[r.ID] = n
			err = add(r.ID, r)
		}
		if err != nil {
			return "", fault.Inputf("bad-weights", "states: %s:%d: %w", path, n, err)
		}
	}
	return hex.EncodeToString(sum[:8]), nil
}

// check refuses what does not fit a span of n tokens.
func (p *pool) check(id string, n int) error {
	switch p.kind {
	case poolFile:
		w, ok := p.weights[id]
		if !ok {
			return fault.Inputf("bad-weights", "states: document %q: no weights", id)
		}
		if len(w) != n {
			return fault.Inputf("bad-weights", "states: document %q: %d weights for a span of %d tokens", id, len(w), n)
		}
		sum := 0.0
		for i, x := range w {
			if !(x >= 0) || math.IsInf(x, 0) {
				return fault.Inputf("bad-weights", "states: document %q: weight %d is %v, want it finite and 0 or more", id, i, x)
			}
			sum += x
		}
		if !(sum > 0) || math.IsInf(sum, 0) {
			return fault.Inputf("bad-weights", "states: document %q: weights add up to %v, want a finite sum above 0", id, sum)
		}
	case poolTokens:
		list := p.list
		if p.positions != nil {
			if list = p.positions[id]; list == nil {
				return fault.Inputf("bad-position", "states: document %q: no positions", id)
			}
		}
		for _, at := range list {
			if int(at) >= n || int(at) < -n {
				return fault.Inputf("bad-position", "states: document %q: position %d of a span of %d tokens", id, at, n)
			}
		}
	}
	return nil
}

// weigh returns the weight of token r of a span of n; check has passed.
func (p *pool) weigh(id string, n int) func(r int) float64 {
	switch p.kind {
	case poolLast:
		return func(r int) float64 {
			if r == n-1 {
				return 1
			}
			return 0
		}
	case poolLinear:
		all := float64(n) * float64(n+1) / 2
		return func(r int) float64 { return float64(r+1) / all }
	case poolFile:
		w := p.weights[id]
		sum := 0.0
		for _, x := range w {
			sum += x
		}
		return func(r int) float64 { return w[r] / sum }
	}
	return nil // mean: a sum, divided once
}

// rows returns the places in the span that a token pool keeps.
func (p *pool) rows(id string, n int) []int32 {
	list := p.list
	if p.positions != nil {
		list = p.positions[id]
	}
	out := make([]int32, len(list))
	for i, at := range list {
		if at < 0 {
			at += int32(n)
		}
		out[i] = at
	}
	return out
}

package membership

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"assay/internal/fault"
)

const assignmentSchema = "assay.assignment/1"

// Assignment proves that labels or an order were drawn at random: its generator and
// seed reproduce them, and the commitment could be published before training. Assay
// checks the arithmetic; it cannot check the date.
type Assignment struct {
	Schema     string `json:"schema"`
	Kind       string `json:"kind"`      // split or order
	Generator  string `json:"generator"` // sha256-order/1: keys ordered by SHA-256(seed ":" key)
	Seed       string `json:"seed"`
	Commitment string `json:"commitment"`        // hex SHA-256("assay.assignment/1" 00 seed)
	Members    int    `json:"members,omitempty"` // split: the first so many keys are members
}

// Generator names the only way to draw that this version reproduces.
const Generator = "sha256-order/1"

// NewAssignment draws nothing: it states a seed, from which Split and Order follow.
func NewAssignment(kind, seed string, members int) Assignment {
	h := sha256.Sum256([]byte(assignmentSchema + "\x00" + seed))
	return Assignment{Schema: assignmentSchema, Kind: kind, Generator: Generator, Seed: seed, Commitment: hex.EncodeToString(h[:]), Members: members}
}

// ReadAssignment reads an assignment file and checks its commitment.
func ReadAssignment(r io.Reader) (Assignment, error) {
	var a Assignment
	d := json.NewDecoder(io.LimitReader(r, 1<<20))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			return a, fault.Retryf("truncated", "membership: assignment: the document ends early: %w", err)
		}
		return a, fault.Inputf("malformed", "membership: assignment: %w", err)
	}
	want := NewAssignment(a.Kind, a.Seed, a.Members)
	switch {
	case a.Schema != assignmentSchema:
		return a, fault.Inputf("malformed", "membership: assignment: schema: found %q, want %q", a.Schema, assignmentSchema)
	case a.Generator != Generator:
		return a, fault.Inputf("unsupported", "membership: assignment: generator: found %q, want %q", a.Generator, Generator)
	case a.Kind != "split" && a.Kind != "order":
		return a, fault.Inputf("malformed", "membership: assignment: kind: found %q, want split or order", a.Kind)
	case a.Commitment != want.Commitment:
		return a, fault.Inputf("commitment", "membership: assignment: commitment: found %.16s, want %.16s from the seed", a.Commitment, want.Commitment)
	}
	return a, nil
}

// Split returns the keys (groups, or ids) in their drawn order; the first Members
// are the members.
func (a Assignment) Split(keys []string) []string { return hashOrder(keys, a.Seed) }

// CheckSplit reports the first key whose label is not the drawn one.
func (a Assignment) CheckSplit(keys []string, label []int) error {
	if a.Kind != "split" {
		return fault.Inputf("commitment", "membership: assignment: found kind %q, want split", a.Kind)
	}
	drawn := make(map[string]int)
	order := a.Split(keys)
	if a.Members < 1 || a.Members >= len(order) {
		return fault.Inputf("commitment", "membership: assignment: found %d members of %d keys, want at least 1 on both sides", a.Members, len(order))
	}
	for i, k := range order {
		if i < a.Members {
			drawn[k] = 1
		} else {
			drawn[k] = 0
		}
	}
	for i, k := range keys {
		if drawn[k] != label[i] {
			return fault.Inputf("commitment", "membership: assignment: %q: found label %d, want %d as drawn", k, label[i], drawn[k])
		}
	}
	return nil
}

// CheckOrder reports the first place at which ids are not in their drawn order.
func (a Assignment) CheckOrder(ids []string) error {
	if a.Kind != "order" {
		return fault.Inputf("commitment", "membership: assignment: found kind %q, want order", a.Kind)
	}
	sorted := slices.Clone(ids)
	slices.Sort(sorted)
	drawn := hashOrder(sorted, a.Seed)
	if len(drawn) != len(ids) {
		return fault.Inputf("duplicate", "membership: assignment: found %d distinct ids of %d, want all distinct", len(drawn), len(ids))
	}
	for i, id := range ids {
		if id != drawn[i] {
			return fault.Inputf("commitment", "membership: assignment: place %d: found %q, want %q as drawn", i+1, id, drawn[i])
		}
	}
	return nil
}

// Check is one condition of a tier, kept in the settings of the result.
type Check struct {
	Name  string `json:"name"`
	Value any    `json:"value,omitempty"`
	Limit any    `json:"limit,omitempty"`
	Pass  bool   `json:"pass"`
}

func failed(checks []Check) string {
	var out []string
	for _, c := range checks {
		if !c.Pass {
			out = append(out, fmt.Sprintf("%s (%v)", c.Name, c.Value))
		}
	}
	return strings.Join(out, ", ")
}

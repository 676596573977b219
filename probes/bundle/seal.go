package bundle

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"assay/internal/fault"
)

// SealSchema is the schema of seals.
const SealSchema = "assay.seal/1"

// Seal fixes what an audit will do before anyone has scored.
type Seal struct {
	Schema  string            `json:"schema"`
	Plan    string            `json:"plan"`   // digest
	Inputs  map[string]string `json:"inputs"` // path in the bundle, or role and part, to digest
	Version string            `json:"version"`
	Tests   map[string]string `json:"tests"` // id to the test and its form
}

// Seal describes the work.
func (w *Work) Seal(prog Program) Seal {
	s := Seal{Schema: SealSchema, Plan: w.Plan.Digest(), Version: prog.Version, Inputs: map[string]string{}, Tests: map[string]string{}}
	for _, m := range w.Models {
		for part, d := range map[string]string{"weights": m.Weights, "config": m.Config, "tokenizer": m.Tokenizer} {
			if d != "" {
				s.Inputs[m.Role+" "+part] = d
			}
		}
	}
	for _, e := range w.Inputs {
		for _, f := range e.Files {
			s.Inputs[f.Path] = "sha256:" + f.SHA256
		}
	}
	for _, p := range w.Passes {
		if p.Given != "" {
			s.Inputs[p.Path] = "run:" + p.Run
		}
	}
	for _, t := range w.Plan.Tests {
		s.Tests[t.ID] = t.Test
		if t.Name != "" {
			s.Tests[t.ID] += " " + t.Name
		}
	}
	return s
}

// JSON is the seal's file.
func (s Seal) JSON() ([]byte, error) { return indented(s) }

// ReadSeal reads a seal and returns its digest too.
func ReadSeal(r io.Reader) (s Seal, digest string, err error) {
	b, err := io.ReadAll(io.LimitReader(r, maxPlan))
	if err != nil {
		return s, "", fault.Inputf("malformed", "seal: %w", err)
	}
	if err := strictJSON(b, &s); err != nil {
		return s, "", fault.Inputf("malformed", "seal: %w", err)
	}
	if s.Schema != SealSchema {
		return s, "", fault.Inputf("malformed", "seal: schema: found %.60q, want %q", s.Schema, SealSchema)
	}
	return s, digestOf(b), nil
}

// Check compares the work with a seal made earlier; what differs is an error that
// names it with both digests.
func (s Seal) Check(now Seal) error {
	if s.Plan != now.Plan {
		return sealed("plan", now.Plan, s.Plan)
	}
	keys := slices.Sorted(maps.Keys(s.Inputs))
	for _, k := range slices.Sorted(maps.Keys(now.Inputs)) {
		if _, ok := s.Inputs[k]; !ok {
			keys = append(keys, k)
		}
	}
	for _, k := range keys {
		if s.Inputs[k] != now.Inputs[k] {
			return sealed("input "+k, now.Inputs[k], s.Inputs[k])
		}
	}
	if s.Version != now.Version {
		return sealed("program version", now.Version, s.Version)
	}
	if !maps.Equal(s.Tests, now.Tests) {
		return sealed("tests", fmt.Sprint(now.Tests), fmt.Sprint(s.Tests))
	}
	return nil
}

func sealed(what, found, want string) error {
	if found == "" {
		found = "nothing"
	}
	if want == "" {
		want = "nothing"
	}
	return fault.Inputf("sealed", "seal: %s: found %s, sealed %s", what, found, want).
		Hint("the audit is not the one that was sealed; make a new seal and exchange it before scoring")
}

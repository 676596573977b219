package ghost

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"assay/internal/fault"
)

const secretsSchema = "assay.secrets/1"

// secretsFile is NAME.secrets.json: private, and enough to regenerate all.
type secretsFile struct {
	Schema   string    `json:"schema"`
	Kind     string    `json:"kind"`
	Words    int       `json:"words"`
	Secrets  int       `json:"secrets"`
	Controls int       `json:"controls"`
	Seed     string    `json:"seed,omitempty"` // empty while a beacon is awaited
	Origin   Origin    `json:"origin"`
	Plan     Plan      `json:"plan"`
	List     []string  `json:"list,omitempty"`
	Template *Template `json:"template,omitempty"`
	Traps    []string  `json:"traps,omitempty"`
	Burnt    []Ref     `json:"burnt,omitempty"`
}

func (s *Set) file() secretsFile {
	f := secretsFile{
		Schema: secretsSchema, Kind: s.Kind, Words: s.Words, Secrets: s.Secrets, Controls: s.Controls,
		Seed: hex.EncodeToString(s.seed[:]), Origin: s.Origin, Plan: s.Plan,
		Template: s.Template, Traps: s.Traps, Burnt: s.Burnt,
	}
	if s.List != nil {
		f.List = s.List.Words
	}
	return f
}

// JSON returns the private file of the set.
func (s *Set) JSON() ([]byte, error) { return encode(s.file()) }

// Pending is a set whose seed waits for a public random value.
type Pending struct {
	spec  Spec
	nonce [32]byte
}

// NewPending checks the spec and holds the nonce of the beacon form.
func NewPending(nonce [32]byte, s Spec) (*Pending, error) {
	if _, err := New(nonce, s); err != nil { // every check of the spec, with a seed that is thrown away
		return nil, err
	}
	return &Pending{spec: s, nonce: nonce}, nil
}

// Commit returns what is published before the beacon appears: the nonce's
// commitment, the plan and the list, without roots or indices.
func (p *Pending) Commit() (Commitment, error) {
	plan, err := p.spec.Plan.Digest()
	if err != nil {
		return Commitment{}, err
	}
	nonce := NonceCommitment(p.nonce)
	c := Commitment{
		Schema: commitSchema, Kind: p.spec.Kind, Secrets: p.spec.Secrets, Controls: p.spec.Controls, Words: p.spec.Words,
		PlanSHA256: hex.EncodeToString(plan[:]), Source: hex.EncodeToString(nonce[:]), Roots: []string{}, Indices: []string{},
	}
	if p.spec.List != nil {
		c.V = len(p.spec.List.Words)
		c.ListSHA256 = hex.EncodeToString(p.spec.List.Digest[:])
	}
	return c, nil
}

// JSON returns the private file of the pending set.
func (p *Pending) JSON() ([]byte, error) {
	f := (&Set{Spec: p.spec, Origin: Origin{Source: "beacon", Nonce: hex.EncodeToString(p.nonce[:])}}).file()
	f.Seed = ""
	return encode(f)
}

// Seed completes a pending set with the beacon's value.
func (p *Pending) Seed(beacon []byte) (*Set, error) {
	if len(beacon) < 8 {
		return nil, fault.Usagef("ghost: beacon: found %d bytes, want at least 8", len(beacon))
	}
	s, err := New(BeaconSeed(p.nonce, beacon), p.spec)
	if err != nil {
		return nil, err
	}
	s.Origin = Origin{Source: "beacon", Nonce: hex.EncodeToString(p.nonce[:]), Beacon: hex.EncodeToString(beacon)}
	return s, nil
}

// ReadSecrets reads a private file. Exactly one of the two answers is not nil:
// a set, or a pending one that still waits for its beacon. A seed that does not
// follow from its nonce and beacon is an error.
func ReadSecrets(r io.Reader) (*Set, *Pending, error) {
	var f secretsFile
	if err := decode(r, &f); err != nil {
		return nil, nil, fmt.Errorf("ghost: secrets: %w", err)
	}
	if f.Schema != secretsSchema {
		return nil, nil, fault.Inputf("malformed", "ghost: secrets: schema: found %q, want %q", f.Schema, secretsSchema)
	}
	spec := Spec{Kind: f.Kind, Words: f.Words, Secrets: f.Secrets, Controls: f.Controls, Template: f.Template, Traps: f.Traps, Plan: f.Plan}
	if len(f.List) > 0 {
		l, err := ReadList(linesOf(f.List))
		if err != nil {
			return nil, nil, err
		}
		spec.List = l
	}
	switch f.Origin.Source {
	case "os":
		seed, err := decode32(f.Seed)
		if err != nil {
			return nil, nil, fmt.Errorf("ghost: secrets: seed: %w", err)
		}
		s, err := New(seed, spec)
		if err != nil {
			return nil, nil, err
		}
		s.Burnt = f.Burnt
		return s, nil, nil
	case "beacon":
		nonce, err := decode32(f.Origin.Nonce)
		if err != nil {
			return nil, nil, fmt.Errorf("ghost: secrets: nonce: %w", err)
		}
		p, err := NewPending(nonce, spec)
		if err != nil || f.Origin.Beacon == "" {
			return nil, p, err
		}
		beacon, err := hex.DecodeString(f.Origin.Beacon)
		if err != nil {
			return nil, nil, fault.Inputf("malformed", "ghost: secrets: beacon: found %q, want hexadecimal digits", f.Origin.Beacon)
		}
		s, err := p.Seed(beacon)
		if err != nil {
			return nil, nil, err
		}
		if got := hex.EncodeToString(s.seed[:]); got != f.Seed {
			return nil, nil, fault.Inputf("commitment", "ghost: secrets: the seed does not follow from its nonce and beacon")
		}
		s.Burnt = f.Burnt
		return s, nil, nil
	}
	return nil, nil, fault.Inputf("malformed", "ghost: secrets: origin: found %q, want os or beacon", f.Origin.Source)
}

// ReadCommitment reads a published commitment.
func ReadCommitment(r io.Reader) (Commitment, error) {
	var c Commitment
	if err := decode(r, &c); err != nil {
		return c, fmt.Errorf("ghost: commitment: %w", err)
	}
	if c.Schema != commitSchema {
		return c, fault.Inputf("malformed", "ghost: commitment: schema: found %q, want %q", c.Schema, commitSchema)
	}
	return c, nil
}

// ReadPlan reads an analysis plan.
func ReadPlan(r io.Reader) (Plan, error) {
	var p Plan
	if err := decode(r, &p); err != nil {
		return p, fmt.Errorf("ghost: plan: %w", err)
	}
	return p, p.Validate()
}

// ReadOpening reads an opened candidate; Check holds it against a commitment.
func ReadOpening(r io.Reader) (Opening, error) {
	var o Opening
	if err := decode(r, &o); err != nil {
		return o, fmt.Errorf("ghost: opening: %w", err)
	}
	if o.Schema != openingSchema {
		return o, fault.Inputf("malformed", "ghost: opening: schema: found %q, want %q", o.Schema, openingSchema)
	}
	return o, nil
}

// ReadTemplate reads a text with slots and the list of each.
func ReadTemplate(r io.Reader) (*Template, error) {
	var t Template
	if err := decode(r, &t); err != nil {
		return nil, fmt.Errorf("ghost: template: %w", err)
	}
	return &t, nil
}

// JSON returns the opening as it is handed to a third party.
func (o Opening) JSON() ([]byte, error) { return encode(o) }

// JSON returns the commitment as it is published.
func (c Commitment) JSON() ([]byte, error) { return encode(c) }

// JSON returns the plan as it is kept or published.
func (p Plan) JSON() ([]byte, error) { return encode(p) }

const maxFile = 64 << 20 // a private file with a large list or trap pool stays far below

// decode reads one JSON document with no unknown field and nothing after it.
func decode(r io.Reader, v any) error {
	d := json.NewDecoder(io.LimitReader(r, maxFile))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			return fault.Retryf("truncated", "the document ends early: %w", err)
		}
		return fault.Inputf("malformed", "%w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fault.Inputf("malformed", "found more after the JSON document, want its end")
	}
	return nil
}

// linesOf reads a list back through ReadList, so that its digest and c_max are
// computed, never trusted.
func linesOf(words []string) io.Reader { return strings.NewReader(strings.Join(words, "\n")) }

// WriteNew writes a file that must not exist yet. An existing file is a usage
// error, because the seed in it could not be drawn again.
func WriteNew(path string, data []byte, private bool) error {
	if _, err := os.Lstat(path); err == nil {
		return fault.Usagef("ghost: %s: exists, want a new name", path).Hint("choose another name; a seed is never overwritten")
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fault.Retryf("io", "ghost: %s: %w", path, err)
	}
	return Replace(path, data, private)
}

// Replace writes a file by temporary name, sync and rename. Private files get
// mode 0600.
func Replace(path string, data []byte, private bool) error {
	mode := fs.FileMode(0o644)
	if private {
		mode = 0o600
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // created with 0600
	if err != nil {
		return fault.Retryf("io", "ghost: %w", err)
	}
	defer os.Remove(tmp.Name()) // gone already after the rename
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Chmod(mode), tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fault.Retryf("io", "ghost: %s: %w", path, err)
	}
	return nil
}

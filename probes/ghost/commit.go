package ghost

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"assay/internal/fault"
)

const (
	commitSchema  = "assay.commit/1"
	openingSchema = "assay.opening/1"
)

// Commitment is what is published and time-stamped before planting. It fixes
// every candidate, every index and the analysis, and reveals none of them.
type Commitment struct {
	Schema     string   `json:"schema"`
	Kind       string   `json:"kind"`
	Secrets    int      `json:"secrets"`
	Controls   int      `json:"controls"`
	Words      int      `json:"words"`
	V          int      `json:"v,omitempty"`
	ListSHA256 string   `json:"list_sha256,omitempty"`
	PlanSHA256 string   `json:"plan_sha256"`
	Source     string   `json:"source"` // "os", or the commitment of the beacon form's nonce
	Roots      []string `json:"roots"`
	Indices    []string `json:"indices"`
	Anchor     string   `json:"anchor,omitempty"` // claimed, not checked
}

// Mismatch is one field in which a commitment and what is shown now differ.
type Mismatch struct{ Field, Committed, Found string }

func (m Mismatch) String() string {
	return fmt.Sprintf("%s: committed %s, found %s", m.Field, m.Committed, m.Found)
}

func (s *Set) salt(k, j int) []byte {
	b := block(s.seed, "salt", k, j, 0)
	return b[:16]
}

func leafHash(salt []byte, candidate string) [32]byte {
	h := sha256.New()
	h.Write([]byte{0})
	h.Write(salt)
	h.Write([]byte(candidate))
	return [32]byte(h.Sum(nil))
}

func nodeHash(l, r [32]byte) [32]byte {
	b := make([]byte, 1, 65)
	b[0] = 1
	b = append(append(b, l[:]...), r[:]...)
	return sha256.Sum256(b)
}

// Leaf returns the leaf of candidate j of secret k: SHA-256(00 salt candidate).
func (s *Set) Leaf(k, j int) [32]byte { return leafHash(s.salt(k, j), s.Candidate(k, j)) }

func (s *Set) leaves(k int) [][32]byte {
	l := make([][32]byte, s.Controls+1)
	for j := range l {
		l[j] = s.Leaf(k, j)
	}
	return l
}

// split is the largest power of two below n, n >= 2: where RFC 6962 cuts.
func split(n int) int {
	p := 1
	for p*2 < n {
		p *= 2
	}
	return p
}

func treeHash(l [][32]byte) [32]byte {
	if len(l) == 1 {
		return l[0]
	}
	p := split(len(l))
	return nodeHash(treeHash(l[:p]), treeHash(l[p:]))
}

// Root returns the RFC 6962 tree hash of the leaves of secret k.
func (s *Set) Root(k int) [32]byte { return treeHash(s.leaves(k)) }

// IndexHash returns the commitment of J_k: SHA-256(02 salt u32be(J_k)).
func (s *Set) IndexHash(k int) [32]byte {
	b := block(s.seed, "isalt", k, 0, 0)
	return indexHash(b[:16], s.Index(k))
}

func indexHash(salt []byte, index int) [32]byte {
	m := append([]byte{2}, salt...)
	m = binary.BigEndian.AppendUint32(m, uint32(index))
	return sha256.Sum256(m)
}

// Commit returns the commitment of the set.
func (s *Set) Commit() (Commitment, error) {
	plan, err := s.Plan.Digest()
	if err != nil {
		return Commitment{}, err
	}
	c := Commitment{
		Schema: commitSchema, Kind: s.Kind, Secrets: s.Secrets, Controls: s.Controls,
		Words: s.Words, PlanSHA256: hex.EncodeToString(plan[:]), Source: "os",
	}
	if v, _, ok := s.alphabet(); ok {
		c.V = v
	}
	if s.List != nil {
		c.ListSHA256 = hex.EncodeToString(s.List.Digest[:])
	}
	if s.Origin.Source == "beacon" {
		nonce, err := decode32(s.Origin.Nonce)
		if err != nil {
			return c, fmt.Errorf("ghost: nonce: %w", err)
		}
		h := NonceCommitment(nonce)
		c.Source = hex.EncodeToString(h[:])
	}
	for k := range s.Secrets {
		r, i := s.Root(k), s.IndexHash(k)
		c.Roots = append(c.Roots, hex.EncodeToString(r[:]))
		c.Indices = append(c.Indices, hex.EncodeToString(i[:]))
	}
	return c, nil
}

// Verify regenerates everything that the commitment fixes and returns the
// differences, the first in file order first. An empty answer means that the
// candidates, the indices, the list, the plan and the seed's source are those
// committed to. It cannot check when the commitment was published.
func Verify(c Commitment, s *Set) ([]Mismatch, error) {
	now, err := s.Commit()
	if err != nil {
		return nil, err
	}
	var out []Mismatch
	add := func(field, a, b string) {
		if a != b {
			out = append(out, Mismatch{field, a, b})
		}
	}
	add("schema", c.Schema, now.Schema)
	add("kind", c.Kind, now.Kind)
	add("secrets", fmt.Sprint(c.Secrets), fmt.Sprint(now.Secrets))
	add("controls", fmt.Sprint(c.Controls), fmt.Sprint(now.Controls))
	add("words", fmt.Sprint(c.Words), fmt.Sprint(now.Words))
	add("v", fmt.Sprint(c.V), fmt.Sprint(now.V))
	add("list_sha256", c.ListSHA256, now.ListSHA256)
	add("plan_sha256", c.PlanSHA256, now.PlanSHA256)
	add("source", c.Source, now.Source)
	add("number of roots", fmt.Sprint(len(c.Roots)), fmt.Sprint(len(now.Roots)))
	add("number of indices", fmt.Sprint(len(c.Indices)), fmt.Sprint(len(now.Indices)))
	for k := range min(len(c.Roots), len(now.Roots)) {
		add(fmt.Sprintf("roots[%d]", k), c.Roots[k], now.Roots[k])
	}
	for k := range min(len(c.Indices), len(now.Indices)) {
		add(fmt.Sprintf("indices[%d]", k), c.Indices[k], now.Indices[k])
	}
	return out, nil
}

// Continues returns the fields in which a full commitment departs from the one of
// the beacon form that was published before it.
func (c Commitment) Continues(first Commitment) []Mismatch {
	var out []Mismatch
	for _, f := range []struct{ name, a, b string }{
		{"schema", first.Schema, c.Schema}, {"kind", first.Kind, c.Kind},
		{"secrets", fmt.Sprint(first.Secrets), fmt.Sprint(c.Secrets)}, {"controls", fmt.Sprint(first.Controls), fmt.Sprint(c.Controls)},
		{"words", fmt.Sprint(first.Words), fmt.Sprint(c.Words)}, {"list_sha256", first.ListSHA256, c.ListSHA256},
		{"plan_sha256", first.PlanSHA256, c.PlanSHA256}, {"source", first.Source, c.Source},
	} {
		if f.a != f.b {
			out = append(out, Mismatch{f.name, f.a, f.b})
		}
	}
	return out
}

// Opening shows one candidate to a third party without the rest: the text, its
// salt and the path of hashes from its leaf to the committed root.
type Opening struct {
	Schema    string `json:"schema"`
	Secret    int    `json:"secret"`
	Candidate int    `json:"candidate"`
	Text      string `json:"text"`
	Salt      string `json:"salt"`
	Leaf      string `json:"leaf"`
	Path      []Step `json:"path"`
	Root      string `json:"root"`
	// Index and IndexSalt open J_k itself; both are empty when only the text is shown.
	Index     *int   `json:"index,omitempty"`
	IndexSalt string `json:"index_salt,omitempty"`
}

// Step is one sibling on the way to the root. Side says where the sibling stands.
type Step struct {
	Side string `json:"side"` // left or right
	Hash string `json:"hash"`
}

// Open returns candidate j of secret k with its path; withIndex also opens which
// candidate was planted. An opened control is burnt: it cannot serve again.
func (s *Set) Open(k, j int, withIndex bool) (Opening, error) {
	if err := s.inRange(k, j); err != nil {
		return Opening{}, err
	}
	leaves := s.leaves(k)
	root := treeHash(leaves)
	o := Opening{
		Schema: openingSchema, Secret: k, Candidate: j, Text: s.Candidate(k, j),
		Salt: hex.EncodeToString(s.salt(k, j)), Leaf: hex.EncodeToString(leaves[j][:]),
		Path: path(leaves, j), Root: hex.EncodeToString(root[:]),
	}
	if withIndex {
		i := s.Index(k)
		salt := block(s.seed, "isalt", k, 0, 0)
		o.Index, o.IndexSalt = &i, hex.EncodeToString(salt[:16])
	}
	return o, nil
}

// path returns the siblings of leaf j, from the bottom up.
func path(l [][32]byte, j int) []Step {
	if len(l) == 1 {
		return nil
	}
	p := split(len(l))
	if j < p {
		r := treeHash(l[p:])
		return append(path(l[:p], j), Step{"right", hex.EncodeToString(r[:])})
	}
	r := treeHash(l[:p])
	return append(path(l[p:], j-p), Step{"left", hex.EncodeToString(r[:])})
}

// sides returns where the siblings of leaf j of n stand, from the bottom up.
func sides(n, j int) []string {
	if n <= 1 || j < 0 || j >= n {
		return nil
	}
	if p := split(n); j >= p {
		return append(sides(n-p, j-p), "left")
	} else {
		return append(sides(p, j), "right")
	}
}

// Check recomputes the opening against the commitment.
func (o Opening) Check(c Commitment) error {
	bad := func(what, found, want string) error {
		return fault.New(fault.Check, "commitment", "ghost: opening of candidate %d of secret %d: %s: found %s, want %s", o.Candidate, o.Secret, what, found, want)
	}
	if o.Secret < 0 || o.Secret >= len(c.Roots) || o.Secret >= len(c.Indices) {
		return bad("secret", fmt.Sprint(o.Secret), fmt.Sprintf("0..%d", len(c.Roots)-1))
	}
	salt, err := hex.DecodeString(o.Salt)
	if err != nil || len(salt) != 16 {
		return bad("salt", o.Salt, "32 hexadecimal digits")
	}
	h := leafHash(salt, o.Text)
	if got := hex.EncodeToString(h[:]); got != o.Leaf {
		return bad("leaf", o.Leaf, got)
	}
	want := sides(c.Controls+1, o.Candidate)
	if o.Candidate < 0 || o.Candidate > c.Controls || len(o.Path) != len(want) {
		return bad("path", fmt.Sprintf("%d steps", len(o.Path)), fmt.Sprintf("%d steps for candidate %d of 0..%d", len(want), o.Candidate, c.Controls))
	}
	for i, st := range o.Path {
		if st.Side != want[i] { // the sides spell the position: a moved candidate shows here
			return bad(fmt.Sprintf("side of step %d", i+1), st.Side, want[i])
		}
		sib, err := decode32(st.Hash)
		if err != nil {
			return bad("path", st.Hash, "64 hexadecimal digits")
		}
		if st.Side == "left" {
			h = nodeHash(sib, h)
		} else {
			h = nodeHash(h, sib)
		}
	}
	if got := hex.EncodeToString(h[:]); got != c.Roots[o.Secret] {
		return bad("root", got, c.Roots[o.Secret])
	}
	if o.Index != nil {
		isalt, err := hex.DecodeString(o.IndexSalt)
		if err != nil || len(isalt) != 16 {
			return bad("index salt", o.IndexSalt, "32 hexadecimal digits")
		}
		ih := indexHash(isalt, *o.Index)
		if got := hex.EncodeToString(ih[:]); got != c.Indices[o.Secret] {
			return bad("index", got, c.Indices[o.Secret])
		}
	}
	return nil
}

func decode32(s string) ([32]byte, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 32 {
		return [32]byte{}, fault.Inputf("malformed", "found %q, want 64 hexadecimal digits", s)
	}
	return [32]byte(b), nil
}

// encode is JSON without HTML escaping, with a final newline.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

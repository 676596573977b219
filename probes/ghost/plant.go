package ghost

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"assay/internal/fault"
)

// Doc is one document of the corpus. Owner says whose it is; one secret never
// goes to two owners. Empty owners are one owner.
type Doc struct {
	ID, Path, Owner, Text string
}

// Place says where and how often a secret is planted. The zero value is not valid;
// start from DefaultPlace.
type Place struct {
	Repeat   int      // documents per secret
	From, To float64  // part of the document, as fractions of its bytes
	Unit     string   // paragraph, line or comment
	Wrappers []string // texts with {secret}; taken in turn, so that copies differ
	Comment  string   // what starts a comment, for unit comment
}

// DefaultPlace plants 8 copies in the later half of documents as paragraphs.
func DefaultPlace() Place {
	return Place{Repeat: 8, From: .5, To: 1, Unit: "paragraph", Wrappers: []string{"{secret}"}, Comment: "//"}
}

// Validate returns a usage error.
func (p Place) Validate() error {
	switch {
	case p.Repeat < 1:
		return fault.Usagef("ghost: repeat: found %d, want at least 1", p.Repeat)
	case !(p.From >= 0 && p.From < p.To && p.To <= 1):
		return fault.Usagef("ghost: where: found %v:%v, want 0 <= from < to <= 1", p.From, p.To)
	case p.Unit != "paragraph" && p.Unit != "line" && p.Unit != "comment":
		return fault.Usagef("ghost: unit: found %q, want paragraph, line or comment", p.Unit)
	case len(p.Wrappers) == 0:
		return fault.Usagef("ghost: wrappers: found none, want at least one")
	}
	for i, w := range p.Wrappers {
		if strings.Count(w, "{secret}") != 1 {
			return fault.Usagef("ghost: wrapper %d: found %d places for {secret}, want 1", i, strings.Count(w, "{secret}"))
		}
		if strings.ContainsAny(w, "\n\r") {
			return fault.Usagef("ghost: wrapper %d: found a line end, want one line", i)
		}
	}
	return nil
}

// Planting records one planted copy: line by line the file NAME.plants.jsonl.
// ByteOff and ByteLen locate the secret itself in the planted document.
type Planting struct {
	Secret  int    `json:"secret"`
	DocID   string `json:"doc_id"`
	Path    string `json:"path,omitempty"`
	ByteOff int    `json:"byte_off"`
	ByteLen int    `json:"byte_len"`
	Wrapper int    `json:"wrapper"`
	Before  string `json:"sha256_before"`
	After   string `json:"sha256_after"`
}

// Plant returns the documents with their secrets, in input order, and the record
// of every copy. Documents are given to secrets by a permutation drawn from
// the set's seed; no document gets two secrets and no secret two owners. Insertions
// stand between white space, so no token spans secret and text.
func Plant(s *Set, docs []Doc, p Place) ([]Doc, []Planting, error) {
	if err := p.Validate(); err != nil {
		return nil, nil, err
	}
	ids := make(map[string]bool, len(docs))
	for _, d := range docs {
		if ids[d.ID] {
			return nil, nil, fault.Inputf("duplicate", "ghost: document %q appears twice", d.ID)
		}
		ids[d.ID] = true
	}
	owners, byOwner := shuffledOwners(s, docs)
	out := slices.Clone(docs)
	var record []Planting
	next := 0
	for k := range s.Secrets {
		owner := ""
		for range owners { // owners take turns; one with too few documents left is passed over
			o := owners[next%len(owners)]
			next++
			if len(byOwner[o]) >= p.Repeat {
				owner = o
				break
			}
		}
		if len(byOwner[owner]) < p.Repeat {
			return nil, nil, fault.Inputf("too-few", "ghost: secret %d: no owner has %d documents left to plant in (%d documents, %d secrets, %d copies each)",
				k, p.Repeat, len(docs), s.Secrets, p.Repeat)
		}
		for c := range p.Repeat {
			i := byOwner[owner][c]
			text, rec, err := insert(docs[i], s.Candidate(k, s.Index(k)), c, newStream(s.seed, "place", k, c), p)
			if err != nil {
				return nil, nil, err
			}
			rec.Secret = k
			out[i].Text = text
			record = append(record, rec)
		}
		byOwner[owner] = byOwner[owner][p.Repeat:]
	}
	return out, record, nil
}

func shuffledOwners(s *Set, docs []Doc) ([]string, map[string][]int) {
	var owners []string
	by := make(map[string][]int)
	for _, i := range newStream(s.seed, "documents", 0, 0).perm(len(docs)) {
		o := docs[i].Owner
		if _, ok := by[o]; !ok {
			owners = append(owners, o)
		}
		by[o] = append(by[o], i)
	}
	return owners, by
}

// insert puts one wrapped secret between two lines or paragraphs of d.
func insert(d Doc, secret string, copyNo int, rng *stream, p Place) (string, Planting, error) {
	sep := "\n"
	if p.Unit == "paragraph" {
		sep = "\n\n"
	}
	lo, hi := int(p.From*float64(len(d.Text))), int(p.To*float64(len(d.Text)))
	var places []int // byte offsets behind a separator
	for at := 0; ; {
		i := strings.Index(d.Text[at:], sep)
		if i < 0 {
			break
		}
		at += i + len(sep)
		for at < len(d.Text) && d.Text[at] == '\n' { // a longer run is one separator
			at++
		}
		if at >= lo && at <= hi {
			places = append(places, at)
		}
	}
	if hi == len(d.Text) && !strings.HasSuffix(d.Text, sep) {
		places = append(places, len(d.Text)) // the end is a place too
	}
	if len(places) == 0 {
		return "", Planting{}, fault.Inputf("too-short", "ghost: document %q: found no %s boundary between bytes %d and %d", d.ID, p.Unit, lo, hi).
			Hint("widen --where or use --unit line")
	}
	at := places[rng.below(len(places))]
	w := copyNo % len(p.Wrappers)
	before, after, _ := strings.Cut(p.Wrappers[w], "{secret}")
	if p.Unit == "comment" {
		before = p.Comment + " " + before
	}
	head := d.Text[:at]
	if at == len(d.Text) && !strings.HasSuffix(head, sep) && head != "" {
		head += sep
	}
	tail := d.Text[at:]
	end := sep
	if tail == "" {
		end = "\n"
	}
	text := head + before + secret + after + end + tail
	return text, Planting{
		DocID: d.ID, Path: d.Path, ByteOff: len(head) + len(before), ByteLen: len(secret), Wrapper: w,
		Before: sum(d.Text), After: sum(text),
	}, nil
}

func sum(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

// CheckPlants reads every planted place back and returns the first that does not
// hold its secret, a document that two secrets share, or a secret that two owners share.
func CheckPlants(s *Set, docs []Doc, record []Planting) error {
	byID := make(map[string]Doc, len(docs))
	for _, d := range docs {
		byID[d.ID] = d
	}
	used := make(map[string]int)
	owner := make(map[int]string)
	for _, r := range record {
		d, ok := byID[r.DocID]
		bad := func(found, want string) error {
			return fault.Inputf("plants", "ghost: document %q, byte %d: found %s, want %s", r.DocID, r.ByteOff, found, want)
		}
		if r.Secret < 0 || r.Secret >= s.Secrets {
			return bad(fmt.Sprintf("secret %d", r.Secret), fmt.Sprintf("0..%d", s.Secrets-1))
		}
		want := s.Candidate(r.Secret, s.Index(r.Secret))
		switch {
		case !ok:
			return bad("no such document", "the planted document")
		case r.ByteOff < 0 || r.ByteLen != len(want) || r.ByteOff > len(d.Text)-r.ByteLen:
			return bad(fmt.Sprintf("%d bytes of a text of %d", r.ByteLen, len(d.Text)), fmt.Sprintf("the %d bytes of secret %d", len(want), r.Secret))
		case d.Text[r.ByteOff:r.ByteOff+r.ByteLen] != want:
			return bad("another text (sha256 "+sum(d.Text[r.ByteOff : r.ByteOff+r.ByteLen])[:12]+")", fmt.Sprintf("secret %d (sha256 %s)", r.Secret, sum(want)[:12]))
		case sum(d.Text) != r.After:
			return bad("a document of another digest", "sha256 "+r.After)
		}
		if k, dup := used[r.DocID]; dup && k != r.Secret {
			return bad(fmt.Sprintf("secrets %d and %d in one document", k, r.Secret), "one")
		}
		used[r.DocID] = r.Secret
		if o, seen := owner[r.Secret]; seen && o != d.Owner {
			return bad(fmt.Sprintf("secret %d with owners %q and %q", r.Secret, o, d.Owner), "one owner")
		}
		owner[r.Secret] = d.Owner
	}
	return nil
}

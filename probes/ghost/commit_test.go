package ghost

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"assay/internal/fault"
)

// TestEveryByteCounts changes every byte of commitment and plan digest, and every
// character of the secrets file, and wants each change named or refused.
func TestEveryByteCounts(t *testing.T) {
	s := small(t, 2, 4, nil)
	c, err := s.Commit()
	if err != nil {
		t.Fatal(err)
	}
	if d, err := Verify(c, s); err != nil || len(d) != 0 {
		t.Fatalf("untouched: %v, %v", d, err)
	}
	doc, _ := c.JSON()
	for i := range doc {
		mut := bytes.Clone(doc)
		mut[i] ^= 1
		if bytes.ContainsAny(doc[i:i+1], " \n") {
			continue // white space between fields is not content
		}
		got, err := ReadCommitment(bytes.NewReader(mut))
		if err != nil {
			continue
		}
		if d, err := Verify(got, s); err == nil && len(d) == 0 && got.Anchor == c.Anchor {
			t.Fatalf("commitment: change of byte %d (%q) was not found", i, doc[max(0, i-20):i+1])
		}
	}
	secrets, _ := s.JSON()
	end := bytes.Index(secrets, []byte(`"list"`)) + 400 // the list is long; its beginning is enough
	for i := range secrets[:end] {
		if bytes.ContainsAny(secrets[i:i+1], " \n") {
			continue
		}
		mut := bytes.Clone(secrets)
		mut[i] ^= 1
		got, _, err := ReadSecrets(bytes.NewReader(mut))
		if err != nil || got == nil {
			continue
		}
		if d, err := Verify(c, got); err == nil && len(d) == 0 {
			t.Fatalf("secrets: change of byte %d (%q) was not found", i, secrets[max(0, i-20):i+1])
		}
	}
}

// TestCheats: each way to change the story after the commitment is named.
func TestCheats(t *testing.T) {
	honest := newSet(t, 3, 9, 10, nil)
	c, _ := honest.Commit()
	list := syllables(t)
	other := *list
	other.Words = append([]string{"zzzz"}, list.Words[1:]...)
	redrawn, _ := ReadList(strings.NewReader(strings.Join(other.Words, "\n")))
	plan := func(edit func(*Plan)) Plan { p := DefaultPlan(); edit(&p); return p }
	for name, cheat := range map[string]struct {
		seed  [32]byte
		spec  Spec
		field string
	}{
		"another seed":   {seq(1), Spec{Kind: Passphrase, Words: 10, Secrets: 3, Controls: 9, List: list, Plan: DefaultPlan()}, "roots[0]"},
		"edited plan":    {seq(0), Spec{Kind: Passphrase, Words: 10, Secrets: 3, Controls: 9, List: list, Plan: plan(func(p *Plan) { p.Alpha = .05 })}, "plan_sha256"},
		"extra wrapper":  {seq(0), Spec{Kind: Passphrase, Words: 10, Secrets: 3, Controls: 9, List: list, Plan: plan(func(p *Plan) { p.Wrappers = []string{"", "Note:"} })}, "plan_sha256"},
		"re-drawn list":  {seq(0), Spec{Kind: Passphrase, Words: 10, Secrets: 3, Controls: 9, List: redrawn, Plan: DefaultPlan()}, "list_sha256"},
		"dropped secret": {seq(0), Spec{Kind: Passphrase, Words: 10, Secrets: 2, Controls: 9, List: list, Plan: DefaultPlan()}, "secrets"},
		"fewer controls": {seq(0), Spec{Kind: Passphrase, Words: 10, Secrets: 3, Controls: 8, List: list, Plan: DefaultPlan()}, "controls"},
		"shorter phrase": {seq(0), Spec{Kind: Passphrase, Words: 9, Secrets: 3, Controls: 9, List: list, Plan: DefaultPlan()}, "words"},
	} {
		s, err := New(cheat.seed, cheat.spec)
		if err != nil {
			t.Fatal(name, err)
		}
		d, err := Verify(c, s)
		if err != nil || len(d) == 0 || d[0].Field != cheat.field {
			t.Errorf("%s: found %v, %v; want field %s first", name, d, err, cheat.field)
		}
		if _, err := Test(s, &c, Evidence{Suspect: fake(s, genStream(1), 0)}, Options{}); fault.As(err) == nil || fault.As(err).Code != "commitment" {
			t.Errorf("%s: Test gave %v, want the commitment fault", name, err)
		}
	}
	moved := c
	moved.Indices = []string{c.Indices[1], c.Indices[0], c.Indices[2]}
	if d, _ := Verify(moved, honest); len(d) != 2 || d[0].Field != "indices[0]" {
		t.Errorf("moved index: %v", d)
	}
	changed := c
	changed.Roots = []string{c.Roots[0], strings.Repeat("0", 64), c.Roots[2]}
	if d, _ := Verify(changed, honest); len(d) != 1 || d[0].Field != "roots[1]" {
		t.Errorf("changed control: %v", d)
	}
}

func TestOpening(t *testing.T) {
	s := newSet(t, 2, 6, 10, nil)
	c, _ := s.Commit()
	for k := range 2 {
		for j := range 7 {
			o, err := s.Open(k, j, j == s.Index(k))
			if err != nil {
				t.Fatal(err)
			}
			if err := o.Check(c); err != nil {
				t.Error(err)
			}
			for name, edit := range map[string]func(*Opening){
				"text":      func(o *Opening) { o.Text += "x" },
				"candidate": func(o *Opening) { o.Candidate = (o.Candidate + 1) % 7 },
				"secret":    func(o *Opening) { o.Secret = 1 - o.Secret },
				"salt":      func(o *Opening) { o.Salt = "00" + o.Salt[2:] },
				"root":      func(o *Opening) { o.Path = append([]Step{}, o.Path[1:]...) },
				"index":     func(o *Opening) { i := (s.Index(k) + 1) % 7; o.Index, o.IndexSalt = &i, strings.Repeat("0", 32) },
			} {
				bad := o
				edit(&bad)
				if err := bad.Check(c); fault.As(err) == nil || fault.As(err).Class != fault.Check {
					t.Errorf("changed %s: %v, want a check fault", name, err)
				}
			}
		}
	}
	if _, err := s.Open(2, 0, false); err == nil {
		t.Error("secret 2 of 2: no error")
	}
	// By hand, as a third party would: the leaf and one step with sha256 alone.
	o, _ := s.Open(0, 6, false)
	salt, _ := hex.DecodeString(o.Salt)
	leaf := sha256.Sum256(append(append([]byte{0}, salt...), o.Text...))
	if fmt.Sprintf("%x", leaf) != o.Leaf {
		t.Errorf("leaf %s, want %x", o.Leaf, leaf)
	}
}

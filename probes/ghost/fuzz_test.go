package ghost

import (
	"bytes"
	"strings"
	"testing"
)

// The readers take files from strangers: no input may panic, and what is accepted
// must survive being written and read again.

func FuzzReadList(f *testing.F) {
	f.Add(strings.Repeat("word\n", 3))
	f.Add("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n11111 a\n- -x\n-----BEGIN PGP SIGNATURE-----\n")
	f.Fuzz(func(t *testing.T, in string) {
		l, err := ReadList(strings.NewReader(in))
		if err != nil {
			return
		}
		back, err := ReadList(strings.NewReader(strings.Join(l.Words, "\n")))
		if err == nil && len(back.Words) == len(l.Words) && back.Digest != l.Digest {
			t.Fatalf("digest changes on a second reading")
		}
		if l.CMax < 1 {
			t.Fatalf("c_max %d", l.CMax)
		}
	})
}

func FuzzReadSecrets(f *testing.F) {
	s, err := New(seq(0), Spec{Kind: Hex, Words: 32, Secrets: 2, Controls: 3, Plan: DefaultPlan()})
	if err != nil {
		f.Fatal(err)
	}
	b, err := s.JSON()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"schema":"assay.secrets/1","kind":"template","secrets":1,"controls":1}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 1<<14 {
			return
		}
		set, _, err := ReadSecrets(bytes.NewReader(in))
		if err != nil || set == nil || set.Secrets*(set.Controls+1)*max(1, set.Words) > 1e5 {
			return
		}
		c, err := set.Commit()
		if err != nil {
			t.Fatal(err)
		}
		if d, err := Verify(c, set); err != nil || len(d) != 0 {
			t.Fatalf("a set does not verify against its own commitment: %v, %v", d, err)
		}
	})
}

func FuzzReadSmall(f *testing.F) {
	f.Add([]byte(`{"schema":"assay.commit/1","roots":["00"],"indices":["00"],"controls":3}`))
	f.Add([]byte(`{"prefix":"","planted":[{"id":"a","text":"x"}],"controls":[{"id":"b","text":"y"}]}`))
	f.Add([]byte(`{"secret":0,"k":1,"text":"x"}` + "\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := func() *bytes.Reader { return bytes.NewReader(in) }
		if c, err := ReadCommitment(r()); err == nil {
			for _, o := range []Opening{{Secret: 0, Candidate: 0}, {Secret: -1}, {Secret: 1 << 30, Candidate: -4}} {
				if o.Check(c) == nil {
					t.Fatal("an empty opening verifies")
				}
			}
		}
		_, _ = ReadPlan(r())
		_, _ = ReadExternal(r())
		_, _ = ReadPlants(r())
		_, _, _ = ReadGens(r())
		_, _ = ReadOpening(r())
		_, _ = ReadTemplate(r())
	})
}

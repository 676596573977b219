package ghost

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
)

func TestList(t *testing.T) {
	// hashlib of the words joined by newlines with a final newline.
	l := syllables(t)
	if got, want := hexOf(l.Digest), "80fec43ce004f637161daf4f2beff2879c6952d67b7f6d8086af7c5b5f60da32"; got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
	if len(l.Words) != 7776 || l.CMax != 1 || l.Words[0] != "baba" || l.Words[1] != "babe" || l.Words[7775] != "tita" {
		t.Errorf("list %d words, c_max %d, %s %s .. %s", len(l.Words), l.CMax, l.Words[0], l.Words[1], l.Words[7775])
	}
}

func TestShippedList(t *testing.T) {
	// sha256sum and wc of words.txt as make_words.py wrote it.
	l := Shipped()
	if len(l.Words) != 2048 || l.CMax != 1 || hexOf(l.Digest) != "67352af2efd596b9bbc869ad6a0399258618530f3f7e18fd3435325535f2cdaa" {
		t.Errorf("shipped list: %d words, c_max %d, digest %s", len(l.Words), l.CMax, hexOf(l.Digest))
	}
}

func TestReadListForms(t *testing.T) {
	var plain, dice []string
	for _, w := range syllables(t).Words[:300] {
		plain = append(plain, w)
		dice = append(dice, "11111 "+strings.ToUpper(w))
	}
	body := strings.Join(dice, "\n")
	for name, in := range map[string]string{
		"plain":    "# note\n" + strings.Join(plain, "\n"),
		"repeated": strings.Join(plain, "\r\n") + "\n\n" + plain[0] + "\n",
		"dice":     body + "\n",
		"signed":   "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n" + body + "\n-----BEGIN PGP SIGNATURE-----\nxx yy zz\n",
	} {
		l, err := ReadList(strings.NewReader(in))
		if err != nil || !slices.Equal(l.Words, plain) {
			t.Errorf("%s: %v, %v; want the 300 words", name, l, err)
		}
	}
	for name, in := range map[string]string{
		"blank inside": strings.Join(plain, "\n") + "\ntwo words\n",
		"too few":      strings.Join(plain[:255], "\n"),
		"not UTF-8":    strings.Join(plain, "\n") + "\n\xff\n",
		"empty":        "",
	} {
		if _, err := ReadList(strings.NewReader(in)); fault.As(err) == nil || fault.As(err).Class != fault.Input {
			t.Errorf("%s: error %v, want an input fault", name, err)
		}
	}
}

// TestCandidates compares with Python hashlib and hmac.
func TestCandidates(t *testing.T) {
	s := newSet(t, 1, 9, 10, nil)
	b := block(s.seed, "words", 0, 0, 0)
	if got, want := hexOf(b), "d1d59507e3f4dc583c586c0db77e21a6be328caa2a4e77400e80f05f4ad7b62c"; got != want {
		t.Errorf("block %s, want %s", got, want)
	}
	for j, want := range map[int]string{
		0: "ruvo nelu bora fece deqi teva mata pico kupe subu",
		1: "hugi bome fuxi juno siho baki cewi cevi hexo luma",
		5: "hire jivu lezu qupi habe keke fule qofo ciju faca",
	} {
		if got := s.Candidate(0, j); got != want {
			t.Errorf("candidate %d = %q, want %q", j, got, want)
		}
	}
	many := newSet(t, 5, 9, 10, nil)
	for k, want := range []int{5, 9, 9, 6, 5} {
		if got := many.Index(k); got != want {
			t.Errorf("index %d = %d, want %d", k, got, want)
		}
	}
	for name, c := range map[string][2]string{
		"leaf":  {hexOf(s.Leaf(0, 0)), "1555be702ba031a3b8a6ab1904bed3c7e54da64704fb1834ac3c5c7be078a111"},
		"root":  {hexOf(s.Root(0)), "580da9c3658d640a64a240ca73f3798d7e05fdb5f1f8400df600582801d5073d"},
		"index": {hexOf(s.IndexHash(0)), "234a367a25259a00fdf4d9736efc6b556eae0e97e97accafe9ee40b1fb3533ea"},
		"nonce": {hexOf(NonceCommitment(seq(0x20))), "b05f619c01bb09c191fc4cba3f1acfcba02859b1b2282a83b85cc31ea4b3e92b"},
		"seed":  {hexOf(BeaconSeed(seq(0x20), []byte{0, 0xff})), "572e6880eefeda20d76e69b108f39ab96d40193721d3f5beeac3ba0b338106d8"},
	} {
		if c[0] != c[1] {
			t.Errorf("%s %s, want %s", name, c[0], c[1])
		}
	}
	if math.Abs(s.Bits()-129.2481) > 1e-3 { // 10 log2 7776
		t.Errorf("Bits = %v", s.Bits())
	}
}

func TestKinds(t *testing.T) {
	pool := make([]string, 40)
	for i := range pool {
		pool[i] = strings.Repeat("x", i+1)
	}
	base := Spec{Secrets: 2, Controls: 9, Plan: DefaultPlan()}
	for name, c := range map[string]struct {
		edit  func(*Spec)
		shape string // length or form
		bits  float64
	}{
		"hex":   {func(s *Spec) { s.Kind, s.Words = Hex, 32 }, "0123456789abcdef", 128},
		"alnum": {func(s *Spec) { s.Kind, s.Words = Alnum, 20 }, alnumDigits, 20 * math.Log2(62)},
		"uuid4": {func(s *Spec) { s.Kind = UUID4 }, "0123456789abcdef-", 122},
		"template": {func(s *Spec) {
			s.Kind = Templated
			s.Template = &Template{Text: "a {n}{n}{n}{n}{n}{n}{n}{n}, z", Lists: map[string][]string{"n": strings.Split(alnumDigits, "")}}
			s.Template.Lists["n"] = append(s.Template.Lists["n"], pool...)
			for i := range 200 {
				s.Template.Lists["n"] = append(s.Template.Lists["n"], strings.Repeat("y", i+1))
			}
		}, "", 8 * math.Log2(62+40+200)},
		"trap": {func(s *Spec) { s.Kind, s.Traps = Trap, pool }, "x", math.NaN()},
	} {
		sp := base
		c.edit(&sp)
		s, err := New(seq(7), sp)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := s.Bits(); math.Abs(finiteOr(got, -1)-finiteOr(c.bits, -1)) > 1e-9 {
			t.Errorf("%s: %v bits, want %v", name, got, c.bits)
		}
		seen := make(map[string]bool)
		for k := range 2 {
			for j := range 10 {
				x := s.Candidate(k, j)
				if seen[x] {
					t.Errorf("%s: %q twice", name, x)
				}
				seen[x] = true
				if c.shape != "" && strings.Trim(x, c.shape) != "" {
					t.Errorf("%s: %q", name, x)
				}
				if name == "uuid4" && (len(x) != 36 || x[14] != '4' || !strings.ContainsRune("89ab", rune(x[19]))) {
					t.Errorf("uuid4: %q", x)
				}
			}
		}
	}
}

func TestNewRefuses(t *testing.T) {
	list := syllables(t)
	for name, c := range map[string]struct {
		spec  Spec
		class fault.Class
	}{
		"no secrets":     {Spec{Kind: Passphrase, Words: 10, Controls: 9, List: list, Plan: DefaultPlan()}, fault.Input},
		"no controls":    {Spec{Kind: Passphrase, Words: 10, Secrets: 1, List: list, Plan: DefaultPlan()}, fault.Input},
		"too many":       {Spec{Kind: Hex, Words: 32, Secrets: 1 << 30, Controls: 1 << 30, Plan: DefaultPlan()}, fault.Input},
		"too long":       {Spec{Kind: Hex, Words: 1 << 30, Secrets: 1, Controls: 9, Plan: DefaultPlan()}, fault.Input},
		"few bits":       {Spec{Kind: Passphrase, Words: 4, Secrets: 1, Controls: 9, List: list, Plan: DefaultPlan()}, fault.Input},
		"no list":        {Spec{Kind: Passphrase, Words: 10, Secrets: 1, Controls: 9, Plan: DefaultPlan()}, fault.Input},
		"kind":           {Spec{Kind: "dna", Words: 10, Secrets: 1, Controls: 9, Plan: DefaultPlan()}, fault.Usage},
		"plan":           {Spec{Kind: Passphrase, Words: 10, Secrets: 1, Controls: 9, List: list}, fault.Usage},
		"small pool":     {Spec{Kind: Trap, Secrets: 2, Controls: 9, Traps: []string{"a", "b"}, Plan: DefaultPlan()}, fault.Input},
		"repeated pool":  {Spec{Kind: Trap, Secrets: 1, Controls: 1, Traps: []string{"a", "a"}, Plan: DefaultPlan()}, fault.Input},
		"slot":           {Spec{Kind: Templated, Secrets: 1, Controls: 1, Template: &Template{Text: "a {b} c"}, Plan: DefaultPlan()}, fault.Input},
		"open slot":      {Spec{Kind: Templated, Secrets: 1, Controls: 1, Template: &Template{Text: "a {b c"}, Plan: DefaultPlan()}, fault.Input},
		"short template": {Spec{Kind: Templated, Secrets: 1, Controls: 1, Template: &Template{Text: "a {b}", Lists: map[string][]string{"b": {"x", "y"}}}, Plan: DefaultPlan()}, fault.Input},
	} {
		if _, err := New(seq(0), c.spec); fault.As(err) == nil || fault.As(err).Class != c.class {
			t.Errorf("%s: error %v, want class %d", name, err, c.class)
		}
	}
}

func TestSecretsRoundTrip(t *testing.T) {
	s := newSet(t, 3, 9, 10, nil)
	s.Burnt = []Ref{{1, 2}}
	b, err := s.JSON()
	if err != nil {
		t.Fatal(err)
	}
	back, pending, err := ReadSecrets(bytes.NewReader(b))
	if err != nil || pending != nil {
		t.Fatal(err, pending)
	}
	c, _ := s.Commit()
	if d, err := Verify(c, back); err != nil || len(d) != 0 || !slices.Equal(back.Burnt, s.Burnt) {
		t.Errorf("round trip: %v, %v, burnt %v", d, err, back.Burnt)
	}
	if _, _, err := ReadSecrets(bytes.NewReader(b[:len(b)/2])); fault.As(err) == nil || fault.As(err).Class != fault.Retry {
		t.Errorf("half a file: %v, want a retry fault", err)
	}
	if _, _, err := ReadSecrets(strings.NewReader(`{"schema":"assay.secrets/1","nmae":1}`)); err == nil {
		t.Error("unknown field: no error")
	}
}

func TestBeacon(t *testing.T) {
	p, err := NewPending(seq(0x20), Spec{Kind: Passphrase, Words: 10, Secrets: 2, Controls: 9, List: syllables(t), Plan: DefaultPlan()})
	if err != nil {
		t.Fatal(err)
	}
	first, err := p.Commit()
	if err != nil || len(first.Roots) != 0 || first.Source != "b05f619c01bb09c191fc4cba3f1acfcba02859b1b2282a83b85cc31ea4b3e92b" {
		t.Fatalf("first commitment %+v, %v", first, err)
	}
	b, _ := p.JSON()
	set, again, err := ReadSecrets(bytes.NewReader(b))
	if err != nil || set != nil || again == nil {
		t.Fatal(set, again, err)
	}
	if _, err := again.Seed([]byte{1}); err == nil {
		t.Error("beacon of one byte: no error")
	}
	s, err := again.Seed([]byte("lottery of the day"))
	if err != nil {
		t.Fatal(err)
	}
	full, _ := s.Commit()
	if full.Source != first.Source || full.PlanSHA256 != first.PlanSHA256 || len(full.Roots) != 2 {
		t.Errorf("second commitment %+v does not continue %+v", full, first)
	}
	b, _ = s.JSON()
	if back, _, err := ReadSecrets(bytes.NewReader(b)); err != nil || back.Candidate(1, 3) != s.Candidate(1, 3) {
		t.Errorf("completed set: %v", err)
	}
	ground := strings.Replace(string(b), `"seed": "`, `"seed": "00`, 1)
	ground = strings.Replace(ground, hexOf(s.seed), hexOf(s.seed)[:62], 1)
	if _, _, err := ReadSecrets(strings.NewReader(ground)); err == nil {
		t.Error("a seed that does not follow from nonce and beacon: no error")
	}
}

func TestWriteNew(t *testing.T) {
	p := filepath.Join(t.TempDir(), "x.secrets.json")
	if err := WriteNew(p, []byte("a"), true); err != nil {
		t.Fatal(err)
	}
	if st, _ := os.Stat(p); st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", st.Mode())
	}
	if err := WriteNew(p, []byte("b"), true); fault.As(err) == nil || fault.As(err).Class != fault.Usage {
		t.Errorf("second write: %v, want a usage fault", err)
	}
	if b, _ := os.ReadFile(p); string(b) != "a" {
		t.Errorf("file holds %q after a refused write", b)
	}
	if err := Replace(p, []byte("c"), true); err != nil {
		t.Error(err)
	}
}

package show

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"assay/probes"
)

// Strings of the other party cannot move the cursor, hide text or reorder it.
func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                          "plain",
		"\x1b[2Jgone":                    `\u{1b}[2Jgone`,
		"a\u202eb":                       `a\u{202e}b`,
		"zero\u200bwidth":                `zero\u{200b}width`,
		"two\nlines":                     "two lines",
		"bad \xff":                       "bad \ufffd",
		strings.Repeat("x", maxText+100): strings.Repeat("x", maxText) + "...",
	} {
		if got := Text(in); got != want {
			t.Errorf("Text(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 5 << 30: "5.0 GiB"} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestWrap(t *testing.T) {
	var b bytes.Buffer
	if err := Wrap(&b, "one two three four", "  ", 11); err != nil {
		t.Fatal(err)
	}
	if got, want := b.String(), "  one two\n  three\n  four\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The last column is wrapped beside the others, or under them where that leaves no
// room; a column without content goes; nothing is wider than asked for.
func TestColumns(t *testing.T) {
	long := strings.Repeat("word ", 12)
	var b bytes.Buffer
	if err := Columns(&b, [][]string{{"name", "value", "none", "method"}, {"a", "1.5", "", long}, {"bb", "2", "", ""}}, 50); err != nil {
		t.Fatal(err)
	}
	want := "  name  value  method\n" +
		"  a     1.5    word word word word word word word\n" +
		"               word word word word word\n" +
		"  bb    2\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	b.Reset()
	if err := Columns(&b, [][]string{{"name", "method"}, {strings.Repeat("n", 40), "why it is so"}}, 50); err != nil {
		t.Fatal(err)
	}
	if want := "  name\n      method\n  " + strings.Repeat("n", 40) + "\n      why it is so\n"; b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	if err := Columns(failing{}, [][]string{{"a", "b"}}, 50); err == nil {
		t.Error("a writer that fails gave no error")
	}
}

func TestResultSaysAllOfIt(t *testing.T) {
	r := &probes.Result{Test: "toy", N: map[string]int{"units": 3},
		Estimates: []probes.Estimate{{Name: "rho", Value: probes.Value(.5), Unit: "rank correlation", CI: &probes.CI{Lo: .1, Hi: .8, Level: .95}}, {Name: "gone", Unit: "nats"}},
		P:         []probes.PValue{{Name: "exact", Log10P: -400.5, Method: "counting", Null: "nothing is there"}},
		Verdict:   probes.Verdict{Tier: probes.TierB, Finding: "not_found", Says: "s", DoesNotSay: "d"},
		Warnings:  []probes.Warning{{Code: "some-code", Text: "why"}}}
	var b bytes.Buffer
	if err := Result(&b, r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"toy: not found  [tier B: valid under a stated assumption", "says: s", "does not say: d", "units 3",
		"[0.1, 0.8] 95%", "rank correlation", "undefined", "-400.5000", "null hypothesis: nothing is there", "warning some-code: why"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	if err := Result(failing{}, r); err == nil {
		t.Error("a writer that fails gave no error")
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("disk full") }

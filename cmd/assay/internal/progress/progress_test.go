package progress

import (
	"bytes"
	"testing"
	"time"
)

// Plain progress prints a line every 30 seconds, with rate and time left counted
// from the first finished batch.
func TestPlain(t *testing.T) {
	var b bytes.Buffer
	m := New(&b, "plain", "scoring", 10000)
	now := time.Unix(0, 0)
	m.now = func() time.Time { return now }
	for range 5 {
		m.Add(1000)
		now = now.Add(10 * time.Second)
	}
	// After 30 s: 4,000 done, 3,000 of them since the clock started: 100 tokens/s, 6,000 left.
	if got, want := b.String(), "scoring: 4000 of 10000 tokens, 100 tokens/s, 1m0s left\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSilent(t *testing.T) {
	var b bytes.Buffer
	for _, mode := range []string{"auto", "none"} { // a buffer is no terminal
		m := New(&b, mode, "scoring", 10)
		m.Add(10)
		m.Close()
	}
	if b.Len() > 0 {
		t.Errorf("wrote %q", b.String())
	}
}

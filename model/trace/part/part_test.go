package part

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"testing"

	"assay/internal/fault"
)

// memory is a file in memory.
type memory struct {
	bytes.Buffer
	syncs int
	fail  error
}

func (m *memory) Write(b []byte) (int, error) {
	if m.fail != nil {
		return 0, m.fail
	}
	return m.Buffer.Write(b)
}

func (m *memory) Sync() error { m.syncs++; return nil }

func header() Header {
	return Header{Digest: [32]byte(bytes.Repeat([]byte{0x11}, 32)), Shard: 5, Version: 1}
}

func two(t *testing.T) []byte {
	t.Helper()
	var m memory
	w, err := NewWriter(&m, header())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []struct {
		rows uint32
		text string
	}{{2, "hello"}, {3, "world!"}} {
		if err := w.Frame(p.rows, []byte(p.text)); err != nil {
			t.Fatal(err)
		}
	}
	if m.syncs != 3 {
		t.Errorf("%d syncs, want one for the header and one a frame", m.syncs)
	}
	return m.Bytes()
}

func frames(b []byte) (string, End, error) {
	s := ""
	e, err := Scan(bytes.NewReader(b), int64(len(b)), header(), func(_ uint32, off int64, payload []byte) error {
		if !bytes.Equal(b[off:off+int64(len(payload))], payload) {
			return errors.New("wrong offset")
		}
		s += fmt.Sprintf("%s;", payload)
		return nil
	})
	return s, e, err
}

// Expected bytes: vector 4 of the scale page, Python hashlib and struct.
func TestVector(t *testing.T) {
	b := two(t)
	sum := sha256.Sum256(b)
	if got := hex.EncodeToString(sum[:]); len(b) != 227 || got != "217497a46a7a07a6b3d9b6c5d975f7f6c574f67668f97ca0c8ce5ef386628dee" {
		t.Errorf("%d bytes, %s", len(b), got)
	}
	if s, e, err := frames(b); s != "hello;world!;" || e.Size != 227 || e.Frames != 2 || err != nil {
		t.Errorf("%q, %+v, %v", s, e, err)
	}
}

// Every byte of the file flipped, and the file cut at every length: what is read
// is always a prefix of what was written, and a header error is an input fault.
// The row count of a frame is covered by the next frame only.
func TestDamage(t *testing.T) {
	b := two(t)
	second := 48 + 84 + 5
	for i := range b {
		for _, cut := range []bool{false, true} {
			c := bytes.Clone(b)
			if cut {
				c = c[:i]
			} else {
				c[i] ^= 1
			}
			s, e, err := frames(c)
			switch want := [...]string{"", "hello;"}; {
			case i < 48 && cut:
				if s != "" || e.Size != 48 || err != nil {
					t.Fatalf("header of %d bytes: %q, %+v, %v", i, s, e, err)
				}
			case i < 48:
				if f := fault.As(err); f == nil || f.Class != fault.Input {
					t.Fatalf("byte %d cut %v: %v, want an input fault", i, cut, err)
				}
			case !cut && (i-48)/4 == 2 && s == want[1] || !cut && (i-second)/4 == 2 && i >= second && s == "hello;world!;":
			case i < second && (s != want[0] || e.Size != 48) || i >= second && (s != want[1] || e.Size != int64(second)) || err != nil:
				t.Fatalf("byte %d cut %v: %q, %+v, %v", i, cut, s, e, err)
			}
		}
	}
}

// Copy drops the torn tail and continues the chain: the file equals one that was
// never interrupted.
func TestCopy(t *testing.T) {
	b := two(t)
	torn := b[:len(b)-1]
	_, e, err := frames(torn)
	if err != nil {
		t.Fatal(err)
	}
	var m memory
	w, err := Copy(&m, header(), bytes.NewReader(torn), e)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Frame(3, []byte("world!")); err != nil || !bytes.Equal(m.Bytes(), b) {
		t.Errorf("continued file differs: %v", err)
	}
}

func TestErrors(t *testing.T) {
	m := memory{fail: errors.New("disk full")}
	if _, err := NewWriter(&m, header()); fault.As(err) == nil || fault.As(err).Class != fault.Retry {
		t.Errorf("write error: %v, want a retry fault", err)
	}
	m = memory{}
	w, _ := NewWriter(&m, header())
	m.fail = errors.New("disk full")
	if err := w.Frame(1, nil); fault.As(err).Class != fault.Retry {
		t.Error(err)
	}
	m.fail = nil
	if err := w.Frame(1, nil); err == nil {
		t.Error("a writer goes on after a failed frame")
	}
	stop := errors.New("stop")
	if _, err := Scan(bytes.NewReader(two(t)), 227, header(), func(uint32, int64, []byte) error { return stop }); err != stop {
		t.Errorf("%v, want the callback's error", err)
	}
}

func FuzzScan(f *testing.F) {
	var m memory
	w, err := NewWriter(&m, header())
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"hello", "world!", ""} {
		if err := w.Frame(uint32(len(s)), []byte(s)); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(m.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		end := int64(48)
		e, err := Scan(bytes.NewReader(b), int64(len(b)), header(), func(_ uint32, off int64, p []byte) error {
			if off != end+FrameSize {
				t.Fatalf("frame at %d, want %d", off, end+FrameSize)
			}
			end = off + int64(len(p))
			return nil
		})
		if err == nil && (e.Size != end || end > int64(len(b))) {
			t.Fatalf("end %+v, frames end at %d of %d", e, end, len(b))
		}
	})
}

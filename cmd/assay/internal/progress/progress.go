// Package progress shows how far a long job is: a bar on a terminal, one line
// every 30 seconds with --progress plain, nothing otherwise. Rates and the time
// left count tokens, not documents, and start with the first finished batch, so
// that compilation is left out.
package progress

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// Meter counts work done. Its methods are safe for concurrent use and on a nil Meter.
type Meter struct {
	mu    sync.Mutex
	w     io.Writer
	what  string
	unit  string
	total int64
	done  int64
	first int64 // done when the clock started
	start time.Time
	last  time.Time
	bar   *progressbar.ProgressBar
	now   func() time.Time
}

// New returns a meter for total tokens. mode is auto, plain or none; nil is
// returned when nothing would be shown.
func New(w io.Writer, mode, what string, total int64) *Meter {
	return NewOf(w, mode, what, "tokens", total)
}

// NewOf is New for another unit, in the plural.
func NewOf(w io.Writer, mode, what, unit string, total int64) *Meter {
	m := &Meter{w: w, what: what, unit: unit, total: total, now: time.Now}
	switch {
	case mode == "plain":
	case mode == "auto" && isTerminal(w):
		m.bar = progressbar.NewOptions64(total,
			progressbar.OptionSetWriter(w),
			progressbar.OptionSetDescription(what),
			progressbar.OptionSetPredictTime(true),
			progressbar.OptionShowCount(),
			progressbar.OptionShowIts(),
			progressbar.OptionSetItsString(strings.TrimSuffix(unit, "ens")),
			progressbar.OptionThrottle(200*time.Millisecond),
			progressbar.OptionClearOnFinish(),
		)
	default:
		return nil
	}
	return m
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}

// Add counts n more units.
func (m *Meter) Add(n int64) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done += n
	if m.bar != nil {
		_ = m.bar.Add64(n)
		return
	}
	t := m.now()
	if m.start.IsZero() {
		m.start, m.last, m.first = t, t, m.done
		return
	}
	if t.Sub(m.last) < 30*time.Second {
		return
	}
	m.last = t
	rate := float64(m.done-m.first) / t.Sub(m.start).Seconds()
	left := time.Duration(float64(m.total-m.done) / rate * float64(time.Second)).Round(time.Second)
	fmt.Fprintf(m.w, "%s: %d of %d %s, %.0f %s/s, %s left\n", m.what, m.done, m.total, m.unit, rate, m.unit, left)
}

// Close removes the bar.
func (m *Meter) Close() {
	if m != nil && m.bar != nil {
		_ = m.bar.Finish()
	}
}

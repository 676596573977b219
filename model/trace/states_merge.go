package trace

import (
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"assay/internal/fault"
)

// MergeStates joins the shards of one run. Sums are exact pairs, so the result is the
// file that one machine would have written, byte for byte but for made.
func MergeStates(dst string, shards []string) error { return mergeStates(dst, shards, StatesOptions{}) }

func mergeStates(dst string, shards []string, o StatesOptions) error {
	if o.disk == nil {
		o.disk = osDisk{}
	}
	if len(shards) == 0 {
		return fault.Usagef("trace: merge into %s: no shards", dst)
	}
	m := statesMerge{dst: dst, disk: o.disk}
	defer m.close()
	for _, p := range shards {
		s, err := openStates(p, o)
		if err != nil {
			return err
		}
		m.in = append(m.in, s)
	}
	if err := m.agree(); err != nil {
		return err
	}
	return m.write()
}

type statesMerge struct {
	dst  string
	disk disk
	in   []*States
	l    *layout
	f    file
}

func (m *statesMerge) close() {
	for _, s := range m.in {
		s.Close() // only read
	}
}

// docRange returns the documents of a shard or of a whole file.
func (s *States) docRange() (from, to int64) {
	if p := s.s.header.Parts; len(p) == 1 {
		return p[0].Docs[0], p[0].Docs[1]
	}
	return 0, int64(len(s.docs.ID))
}

// agree checks that the shards are of one run and cover it once, and sorts them.
func (m *statesMerge) agree() error {
	a := m.in[0]
	for _, b := range m.in[1:] {
		if a.s.header.Run != b.s.header.Run {
			return fault.Inputf("merge-mismatch", "trace: merge: %s and %s: %s", a.path, b.path, statesDifference(a.s.header, b.s.header))
		}
	}
	slices.SortStableFunc(m.in, func(a, b *States) int {
		x, _ := a.docRange()
		y, _ := b.docRange()
		return int(max(min(x-y, 1), -1))
	})
	next, total := int64(0), int64(a.s.header.Of.Plan.Docs)
	for _, s := range m.in {
		from, to := s.docRange()
		switch {
		case to-from != int64(len(s.docs.ID)) || len(s.s.header.Parts) > 1:
			return fault.Inputf("merge-mismatch", "trace: merge: %s: %d documents in [%d, %d)", s.path, len(s.docs.ID), from, to)
		case from < next:
			return fault.Inputf("merge-mismatch", "trace: merge: %s holds documents [%d, %d), which another shard holds to %d", s.path, from, to, next)
		case from > next:
			return fault.Inputf("merge-mismatch", "trace: merge: no shard holds documents [%d, %d)", next, from)
		}
		next = to
	}
	if next != total {
		return fault.Inputf("merge-mismatch", "trace: merge: no shard holds documents [%d, %d)", next, total)
	}
	return m.layout()
}

// statesDifference names the first field of two identities that differs.
func statesDifference(a, b StatesHeader) string {
	x, y := map[string]string{}, map[string]string{}
	for _, p := range []struct {
		h   StatesHeader
		out map[string]string
	}{{a, x}, {b, y}} {
		var v any
		if json.Unmarshal(p.h.rawOf, &v) == nil {
			flatten(p.out, "of", v)
		}
	}
	return difference(x, y, a.Run, b.Run)
}

// layout makes that of the whole run from the shards' tensors.
func (m *statesMerge) layout() error {
	a := m.in[0]
	h := a.s.header
	m.l = &layout{views: h.Of.Views, plan: h.Of.Plan, labels: len(h.Labels), cells: a.rows("cell.label"), names: [2][]string{h.Labels, h.Strata}}
	for _, s := range m.in {
		m.l.docs += len(s.docs.ID)
		m.l.idBytes += s.rows("doc.id_bytes")
		m.l.sample += s.rows("sample.doc")
		m.l.positions += s.rows("tokens.pos")
		m.l.lens += s.rows("lens.doc")
		if !slices.Equal(s.s.header.Labels, h.Labels) || !slices.Equal(s.s.header.Strata, h.Strata) || s.rows("cell.label") != m.l.cells {
			return fault.Inputf("merge-mismatch", "trace: merge: %s and %s: labels %v and %v, %d and %d cells", a.path, s.path, h.Labels, s.s.header.Labels, m.l.cells, s.rows("cell.label"))
		}
	}
	m.l.build()
	return nil
}

func (m *statesMerge) write() (err error) {
	partial := m.dst + ".partial"
	m.f, err = m.disk.create(partial)
	if errors.Is(err, fs.ErrExist) {
		return fault.Usagef("trace: %s: unfinished work is there", partial).Hint("remove the file")
	}
	if err != nil {
		return openError(partial, err)
	}
	defer func() {
		if err != nil {
			m.f.Close() // the first error is the one to report
			m.disk.remove(partial)
		}
	}()
	if n := m.l.dataBytes; n > 0 {
		if err := m.put(n-1, []byte{0}); err != nil {
			return err
		}
	}
	for _, t := range m.l.tensors {
		if err := m.tensor(t); err != nil {
			return err
		}
	}
	if err := seal(m.f, partial, m.l, m.header()); err != nil {
		return err
	}
	if err := m.f.Close(); err != nil {
		return retry(partial, "close", err)
	}
	if err := m.disk.rename(partial, m.dst); err != nil {
		return retry(m.dst, "rename", err)
	}
	if e := m.disk.syncDir(filepath.Dir(m.dst)); e != nil {
		return retry(m.dst, "sync folder", e)
	}
	return nil
}

func (m *statesMerge) put(off int64, b []byte) error {
	if _, err := m.f.WriteAt(b, 8+m.l.headerSize+off); err != nil {
		return retry(m.dst, "write", err)
	}
	return nil
}

// header adds up what the shards count.
func (m *statesMerge) header() StatesHeader {
	h := m.in[0].s.header
	h.Parts, h.Complete, h.Counts, h.Made.Seconds = nil, true, StatesCounts{}, 0
	for _, s := range m.in {
		x := s.s.header
		h.Counts.Docs += x.Counts.Docs
		h.Counts.Used += x.Counts.Used
		h.Counts.Zero += x.Counts.Zero
		h.Made.Seconds += x.Made.Seconds
		if i := x.Made.Invariance; i != nil && (h.Made.Invariance == nil || i.MaxRel > h.Made.Invariance.MaxRel) {
			h.Made.Invariance = i
		}
		h.Made.Quantised = h.Made.Quantised || x.Made.Quantised
	}
	return h
}

// tensor writes one tensor of the result: document arrays one after the other,
// offsets moved, sums added, and what all shards share from the first.
func (m *statesMerge) tensor(t tensor) error {
	switch {
	case t.name == "doc.id_offsets" || t.name == "tokens.offsets":
		return m.offsets(t)
	case t.name == "cell.label" || t.name == "cell.stratum" || t.name == "cell.block" || t.name == "cell.units":
		return m.put(t.off, m.in[0].raw(t.name))
	case strings.HasPrefix(t.name, "tok.max."):
		return m.maxima(t)
	case t.name == "cell.n" || strings.HasPrefix(t.name, "cell.zero.") || strings.HasPrefix(t.name, "tok.n6."):
		return m.counts(t)
	case low(t.name) != t.name:
		return m.sums(t)
	}
	at := t.off
	for _, s := range m.in {
		b := s.raw(t.name)
		if err := m.put(at, b); err != nil {
			return err
		}
		at += int64(len(b))
	}
	return nil
}

// raw returns the bytes of a tensor that layout has checked.
func (s *States) raw(name string) []byte {
	t := s.s.tensors[name]
	at := s.s.data + t.off
	return s.m.b[at : at+t.bytes()]
}

func (m *statesMerge) offsets(t tensor) error {
	out := []int64{0}
	for _, s := range m.in {
		base := out[len(out)-1]
		for _, v := range viewLongs(s.raw(t.name))[1:] {
			out = append(out, base+v)
		}
	}
	return m.put(t.off, appendLongs(nil, out))
}

func (m *statesMerge) counts(t tensor) error {
	sum := make([]int64, t.bytes()/8)
	for _, s := range m.in {
		for i, v := range viewLongs(s.raw(t.name)) {
			sum[i] += v
		}
	}
	return m.put(t.off, appendLongs(nil, sum))
}

func (m *statesMerge) maxima(t tensor) error {
	top := make([]float32, t.bytes()/4)
	for _, s := range m.in {
		for i, v := range viewFloats(s.raw(t.name)) {
			top[i] = max(top[i], v)
		}
	}
	return m.put(t.off, appendFloats(nil, top))
}

// sums adds pairs; a whole file among the shards has no low parts.
func (m *statesMerge) sums(t tensor) error {
	const run = 1 << 16
	n := int(t.bytes() / 8)
	for at := 0; at < n; at += run {
		k := min(run, n-at)
		p := newPairs(k)
		for _, s := range m.in {
			q := pairs{viewDoubles(s.raw(t.name))[at : at+k], make([]float64, k)}
			if _, ok := s.s.tensors[low(t.name)]; ok {
				q.lo = viewDoubles(s.raw(low(t.name)))[at : at+k]
			}
			p.merge(q)
		}
		if err := m.put(t.off+8*int64(at), appendDoubles(nil, p.round(nil))); err != nil {
			return err
		}
	}
	return nil
}

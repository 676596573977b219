package trace

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"assay/internal/fault"
)

// PlanOptions decide what a states file keeps beside sums.
type PlanOptions struct {
	Cells  int    // target number of cells; 0 = 128, negative = none
	Sample int    // units per label whose rows are kept for every layer; 0 = none
	Keep   []int  // layers whose rows are kept; nil = all if they take at most 4 GiB, else none
	BF16   bool   // rows and sample in bfloat16
	Seed   uint64 // of the order that cuts cells and draws the sample
	// Stats are taps whose activations over tokens are summed per dimension
	// (AddStats), at the layers of the tap's first view.
	Stats []string
	// Sameness keeps, beside Stats, the mean cosine of pairs of positions inside
	// each document (TokenStats.Same).
	Sameness bool
	// LensLayers and Lens are the positions at which the checkpoint's own head
	// reads every layer (AddLens).
	LensLayers []int
	Lens       []LensPosition
	// Directions is the number of given directions on which every row is
	// projected instead of being kept (AddProjections).
	Directions       int
	DirectionsDigest string // of the directions' values; part of the identity
	// From and To are the documents [From, To) of a shard; both 0 = all.
	From, To int
}

// LensPosition is one position that the lens reads.
type LensPosition struct {
	Doc         int
	Pos, Target int32 // Target is the next token, -1 at the end of the text
}

const (
	maxCells    = 1024
	keepDefault = 4 << 30 // bytes of rows kept without being asked for
)

// StatesPlan is everything about a states file that is fixed before the forward
// pass. It depends on the documents, the views and the options alone, so that every
// shard of a run makes the same one.
type StatesPlan struct {
	Docs   []DocInfo
	Views  []View
	Labels []string // names in index order
	Strata []string
	Unit   string // pair, family, or empty for documents
	Cells  []CellInfo
	Sample []int // documents, ascending
	Keep   []int // layers
	Seed   uint64

	options                    PlanOptions
	label, stratum, unit, cell []int32
	m                          int
	digest                     string
}

// NewStatesPlan assigns documents to labels, strata, units and cells and draws the
// sample. Labels and strata are numbered in the order of their names. Units are
// ordered by a hash of the seed and their id, so neither the order of the documents
// nor names of columns matter.
func NewStatesPlan(docs []DocInfo, views []View, o PlanOptions) (*StatesPlan, error) {
	if err := checkViews(views); err != nil {
		return nil, err
	}
	p := &StatesPlan{Docs: docs, Views: views, Seed: o.Seed, options: o}
	if o.Cells == 0 {
		p.options.Cells = 128
	}
	if err := p.checkOptions(); err != nil {
		return nil, err
	}
	if err := p.index(); err != nil {
		return nil, err
	}
	if err := p.cut(); err != nil {
		return nil, err
	}
	p.draw()
	p.keep()
	p.digest = p.sum()
	return p, nil
}

func (p *StatesPlan) checkOptions() error {
	o := &p.options
	if o.To == 0 && o.From == 0 {
		o.To = len(p.Docs)
	}
	switch {
	case len(p.Docs) == 0:
		return fault.Inputf("empty", "trace: states: no documents")
	case len(p.Docs) >= 1<<31:
		return fault.Inputf("too-long", "trace: states: %d documents, want fewer than 2^31", len(p.Docs))
	case o.From < 0 || o.From >= o.To || o.To > len(p.Docs):
		return fault.Usagef("trace: states: documents [%d, %d) of %d", o.From, o.To, len(p.Docs))
	case o.Sample < 0 || o.Directions < 0:
		return fault.Usagef("trace: states: sample %d, directions %d: want 0 or more", o.Sample, o.Directions)
	case o.Directions > 0 && len(o.Keep) > 0:
		return fault.Usagef("trace: states: projections are kept instead of rows, and rows of layers %v are asked for", o.Keep)
	case len(o.Lens) > 0 && len(o.LensLayers) == 0 || !ascending(o.LensLayers):
		return fault.Usagef("trace: states: %d lens positions at layers %v, want ascending layers", len(o.Lens), o.LensLayers)
	}
	if o.Sameness && len(o.Stats) == 0 {
		return fault.Usagef("trace: states: sameness goes with statistics of tokens, and none are planned")
	}
	for i, tap := range o.Stats {
		if slices.Contains(o.Stats[:i], tap) || p.tapView(tap) < 0 {
			return fault.Usagef("trace: states: statistics of tap %q, which is no view's or named twice", tap)
		}
	}
	for i, l := range o.Lens {
		if l.Doc < 0 || l.Doc >= len(p.Docs) || i > 0 && o.Lens[i-1].Doc > l.Doc {
			return fault.Usagef("trace: states: lens position %d of document %d, want documents in order below %d", i, l.Doc, len(p.Docs))
		}
	}
	return nil
}

// tapView returns the first view of a tap, -1 if none.
func (p *StatesPlan) tapView(tap string) int {
	return slices.IndexFunc(p.Views, func(v View) bool { return v.Tap == tap })
}

// index numbers labels, strata and units and refuses what does not fit.
func (p *StatesPlan) index() error {
	ids := map[string]int{}
	labels, strata := map[string]bool{}, map[string]bool{}
	tokenView := slices.ContainsFunc(p.Views, View.Tokens)
	for i, d := range p.Docs {
		if j, twice := ids[d.ID]; twice {
			return fault.Inputf("duplicate-id", "trace: states: documents %d and %d have one id, %q", j, i, d.ID)
		}
		ids[d.ID] = i
		switch {
		case d.ID == "":
			return fault.Inputf("malformed", "trace: states: document %d has no id", i)
		case d.Span <= 0 || d.Span > d.Tokens:
			return fault.Inputf("empty-span", "trace: states: document %q: span of %d tokens in %d, want at least 1", d.ID, d.Span, d.Tokens)
		case tokenView && len(d.Positions) == 0:
			return fault.Inputf("empty-span", "trace: states: document %q: no positions for the token rows", d.ID)
		case d.Pair != "" && d.Family != "":
			return fault.Inputf("bad-pair", "trace: states: document %q: pair %q and family %q, want one", d.ID, d.Pair, d.Family)
		}
		for _, pos := range d.Positions {
			if pos < 0 || pos >= d.Tokens {
				return fault.Inputf("bad-position", "trace: states: document %q: position %d, want 0 to %d", d.ID, pos, d.Tokens-1)
			}
		}
		if d.Label != "" {
			labels[d.Label] = true
		}
		if d.Stratum != "" {
			strata[d.Stratum] = true
		}
		if d.Pair != "" {
			p.Unit = "pair"
		}
		if d.Family != "" && p.Unit == "" {
			p.Unit = "family"
		}
	}
	p.Labels, p.Strata = slices.Sorted(maps.Keys(labels)), slices.Sorted(maps.Keys(strata))
	number := func(names []string, v string) int32 {
		if i, ok := slices.BinarySearch(names, v); ok {
			return int32(i)
		}
		return -1
	}
	units := map[string]int32{}
	for _, d := range p.Docs {
		p.label = append(p.label, number(p.Labels, d.Label))
		p.stratum = append(p.stratum, number(p.Strata, d.Stratum))
		u := p.unitID(d)
		if _, ok := units[u]; !ok {
			units[u] = int32(len(units))
		}
		p.unit = append(p.unit, units[u])
	}
	return p.checkUnits(len(units))
}

// unitID is what may be moved or left out as a whole. The kind is part of it: a
// document alone is not a family of its name.
func (p *StatesPlan) unitID(d DocInfo) string {
	switch {
	case d.Pair != "":
		return "pair\x00" + d.Pair
	case d.Family != "":
		return "family\x00" + d.Family
	}
	return "doc\x00" + d.ID
}

// name is the unit's id without its kind, which the order hashes.
func unitName(id string) string {
	_, name, _ := bytes.Cut([]byte(id), []byte{0})
	return string(name)
}

func (p *StatesPlan) checkUnits(n int) error {
	type member struct{ docs []int }
	members := make([]member, n)
	for i, u := range p.unit {
		members[u].docs = append(members[u].docs, i)
	}
	for _, m := range members {
		first := p.Docs[m.docs[0]]
		seen := map[int32]int{}
		for _, i := range m.docs {
			seen[p.label[i]]++
			if p.Unit == "pair" && p.stratum[i] != p.stratum[m.docs[0]] {
				return fault.Inputf("bad-pair", "trace: states: pair %q: documents %q and %q are in strata %q and %q, want one", first.Pair, first.ID, p.Docs[i].ID, first.Stratum, p.Docs[i].Stratum)
			}
		}
		switch {
		case first.Pair != "" && (len(seen) != len(p.Labels) || len(m.docs) != len(p.Labels) || seen[-1] > 0):
			return fault.Inputf("bad-pair", "trace: states: pair %q has %d documents of %d labels, want one of each of the %d labels", first.Pair, len(m.docs), len(seen), len(p.Labels))
		case p.Unit == "pair" && first.Pair == "" && p.label[m.docs[0]] >= 0:
			return fault.Inputf("bad-pair", "trace: states: document %q has label %q and no pair", first.ID, first.Label)
		case first.Family != "" && len(seen) > 1:
			return fault.Inputf("family-spans-labels", "trace: states: family %q has documents under %d labels", first.Family, len(seen)).
				Hint("name the column with --pair, or fix it")
		}
	}
	return nil
}

// order hashes a unit's place in the order that purpose asks for.
func (p *StatesPlan) order(purpose, unit string) [32]byte {
	return sha256.Sum256(fmt.Appendf(nil, "assay.%s/1\n%d\n%s", purpose, p.Seed, unit))
}

// group is one label in one stratum.
type group struct{ label, stratum int32 }

// inCells reports whether a document has a cell: those with a label, or all if
// there are no labels.
func (p *StatesPlan) inCells(i int) bool { return p.label[i] >= 0 || len(p.Labels) == 0 }

// groups returns the units of each group, each with its documents.
func (p *StatesPlan) groups() map[group]map[int32][]int {
	gs := map[group]map[int32][]int{}
	for i := range p.Docs {
		if !p.inCells(i) {
			continue
		}
		g := group{p.label[i], p.stratum[i]}
		if gs[g] == nil {
			gs[g] = map[int32][]int{}
		}
		gs[g][p.unit[i]] = append(gs[g][p.unit[i]], i)
	}
	return gs
}

// cut makes the cells.
func (p *StatesPlan) cut() error {
	p.cell = slices.Repeat([]int32{-1}, len(p.Docs))
	if p.options.Cells < 0 {
		return nil
	}
	gs := p.groups()
	units := 0
	least := map[int32]int{} // fewest units of a label, by stratum
	for g, us := range gs {
		units += len(us)
		if n, ok := least[g.stratum]; !ok || len(us) < n {
			least[g.stratum] = len(us)
		}
	}
	p.m = max(1, (units+p.options.Cells-1)/p.options.Cells)
	for _, g := range slices.SortedFunc(maps.Keys(gs), func(a, b group) int {
		return cmp.Or(cmp.Compare(a.label, b.label), cmp.Compare(a.stratum, b.stratum))
	}) {
		m := max(1, min(p.m, least[g.stratum]/4))
		for b, block := range p.blocks(gs[g], m) {
			if len(p.Cells) == maxCells {
				return fault.Inputf("too-many-cells", "trace: states: more than %d cells: %d units in %d groups of label and stratum", maxCells, units, len(gs)).
					Hint("ask for fewer --cells, or for strata with more documents")
			}
			c := CellInfo{Label: g.label, Stratum: g.stratum, Block: int32(b), Units: int64(len(block))}
			for _, u := range block {
				for _, i := range gs[g][u] {
					p.cell[i] = int32(len(p.Cells))
					c.Docs++
				}
			}
			p.Cells = append(p.Cells, c)
		}
	}
	return nil
}

// blocks orders units by hash and cuts them into runs of m; the last may be short.
func (p *StatesPlan) blocks(units map[int32][]int, m int) [][]int32 {
	return slices.Collect(slices.Chunk(p.byHash("cells", units), m))
}

func (p *StatesPlan) byHash(purpose string, units map[int32][]int) []int32 {
	keys := map[int32][32]byte{}
	for u, docs := range units {
		keys[u] = p.order(purpose, unitName(p.unitID(p.Docs[docs[0]])))
	}
	return slices.SortedFunc(maps.Keys(units), func(a, b int32) int {
		x, y := keys[a], keys[b]
		return cmp.Or(bytes.Compare(x[:], y[:]), cmp.Compare(a, b))
	})
}

// draw takes the first units of each label.
func (p *StatesPlan) draw() {
	byLabel := map[int32]map[int32][]int{}
	for i := range p.Docs {
		if !p.inCells(i) {
			continue
		}
		l := p.label[i]
		if byLabel[l] == nil {
			byLabel[l] = map[int32][]int{}
		}
		byLabel[l][p.unit[i]] = append(byLabel[l][p.unit[i]], i)
	}
	for _, units := range byLabel {
		us := p.byHash("sample", units)
		for _, u := range us[:min(len(us), p.options.Sample)] {
			p.Sample = append(p.Sample, units[u]...)
		}
	}
	slices.Sort(p.Sample)
}

// keep settles the layers whose rows are kept.
func (p *StatesPlan) keep() {
	p.Keep = slices.Clone(p.options.Keep)
	slices.Sort(p.Keep)
	p.Keep = slices.Compact(p.Keep)
	if p.options.Keep != nil || p.options.Directions > 0 {
		return
	}
	size := 0.0
	all := map[int]bool{}
	for _, v := range p.Views {
		if !v.Tokens() {
			size += 4 * float64(len(p.Docs)) * float64(len(v.Layers)) * float64(v.Width)
			for _, l := range v.Layers {
				all[l] = true
			}
		}
	}
	if size <= keepDefault {
		p.Keep = slices.Sorted(maps.Keys(all))
	}
}

// sum is the digest of what the plan says about every document.
func (p *StatesPlan) sum() string {
	ids := make([]string, len(p.Docs))
	for i, d := range p.Docs {
		ids[i] = d.ID
	}
	return planDigest([2][]string{p.Labels, p.Strata}, ids, [4][]int32{p.label, p.stratum, p.unit, p.cell}, p.Sample)
}

// planDigest is SHA-256 of "assay.states.plan/1\n", then of the label names and of the
// stratum names u32 count and each u32 length and bytes, then of each document u32
// length and bytes of its id, label, stratum, unit and cell as i32, and one byte that
// says whether it is in the sample.
func planDigest(names [2][]string, ids []string, index [4][]int32, sample []int) string {
	h := sha256.New()
	h.Write([]byte("assay.states.plan/1\n"))
	var b []byte
	for _, list := range names {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(list)))
		for _, s := range list {
			b = append(binary.LittleEndian.AppendUint32(b, uint32(len(s))), s...)
		}
	}
	h.Write(b)
	k := 0
	for i, id := range ids {
		b = append(binary.LittleEndian.AppendUint32(b[:0], uint32(len(id))), id...)
		for _, v := range index {
			b = binary.LittleEndian.AppendUint32(b, uint32(v[i]))
		}
		in := byte(0)
		if k < len(sample) && sample[k] == i {
			in = 1
			k++
		}
		h.Write(append(b, in))
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// Identity returns the plan's part of the identity.
func (p *StatesPlan) Identity() PlanIdentity {
	dtype := "F32"
	if p.options.BF16 {
		dtype = "BF16"
	}
	keep := p.Keep
	if keep == nil {
		keep = []int{}
	}
	return PlanIdentity{Docs: len(p.Docs), Seed: p.Seed, Cells: p.options.Cells, Sample: p.options.Sample, Keep: keep, M: p.m, DType: dtype,
		Stats: p.options.Stats, Sameness: p.options.Sameness, LensLayers: p.options.LensLayers, Directions: p.options.Directions, DirectionsDigest: p.options.DirectionsDigest, Digest: p.digest}
}

// Warnings about the documents: equal texts under two ids.
func (p *StatesPlan) Warnings() []Warning {
	seen, twice := map[[8]byte]bool{}, 0
	for _, d := range p.Docs {
		if seen[d.TextSHA] {
			twice++
		}
		seen[d.TextSHA] = true
	}
	if twice == 0 {
		return nil
	}
	return []Warning{{"duplicate-text", fmt.Sprintf("%d of %d documents repeat the text of another", twice, len(p.Docs))}}
}

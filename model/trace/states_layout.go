package trace

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"assay/internal/fault"
)

// tensor is one tensor of a states file.
type tensor struct {
	name  string
	dtype string
	shape []int
	off   int64 // in the data section
}

var dtypeSize = map[string]int{"F64": 8, "I64": 8, "F32": 4, "I32": 4, "BF16": 2, "U8": 1}

func (t tensor) bytes() int64 {
	n := int64(dtypeSize[t.dtype])
	for _, d := range t.shape {
		n *= int64(d)
	}
	return n
}

// layout is the shape of a states file: what decides names, order and sizes of its
// tensors. A merged file has the layout of the whole run.
type layout struct {
	views      []View
	plan       PlanIdentity
	docs       int // in this file
	idBytes    int
	labels     int
	cells      int
	sample     int // documents of the sample in this file
	positions  int // token rows in this file
	lens       int // lens positions in this file
	shard      bool
	names      [2][]string // labels and strata
	tensors    []tensor
	dataBytes  int64
	headerSize int64
}

// statesReserve is the room for the metadata of a header beside tensors and names,
// so that the size of a file follows from its plan.
const statesReserve = 1 << 14

func (p *StatesPlan) layout() *layout {
	l := &layout{views: p.Views, plan: p.Identity(), docs: p.options.To - p.options.From, labels: len(p.Labels), cells: len(p.Cells),
		shard: p.options.From > 0 || p.options.To < len(p.Docs), names: [2][]string{p.Labels, p.Strata}}
	for _, d := range p.Docs[p.options.From:p.options.To] {
		l.idBytes += len(d.ID)
		l.positions += len(d.Positions)
	}
	for _, i := range p.Sample {
		if p.in(i) {
			l.sample++
		}
	}
	for _, x := range p.options.Lens {
		if p.in(x.Doc) {
			l.lens++
		}
	}
	l.build()
	return l
}

func (p *StatesPlan) in(doc int) bool { return doc >= p.options.From && doc < p.options.To }

// Bytes forecasts the size of the file and the memory of the accumulators and
// document arrays while it is written.
func (p *StatesPlan) Bytes() (file, memory int64) {
	l := p.layout()
	for _, t := range l.tensors {
		if l.accumulated(t.name) {
			memory += t.bytes()
			if t.dtype == "F64" && !l.shard {
				memory += t.bytes() // the low parts, which only a shard's file holds
			}
		}
	}
	return 8 + l.headerSize + l.dataBytes, memory + int64(len(p.Docs))*128
}

// accumulated reports whether a tensor is kept in memory until the end.
func (l *layout) accumulated(name string) bool {
	for _, prefix := range []string{"cell.zero.", "cell.sum", "cell.usum", "cell.q", "cell.v", "dim.", "tok."} {
		if len(name) > len(prefix) && name[:len(prefix)] == prefix {
			return true
		}
	}
	return false
}

// build lists the tensors in the order of the format, those of 8 bytes first, and
// places them back to back.
func (l *layout) build() {
	l.tensors = nil
	add := func(dtype, name string, shape ...int) {
		l.tensors = append(l.tensors, tensor{name: name, dtype: dtype, shape: shape})
	}
	low := func(kind, rest string, shape ...int) {
		add("F64", kind+"."+rest, shape...)
		if l.shard {
			add("F64", kind+"_lo."+rest, shape...)
		}
	}
	l.docTensors(add)
	add("I32", "cell.label", l.cells)
	add("I32", "cell.stratum", l.cells)
	add("I32", "cell.block", l.cells)
	add("I64", "cell.n", l.cells)
	add("I64", "cell.units", l.cells)
	pooled := slices.DeleteFunc(slices.Clone(l.views), View.Tokens)
	for _, v := range pooled {
		add("I64", "cell.zero."+v.Name(), l.cells, len(v.Layers))
	}
	for _, kind := range []string{"cell.sum", "cell.usum"} {
		for _, v := range pooled {
			for _, n := range v.Layers {
				low(kind, v.layer(n), l.cells, v.Width)
			}
		}
	}
	for _, kind := range []string{"cell.q", "cell.v"} {
		for _, v := range pooled {
			low(kind, v.Name(), l.cells, len(v.Layers), len(v.Layers))
		}
	}
	for _, v := range pooled {
		for _, n := range v.Layers {
			low("dim.sq", v.layer(n), l.labels, v.Width)
		}
	}
	l.statTensors(add, low)
	l.rowTensors(add, pooled)
	slices.SortStableFunc(l.tensors, func(a, b tensor) int { return dtypeSize[b.dtype] - dtypeSize[a.dtype] })
	l.dataBytes = 0
	for i := range l.tensors {
		l.tensors[i].off = l.dataBytes
		l.dataBytes += l.tensors[i].bytes()
	}
	l.headerSize = l.reserve()
}

// layer names a tensor of one layer of a view.
func (v View) layer(n int) string { return v.Name() + "." + strconv.Itoa(n) }

type addTensor func(dtype, name string, shape ...int)

func (l *layout) docTensors(add addTensor) {
	add("U8", "doc.id_bytes", l.idBytes)
	add("I64", "doc.id_offsets", l.docs+1)
	for _, name := range []string{"label", "stratum", "unit", "cell", "tokens", "span", "bytes"} {
		add("I32", "doc."+name, l.docs)
	}
	add("U8", "doc.text_sha", l.docs, 8)
	for _, v := range l.views {
		if !v.Tokens() {
			add("F32", "doc.sqnorm."+v.Name(), l.docs, len(v.Layers))
		}
	}
	for _, tap := range l.plan.Stats {
		k := len(l.tapView(tap).Layers)
		add("F32", "doc.max."+tap, l.docs, k)
		for _, name := range []string{"max_pos", "max_dim", "massive"} {
			add("I32", "doc."+name+"."+tap, l.docs, k)
		}
		if l.plan.Sameness {
			add("F32", "doc.same."+tap, l.docs, k)
		}
	}
}

func (l *layout) tapView(tap string) View {
	return l.views[slices.IndexFunc(l.views, func(v View) bool { return v.Tap == tap })]
}

func (l *layout) statTensors(add addTensor, low func(kind, rest string, shape ...int)) {
	for _, tap := range l.plan.Stats {
		v := l.tapView(tap)
		for _, n := range v.Layers {
			name := tap + "." + strconv.Itoa(n)
			low("tok.sq", name, 2, v.Width)
			add("F32", "tok.max."+name, 2, v.Width)
			add("I64", "tok.n6."+name, 2, v.Width)
		}
	}
}

func (l *layout) rowTensors(add addTensor, pooled []View) {
	add("I64", "sample.doc", l.sample)
	for _, v := range pooled {
		for _, n := range v.Layers {
			add(l.plan.DType, "sample."+v.layer(n), l.sample, v.Width)
		}
	}
	for _, v := range pooled {
		for _, n := range v.Layers {
			if slices.Contains(l.plan.Keep, n) {
				add(l.plan.DType, "rows."+v.layer(n), l.docs, v.Width)
			}
		}
	}
	if slices.ContainsFunc(l.views, View.Tokens) {
		add("I64", "tokens.offsets", l.docs+1)
		add("I32", "tokens.pos", l.positions)
		for _, v := range l.views {
			if v.Tokens() {
				for _, n := range v.Layers {
					add("F32", "tokens."+v.Tap+"."+strconv.Itoa(n), l.positions, v.Width)
				}
			}
		}
	}
	if l.plan.Directions > 0 {
		for _, v := range pooled {
			add("F32", "proj."+v.Name(), l.docs, len(v.Layers), l.plan.Directions)
		}
	}
	if k := len(l.plan.LensLayers); k > 0 {
		for _, name := range []string{"doc", "pos", "target"} {
			add("I32", "lens."+name, l.lens)
		}
		for _, name := range []string{"logprob", "entropy", "kl"} {
			add("F32", "lens."+name, l.lens, k)
		}
		add("I32", "lens.rank", l.lens, k)
		add("I32", "lens.top_id", l.lens, k, lensTop)
		add("F32", "lens.top_logprob", l.lens, k, lensTop)
	}
}

// lensTop is how many of the likeliest tokens a lens position keeps.
const lensTop = 5

// reserve returns the size of the JSON header: a multiple of 4096 that holds the
// tensors, the names, and statesReserve bytes of everything else.
func (l *layout) reserve() int64 {
	b, err := l.json("", "")
	n := len(b)
	for _, names := range l.names {
		for _, s := range names {
			q, e := json.Marshal(s)
			if e != nil {
				err = e
			}
			n += 2*len(q) + 8 // quotes are escaped once more inside the metadata string
		}
	}
	if err != nil {
		n += statesReserve // names are checked where they are written
	}
	return int64((n + statesReserve + 4095) / 4096 * 4096)
}

// json writes the safetensors header without padding.
func (l *layout) json(assay, content string) ([]byte, error) {
	b := append([]byte(nil), `{"__metadata__":{"assay":`...)
	q, err := json.Marshal(assay)
	if err != nil {
		return nil, err
	}
	b = append(b, q...)
	b = fmt.Appendf(b, `,"content":"%64s"}`, content)
	for _, t := range l.tensors {
		name, err := json.Marshal(t.name)
		if err != nil {
			return nil, err
		}
		shape, err := json.Marshal(append([]int{}, t.shape...))
		if err != nil {
			return nil, err
		}
		b = fmt.Appendf(b, `,%s:{"dtype":"%s","shape":%s,"data_offsets":[%d,%d]}`, name, t.dtype, shape, t.off, t.off+t.bytes())
	}
	return append(b, '}'), nil
}

// header returns the file up to its data section.
func (l *layout) header(h StatesHeader, content string) ([]byte, error) {
	assay, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	j, err := l.json(string(assay), content)
	if err != nil {
		return nil, err
	}
	if int64(len(j)) > l.headerSize {
		return nil, fault.Inputf("too-long", "trace: states: header of %d bytes does not fit the %d reserved", len(j), l.headerSize)
	}
	b := make([]byte, 8, 8+l.headerSize)
	for i := range 8 {
		b[i] = byte(l.headerSize >> (8 * i))
	}
	b = append(b, j...)
	for int64(len(b)) < 8+l.headerSize {
		b = append(b, ' ')
	}
	return b, nil
}

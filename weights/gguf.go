package weights

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"assay/internal/fault"
	"assay/weights/internal/gguf"
	"assay/weights/internal/mapped"
)

// block is what a tensor of a GGUF file has beyond one of safetensors.
type block struct {
	format gguf.Type
	rows   int // of the stored matrix; a vector has one value per row
	cols   int
	source func(row int) int // where a row of ours is stored; nil: same place
	kind   layout
}

// openGGUF maps a GGUF file and hands out its tensors and its configuration as
// Hugging Face has them.
func (c *Checkpoint) openGGUF(name string) error {
	m, err := mapped.Open(c.place.root, c.place.join(name))
	if err != nil {
		return pathError(name, err)
	}
	c.maps = append(c.maps, m)
	c.files = append(c.files, File{Name: name, Role: "weights", Bytes: m.Size()})
	err = mapped.Guard(func() error {
		f, err := gguf.Parse(m.Bytes())
		if errors.Is(err, gguf.ErrUnsupported) {
			return fault.Inputf("unsupported", "%w", err)
		}
		if err != nil {
			return err
		}
		c.gguf = f
		return c.translate(f, m, name)
	})
	if err = errors.Join(err, m.Changed()); err != nil {
		return malformed(name, err)
	}
	return nil
}

// translate fills tensors, hidden and config from a parsed file.
func (c *Checkpoint) translate(f *gguf.File, m *mapped.File, name string) error {
	if n, ok := f.Keys["split.count"]; ok {
		if n, ok := n.Uint(); !ok || n > 1 {
			return fault.Inputf("unsupported", "split.count: found %s, want one file", f.Keys["split.count"]).
				Hint("join the parts with llama-gguf-split --merge")
		}
	}
	if kind, ok := f.Keys["general.type"]; ok {
		if k, _ := kind.Text(); k != "model" {
			return fault.Inputf("unsupported", "general.type: found %s, want \"model\"", kind)
		}
	}
	arch, ok := f.Keys["general.architecture"].Text()
	if !ok {
		return fmt.Errorf("general.architecture: not found, want a string")
	}
	fam, known, ok := familyOf(arch)
	if !ok {
		return fault.Inputf("unsupported", "general.architecture: found %q, want one of %s", arch, known)
	}
	conf := newGGUFConfig(arch, f)
	if arch == "falcon" && conf.tensor("blk.0.attn_norm_2.weight") {
		fam.parts = with(fam.parts, "attn_norm", "ln_mlp", "attn_norm_2", "ln_attn")
	}
	if arch == "bert" && !conf.tensor("token_types.weight") {
		fam = distilbert(fam)
	}
	for _, t := range f.Tensors {
		if strings.HasPrefix(t.Name, "rope_f") {
			if err := conf.ropeTensor(t, m.Bytes()); err != nil {
				return err
			}
			c.hidden = append(c.hidden, tensor{Info: Info{Name: t.Name, DType: DType(t.Type.String()), Shape: t.Shape, Bytes: t.Bytes, File: name}, file: m, at: t.At})
			continue
		}
		if err := c.addGGUF(fam, conf, t, m, name); err != nil {
			return err
		}
	}
	fam.config(conf)
	text, err := conf.json()
	if err != nil {
		return err
	}
	c.config, err = parseConfig(name, text)
	return err
}

// addGGUF adds a tensor under its Hugging Face name, or one per expert or head.
func (c *Checkpoint) addGGUF(fam family, conf *ggufConfig, t gguf.Tensor, m *mapped.File, file string) error {
	target, kind, many, err := fam.rename(t.Name)
	if err != nil {
		return fault.Inputf("tensor", "tensor %q: %w", t.Name, err)
	}
	if !many {
		return c.addLayout(conf, target, kind, t, m, file)
	}
	if len(t.Shape) < 2 || t.Shape[0] == 0 {
		return fault.Inputf("tensor", "tensor %q: found shape %v, want one slice per expert or head", t.Name, t.Shape)
	}
	part := t
	part.Shape, part.Bytes = t.Shape[1:], t.Bytes/int64(t.Shape[0])
	for i := range t.Shape[0] {
		part.At = t.At + int64(i)*part.Bytes
		if err := c.addLayout(conf, fmt.Sprintf(target, i), kind, part, m, file); err != nil {
			return err
		}
	}
	return nil
}

func (c *Checkpoint) addLayout(conf *ggufConfig, name string, kind layout, t gguf.Tensor, m *mapped.File, file string) error {
	if len(c.tensors) == maxTensors {
		return fmt.Errorf("found more than %d tensors", maxTensors)
	}
	b := &block{format: t.Type, rows: 1, cols: 1, kind: kind}
	if len(t.Shape) > 0 {
		b.rows = t.Shape[0]
		for _, d := range t.Shape[1:] {
			b.cols *= d
		}
	}
	shape := t.Shape
	switch kind {
	case transposed:
		if len(t.Shape) == 2 {
			shape = []int{t.Shape[1], t.Shape[0]}
		} else {
			b.kind = asStored // a bias
		}
	case permutedQ, permutedK, stackedQKV:
		source, err := conf.rowSource(kind, b.rows)
		if err != nil {
			return fault.Inputf("tensor", "tensor %q: %w", t.Name, err)
		}
		b.source = source
	case plusOne:
		if t.Type != gguf.F32 {
			return fault.Inputf("unsupported", "tensor %q: found type %s, want F32 for a norm", t.Name, t.Type)
		}
	}
	if b.source == nil && b.kind == asStored && t.Type.Plain() {
		b = nil // nothing to undo
	}
	c.tensors = append(c.tensors, tensor{Info: Info{Name: name, DType: DType(t.Type.String()), Shape: shape, Bytes: t.Bytes, File: file}, file: m, at: t.At, block: b})
	return nil
}

// rowSource says where row i of the Hugging Face layout is stored. h heads (or
// key-value heads) of size rows/h.
func (g *ggufConfig) rowSource(kind layout, rows int) (func(int) int, error) {
	heads, kv := g.heads()
	if heads <= 0 || kv <= 0 || heads%kv != 0 {
		return nil, fmt.Errorf("found %d heads and %d key-value heads, want positive numbers, the first a multiple of the second", heads, kv)
	}
	if kind == stackedQKV {
		// Stored: heads q, kv k, kv v. Wanted: kv groups of heads/kv q, one k, one v.
		n := heads + 2*kv
		if rows%n != 0 {
			return nil, fmt.Errorf("found %d rows, want a multiple of %d heads", rows, n)
		}
		size, per := rows/n, heads/kv
		return func(row int) int {
			head, in := row/size, row%size
			group, j := head/(per+2), head%(per+2)
			switch {
			case j < per:
				head = group*per + j
			case j == per:
				head = heads + group
			default:
				head = heads + kv + group
			}
			return head*size + in
		}, nil
	}
	if kind == permutedK {
		heads = kv
	}
	if rows%(2*heads) != 0 {
		return nil, fmt.Errorf("found %d rows, want %d heads of an even size", rows, heads)
	}
	size := rows / heads
	return func(row int) int {
		// Stored [h, size/2, 2]; wanted [h, 2, size/2].
		head, in := row/size, row%size
		return head*size + in%(size/2)*2 + in/(size/2)
	}, nil
}

// values writes the tensor as float32 in the Hugging Face layout.
func (b *block) values(dst []float32, raw []byte) {
	if b.rows == 0 || b.cols == 0 {
		return
	}
	width := len(raw) / b.rows
	if b.kind == transposed {
		row := make([]float32, b.cols)
		for r := range b.rows {
			b.row(row, raw[r*width:(r+1)*width])
			for i, v := range row {
				dst[i*b.rows+r] = v
			}
		}
		return
	}
	if b.source == nil {
		b.row(dst, raw)
	} else {
		for r := range b.rows {
			s := b.source(r)
			b.row(dst[r*b.cols:(r+1)*b.cols], raw[s*width:(s+1)*width])
		}
	}
	if b.kind == plusOne {
		for i := range dst {
			dst[i]--
		}
	}
}

func (b *block) row(dst []float32, src []byte) {
	switch b.format {
	case gguf.F32:
		widenF32(dst, src)
	case gguf.F16:
		widenF16(dst, src)
	case gguf.BF16:
		widenBF16(dst, src)
	default:
		b.format.Unpack(dst, src)
	}
}

// bits16 writes the bit patterns of an F16 or BF16 tensor.
func (b *block) bits16(dst []uint16, raw []byte) {
	for i := range dst {
		r, col := i/b.cols, i%b.cols
		if b.kind == transposed {
			r, col = i%b.rows, i/b.rows
		}
		if b.source != nil {
			r = b.source(r)
		}
		dst[i] = binary.LittleEndian.Uint16(raw[2*(r*b.cols+col):])
	}
}

// Meta returns a value of a GGUF file's header by its key: an integer as int64
// or uint64, float64, bool, string, []string, or for an array of numbers or
// booleans []any. ok is false for other files and unknown keys. The tokenizer
// is under tokenizer.ggml.*: model, pre, tokens, merges, bos_token_id, ...
func (c *Checkpoint) Meta(key string) (value any, ok bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed || c.gguf == nil {
		return nil, false
	}
	v, ok := c.gguf.Keys[key]
	if !ok {
		return nil, false
	}
	err := mapped.Guard(func() error {
		value = metaValue(v)
		return nil
	})
	return value, err == nil
}

// MetaKeys lists the keys of a GGUF file's header in byte order.
func (c *Checkpoint) MetaKeys() []string {
	if c.gguf == nil {
		return nil
	}
	var keys []string
	for k := range c.gguf.Keys {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func metaValue(v gguf.Value) any {
	switch v.Kind {
	case gguf.String:
		s, _ := v.Text()
		return s
	case gguf.Bool:
		b, _ := v.Bool()
		return b
	case gguf.Float32, gguf.Float64:
		return v.Float()
	case gguf.Array:
		if texts, ok := v.Texts(); ok {
			return texts
		}
		out := make([]any, v.Len)
		for i := range out {
			out[i] = metaValue(v.At(i))
		}
		return out
	case gguf.Uint64:
		n, _ := v.Uint()
		return n
	}
	return v.Int()
}

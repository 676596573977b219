package compare

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"assay/internal/fault"
)

// pair fills the rows: by name, then what is left by content.
func (c *comparison) pair() error {
	for _, p := range c.o.Ignore {
		if _, err := path.Match(p, ""); err != nil {
			return fault.Usagef("compare: --ignore %q: %w", p, err)
		}
	}
	inB := map[string]Tensor{}
	for _, t := range c.b.Tensors() {
		if !c.ignored(t.Name) {
			inB[t.Name] = t
		}
	}
	var left []Tensor
	var rows []*Row
	for _, t := range c.a.Tensors() {
		if c.ignored(t.Name) {
			continue
		}
		o, ok := inB[t.Name]
		if !ok {
			left = append(left, t)
			continue
		}
		delete(inB, t.Name)
		rows = append(rows, c.row(t, o))
	}
	var right []Tensor
	for _, t := range c.b.Tensors() {
		if _, ok := inB[t.Name]; ok {
			right = append(right, t)
		}
	}
	more, err := c.byContent(left, right)
	if err != nil {
		return err
	}
	rows = append(rows, more...)
	slices.SortStableFunc(rows, func(a, b *Row) int { return natural(a.Name, b.Name) })
	c.jobs = nil
	for _, r := range rows {
		if r.Status == "" {
			c.jobs = append(c.jobs, r)
		}
	}
	c.rep.Tensors = make([]Row, 0, len(rows))
	// Rows are measured through jobs, which point into the final slice.
	at := map[*Row]int{}
	for _, r := range rows {
		at[r] = len(c.rep.Tensors)
		c.rep.Tensors = append(c.rep.Tensors, *r)
	}
	for i, r := range c.jobs {
		c.jobs[i] = &c.rep.Tensors[at[r]]
	}
	if len(rows) == 0 {
		return fault.Inputf("empty", "compare: %s and %s: no tensors, want at least one", c.a.Path(), c.b.Path())
	}
	return nil
}

func (c *comparison) ignored(name string) bool {
	for _, p := range c.o.Ignore {
		if ok, _ := path.Match(p, name); ok {
			return true
		}
	}
	return false
}

// row is a pair whose values are still to be read, or whose shapes differ.
func (c *comparison) row(a, b Tensor) *Row {
	r := &Row{Name: a.Name, Block: block(a.Name), Kind: kindOf(a.Name), DTypeA: a.DType, DTypeB: b.DType, ShapeA: a.Shape, ShapeB: b.Shape}
	if a.Name != b.Name {
		r.Other = b.Name
	}
	if !slices.Equal(a.Shape, b.Shape) {
		r.Status = Shape
	}
	return r
}

// byContent pairs tensors of one shape whose values are equal after rounding to
// bfloat16, so that a copy in another type is found too. Equal candidates (norms
// that are all 1) are paired in order of name.
func (c *comparison) byContent(left, right []Tensor) ([]*Row, error) {
	shapes := map[string]int{}
	for _, t := range left {
		shapes[fmt.Sprint(t.Shape)] |= 1
	}
	for _, t := range right {
		shapes[fmt.Sprint(t.Shape)] |= 2
	}
	digest := func(k Checkpoint, ts []Tensor) ([]string, error) {
		out := make([]string, len(ts))
		err := c.each(len(ts), func(i int) (err error) {
			if shapes[fmt.Sprint(ts[i].Shape)] == 3 {
				out[i], err = c.content(k, ts[i])
			}
			return err
		})
		return out, err
	}
	da, err := digest(c.a, left)
	if err != nil {
		return nil, err
	}
	db, err := digest(c.b, right)
	if err != nil {
		return nil, err
	}
	in, count := map[string][]int{}, map[string]int{}
	for i, d := range db {
		if d != "" {
			in[d] = append(in[d], i)
			count[d]++
		}
	}
	var rows []*Row
	used := make([]bool, len(right))
	for i, t := range left {
		if js := in[da[i]]; da[i] != "" && len(js) > 0 {
			used[js[0]] = true
			in[da[i]] = js[1:]
			if count[da[i]] > 1 {
				c.n++
			}
			rows = append(rows, c.row(t, right[js[0]]))
			continue
		}
		rows = append(rows, &Row{Name: t.Name, Status: OnlyA, Block: block(t.Name), Kind: kindOf(t.Name), DTypeA: t.DType, ShapeA: t.Shape})
	}
	for j, t := range right {
		if !used[j] {
			rows = append(rows, &Row{Name: t.Name, Status: OnlyB, Block: block(t.Name), Kind: kindOf(t.Name), DTypeB: t.DType, ShapeB: t.Shape})
		}
	}
	return rows, nil
}

// content digests a tensor's shape and its values in bfloat16.
func (c *comparison) content(k Checkpoint, t Tensor) (string, error) {
	x, err := k.Open(t.Name)
	if err != nil {
		return "", fmt.Errorf("compare: %s: %w", k.Path(), err)
	}
	h := sha256.New()
	fmt.Fprintln(h, t.Shape)
	n := t.len()
	u, b := make([]float64, min(n, chunk)), make([]byte, 0, 4*min(n, chunk))
	for at := 0; at < n; at += chunk {
		if err := c.ctx.Err(); err != nil {
			return "", err
		}
		m := min(chunk, n-at)
		if err := x.Read(at, u[:m]); err != nil {
			return "", fmt.Errorf("compare: %s: %w", k.Path(), err)
		}
		b = b[:0]
		for _, v := range u[:m] {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(RoundBF16(v))))
		}
		h.Write(b)
	}
	return string(h.Sum(nil)), nil
}

var inBlock = regexp.MustCompile(`(?:^|\.)(?:layers|layer|h|blocks|block)\.(\d+)\.`)

// block is the number of the block that a tensor belongs to, "" outside of blocks.
func block(name string) string {
	if m := inBlock.FindStringSubmatch(name); m != nil {
		return m[1]
	}
	return ""
}

// kindOf says what a tensor does, by its name.
func kindOf(name string) string {
	n := strings.ToLower(name)
	has := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(n, p) })
	}
	switch {
	case has("norm", ".ln_", "ln_f", ".ln1", ".ln2"):
		return "norm"
	case has("lm_head", "embed_out"):
		return "head"
	case has("embed", "wte", "wpe"):
		return "embedding"
	case has("attn", "attention", "q_proj", "k_proj", "v_proj", "o_proj"):
		return "attention"
	case has("mlp", "ffn", "feed_forward", "expert", ".fc", "dense"):
		return "mlp"
	}
	return "other"
}

// natural orders names with their numbers as numbers.
func natural(a, b string) int {
	for a != "" && b != "" {
		if unicode.IsDigit(rune(a[0])) && unicode.IsDigit(rune(b[0])) {
			x, y := digits(a), digits(b)
			u, v := strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
			if len(u) != len(v) {
				return len(u) - len(v)
			}
			if d := strings.Compare(u, v); d != 0 {
				return d
			}
			a, b = a[len(x):], b[len(y):]
			continue
		}
		if a[0] != b[0] {
			return int(a[0]) - int(b[0])
		}
		a, b = a[1:], b[1:]
	}
	return len(a) - len(b)
}

func digits(s string) string {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return s[:i]
}

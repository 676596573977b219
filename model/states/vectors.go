package states

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"assay/internal/fault"
	"assay/model/trace"
)

// Vectors are an array that another program made: n x width, or n x layers x width.
type Vectors struct {
	N, Layers, Width int
	f                *os.File
	base, size       int64 // of the data, and bytes of one value
	path, digest     string
}

// maxNPYHeader bounds the header; numpy itself stops at 10,000 bytes.
const maxNPYHeader = 1 << 16

var (
	npyDescr   = regexp.MustCompile(`'descr': *'([^']*)'`)
	npyFortran = regexp.MustCompile(`'fortran_order': *(True|False)`)
	npyShape   = regexp.MustCompile(`'shape': *\(([0-9, ]*)\)`)
)

// OpenVectors reads the header of a .npy file (versions 1 to 3, little-endian float32
// or float64, C order) and checks it against the size.
func OpenVectors(path string) (*Vectors, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Inputf("no-file", "states: %w", err)
	}
	if err != nil {
		return nil, fault.Retryf("io", "states: %w", err)
	}
	x := &Vectors{f: f, path: path}
	if err := x.read(); err != nil {
		f.Close()
		return nil, fault.Inputf("malformed", "states: %s: %w", path, err)
	}
	return x, nil
}

func (x *Vectors) read() error {
	info, err := x.f.Stat()
	if err != nil {
		return err
	}
	var head [12]byte
	if n, err := x.f.ReadAt(head[:], 0); n < 12 {
		return fmt.Errorf("found %d bytes, want a .npy header: %w", n, err)
	}
	if string(head[:6]) != "\x93NUMPY" || head[6] < 1 || head[6] > 3 {
		return fmt.Errorf("found %q, want the .npy magic and version 1 to 3", head[:8])
	}
	start, length := int64(10), int64(binary.LittleEndian.Uint16(head[8:]))
	if head[6] > 1 {
		start, length = 12, int64(binary.LittleEndian.Uint32(head[8:]))
	}
	if length > maxNPYHeader || start+length > info.Size() {
		return fmt.Errorf("found a header of %d bytes, want at most %d and inside the file", length, maxNPYHeader)
	}
	b := make([]byte, length)
	if _, err := x.f.ReadAt(b, start); err != nil {
		return err
	}
	descr, fortran, shape := npyDescr.FindSubmatch(b), npyFortran.FindSubmatch(b), npyShape.FindSubmatch(b)
	if descr == nil || fortran == nil || shape == nil {
		return fmt.Errorf("header %.80q: want descr, fortran_order and shape", bytes.TrimSpace(b))
	}
	switch d := string(descr[1]); d {
	case "<f4":
		x.size = 4
	case "<f8":
		x.size = 8
	default:
		return fmt.Errorf("found type %.20q, want <f4 or <f8", d)
	}
	if string(fortran[1]) != "False" {
		return fmt.Errorf("found Fortran order, want C order (numpy.ascontiguousarray)")
	}
	var dims []int
	n := int64(1)
	for _, s := range strings.Split(strings.TrimRight(strings.TrimSpace(string(shape[1])), ","), ",") {
		d, err := strconv.ParseInt(strings.TrimSpace(s), 10, 32)
		if err != nil || d < 1 || n > math.MaxInt64/8/d {
			return fmt.Errorf("shape (%s): want two or three sizes above 0", shape[1])
		}
		n *= d
		dims = append(dims, int(d))
	}
	switch len(dims) {
	case 2:
		x.N, x.Layers, x.Width = dims[0], 1, dims[1]
	case 3:
		x.N, x.Layers, x.Width = dims[0], dims[1], dims[2]
	default:
		return fmt.Errorf("%d dimensions, want n x width or n x layers x width", len(dims))
	}
	if x.Layers > 4096 {
		return fmt.Errorf("%d layers, want at most 4096", x.Layers)
	}
	x.base = start + length
	if have := info.Size() - x.base; have != n*x.size {
		return fmt.Errorf("shape %v needs %d bytes of data, found %d", dims, n*x.size, have)
	}
	return nil
}

// Close closes the file.
func (x *Vectors) Close() error { return x.f.Close() }

// vector returns the vectors of row i, by layer.
func (x *Vectors) vector(i int, id string) ([][]float32, error) {
	b := make([]byte, int64(x.Layers*x.Width)*x.size)
	if _, err := x.f.ReadAt(b, x.base+int64(i)*int64(len(b))); err != nil {
		return nil, fault.Retryf("io", "states: %s: %w", x.path, err)
	}
	out := make([][]float32, x.Layers)
	for l := range out {
		out[l] = make([]float32, x.Width)
		for c := range out[l] {
			at := int64(l*x.Width+c) * x.size
			var v float32
			if x.size == 4 {
				v = math.Float32frombits(binary.LittleEndian.Uint32(b[at:]))
			} else {
				v = float32(math.Float64frombits(binary.LittleEndian.Uint64(b[at:])))
			}
			if v-v != 0 {
				return nil, fault.Inputf("nonfinite", "states: %s: row %d (id %q) layer %d dimension %d: not a finite float32", x.path, i, id, l, c)
			}
			out[l][c] = v
		}
	}
	return out, nil
}

// sum is the digest of the data, which stands for checkpoint and text.
func (x *Vectors) sum() (string, error) {
	if x.digest == "" {
		h := sha256.New()
		fmt.Fprintf(h, "assay.vectors/1\n%d %d %d %d\n", x.N, x.Layers, x.Width, x.size)
		if _, err := io.Copy(h, io.NewSectionReader(x.f, x.base, int64(x.N*x.Layers*x.Width)*x.size)); err != nil {
			return "", fault.Retryf("io", "states: %s: %w", x.path, err)
		}
		x.digest = "sha256:" + hex.EncodeToString(h.Sum(nil))
	}
	return x.digest, nil
}

// PrepareVectors plans a file of the vectors; row i of the labels describes row i of
// the array. The tap is called given.
func PrepareVectors(in Input, x *Vectors, o *Options) (*Plan, error) {
	if in.Len() != x.N {
		return nil, fault.Inputf("labels", "states: %s has %d rows, the labels %d, want as many", x.path, x.N, in.Len())
	}
	layers := make([]int, x.Layers)
	for l := range layers {
		layers[l] = l
	}
	layers, err := parseLayers(o.Layers, layers)
	if err != nil {
		return nil, fault.Usagef("states: %s: %w", x.path, err)
	}
	p := &Plan{views: []trace.View{{Tap: "given", Pool: "given", Span: SpanAll, Layers: layers, Width: x.Width}}, to: x.N, docs: x.N}
	keep, err := o.keep(p.views)
	if err != nil {
		return nil, err
	}
	bins, err := parseStrata(o.Strata)
	if err != nil {
		return nil, err
	}
	if bins > 0 {
		return nil, fault.Usagef("states: --strata lenbin:%d: vectors have no length", bins)
	}
	s := &survey{}
	for it, err := range in.Items() {
		if err != nil {
			return nil, err
		}
		d := trace.DocInfo{ID: it.ID, Label: it.Label, Pair: it.Pair, Family: it.Family, Tokens: 1, Span: 1}
		b, err := x.vector(len(s.docs), it.ID)
		if err != nil {
			return nil, err
		}
		h := sha256.New()
		for _, row := range b {
			_ = binary.Write(h, binary.LittleEndian, row) // to memory
		}
		sum := [32]byte(h.Sum(nil))
		copy(d.TextSHA[:], sum[:])
		s.digest.Add(trace.Doc{ID: it.ID, SHA256: sum})
		s.docs = append(s.docs, d)
		s.items = append(s.items, columns{it.Topic, it.Source, it.Extra})
	}
	if p.columns, err = s.stratify(o, 0); err != nil {
		return nil, err
	}
	po := trace.PlanOptions{Cells: o.Cells, Sample: o.Sample, Keep: keep, BF16: o.BF16, Seed: o.Seed}
	p.project = o.Project
	if err := p.project.plan(p.views, &po); err != nil {
		return nil, err
	}
	if p.States, err = trace.NewStatesPlan(s.docs, p.views, po); err != nil {
		return nil, err
	}
	digest, err := x.sum()
	if err != nil {
		return nil, err
	}
	p.Warnings = p.States.Warnings()
	p.Of = trace.StatesIdentity{Checkpoint: trace.Checkpoint{Weights: digest}, Text: s.digest.Digest(),
		Columns: trace.StatesColumns{Label: o.Label, Strata: p.columns}, Precision: "f32"}
	return p, nil
}

// RunVectors writes the file.
func RunVectors(ctx context.Context, x *Vectors, p *Plan, o RunOptions) (*Report, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	h := trace.StatesHeader{Of: p.Of, Made: o.Made}
	h.Made.Warnings = slices.Clone(p.Warnings)
	h.Made.Start = o.Now().UTC().Format(time.RFC3339)
	create := trace.CreateStates
	if o.Resume {
		create = trace.ResumeStates
	}
	w, err := create(o.Out, p.States, h)
	if err != nil {
		return nil, err
	}
	s := &store{w: w, o: &o, saved: o.Now(), project: p.project, views: p.views}
	if o.Start != nil {
		o.Start(int64(x.N))
	}
	if o.SaveEvery == 0 {
		o.SaveEvery = 10 * time.Minute
	}
	rep := &Report{Path: o.Out, Docs: x.N, Views: p.views, Warnings: append([]trace.Warning{}, p.Warnings...)}
	for i := range x.N {
		if ctx.Err() != nil {
			return nil, s.stop(ctx, ctx.Err())
		}
		if o.Progress != nil {
			o.Progress(1)
		}
		if w.Has(i, 0) {
			rep.Resumed++
			continue
		}
		all, err := x.vector(i, p.States.Docs[i].ID)
		if err != nil {
			return nil, s.stop(ctx, err)
		}
		var picked [][]float32
		for _, l := range p.views[0].Layers {
			picked = append(picked, all[l])
		}
		if err := s.put(&result{doc: i, tokens: 1, views: [][][]float32{picked}}); err != nil {
			return nil, s.stop(ctx, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	rep.Bytes, _ = p.States.Bytes()
	if h, err = p.States.Describe(h); err != nil {
		return nil, err
	}
	rep.Run = h.Run
	return rep, nil
}

package units

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"assay/internal/fault"
)

// directionSchema names the form of a direction in a safetensors file: one tensor,
// direction, F32 [1, width], with what it is in the metadata.
const directionSchema = "assay.direction/1"

// Bounds of a direction file.
const (
	maxDirectionHeader = 1 << 20
	maxDirectionWidth  = 1 << 24
)

// WriteDirection writes a direction as a safetensors file that other programs open.
func WriteDirection(w io.Writer, d Direction) error {
	meta := map[string]string{
		"schema": directionSchema, "view": d.View, "layer": strconv.Itoa(d.Layer), "groups": strings.Join(d.Groups, "\n"), "method": d.Method,
		"run": d.Run, "text": d.Text, "checkpoint": d.Checkpoint, "rows": strconv.Itoa(d.Rows),
	}
	n := len(d.Vector)
	h, err := json.Marshal(map[string]any{
		"__metadata__": meta,
		"direction":    map[string]any{"dtype": "F32", "shape": []int{1, n}, "data_offsets": []int{0, 4 * n}},
	})
	if err != nil {
		return err
	}
	for len(h)%8 != 0 {
		h = append(h, ' ')
	}
	b := append(binary.LittleEndian.AppendUint64(nil, uint64(len(h))), h...)
	for _, v := range d.Vector {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(v)))
	}
	_, err = w.Write(b)
	return err
}

// ReadDirection reads what WriteDirection wrote. Anything else is an input fault.
func ReadDirection(r io.Reader) (Direction, error) {
	bad := func(format string, args ...any) (Direction, error) {
		return Direction{}, fault.Inputf("bad-direction", "units: direction: %w", fmt.Errorf(format, args...)).
			Hint("a direction is written by assay probe direction fit -o FILE.safetensors")
	}
	var size [8]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return bad("header: %w", err)
	}
	n := binary.LittleEndian.Uint64(size[:])
	if n > maxDirectionHeader {
		return bad("header of %d bytes, want at most %d", n, maxDirectionHeader)
	}
	head := make([]byte, n)
	if _, err := io.ReadFull(r, head); err != nil {
		return bad("header: %w", err)
	}
	var h struct {
		Meta   map[string]string `json:"__metadata__"`
		Tensor *struct {
			DType   string   `json:"dtype"`
			Shape   []int    `json:"shape"`
			Offsets [2]int64 `json:"data_offsets"`
		} `json:"direction"`
	}
	if err := json.Unmarshal(head, &h); err != nil {
		return bad("header: %w", err)
	}
	t := h.Tensor
	if t == nil || h.Meta["schema"] != directionSchema {
		return bad("schema %q, want %s with a tensor named direction", h.Meta["schema"], directionSchema)
	}
	if t.DType != "F32" || len(t.Shape) != 2 || t.Shape[0] != 1 || t.Shape[1] < 1 || t.Shape[1] > maxDirectionWidth || t.Offsets != [2]int64{0, 4 * int64(t.Shape[1])} {
		return bad("tensor %s %v at %v, want F32 [1, width] from 0", t.DType, t.Shape, t.Offsets)
	}
	raw, err := io.ReadAll(io.LimitReader(r, 4*int64(t.Shape[1])+1))
	if err != nil || len(raw) != 4*t.Shape[1] {
		return bad("data: %d bytes, want %d", len(raw), 4*t.Shape[1])
	}
	d := Direction{View: h.Meta["view"], Groups: strings.Split(h.Meta["groups"], "\n"), Method: h.Meta["method"], Run: h.Meta["run"], Text: h.Meta["text"], Checkpoint: h.Meta["checkpoint"]}
	if d.Layer, err = strconv.Atoi(h.Meta["layer"]); err != nil {
		return bad("layer %q, want a number", h.Meta["layer"])
	}
	if d.Rows, err = strconv.Atoi(h.Meta["rows"]); err != nil {
		return bad("rows %q, want a number", h.Meta["rows"])
	}
	if len(d.Groups) != 2 {
		return bad("%d groups, want 2", len(d.Groups))
	}
	d.Vector = make([]float64, t.Shape[1])
	for j := range d.Vector {
		d.Vector[j] = float64(math.Float32frombits(binary.LittleEndian.Uint32(raw[4*j:])))
	}
	return d, d.normalise()
}

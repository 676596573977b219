package states

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// directions writes a file of two tensors: b is one direction, a two.
func directions(t *testing.T, dtype string, shapes [2][]int, values []float32) string {
	t.Helper()
	n := 4 * len(values)
	cut := 4
	for _, d := range shapes[0] {
		cut *= d
	}
	head, err := json.Marshal(map[string]any{"a": map[string]any{"dtype": dtype, "shape": shapes[0], "data_offsets": []int{0, cut}},
		"b": map[string]any{"dtype": dtype, "shape": shapes[1], "data_offsets": []int{cut, n}}, "__metadata__": map[string]string{"method": "means"}})
	if err != nil {
		t.Fatal(err)
	}
	for len(head)%8 != 0 {
		head = append(head, ' ')
	}
	b := append(binary.LittleEndian.AppendUint64(nil, uint64(len(head))), head...)
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	path := filepath.Join(t.TempDir(), "d.safetensors")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Projections are the inner products of the rows that a run without --project keeps,
// in float64, rounded once; the file has no rows, and other directions are another run.
func TestProject(t *testing.T) {
	m := load(t, tiny)
	w := m.Spec().Width
	values := make([]float32, 3*w)
	for i := range values {
		values[i] = float32(i%7) - 3
	}
	d, err := OpenDirections(directions(t, "F32", [2][]int{{2, w}, {w}}, values))
	if err != nil || d.N != 3 || d.Width != w {
		t.Fatalf("%+v, %v", d, err)
	}
	in := documents(9)
	o := options(m)
	o.Pools = []string{"mean", "last"}
	rows, _ := write(t, m, in, o)
	o.Project = d
	got, _ := write(t, m, in, o)
	if _, ok := got.Rows(0, 0); ok {
		t.Error("rows beside projections")
	}
	for v, view := range rows.Header().Of.Views {
		p, err := got.Projections(v)
		if err != nil || len(p) != 9*len(view.Layers)*3 {
			t.Fatalf("view %d: %d projections, %v", v, len(p), err)
		}
		for k := range view.Layers {
			x, ok := rows.Rows(v, k)
			if !ok {
				t.Fatal("no rows to compare with")
			}
			for doc := range 9 {
				for j := range 3 {
					sum := 0.0
					for c, y := range x.Row(doc) {
						sum += float64(y) * float64(values[j*w+c])
					}
					if g := p[(doc*len(view.Layers)+k)*3+j]; g != float32(sum) {
						t.Fatalf("view %d layer %d document %d direction %d: %v, want %v", v, k, doc, j, g, float32(sum))
					}
				}
			}
		}
	}
	other := *d
	other.digest = "sha256:00"
	o.Project = &other
	again, _ := write(t, m, in, o)
	if again.Header().Run == got.Header().Run {
		t.Error("other directions give the same run")
	}
}

func TestProjectRefusals(t *testing.T) {
	inf := float32(math.Inf(1))
	for name, c := range map[string]struct {
		path string
		code string
	}{
		"widths":    {directions(t, "F32", [2][]int{{2, 2}, {3}}, make([]float32, 7)), "bad-direction"},
		"axes":      {directions(t, "F32", [2][]int{{1, 2, 2}, {4}}, make([]float32, 8)), "bad-direction"},
		"infinite":  {directions(t, "F32", [2][]int{{2}, {2}}, []float32{1, 2, inf, 4}), "nonfinite"},
		"integers":  {directions(t, "I32", [2][]int{{2}, {2}}, make([]float32, 4)), "unsupported"},
		"extension": {"d.bin", "usage"},
		"missing":   {filepath.Join(t.TempDir(), "d.safetensors"), "missing"},
	} {
		if _, err := OpenDirections(c.path); code(err) != c.code {
			t.Errorf("%s: %v, want code %s", name, err, c.code)
		}
	}
	d, err := OpenDirections(directions(t, "F32", [2][]int{{2}, {2}}, make([]float32, 4)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plan(list{{ID: "a", IDs: []int32{1}}}, Options{Project: d}); code(err) != "usage" {
		t.Errorf("another width: %v", err)
	}
	if _, err := plan(list{{ID: "a", IDs: []int32{1}}}, Options{Project: &Directions{N: 1, Width: 8}, Keep: "all"}); code(err) != "usage" {
		t.Errorf("rows kept too: %v", err)
	}
}

package store

import (
	"encoding/json/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"assay/internal/fault"
)

type orderVector struct {
	Seed  string   `json:"seed"`
	Raw   []string `json:"raw"`
	Ten   Order    `json:"ten"`
	Then  string   `json:"then_1000"`
	Fresh string   `json:"fresh_65537"`
}

// Expected orders: numpy 2.4 Generator.permutation and RandomState.shuffle and
// permutation (testdata/make_vectors.py).
func TestShuffleAgainstNumpy(t *testing.T) {
	data, err := os.ReadFile("testdata/orders.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		PCG64   []orderVector `json:"pcg64"`
		MT19937 []struct {
			Seed uint32 `json:"seed"`
			orderVector
		} `json:"mt19937"`
	}
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.PCG64) != 7 || len(v.MT19937) != 4 {
		t.Fatalf("found %d and %d vectors, want 7 and 4", len(v.PCG64), len(v.MT19937))
	}
	check := func(t *testing.T, again func() Source, want orderVector) {
		s := again()
		if ten, err := Shuffle(s, 10); err != nil || !slices.Equal(ten, want.Ten) {
			t.Errorf("ten = %v, %v; want %v", ten, err, want.Ten)
		}
		if next, err := Shuffle(s, 1000); err != nil || next.Digest() != want.Then {
			t.Errorf("then 1000: digest %s, %v; want %s", next.Digest(), err, want.Then)
		}
		if fresh, err := Shuffle(again(), 65537); err != nil || fresh.Digest() != want.Fresh {
			t.Errorf("65537: digest %s, %v; want %s", fresh.Digest(), err, want.Fresh)
		}
	}
	for _, x := range v.PCG64 {
		t.Run("pcg64 "+x.Seed, func(t *testing.T) {
			seed, err := strconv.ParseUint(x.Seed, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			p := NewPCG64(seed)
			for i, want := range x.Raw {
				if got := strconv.FormatUint(p.Uint64(), 10); got != want {
					t.Errorf("output %d = %s, want %s", i, got, want)
				}
			}
			check(t, func() Source { return NewPCG64(seed) }, x)
		})
	}
	for _, x := range v.MT19937 {
		t.Run("mt19937 "+strconv.Itoa(int(x.Seed)), func(t *testing.T) {
			check(t, func() Source { return NewMT19937(x.Seed) }, x.orderVector)
		})
	}
}

// Published vectors of the palimpsest test, made with numpy 2.4: PCG64 of seed
// 6198 and RandomState of seed 1234.
func TestOrderVectors(t *testing.T) {
	ten, err := Shuffle(NewPCG64(6198), 10)
	if want := (Order{2, 4, 7, 3, 8, 9, 0, 6, 1, 5}); err != nil || !slices.Equal(ten, want) {
		t.Errorf("PCG64 = %v, %v; want %v", ten, err, want)
	}
	long, err := Shuffle(NewPCG64(6198), 100_000)
	if want := "sha256:078a1b0cbed7a6e2ab1a2baaf335a1d5b96fd1b1137e10d4e8ac087f0c33e9c1"; err != nil || long.Digest() != want {
		t.Errorf("digest of 100,000 = %s, %v; want %s", long.Digest(), err, want)
	}
	ten, err = Shuffle(NewMT19937(1234), 10)
	if want := (Order{7, 2, 9, 1, 0, 8, 4, 5, 6, 3}); err != nil || !slices.Equal(ten, want) {
		t.Errorf("MT19937 = %v, %v; want %v", ten, err, want)
	}
}

func TestReadOrder(t *testing.T) {
	const (
		four = "{'descr': '<i4', 'fortran_order': False, 'shape': (4,), }"
		zero = "{'descr': '<i4', 'fortran_order': False, 'shape': (2, 2), }"
	)
	byPos, byID := OrderOptions{Direction: IDsByPosition}, OrderOptions{Direction: PositionByID}
	raw := OrderOptions{Direction: IDsByPosition, DType: "uint32"}
	padded := OrderOptions{Direction: IDsByPosition, DType: "uint32", Padded: true}
	tests := []struct {
		name string
		path string
		o    OrderOptions
		want Order
		part string
	}{
		{"ids by position", npy(t, four, le32(2, 0, 3, 1)), byPos, Order{2, 0, 3, 1}, ""},
		{"position by id", npy(t, four, le32(2, 0, 3, 1)), byID, Order{1, 3, 0, 2}, ""},
		{"raw", put(t, "o.npy", le32(2, 0, 3, 1)), raw, Order{2, 0, 3, 1}, ""},
		{"padded", put(t, "o.npy", le32(2, 0, 3, 1, 2, 0)), padded, Order{2, 0, 3, 1}, ""},
		{"padded, with nothing to drop", put(t, "o.npy", le32(2, 0, 1)), padded, Order{2, 0, 1}, ""},
		{"padding not declared", put(t, "o.npy", le32(2, 0, 3, 1, 2, 0)), raw, nil, "entry 4: found 2 again"},
		{"repeated within", put(t, "o.npy", le32(2, 0, 2, 1)), padded, nil, "entry 2: found an instance again"},
		{"a hole", put(t, "o.npy", le32(2, 0, 4, 1)), raw, nil, "entry 2: found 4, want each of 0 to 3 once"},
		{"a hole, padded", put(t, "o.npy", le32(2, 0, 3, 0, 2)), padded, nil, "entry 2: found 3, want each of 0 to 2"},
		{"negative", npy(t, four, le32(2, 0, -1, 1)), byPos, nil, "entry 2: found -1"},
		{"two dimensions", npy(t, zero, le32(2, 0, 3, 1)), byPos, nil, "want one dimension"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ReadOrder(tt.path, tt.o)
			if tt.part != "" {
				checkClass(t, err, fault.Input, tt.part)
				return
			}
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("got %v, %v; want %v", got, err, tt.want)
			}
		})
	}
	_, err := ReadOrder(tests[0].path, OrderOptions{})
	checkClass(t, err, fault.Usage, "direction of the order")
	_, err = ReadOrder(put(t, "o.bin", nil), byPos)
	checkClass(t, err, fault.Usage, "needs a dtype")
}

// inverse(inverse(o)) = o, and every shuffle is a permutation.
func TestInverse(t *testing.T) {
	for n := range 70 {
		o, err := Shuffle(NewMT19937(uint32(n)), n)
		if err != nil {
			t.Fatal(err)
		}
		if back := o.Inverse().Inverse(); !slices.Equal(back, o) {
			t.Fatalf("n %d: %v, want %v", n, back, o)
		}
		sorted := slices.Sorted(slices.Values(o))
		for i, x := range sorted {
			if int(x) != i {
				t.Fatalf("n %d: no permutation: %v", n, o)
			}
		}
	}
}

func BenchmarkShuffle(b *testing.B) {
	for _, n := range []int{1000, 1_000_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			b.SetBytes(int64(4 * n))
			for b.Loop() {
				if _, err := Shuffle(NewPCG64(1), n); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

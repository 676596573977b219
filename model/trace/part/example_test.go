package part_test

import (
	"bytes"
	"fmt"

	"assay/model/trace/part"
)

type file struct{ bytes.Buffer }

func (*file) Sync() error { return nil }

func Example() {
	var f file
	work := part.Header{Shard: 3, Version: 1}
	w, err := part.NewWriter(&f, work)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := w.Frame(2, []byte("two rows")); err != nil {
		fmt.Println(err)
		return
	}
	torn := append(f.Bytes(), "half a fra"...)
	end, err := part.Scan(bytes.NewReader(torn), int64(len(torn)), work, func(rows uint32, _ int64, payload []byte) error {
		fmt.Printf("%d: %s\n", rows, payload)
		return nil
	})
	fmt.Println(end.Frames, end.Size, err)
	// Output:
	// 2: two rows
	// 1 140 <nil>
}

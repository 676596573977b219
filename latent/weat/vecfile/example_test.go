package vecfile_test

import (
	"fmt"
	"strings"

	"assay/latent/weat/vecfile"
)

// Only the wanted words are kept; the format is found out.
func ExampleRead() {
	file := "3 2\nrose 1 0.5\nlily 2 0.25\nwasp -1 4\n"
	f, err := vecfile.Read(strings.NewReader(file), vecfile.Auto, map[string]struct{}{"rose": {}, "moth": {}})
	if err != nil {
		fmt.Println(err)
		return
	}
	v, _ := f.Vector("rose")
	_, why := f.Vector("moth")
	fmt.Println(f.Format, f.Rows, "rows, rose", v, "moth", why)
	// Output: w2v 3 rows, rose [1 0.5] moth absent
}

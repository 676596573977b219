//go:build !tokenizers

package tokenize

import "testing"

// go test -v says what a build without the tag does not test.
func TestLeftOut(t *testing.T) {
	t.Skip("built without the tag tokenizers: encoding, decoding and templates are not tested here; `make test` does")
}

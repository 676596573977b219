package tokenize

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json/jsontext"
	"fmt"
	"io"
)

// checkCharsmaps looks at every precompiled_charsmap of a normalizer. The
// library reserves eight bytes for each four that the map's first word claims,
// whatever its true length, and a failed reservation ends the process.
func checkCharsmaps(normalizer jsontext.Value) error {
	dec := jsontext.NewDecoder(bytes.NewBuffer(normalizer))
	for {
		token, err := dec.ReadToken()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		kind, n := dec.StackIndex(dec.StackDepth())
		if kind != '{' || n%2 == 0 || token.Kind() != '"' || token.String() != "precompiled_charsmap" || dec.PeekKind() != '"' {
			continue
		}
		value, err := dec.ReadToken()
		if err != nil {
			return err
		}
		raw, err := base64.StdEncoding.DecodeString(value.String())
		if err != nil {
			return fmt.Errorf("precompiled_charsmap: %w", err)
		}
		if len(raw) < 4 || int64(binary.LittleEndian.Uint32(raw)) > int64(len(raw)-4) {
			return fmt.Errorf("precompiled_charsmap: found %d bytes, want as many as its first word claims", len(raw))
		}
	}
}

package palimpsest

import (
	"encoding/json/v2"
	"errors"
	"fmt"
	"io"
	"iter"

	"assay/internal/fault"
)

// ReadTexts yields the suspect's texts: JSON lines with the field text (and id; a
// prompt and other fields are not matched), or with lines true one document per
// line. Lines hold at most 16 MiB.
func ReadTexts(name string, r io.Reader, lines bool) iter.Seq2[Doc, error] {
	return func(yield func(Doc, error) bool) {
		err := scanLines(name, r, func(n int, b []byte) error {
			d := Doc{ID: fmt.Sprintf("line:%d", n), Text: string(b)}
			if !lines {
				var l struct {
					ID   string  `json:"id"`
					Text *string `json:"text"`
				}
				if err := json.Unmarshal(b, &l); err != nil {
					return err
				}
				if l.Text == nil {
					return errors.New("no field text")
				}
				if l.ID != "" {
					d.ID = l.ID
				}
				d.Text = *l.Text
			}
			if !yield(d, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			if fault.As(err) == nil {
				err = fault.Retryf("io", "palimpsest: %s: %w", name, err)
			}
			yield(Doc{}, err)
		}
	}
}

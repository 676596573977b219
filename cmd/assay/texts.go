package main

import "assay/tokenize/text"

// readTexts reads a JSONL file of texts into a map by id.
func readTexts(path string) (map[string]string, error) {
	out := map[string]string{}
	for d, err := range text.Read(path, text.Options{}) {
		if err != nil {
			return nil, err
		}
		out[d.ID] = d.Text
	}
	return out, nil
}

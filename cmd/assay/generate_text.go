package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"assay/internal/fault"
	"assay/model"
)

// decoder is what continuation needs of a tokenizer.
type decoder interface {
	Decode(ids []int32) (string, error)
}

// continuation is the text of a generation: what its ids add to the text of the
// prompt (some tokenizers drop the space of a first token), without the id that
// ended it, up to the first stop string.
func continuation(tok decoder, prompt []int32, g model.Generation, stops []string) (string, error) {
	ids := g.IDs
	if g.Stop == model.StopEOS {
		ids = ids[:len(ids)-1]
	}
	head, err := tok.Decode(prompt)
	if err != nil {
		return "", err
	}
	whole, err := tok.Decode(slices.Concat(prompt, ids))
	if err != nil {
		return "", err
	}
	t, ok := strings.CutPrefix(whole, head)
	if !ok {
		if t, err = tok.Decode(ids); err != nil {
			return "", err
		}
	}
	if g.Stop == model.StopString {
		t, _ = model.CutStop(t, stops)
	}
	return t, nil
}

// endIDs are the ids that end a continuation: those asked for, or where auto those
// of generation_config.json, else of config.json, else the tokenizer's.
func endIDs(s *session, asked string) ([]int32, error) {
	switch asked {
	case "none":
		return nil, nil
	case "auto":
	default:
		var ids []int32
		for part := range strings.SplitSeq(asked, ",") {
			n, err := strconv.ParseInt(strings.TrimSpace(part), 10, 32)
			if err != nil || n < 0 || int(n) >= s.info.Vocab {
				return nil, fault.Usagef("--eos %q: want auto, none, or ids from 0 to %d between commas", asked, s.info.Vocab-1)
			}
			ids = append(ids, int32(n))
		}
		return ids, nil
	}
	for _, name := range []string{"generation_config.json", "config.json"} {
		b, err := s.ck.ReadFile(name, 16<<20)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		ids, err := eosOf(b, s.info.Vocab)
		if err != nil {
			return nil, fault.Inputf("malformed", "%s: %w", name, err).Hint("name the ids with --eos")
		}
		if len(ids) > 0 {
			return ids, nil
		}
	}
	if s.tok != nil {
		if id, ok := s.tok.EOS(); ok {
			return []int32{id}, nil
		}
	}
	return nil, nil
}

// eosOf reads eos_token_id, an id or a list of ids.
func eosOf(b []byte, vocab int) ([]int32, error) {
	var c struct {
		EOS json.RawMessage `json:"eos_token_id"`
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, err
	}
	if len(c.EOS) == 0 || string(c.EOS) == "null" {
		return nil, nil
	}
	var ids []int32
	if json.Unmarshal(c.EOS, &ids) != nil {
		var id int32
		if err := json.Unmarshal(c.EOS, &id); err != nil {
			return nil, errors.New("eos_token_id: want an id or a list of ids")
		}
		ids = []int32{id}
	}
	// Ids behind the vocabulary are never generated; configurations hold such.
	return slices.DeleteFunc(ids, func(id int32) bool { return id < 0 || int(id) >= vocab }), nil
}

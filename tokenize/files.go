package tokenize

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json/jsontext"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"assay/internal/fault"
)

// maxFile bounds tokenizer.json; the largest published ones have 35 MB.
const maxFile = 256 << 20

// File is what a tokenizer's files say by themselves, without the library.
type File struct {
	path       string
	digest     string
	vocab      vocab
	byteLevel  bool
	config     config
	warnings   []Warning
	definition []byte // tokenizer.json with truncation and padding nulled
}

// Read reads the tokenizer of a checkpoint folder, or a tokenizer.json by its
// path. It checks the structure and assigns no meaning to what only the library
// understands.
func Read(path string) (*File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, pathFault(path, err)
	}
	if info.IsDir() {
		path = filepath.Join(path, "tokenizer.json")
	}
	data, err := readRegular(path, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		dir := filepath.Dir(path)
		return nil, fault.Inputf("no-tokenizer", "tokenize: %s: no tokenizer.json", dir).
			Hint(`make one on a machine with transformers: python -c 'import sys; from transformers import AutoTokenizer as A; A.from_pretrained(sys.argv[1]).save_pretrained(sys.argv[1])' %s`, dir).
			Hint("or give token ids instead of text (--ids)")
	}
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	f := &File{path: path, digest: "sha256:" + hex.EncodeToString(sum[:])}
	if err := f.parse(data); err != nil {
		return nil, fault.Inputf("malformed", "tokenize: %s: %w", path, err)
	}
	if f.config, err = readConfig(filepath.Dir(path)); err != nil {
		return nil, err
	}
	for _, role := range []string{"bos_token", "eos_token"} {
		if token := f.config.tokens[role]; token != "" {
			if _, ok := f.vocab.ids[token]; !ok {
				f.warn("special-unknown", "%s: %s is %q, which the vocabulary does not have", path, role, token)
			}
		}
	}
	return f, nil
}

// parse walks tokenizer.json once.
func (f *File) parse(data []byte) error {
	type span struct{ from, to int64 }
	var cut []span
	var model, added jsontext.Value
	dec := jsontext.NewDecoder(bytes.NewBuffer(data))
	err := object(dec, func(key string) error {
		value, err := dec.ReadValue()
		if err != nil {
			return err
		}
		end := dec.InputOffset()
		if key != "model" {
			if err := shallow(value); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
		}
		switch key {
		case "truncation", "padding":
			cut = append(cut, span{end - int64(len(value)), end})
		case "model":
			model = value.Clone()
		case "added_tokens":
			added = value.Clone()
		case "decoder":
			f.byteLevel, err = hasType(value, "ByteLevel")
		case "post_processor":
			err = checkTemplate(value)
		case "normalizer":
			err = checkCharsmaps(value)
		}
		return err
	})
	if err != nil {
		return err
	}
	if _, err := dec.ReadToken(); err != io.EOF {
		return fmt.Errorf("byte %d: more follows the JSON object", dec.InputOffset())
	}
	if model == nil {
		return errors.New(`no "model"`)
	}
	if f.vocab, err = readVocab(model, added); err != nil {
		return err
	}
	f.definition = slices.Clone(data)
	for _, s := range slices.Backward(cut) {
		f.definition = slices.Replace(f.definition, int(s.from), int(s.to), []byte("null")...)
	}
	return nil
}

// Path is the path of tokenizer.json.
func (f *File) Path() string { return f.path }

// Digest is "sha256:" and the hash of the bytes of tokenizer.json.
func (f *File) Digest() string { return f.digest }

// VocabSize is the largest id + 1. It is not the number of entries: published
// vocabularies have holes.
func (f *File) VocabSize() int { return int(f.vocab.largest) + 1 }

// Token returns the vocabulary's spelling of an id, false if it has none.
func (f *File) Token(id int32) (string, bool) {
	s, ok := f.vocab.tokens[id]
	return s, ok
}

// ID returns the id of a token by its spelling in the vocabulary.
func (f *File) ID(token string) (int32, bool) {
	id, ok := f.vocab.ids[token]
	return id, ok
}

// Special says whether tokenizer.json marks an id as a special token.
func (f *File) Special(id int32) bool { return f.vocab.special[id] }

// SpecialIDs returns the ids that tokenizer.json marks as special, ascending.
func (f *File) SpecialIDs() []int32 {
	ids := make([]int32, 0, len(f.vocab.special))
	for id := range f.vocab.special {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// SpecialIn returns the first special token, by id, whose string occurs in a
// text. Results on such a text depend on how specials are read: the caller
// warns `specials-in-text`.
func (f *File) SpecialIn(text string) (token string, ok bool) {
	for _, id := range f.SpecialIDs() {
		if s := f.vocab.tokens[id]; s != "" && strings.Contains(text, s) {
			return s, true
		}
	}
	return "", false
}

// ByteLevel says whether every text decodes to its own bytes by construction.
func (f *File) ByteLevel() bool { return f.byteLevel }

// BOS returns the id of the beginning-of-text token that the configuration
// names, false if it names none that exists. Whether it is put before a text is
// the template's business.
func (f *File) BOS() (int32, bool) { return f.role("bos_token") }

// EOS returns the id of the end-of-text token, as BOS.
func (f *File) EOS() (int32, bool) { return f.role("eos_token") }

// Pad returns the id of the padding token, as BOS.
func (f *File) Pad() (int32, bool) { return f.role("pad_token") }

// Mask returns the id of the mask token of a masked language model, as BOS.
func (f *File) Mask() (int32, bool) { return f.role("mask_token") }

func (f *File) role(name string) (int32, bool) {
	token := f.config.tokens[name]
	if token == "" {
		return 0, false
	}
	return f.ID(token)
}

// AddBOS returns the configuration's add_bos_token, and false if it is absent.
func (f *File) AddBOS() (add, said bool) { return f.config.addBOS() }

// NamedTokens returns the strings of the special tokens that the configuration
// names, by role: bos_token, eos_token, pad_token, ... Chat templates read them.
func (f *File) NamedTokens() map[string]string { return maps.Clone(f.config.tokens) }

// ChatTemplate returns the Jinja template of a name; "" means the default one.
func (f *File) ChatTemplate(name string) (string, bool) {
	if name == "" {
		name = "default"
	}
	s, ok := f.config.chat[name]
	return s, ok
}

func (f *File) warn(code, format string, args ...any) {
	f.warnings = append(f.warnings, warning(code, format, args...))
}

func (t *Tokenizer) warn(code, format string, args ...any) {
	t.warnings = append(t.warnings, warning(code, format, args...))
}

func warning(code, format string, args ...any) Warning {
	return Warning{Code: code, Text: fmt.Sprintf(format, args...)}
}

// readRegular reads a whole regular file of bounded size; opening a pipe or a
// device would hang.
func readRegular(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, pathFault(path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fault.Inputf("malformed", "tokenize: %s: found a %s, want a file", path, kindOf(info.Mode()))
	}
	if info.Size() > limit {
		return nil, fault.Inputf("malformed", "tokenize: %s: found %d bytes, want at most %d", path, info.Size(), limit)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, pathFault(path, err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, fault.Retryf("io", "tokenize: %s: %w", path, err)
	}
	if int64(len(data)) > limit {
		return nil, fault.Inputf("malformed", "tokenize: %s: grew past %d bytes while it was read", path, limit)
	}
	return data, nil
}

func kindOf(m fs.FileMode) string {
	if m.IsDir() {
		return "folder"
	}
	return "special file (" + m.Type().String() + ")"
}

// pathFault: a missing file stays missing, anything else may pass.
func pathFault(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fault.Inputf("no-file", "tokenize: %w", err)
	}
	return fault.Retryf("io", "tokenize: %s: %w", path, err)
}

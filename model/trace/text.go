package trace

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"unicode"
	"unicode/utf8"

	"assay/model/trace/zlen"
)

// TextDoc returns the document of a text: id, digest, and the counts of bytes,
// code points, words, pieces and zlib bytes. The context, if any, is for
// WithContext.
func TextDoc(doc int32, id string, text []byte) Doc {
	return new(Counter).TextDoc(doc, id, text)
}

// Counter makes text documents without allocating tables for each. The zero
// value is ready; it is for one goroutine.
type Counter struct{ z zlen.Counter }

// TextDoc is the function TextDoc.
func (c *Counter) TextDoc(doc int32, id string, text []byte) Doc {
	d := Doc{Doc: doc, ID: id, SHA256: sha256.Sum256(text)}
	d.Bytes, d.Chars, d.Zlib = int64(len(text)), int64(utf8.RuneCount(text)), int64(c.z.Len(text))
	d.Words, d.Pieces = words(text)
	return d
}

// IDsDoc returns the document of an input that was token ids: the digest is
// that of the ids as little-endian int32, and the text counts are Null.
func IDsDoc(doc int32, id string, ids []int32) Doc {
	b := make([]byte, 0, 4*len(ids))
	for _, x := range ids {
		b = binary.LittleEndian.AppendUint32(b, uint32(x))
	}
	return Doc{Doc: doc, ID: id, SHA256: sha256.Sum256(b), Bytes: Null, Chars: Null, Words: Null, Pieces: Null, Zlib: Null}
}

// WithContext returns d with the digest of its context and its number of ids.
func (d Doc) WithContext(context []byte, ids int32) Doc {
	s := sha256.Sum256(context)
	d.ContextSHA256, d.Context = &s, ids
	return d
}

// HasText reports whether the input was text, not ids.
func (d Doc) HasText() bool { return d.Bytes != Null }

// words counts white-space separated words and the pieces of a split on
// white-space runs, empty ones counted: Python's len(re.findall(r"\S+", s)) and
// len(re.split(r"\s+", s)).
func words(text []byte) (words, pieces int64) {
	pieces = 1
	inWord, inSpace := false, false
	for i := 0; i < len(text); {
		r, n := rune(text[i]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRune(text[i:])
		}
		i += n
		space := isSpace(r)
		if space && !inSpace {
			pieces++
		}
		if !space && !inWord {
			words++
		}
		inWord, inSpace = !space, space
	}
	return words, pieces
}

// isSpace is Python's str.isspace, which re uses: unicode.IsSpace and the four
// separators U+001C to U+001F.
func isSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }

// Text computes the text digest of an input: SHA-256 over the documents in
// order of u32le(len doc_id), doc_id, sha256, context_sha256 (zeros if none).
type Text struct{ h hash.Hash }

// Add takes the next document.
func (t *Text) Add(d Doc) {
	if t.h == nil {
		t.h = sha256.New()
	}
	var context [32]byte
	if d.ContextSHA256 != nil {
		context = *d.ContextSHA256
	}
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(d.ID)))
	b = append(append(append(b, d.ID...), d.SHA256[:]...), context[:]...)
	t.h.Write(b)
}

// Digest returns the digest of the documents so far as "sha256:<hex>".
func (t *Text) Digest() string {
	h := t.h
	if h == nil {
		h = sha256.New()
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// TextDigest is the text digest of a whole input.
func TextDigest(docs []Doc) string {
	var t Text
	for _, d := range docs {
		t.Add(d)
	}
	return t.Digest()
}

package trace

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"encoding/json/jsontext"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"assay/internal/fault"
)

// maxStatesHeader bounds the JSON header of a states file.
const maxStatesHeader = 100 << 20

// statesFile is the parsed head of a states file.
type statesFile struct {
	header  StatesHeader
	content string
	tensors map[string]tensor
	data    int64 // offset of the data section
	size    int64 // of the data section
}

// readStatesHeader reads the head of a file of size bytes. Nothing is allocated from
// a length that the file cannot hold.
func readStatesHeader(path string, f io.ReaderAt, size int64) (*statesFile, error) {
	var n [8]byte
	if k, err := f.ReadAt(n[:], 0); k < 8 {
		return nil, fault.Inputf("bad-states-file", "trace: %s: %d bytes, want a states file: %w", path, size, err)
	}
	length := binary.LittleEndian.Uint64(n[:])
	if length > maxStatesHeader || int64(length) > size-8 {
		return nil, fault.Inputf("bad-states-file", "trace: %s: header of %d bytes in a file of %d, at most %d are read", path, length, size, maxStatesHeader)
	}
	b := make([]byte, 8+length)
	if _, err := f.ReadAt(b, 0); err != nil && err != io.EOF {
		return nil, retry(path, "read", err)
	}
	return parseStatesHeader(path, b, size)
}

func parseStatesHeader(path string, b []byte, size int64) (*statesFile, error) {
	s := &statesFile{tensors: map[string]tensor{}, data: int64(len(b)), size: size - int64(len(b))}
	bad := func(err error) error {
		return fault.Inputf("bad-states-file", "trace: %s: %w", path, err)
	}
	if s.data%8 != 0 {
		return nil, bad(fmt.Errorf("data starts at byte %d, want a multiple of 8", s.data))
	}
	assay, list, err := parseTensors(b[8:])
	if err != nil {
		return nil, bad(err)
	}
	if err := s.place(list); err != nil {
		return nil, bad(err)
	}
	s.content = assay["content"]
	if assay["assay"] == "" {
		return nil, fault.Inputf("schema", "trace: %s: safetensors without the metadata key \"assay\", want a states file", path)
	}
	if err := json.Unmarshal([]byte(assay["assay"]), &s.header); err != nil {
		return nil, bad(fmt.Errorf("header: %w", err))
	}
	major, ok := strings.CutPrefix(s.header.Schema, "assay.states/")
	major, _, _ = strings.Cut(major, ".")
	if n, err := strconv.Atoi(major); !ok || err != nil || n != 1 {
		return nil, fault.Inputf("schema", "trace: %s: schema %.60q, want %q", path, s.header.Schema, StatesSchema)
	}
	return s, nil
}

// place checks that the tensors lie back to back over the whole data section, each
// aligned and of the size that its type and shape say.
func (s *statesFile) place(list []tensor) error {
	slices.SortStableFunc(list, func(a, b tensor) int { return int(max(min(a.off-b.off, 1), -1)) })
	at := int64(0)
	for _, t := range list {
		n, err := tensorBytes(t)
		if err != nil {
			return err
		}
		if t.off != at || n > s.size-at || t.off%int64(dtypeSize[t.dtype]) != 0 {
			return fmt.Errorf("tensor %q: %d bytes at %d, want it at %d in %d and aligned", t.name, n, t.off, at, s.size)
		}
		at += n
		s.tensors[t.name] = t
	}
	if at != s.size {
		return fmt.Errorf("tensors of %d bytes in a data section of %d", at, s.size)
	}
	return nil
}

func tensorBytes(t tensor) (int64, error) {
	n := uint64(dtypeSize[t.dtype])
	if n == 0 {
		return 0, fmt.Errorf("tensor %q: type %.20q, want one of F64 I64 F32 I32 BF16 U8", t.name, t.dtype)
	}
	for _, d := range t.shape {
		hi, lo := bits.Mul64(n, uint64(d))
		if d < 0 || hi != 0 || lo > 1<<62 {
			return 0, fmt.Errorf("tensor %q: shape %v", t.name, t.shape)
		}
		n = lo
	}
	return int64(n), nil
}

// parseTensors reads the JSON of a safetensors header.
func parseTensors(b []byte) (meta map[string]string, list []tensor, err error) {
	meta = map[string]string{}
	d := jsontext.NewDecoder(bytes.NewReader(bytes.TrimRight(b, " ")))
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return nil, nil, fmt.Errorf("header is no JSON object: %w", errors.Join(err, errNoObject))
	}
	for d.PeekKind() == '"' {
		t, err := d.ReadToken()
		if err != nil {
			return nil, nil, fmt.Errorf("header: %w", err)
		}
		name := t.String()
		v, err := d.ReadValue()
		if err != nil {
			return nil, nil, fmt.Errorf("header: %w", err)
		}
		if name == "__metadata__" {
			if err := json.Unmarshal(v, &meta); err != nil {
				return nil, nil, fmt.Errorf("metadata: %w", err)
			}
			continue
		}
		var x struct {
			DType   string  `json:"dtype"`
			Shape   []int   `json:"shape"`
			Offsets []int64 `json:"data_offsets"`
		}
		if err := json.Unmarshal(v, &x); err != nil || len(x.Offsets) != 2 || len(x.Shape) > 8 {
			return nil, nil, fmt.Errorf("tensor %q: %.80s: %w", name, v, errors.Join(err, errNoTensor))
		}
		n := tensor{name, x.DType, x.Shape, x.Offsets[0]}
		if size, err := tensorBytes(n); err != nil || size != x.Offsets[1]-x.Offsets[0] {
			return nil, nil, fmt.Errorf("tensor %q: %s %v in [%d, %d): %w", name, x.DType, x.Shape, x.Offsets[0], x.Offsets[1], errors.Join(err, errNoTensor))
		}
		list = append(list, n)
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, nil, fmt.Errorf("header: %w", err)
	}
	if _, err := d.ReadToken(); err != io.EOF {
		return nil, nil, errors.New("header: more than one JSON value")
	}
	return meta, list, nil
}

var (
	errNoObject = errors.New("want an object")
	errNoTensor = errors.New("want dtype, shape and data_offsets that agree")
)

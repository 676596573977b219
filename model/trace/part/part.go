// Package part keeps unfinished work on disk so that a killed job loses at most
// its last block: a file of frames chained by digest, which is read up to the
// first frame that does not verify. What follows is a torn tail, not an error.
//
// It refuses to interpret what a frame holds, to append to another process's
// file (Copy starts a new one), and to allocate by a length that a file claims.
//
// The format, all integers little-endian: a header of 48 bytes, magic ASYPART1,
// a digest of the work (32), shard u32, version u32; then frames of 84 bytes and
// a payload: "BLK1", seq u32, rows u32, payload length u64, SHA-256 of the previous
// frame's 84 bytes (zero at first), SHA-256 of the payload.
package part

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"io"

	"assay/internal/fault"
)

const (
	magic      = "ASYPART1"
	frameMagic = "BLK1"
	headerSize = 48
	// FrameSize is the number of bytes of a frame before its payload.
	FrameSize = 84
	// MaxPayload bounds what a reader takes into memory for one frame.
	MaxPayload = 1 << 30
)

// Header says what work a part file belongs to.
type Header struct {
	Digest  [32]byte
	Shard   uint32
	Version uint32
}

func (h Header) bytes() []byte {
	b := append(make([]byte, 0, headerSize), magic...)
	b = append(b, h.Digest[:]...)
	b = binary.LittleEndian.AppendUint32(b, h.Shard)
	return binary.LittleEndian.AppendUint32(b, h.Version)
}

// File is what a Writer needs of a file.
type File interface {
	io.Writer
	Sync() error
}

// Writer appends frames.
type Writer struct {
	f    File
	seq  uint32
	prev [32]byte
	size int64
	buf  []byte
	err  error
}

// NewWriter writes the header of a new part file to f.
func NewWriter(f File, h Header) (*Writer, error) {
	w := &Writer{f: f, size: headerSize}
	_, err := f.Write(h.bytes())
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return nil, fault.Retryf("io", "part: header: %w", err)
	}
	return w, nil
}

// Copy writes the valid frames of an earlier file to f and continues there.
func Copy(f File, h Header, from io.ReaderAt, e End) (*Writer, error) {
	w, err := NewWriter(f, h)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(f, io.NewSectionReader(from, headerSize, e.Size-headerSize)); err != nil {
		return nil, fault.Retryf("io", "part: copy of %d bytes: %w", e.Size, err)
	}
	if err := f.Sync(); err != nil {
		return nil, fault.Retryf("io", "part: sync: %w", err)
	}
	w.seq, w.prev, w.size = e.Frames, e.prev, e.Size
	return w, nil
}

// Payload returns the offset in the file that the payload of the next frame gets.
func (w *Writer) Payload() int64 { return w.size + FrameSize }

// Frame appends a frame with one write and one sync. After an error the writer
// accepts nothing more: the file may end in a torn frame.
func (w *Writer) Frame(rows uint32, payload []byte) error {
	if w.err != nil {
		return w.err
	}
	if len(payload) > MaxPayload {
		return fault.Inputf("too-long", "part: frame %d: payload of %d bytes, want at most %d", w.seq, len(payload), MaxPayload)
	}
	sum := sha256.Sum256(payload)
	b := append(w.buf[:0], frameMagic...)
	b = binary.LittleEndian.AppendUint32(b, w.seq)
	b = binary.LittleEndian.AppendUint32(b, rows)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(payload)))
	b = append(append(b, w.prev[:]...), sum[:]...)
	prev := sha256.Sum256(b)
	b = append(b, payload...)
	w.buf = b
	if _, err := w.f.Write(b); err != nil {
		w.err = fault.Retryf("io", "part: frame %d: %w", w.seq, err)
		return w.err
	}
	if err := w.f.Sync(); err != nil {
		w.err = fault.Retryf("io", "part: frame %d: sync: %w", w.seq, err)
		return w.err
	}
	w.prev, w.size = prev, w.size+int64(len(b))
	w.seq++
	return nil
}

// End is where the valid frames of a file end.
type End struct {
	Frames uint32
	Size   int64 // bytes up to there
	prev   [32]byte
}

// Scan reads the frames of a part file of size bytes in order and calls each with
// the offset of the payload in the file; the payload is valid during the call.
// The row count of the last frame is the only thing that nothing verifies.
// It stops without an error at the first frame that does not verify. A header
// that is not h's is an input fault; one cut short holds no frames.
func Scan(r io.ReaderAt, size int64, h Header, each func(rows uint32, off int64, payload []byte) error) (End, error) {
	e := End{Size: headerSize}
	var head [headerSize]byte
	if n, err := r.ReadAt(head[:], 0); n < len(head) {
		if bytes.HasPrefix(h.bytes(), head[:n]) {
			return e, nil
		}
		return e, fault.Inputf("malformed", "part: header of %d bytes, want %d: %w", n, headerSize, err)
	}
	if string(head[:8]) != magic {
		return e, fault.Inputf("malformed", "part: starts with %q, want %q", head[:8], magic)
	}
	if want := h.bytes(); !bytes.Equal(head[:], want) {
		return e, fault.Inputf("mismatch", "part: belongs to work %x shard %d version %d, want %x shard %d version %d",
			head[8:40], binary.LittleEndian.Uint32(head[40:]), binary.LittleEndian.Uint32(head[44:]), h.Digest[:], h.Shard, h.Version)
	}
	var buf []byte
	for {
		var f [FrameSize]byte
		if n, _ := r.ReadAt(f[:], e.Size); n < len(f) {
			return e, nil
		}
		length := binary.LittleEndian.Uint64(f[12:])
		if string(f[:4]) != frameMagic || binary.LittleEndian.Uint32(f[4:]) != e.Frames || !bytes.Equal(f[20:52], e.prev[:]) ||
			length > MaxPayload || int64(length) > size-e.Size-FrameSize {
			return e, nil
		}
		if uint64(cap(buf)) < length {
			buf = make([]byte, length)
		}
		payload := buf[:length]
		if n, _ := r.ReadAt(payload, e.Size+FrameSize); n < len(payload) {
			return e, nil
		}
		if sum := sha256.Sum256(payload); !bytes.Equal(sum[:], f[52:]) {
			return e, nil
		}
		if err := each(binary.LittleEndian.Uint32(f[8:]), e.Size+FrameSize, payload); err != nil {
			return e, err
		}
		e.prev = sha256.Sum256(f[:])
		e.Size += FrameSize + int64(length)
		e.Frames++
	}
}

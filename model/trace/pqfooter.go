package trace

import (
	"encoding/binary"
	"io"

	"assay/internal/fault"
)

const (
	pqMagic   = "PAR1"
	maxFooter = 1 << 28
)

// pqFooter returns the offset and the bytes of a Parquet file's footer. The file
// bounds what is read.
func pqFooter(f io.ReaderAt, size int64) (int64, []byte, error) {
	var tail [8]byte
	if size < 12 {
		return 0, nil, fault.Inputf("malformed", "%d bytes are no Parquet file", size)
	}
	if _, err := f.ReadAt(tail[:], size-8); err != nil {
		return 0, nil, err
	}
	n := int64(binary.LittleEndian.Uint32(tail[:4]))
	if string(tail[4:]) != pqMagic {
		return 0, nil, fault.Retryf("truncated", "ends with %q, want %q: the file is cut short or was never finished", tail[4:], pqMagic)
	}
	if n > size-12 || n > maxFooter {
		return 0, nil, fault.Inputf("malformed", "footer of %d bytes in a file of %d", n, size)
	}
	b := make([]byte, n)
	if _, err := f.ReadAt(b, size-8-n); err != nil {
		return 0, nil, err
	}
	return size - 8 - n, b, nil
}

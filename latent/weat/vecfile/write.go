package vecfile

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"assay/internal/fault"
	"assay/latent/weat"
)

// Write writes word vectors as GloVe text or, with a header, as word2vec text.
// Numbers are the shortest decimals that read back as the same float64, so a
// result computed from a checkpoint can be recomputed from the file to the
// last bit. Words without a vector are returned, not written.
func Write(w io.Writer, f Format, words []string, sp weat.Space) (lost []string, err error) {
	if f != GloVe && f != W2V {
		return nil, fault.Usagef("vecfile: write: found format %q, want glove or w2v", f)
	}
	var rows []string
	for _, word := range words {
		if strings.ContainsAny(word, "\n\r") {
			return nil, fault.Usagef("vecfile: write: word %q: found a line break, want a word that fits a line", word)
		}
		if _, why := sp.Vector(word); why != "" {
			lost = append(lost, word)
		} else if !slices.Contains(rows, word) {
			rows = append(rows, word)
		}
	}
	b := bufio.NewWriter(w)
	if f == W2V {
		fmt.Fprintf(b, "%d %d\n", len(rows), sp.Dim())
	}
	for _, word := range rows {
		v, _ := sp.Vector(word)
		b.WriteString(word)
		for _, x := range v {
			b.WriteByte(' ')
			b.WriteString(strconv.FormatFloat(x, 'g', -1, 64))
		}
		b.WriteByte('\n')
	}
	if err := b.Flush(); err != nil {
		return lost, fault.Retryf("write", "vecfile: write: %w", err)
	}
	return lost, nil
}

// FromRows takes the wanted rows of a matrix with one word per row, such as a
// 2-D tensor and its vocabulary: counts must be equal. Words are bytes; a word
// that occurs twice keeps its first row.
func FromRows(words []string, m weat.Rows, want map[string]struct{}, name string) (*File, error) {
	rd := reader{o: Options{Name: name}, file: &File{Format: "rows", vec: map[string][]float64{}, first: map[string]int64{}}}
	if len(words) != m.Rows() {
		return nil, rd.bad("found %d words and %d rows, want as many of each", len(words), m.Rows())
	}
	if d := m.Dim(); d < minDim || d > maxDim {
		return nil, rd.bad("found %d dimensions, want %d to %d", d, minDim, maxDim)
	}
	rd.file.D = m.Dim()
	for i, w := range words {
		rd.file.Rows++
		if _, ok := want[w]; !ok {
			continue
		}
		v := make([]float64, m.Dim())
		m.Row(i, v)
		for k, x := range v {
			if x-x != 0 {
				return nil, rd.bad("row %d: word %q: number %d: found %v, want a finite number", i+1, w, k+1, x)
			}
		}
		rd.keep(w, v)
	}
	return rd.file, nil
}

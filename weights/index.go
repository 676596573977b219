package weights

import (
	"bytes"
	"encoding/json/jsontext"
	"fmt"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
)

// shardIndex is what model.safetensors.index.json says.
type shardIndex struct {
	shard     map[string]string // tensor -> file
	files     []string          // in byte order
	totalSize int64             // -1 if absent
}

// parseIndex reads the map from tensors to shards. Every shard must be a bare
// file name of the same folder. Keys other than weight_map and
// metadata.total_size are checked for syntax and otherwise left alone.
func parseIndex(text []byte) (shardIndex, error) {
	x := shardIndex{shard: map[string]string{}, totalSize: -1}
	d := jsontext.NewDecoder(bytes.NewBuffer(text))
	if err := want(d, '{', "an object"); err != nil {
		return x, err
	}
	seen := false
	for d.PeekKind() != '}' {
		key, err := d.ReadToken()
		if err != nil {
			return x, err
		}
		switch key.String() {
		case "weight_map":
			seen = true
			err = x.readMap(d)
		case "metadata":
			err = x.readMetadata(d)
		default:
			err = skip(d)
		}
		if err != nil {
			return x, err
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return x, err
	}
	if rest := bytes.TrimSpace(text[d.InputOffset():]); len(rest) > 0 {
		return x, fmt.Errorf("found %q after the end", rest[:min(len(rest), 8)])
	}
	if !seen || len(x.shard) == 0 {
		return x, fmt.Errorf("weight_map: found none or an empty one, want tensor names and their files")
	}
	for _, f := range x.shard {
		x.files = append(x.files, f)
	}
	slices.Sort(x.files)
	x.files = slices.Compact(x.files)
	return x, nil
}

func (x *shardIndex) readMap(d *jsontext.Decoder) error {
	if err := want(d, '{', "an object"); err != nil {
		return fmt.Errorf("weight_map: %w", err)
	}
	names := map[string]string{} // one string per shard, however many tensors
	for d.PeekKind() != '}' {
		key, err := d.ReadToken()
		if err != nil {
			return fmt.Errorf("weight_map: %w", err)
		}
		tensor := key.String()
		if len(x.shard) == maxTensors {
			return fmt.Errorf("weight_map: found more than %d tensors", maxTensors)
		}
		value, err := d.ReadToken()
		if err != nil {
			return fmt.Errorf("weight_map: %q: %w", tensor, err)
		}
		if value.Kind() != '"' {
			return fmt.Errorf("weight_map: %q: found %s, want a file name", tensor, value.Kind())
		}
		file := value.String()
		if known, ok := names[file]; ok {
			file = known
		} else if err := baseName(file); err != nil {
			return fmt.Errorf("weight_map: %q: %w", tensor, err)
		}
		names[file] = file
		x.shard[tensor] = file
	}
	_, err := d.ReadToken()
	return err
}

// baseName accepts only a plain .safetensors name of the folder itself, on
// every system: no separator of any of them, no drive, no parent.
func baseName(file string) error {
	if !strings.HasSuffix(file, ".safetensors") || strings.ContainsAny(file, "/\\:\x00") || file != path.Base(file) {
		return fmt.Errorf("found file %q, want the bare name of a .safetensors file in the same folder", file)
	}
	return nil
}

func (x *shardIndex) readMetadata(d *jsontext.Decoder) error {
	if d.PeekKind() != '{' {
		return skip(d)
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() != '}' {
		key, err := d.ReadToken()
		if err != nil {
			return fmt.Errorf("metadata: %w", err)
		}
		if key.String() != "total_size" || d.PeekKind() != '0' {
			if err := skip(d); err != nil {
				return fmt.Errorf("metadata: %w", err)
			}
			continue
		}
		value, err := d.ReadToken()
		if err != nil {
			return fmt.Errorf("metadata: %w", err)
		}
		// Some writers put a float here.
		f, err := strconv.ParseFloat(value.String(), 64)
		if err != nil || f < 0 || f >= math.MaxInt64 {
			return fmt.Errorf("metadata: total_size: found %s, want a number of bytes", value.String())
		}
		x.totalSize = int64(f)
	}
	_, err := d.ReadToken()
	return err
}

// skip passes over one value token by token, so that a large one is never
// held in memory and the nesting stays bounded.
func skip(d *jsontext.Decoder) error {
	depth := d.StackDepth()
	for {
		if _, err := d.ReadToken(); err != nil {
			return err
		}
		if d.StackDepth() > maxDepth {
			return fmt.Errorf("found nesting deeper than %d", maxDepth)
		}
		if d.StackDepth() == depth {
			return nil
		}
	}
}

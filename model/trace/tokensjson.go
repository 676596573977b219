package trace

import (
	"bytes"
	"encoding/json/jsontext"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// tokens appends the member "tokens": the columns that are present, null where
// a row is not scored.
func (w *jsonWriter) tokens(t *Tokens) {
	w.key("tokens")
	w.open()
	ints := func(k string, v []int32) {
		if v == nil {
			return
		}
		w.list(k, len(v), func(i int) {
			if v[i] == Null {
				w.b = append(w.b, "null"...)
				return
			}
			w.b = strconv.AppendInt(w.b, int64(v[i]), 10)
		})
	}
	floats := func(k string, v []float32) {
		if v == nil {
			return
		}
		w.list(k, len(v), func(i int) { w.f32(v[i]) })
	}
	ints("pos", t.Pos)
	ints("window", t.Window)
	ints("id", t.ID)
	if t.ByteOff != nil {
		w.list("byte_off", len(t.ByteOff), func(i int) { w.b = strconv.AppendInt(w.b, t.ByteOff[i], 10) })
	}
	ints("byte_len", t.ByteLen)
	w.list("scored", len(t.Scored), func(i int) { w.b = strconv.AppendBool(w.b, t.Scored[i]) })
	ints("ctx", t.Ctx)
	floats("logprob", t.Logprob)
	floats("entropy", t.Entropy)
	floats("sd", t.SD)
	ints("rank", t.Rank)
	ints("argmax_id", t.ArgmaxID)
	floats("argmax_logprob", t.ArgmaxLogprob)
	floats("umean", t.UMean)
	floats("usd", t.USD)
	if t.TopID != nil {
		w.list("top_id", len(t.TopID), func(i int) {
			w.values(len(t.TopID[i]), t.TopID[i] == nil, func(k int) { w.b = strconv.AppendInt(w.b, int64(t.TopID[i][k]), 10) })
		})
	}
	if t.TopLogprob != nil {
		w.list("top_logprob", len(t.TopLogprob), func(i int) {
			w.values(len(t.TopLogprob[i]), t.TopLogprob[i] == nil, func(k int) { w.f32(t.TopLogprob[i][k]) })
		})
	}
	w.b = append(w.b, '}')
}

func (w *jsonWriter) list(k string, n int, value func(i int)) {
	w.key(k)
	w.values(n, false, value)
}

func (w *jsonWriter) values(n int, null bool, value func(i int)) {
	if null {
		w.b = append(w.b, "null"...)
		return
	}
	w.b = append(w.b, '[')
	for i := range n {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		value(i)
	}
	w.b = append(w.b, ']')
}

// f32 writes the shortest form that reads back to the same float32.
func (w *jsonWriter) f32(v float32) {
	if v-v != 0 {
		w.b = append(w.b, "null"...)
		return
	}
	w.b = strconv.AppendFloat(w.b, float64(v), 'g', -1, 32)
}

// parseTokens reads the member "tokens".
func parseTokens(v jsontext.Value) (Tokens, error) {
	var t Tokens
	if v.Kind() != '{' {
		return t, fmt.Errorf("%s, want an object", v.Kind())
	}
	dec := jsontext.NewDecoder(bytes.NewReader(v))
	if _, err := dec.ReadToken(); err != nil {
		return t, err
	}
	for dec.PeekKind() == '"' {
		k, err := dec.ReadToken()
		if err != nil {
			return t, err
		}
		key := k.String()
		v, err := dec.ReadValue()
		if err != nil {
			return t, err
		}
		if err := t.set(key, v); err != nil {
			return t, fmt.Errorf("%s: %w", key, err)
		}
	}
	return t, nil
}

func (t *Tokens) set(key string, v jsontext.Value) (err error) {
	if v.Kind() != '[' {
		return fmt.Errorf("%s, want an array", v.Kind())
	}
	switch key {
	case "pos":
		t.Pos, err = ints32(v)
	case "window":
		t.Window, err = ints32(v)
	case "id":
		t.ID, err = ints32(v)
	case "byte_off":
		t.ByteOff, err = list(v, func(e []byte) (int64, error) { return jsonInt(e, math.MaxInt64) })
	case "byte_len":
		t.ByteLen, err = ints32(v)
	case "scored":
		t.Scored, err = list(v, jsonBool)
	case "ctx":
		t.Ctx, err = ints32(v)
	case "logprob":
		t.Logprob, err = list(v, jsonFloat32)
	case "entropy":
		t.Entropy, err = list(v, jsonFloat32)
	case "sd":
		t.SD, err = list(v, jsonFloat32)
	case "rank":
		t.Rank, err = ints32(v)
	case "argmax_id":
		t.ArgmaxID, err = ints32(v)
	case "argmax_logprob":
		t.ArgmaxLogprob, err = list(v, jsonFloat32)
	case "umean":
		t.UMean, err = list(v, jsonFloat32)
	case "usd":
		t.USD, err = list(v, jsonFloat32)
	case "top_id":
		t.TopID, err = list(v, func(e []byte) ([]int32, error) {
			if string(e) == "null" {
				return nil, nil
			}
			return ints32(e)
		})
	case "top_logprob":
		t.TopLogprob, err = list(v, func(e []byte) ([]float32, error) {
			if string(e) == "null" {
				return nil, nil
			}
			return list(e, jsonFloat32)
		})
	default:
		return errors.New("unknown column")
	}
	return err
}

func ints32(v []byte) ([]int32, error) {
	return list(v, func(e []byte) (int32, error) {
		if string(e) == "null" {
			return Null, nil
		}
		return jsonInt32(e)
	})
}

func jsonBool(e []byte) (bool, error) {
	switch string(e) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, fmt.Errorf("%.40s, want true or false", e)
}

func jsonFloat32(e []byte) (float32, error) {
	if string(e) == "null" {
		return float32(math.NaN()), nil
	}
	f, err := strconv.ParseFloat(string(e), 32)
	if err != nil {
		return 0, fmt.Errorf("%.40s, want a number", e)
	}
	return float32(f), nil
}

// list splits an array that is known to be valid JSON, with elements that are
// numbers, literals or arrays of such.
func list[T any](v []byte, parse func([]byte) (T, error)) ([]T, error) {
	if len(v) == 0 || v[0] != '[' {
		return nil, fmt.Errorf("%.40s, want an array", v)
	}
	out := []T{}
	for i := 1; i < len(v); {
		for v[i] == ' ' || v[i] == ',' || v[i] == '\t' || v[i] == '\r' || v[i] == '\n' {
			i++
		}
		if v[i] == ']' {
			return out, nil
		}
		from := i
		switch v[i] {
		case '[':
			for v[i] != ']' {
				if i++; v[i] == '[' || v[i] == '"' || v[i] == '{' {
					return nil, fmt.Errorf("element %d: %.40s, want an array of numbers", len(out), v[from:])
				}
			}
			i++
		case '"', '{':
			return nil, fmt.Errorf("element %d: %.40s, want a number or null", len(out), v[from:])
		default:
			for v[i] != ',' && v[i] != ']' && v[i] > ' ' {
				i++
			}
		}
		x, err := parse(v[from:i])
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", len(out), err)
		}
		out = append(out, x)
	}
	return out, nil
}

package trace

import (
	"errors"
	"fmt"
	"math"
)

// The functions here append the next n rows of a column to dst. They grow dst by
// what the pages hold, never by what a count claims.

var errNull = errors.New("null in a column that has none")

// take calls f for runs of entries of one page until n are done; null counts the
// leading nulls of a run of entries without a value, 0 for a run of k values.
func (c *cursor) take(n int, values func(k int), nulls func(k int)) error {
	return contained(func() error {
		for n > 0 {
			if err := c.more(); err != nil {
				return err
			}
			k := min(n, c.n-c.at)
			n -= k
			if c.def == nil {
				values(k)
				c.at += k
				continue
			}
			for end := c.at + k; c.at < end; {
				from := c.at
				there := c.def[from] == c.max
				for c.at < end && (c.def[c.at] == c.max) == there {
					c.at++
				}
				switch {
				case there:
					values(c.at - from)
				case nulls == nil:
					return errNull
				default:
					nulls(c.at - from)
				}
			}
		}
		return nil
	})
}

// appendRun appends k values from the typed slice src.
func appendRun[T any](c *cursor, dst, src []T, k int) []T {
	if c.rest.index == nil {
		dst = append(dst, src[c.val:c.val+k]...)
		c.val += k
		return dst
	}
	for range k {
		dst = append(dst, src[c.value()])
	}
	return dst
}

func appendNull[T any](dst []T, null T, k int) []T {
	for range k {
		dst = append(dst, null)
	}
	return dst
}

func (c *cursor) i32(dst []int32, n int, null bool) ([]int32, error) {
	var nulls func(int)
	if null {
		nulls = func(k int) { dst = appendNull(dst, Null, k) }
	}
	err := c.take(n, func(k int) { dst = appendRun(c, dst, c.rest.i32, k) }, nulls)
	return dst, c.named(err)
}

func (c *cursor) i64(dst []int64, n int, null bool) ([]int64, error) {
	var nulls func(int)
	if null {
		nulls = func(k int) { dst = appendNull(dst, Null, k) }
	}
	err := c.take(n, func(k int) { dst = appendRun(c, dst, c.rest.i64, k) }, nulls)
	return dst, c.named(err)
}

func (c *cursor) f32(dst []float32, n int) ([]float32, error) {
	nan := float32(math.NaN())
	err := c.take(n, func(k int) { dst = appendRun(c, dst, c.rest.f32, k) }, func(k int) { dst = appendNull(dst, nan, k) })
	return dst, c.named(err)
}

func (c *cursor) f64(dst []float64, n int, null bool) ([]float64, error) {
	var nulls func(int)
	if null {
		nulls = func(k int) { dst = appendNull(dst, math.NaN(), k) }
	}
	err := c.take(n, func(k int) { dst = appendRun(c, dst, c.rest.f64, k) }, nulls)
	return dst, c.named(err)
}

func (c *cursor) bools(dst []bool, n int) ([]bool, error) {
	err := c.take(n, func(k int) {
		for range k {
			v := c.value()
			dst = append(dst, c.rest.bits[v/8]>>(v%8)&1 != 0)
		}
	}, nil)
	return dst, c.named(err)
}

// strings appends the values, nil for null.
func (c *cursor) strings(dst []*string, n int, null bool) ([]*string, error) {
	var nulls func(int)
	if null {
		nulls = func(k int) { dst = appendNull(dst, nil, k) }
	}
	err := c.take(n, func(k int) {
		for range k {
			v := c.value()
			s := string(c.rest.bytes[c.rest.offs[v]:c.rest.offs[v+1]])
			dst = append(dst, &s)
		}
	}, nulls)
	return dst, c.named(err)
}

// hashes appends values of 32 bytes, nil for null.
func (c *cursor) hashes(dst []*[32]byte, n int, null bool) ([]*[32]byte, error) {
	var nulls func(int)
	if null {
		nulls = func(k int) { dst = appendNull(dst, nil, k) }
	}
	err := c.take(n, func(k int) {
		for range k {
			v := c.value()
			h := [32]byte(c.rest.bytes[32*v : 32*v+32])
			dst = append(dst, &h)
		}
	}, nulls)
	return dst, c.named(err)
}

// rowLists appends the next n rows of a list column, nil for null.
func rowLists[T any](c *cursor, dst [][]T, n int, src func() []T) ([][]T, error) {
	err := contained(func() error {
		for n > 0 {
			if err := c.more(); err != nil {
				return err
			}
			row, err := nextList(c, src)
			if err != nil {
				return err
			}
			dst = append(dst, row)
			n--
		}
		return nil
	})
	return dst, c.named(err)
}

// nextList reads one row. A row does not go on in the next page: pages of version
// 2 start with a row, and others are refused where they do not.
func nextList[T any](c *cursor, src func() []T) ([]T, error) {
	if c.rep[c.at] != 0 {
		return nil, errors.New("a row that starts in the page before")
	}
	if d := c.def[c.at]; d != c.max {
		c.at++
		switch empty := c.emptyLevel(); {
		case d < empty:
			return nil, nil
		case d == empty:
			return []T{}, nil
		}
		return nil, errors.New("null inside a list")
	}
	row := []T{}
	for first := true; c.at < c.n && (first || c.rep[c.at] != 0); c.at++ {
		if first = false; c.def[c.at] != c.max {
			return nil, errors.New("null inside a list")
		}
		row = append(row, src()[c.value()])
	}
	return row, nil
}

// emptyLevel is the definition level of a list that is there and empty.
func (c *cursor) emptyLevel() byte {
	if c.t.pf.Root().Column(c.name).Optional() {
		return 1
	}
	return 0
}

// skipLists moves over rows of a list column.
func (c *cursor) skipLists(rows int64) error {
	for ; rows > 0; rows-- {
		if err := c.more(); err != nil {
			return err
		}
		for first := true; c.at < c.n && (first || c.rep[c.at] != 0); c.at++ {
			if first = false; c.def[c.at] == c.max {
				c.val++
			}
		}
	}
	return nil
}

func (c *cursor) named(err error) error {
	if err == nil {
		return nil
	}
	return c.t.error(fmt.Sprintf("column %s, row group %d", c.name, max(c.group, 0)), err)
}

package trace

import (
	"reflect"
	"slices"

	"github.com/parquet-go/parquet-go"
)

// Keys of the Parquet key-value metadata.
const (
	headerKey = "assay"
	sealKey   = "assay.seal"
)

// groupRows is the number of rows in a row group.
const groupRows = 1 << 16

// ordered is a group whose fields keep the order of the schema; parquet.Group
// sorts them by name.
type ordered struct {
	parquet.Group
	fields []parquet.Field
}

func (o ordered) Fields() []parquet.Field { return o.fields }

type field struct {
	parquet.Node
	name string
}

func (f field) Name() string { return f.name }

// Value is for writing Go structs, which nothing here does.
func (f field) Value(reflect.Value) reflect.Value { return reflect.Value{} }

func pqSchema(name string, cols []spec) *parquet.Schema {
	o := ordered{Group: parquet.Group{}}
	for _, c := range cols {
		n := pqNode(c)
		o.Group[c.name] = n
		o.fields = append(o.fields, field{n, c.name})
	}
	return parquet.NewSchema(name, o)
}

// pqNode gives a column its Parquet type and encoding: delta for what rises or
// repeats, byte streams for floats.
func pqNode(c spec) parquet.Node {
	var n parquet.Node
	switch c.typ {
	case "i32":
		n = parquet.Leaf(parquet.Int32Type)
	case "i64":
		n = parquet.Leaf(parquet.Int64Type)
	case "f32":
		n = parquet.Encoded(parquet.Leaf(parquet.FloatType), &parquet.ByteStreamSplit)
	case "f64":
		n = parquet.Encoded(parquet.Leaf(parquet.DoubleType), &parquet.ByteStreamSplit)
	case "u8":
		n = parquet.Leaf(parquet.BooleanType)
	case "b32":
		n = parquet.Leaf(parquet.FixedLenByteArrayType(32))
	case "str":
		n = parquet.String()
	case "list<i32>":
		n = parquet.List(parquet.Leaf(parquet.Int32Type))
	case "list<f32>":
		n = parquet.List(parquet.Encoded(parquet.Leaf(parquet.FloatType), &parquet.ByteStreamSplit))
	}
	switch {
	case c.name == "date":
		n = parquet.Date()
	case slices.Contains([]string{"doc", "pos", "window", "byte_off", "ctx"}, c.name):
		n = parquet.Encoded(n, &parquet.DeltaBinaryPacked)
	case c.name == "status":
		n = parquet.Encoded(n, &parquet.RLEDictionary)
	}
	if c.null {
		n = parquet.Optional(n)
	}
	return n
}

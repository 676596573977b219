package weights

import "bytes"

// Raw returns the JSON text of a key, for values that are neither numbers,
// strings nor plain arrays of them (GPT-Neo's attention_types), and whether it is
// there and not null. It counts as reading the key; what is wrong with the value
// the caller reports by Refuse.
func (c *Config) Raw(key string) ([]byte, bool) {
	v, ok := c.read(key)
	if !ok || isNull(v) {
		return nil, false
	}
	return bytes.Clone(v), true
}

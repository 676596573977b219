package tokenize

import (
	"encoding/json/jsontext"
	"encoding/json/v2"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"assay/internal/fault"
)

// maxConfig bounds the small files; chat templates reach some 20 KB.
const maxConfig = 16 << 20

// config is what the files beside tokenizer.json add.
type config struct {
	tokens map[string]string // bos_token, eos_token, ... -> string
	bos    *bool             // add_bos_token
	chat   map[string]string // template name -> Jinja source
}

func (c config) addBOS() (add, said bool) {
	if c.bos == nil {
		return false, false
	}
	return *c.bos, true
}

// readConfig reads the files that transformers writes, old and new:
// tokenizer_config.json, then special_tokens_map.json for what it leaves out;
// chat_template.jinja beats the template in the configuration.
func readConfig(dir string) (config, error) {
	c := config{tokens: map[string]string{}, chat: map[string]string{}}
	for _, name := range []string{"tokenizer_config.json", "special_tokens_map.json"} {
		path := filepath.Join(dir, name)
		data, err := readRegular(path, maxConfig)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return config{}, err
		}
		if err := c.merge(data); err != nil {
			return config{}, fault.Inputf("malformed", "tokenize: %s: %w", path, err)
		}
	}
	path := filepath.Join(dir, "chat_template.jinja")
	switch data, err := readRegular(path, maxConfig); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return config{}, err
	default:
		c.chat["default"] = string(data)
	}
	return c, nil
}

func (c *config) merge(data []byte) error {
	var raw map[string]jsontext.Value
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	for _, role := range []string{"bos_token", "eos_token", "unk_token", "pad_token", "cls_token", "sep_token", "mask_token"} {
		value, ok := raw[role]
		if _, have := c.tokens[role]; !ok || have {
			continue
		}
		token, err := tokenString(value)
		if err != nil {
			return fmt.Errorf("%s: %w", role, err)
		}
		c.tokens[role] = token
	}
	if value, ok := raw["add_bos_token"]; ok && c.bos == nil && value.Kind() != 'n' {
		if err := json.Unmarshal(value, &c.bos); err != nil {
			return fmt.Errorf("add_bos_token: found %.40s, want true or false", value)
		}
	}
	if value, ok := raw["chat_template"]; ok {
		if err := c.addChat(value); err != nil {
			return fmt.Errorf("chat_template: %w", err)
		}
	}
	return nil
}

// tokenString reads "<s>", {"content": "<s>", ...} or null.
func tokenString(value jsontext.Value) (string, error) {
	var s string
	switch value.Kind() {
	case 'n':
		return "", nil
	case '"':
		err := json.Unmarshal(value, &s)
		return s, err
	case '{':
		var o struct {
			Content *string `json:"content"`
		}
		if err := json.Unmarshal(value, &o); err == nil && o.Content != nil {
			return *o.Content, nil
		}
	}
	return "", fmt.Errorf("found %.40s, want a string or an object with content", value)
}

// addChat reads one template or a list of {name, template}.
func (c *config) addChat(value jsontext.Value) error {
	switch value.Kind() {
	case 'n':
		return nil
	case '"':
		var s string
		if err := json.Unmarshal(value, &s); err != nil {
			return err
		}
		c.chat["default"] = s
		return nil
	case '[':
		var list []struct {
			Name     string `json:"name"`
			Template string `json:"template"`
		}
		if err := json.Unmarshal(value, &list); err != nil {
			return err
		}
		for _, t := range list {
			c.chat[t.Name] = t.Template
		}
		return nil
	}
	return fmt.Errorf("found %.40s, want a string or a list of templates", value)
}

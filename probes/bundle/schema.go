package bundle

import (
	"reflect"
)

// JSONSchema describes plans, made from the Go types that Parse decodes into and
// the settings of the tests.
func JSONSchema(tests []Test) ([]byte, error) {
	s := schemaOf(reflect.TypeFor[Plan]())
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = PlanSchema
	props := s["properties"].(map[string]any)
	props["schema"] = map[string]any{"const": PlanSchema, "description": "schema of this file"}
	items := props["tests"].(map[string]any)["items"].(map[string]any)
	var names, rules []any
	for _, t := range tests {
		names = append(names, t.Name)
		settings := map[string]any{}
		forms := t.Names
		if len(forms) == 0 {
			forms = []string{""}
		}
		for _, form := range forms {
			for _, f := range t.Flags(form) {
				d := schemaOf(reflect.TypeFor[Setting]())
				d["description"] = f.Usage
				if f.Input {
					d["description"] = f.Usage + " (name of an input)"
				}
				settings[f.Name] = d
			}
		}
		then := map[string]any{"settings": map[string]any{"properties": settings, "additionalProperties": false}}
		if len(t.Names) > 0 {
			then["name"] = map[string]any{"enum": t.Names}
		}
		rules = append(rules, map[string]any{
			"if":   map[string]any{"properties": map[string]any{"test": map[string]any{"const": t.Name}}},
			"then": map[string]any{"properties": then},
		})
	}
	items["properties"].(map[string]any)["test"] = map[string]any{"enum": names, "description": "which test"}
	items["allOf"] = rules
	return indented(s)
}

// schemaOf describes one Go type of a plan.
func schemaOf(t reflect.Type) map[string]any {
	switch t {
	case reflect.TypeFor[Setting]():
		scalar := map[string]any{"type": []string{"string", "number", "boolean"}}
		return map[string]any{"anyOf": []any{scalar, map[string]any{"type": "array", "items": scalar}}}
	case reflect.TypeFor[Slots]():
		return map[string]any{"anyOf": []any{map[string]any{"type": "string"},
			map[string]any{"type": "object", "additionalProperties": map[string]any{"type": "string"}}}}
	}
	switch t.Kind() {
	case reflect.Struct:
		props := map[string]any{}
		required := []string{}
		for _, f := range fields(t) {
			p := schemaOf(t.Field(f.index).Type)
			p["description"] = f.help
			props[f.key] = p
			if f.required {
				required = append(required, f.key)
			}
		}
		return map[string]any{"type": "object", "properties": props, "required": required, "additionalProperties": false}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(t.Elem())}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem())}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Uint64:
		return map[string]any{"type": "integer", "minimum": 0}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	}
	return map[string]any{"type": "string"}
}

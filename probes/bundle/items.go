package bundle

import (
	"maps"
	"slices"
	"strings"
)

// validateItem checks one test and fills in defaults; used collects the keys of
// the defaults that applied.
func (p *Plan) validateItem(t *Item, tests []Test, used map[string]bool) error {
	i := slices.IndexFunc(tests, func(x Test) bool { return x.Name == t.Test })
	if i < 0 {
		var known []string
		for _, x := range tests {
			known = append(known, x.Name)
		}
		return t.Pos.errorf("test %s: unknown test %.60q%s", t.ID, t.Test, nearest(t.Test, known))
	}
	kind := tests[i]
	switch {
	case kind.NeedName && t.Name == "":
		return t.Pos.errorf("test %s: %s needs a name, one of %s", t.ID, t.Test, strings.Join(kind.Names, ", "))
	case t.Name != "" && len(kind.Names) == 0:
		return t.Pos.errorf("test %s: %s takes no name, found %.60q", t.ID, t.Test, t.Name)
	case t.Name != "" && !slices.Contains(kind.Names, t.Name):
		return t.Pos.errorf("test %s: unknown name %.60q%s", t.ID, t.Name, nearest(t.Name, kind.Names))
	}
	if err := p.validateRoles(t, kind); err != nil {
		return err
	}
	if err := p.validateData(t, kind); err != nil {
		return err
	}
	return p.validateSettings(t, kind, used)
}

// validateRoles checks the checkpoints of a test.
func (p *Plan) validateRoles(t *Item, kind Test) error {
	var models []string
	for n, in := range p.Inputs {
		if in.IsModel() {
			models = append(models, n)
		}
	}
	for j, role := range append([]string{t.On}, t.Refs...) {
		in, ok := p.Inputs[role]
		switch {
		case !ok:
			return t.Pos.errorf("test %s: unknown input %.60q%s", t.ID, role, nearest(role, models))
		case !in.IsModel():
			return t.Pos.errorf("test %s: input %s is no checkpoint", t.ID, role)
		case j > 0 && role == t.On:
			return t.Pos.errorf("test %s: %s is tested and its own reference", t.ID, role)
		case j > 0 && slices.Contains(t.Refs[:j-1], role):
			return t.Pos.errorf("test %s: reference %s appears twice", t.ID, role)
		}
	}
	switch n := len(t.Refs); {
	case n < kind.Refs[0]:
		return t.Pos.errorf("test %s: found %d references, want at least %d", t.ID, n, kind.Refs[0])
	case kind.Refs[1] >= 0 && n > kind.Refs[1]:
		return t.Pos.errorf("test %s: found %d references, want at most %d", t.ID, n, kind.Refs[1])
	}
	return nil
}

// validateData checks that data is there and of a kind that fits.
func (p *Plan) validateData(t *Item, kind Test) error {
	var data []string
	for n, in := range p.Inputs {
		if !in.IsModel() {
			data = append(data, n)
		}
	}
	for _, slot := range slices.Sorted(maps.Keys(t.Data)) {
		n := t.Data[slot]
		in, ok := p.Inputs[n]
		k, _ := in.Data()
		switch {
		case !ok:
			return t.Pos.errorf("test %s: data: unknown input %.60q%s", t.ID, n, nearest(n, data))
		case in.IsModel():
			return t.Pos.errorf("test %s: data: input %s is a checkpoint, want %s", t.ID, n, kindList(kind))
		case (slot != "") != kind.Slotted:
			return t.Pos.errorf("test %s: data: %s takes %s", t.ID, t.Test, map[bool]string{true: "{slot: input}", false: "the name of one input"}[kind.Slotted])
		case !kind.Slotted && !slices.Contains(kind.Data, k):
			return t.Pos.errorf("test %s: data: input %s is %s, want %s", t.ID, n, k, kindList(kind))
		}
	}
	if len(t.Data) == 0 && !kind.Slotted && !slices.Contains(kind.Data, "") {
		return t.Pos.errorf("test %s: data is missing, want an input of kind %s", t.ID, kindList(kind))
	}
	return nil
}

func kindList(kind Test) string {
	if kind.Slotted {
		return "data"
	}
	return strings.Join(slices.DeleteFunc(slices.Clone(kind.Data), func(s string) bool { return s == "" }), " or ")
}

func (p *Plan) validateSettings(t *Item, kind Test, used map[string]bool) error {
	flags := kind.Flags(t.Name)
	find := func(key string) *Flag {
		if i := slices.IndexFunc(flags, func(f Flag) bool { return f.Name == key }); i >= 0 {
			return &flags[i]
		}
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(t.Settings)) {
		if find(key) == nil {
			var known []string
			for _, f := range flags {
				known = append(known, f.Name)
			}
			return t.Settings[key].Pos.errorf("test %s: %s has no setting %.60q%s", t.ID, strings.TrimSpace(t.Test+" "+t.Name), key, nearest(key, known))
		}
	}
	if t.Settings == nil {
		t.Settings = map[string]Setting{}
	}
	for key, s := range p.Defaults {
		if find(key) != nil {
			used[key] = true
			if _, there := t.Settings[key]; !there {
				t.Settings[key] = s
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(t.Settings)) {
		s, f := t.Settings[key], find(key)
		if len(s.Values) > 1 && !f.Repeat {
			return s.Pos.errorf("test %s: %s: found %d values, want one", t.ID, key, len(s.Values))
		}
		for _, v := range s.Values {
			if in, ok := p.Inputs[v]; f.Input && !slices.Contains(f.Words, v) && (!ok || in.IsModel()) {
				return s.Pos.errorf("test %s: %s: found %.60q, want the name of a data input (its file is then digested)", t.ID, key, v)
			}
		}
		if f.Check != nil && !f.Input {
			if err := f.Check(s.Values); err != nil {
				return s.Pos.errorf("test %s: %s: %w", t.ID, key, err)
			}
		}
	}
	return nil
}

package bpffs

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// goodSpec returns a shape that Check takes for the type.
func goodSpec(mt MapType, t typeRules) MapSpec {
	s := MapSpec{Type: mt, KeySize: 16, ValueSize: 24, MaxEntries: 8, Flags: t.flags}
	if len(t.keys) > 0 {
		s.KeySize = t.keys[0]
	}
	if len(t.values) > 0 {
		s.ValueSize = t.values[0]
	}
	switch t.entries {
	case entriesNone, entriesCPUs:
		s.MaxEntries = 0
	case entriesBytes:
		s.MaxEntries = uint32(os.Getpagesize())
	}
	if t.inner {
		s.Inner = &MapSpec{Type: unix.BPF_MAP_TYPE_HASH, KeySize: 4, ValueSize: 4, MaxEntries: 1}
	}
	return s
}

// changed returns a copy of s after a change.
func changed(s MapSpec, change func(s *MapSpec)) *MapSpec {
	change(&s)
	return &s
}

// expectFields checks s and compares the fields that are reported.
func expectFields(t *testing.T, s MapSpec, want string) {
	t.Helper()
	err := s.Check()
	if got := strings.Join(fieldsIn(err), " "); got != want {
		t.Errorf("Check of %v reports %q (%v); want %q", s, got, err, want)
	}
}

func fieldsIn(err error) []string {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		var fields []string
		for _, e := range several.Unwrap() {
			fields = append(fields, fieldsIn(e)...)
		}
		return fields
	}
	if spec, ok := errors.AsType[*SpecError](err); ok {
		return []string{spec.Field}
	}
	return nil
}

func TestCheckOfEveryType(t *testing.T) {
	for number, mt := range mapTypes {
		if mt.name == "" {
			continue
		}
		t.Run(mt.name, func(t *testing.T) {
			good := goodSpec(MapType(number), mt)
			expectFields(t, good, "")
			for _, size := range mt.keys {
				expectFields(t, *changed(good, func(s *MapSpec) { s.KeySize = size }), "")
			}
			for _, size := range mt.values {
				expectFields(t, *changed(good, func(s *MapSpec) { s.ValueSize = size }), "")
			}
			expectFields(t, *changed(good, func(s *MapSpec) { s.KeySize = badSize(mt.keys) }), "keySize")
			expectFields(t, *changed(good, func(s *MapSpec) { s.ValueSize = badSize(mt.values) }), "valueSize")
			expectFields(t, *changed(good, func(s *MapSpec) { s.Flags |= flagNUMANode }), "flags")
			expectFields(t, *changed(good, func(s *MapSpec) { s.Frozen = true }), "")
			checkFlagsOf(t, mt, good)
			checkEntriesOf(t, mt, good)
			checkInnerOf(t, mt, good)
		})
	}
}

// badSize returns a size that is not among the allowed.
func badSize(allowed []uint32) uint32 {
	if len(allowed) == 0 {
		return 0
	}
	return 3
}

func checkFlagsOf(t *testing.T, mt typeRules, good MapSpec) {
	t.Helper()
	if mt.flags != 0 {
		expectFields(t, *changed(good, func(s *MapSpec) { s.Flags = 0 }), "flags")
	}
	expectFields(t, *changed(good, func(s *MapSpec) { s.Flags |= flagRdonlyProg }), "")
}

func checkEntriesOf(t *testing.T, mt typeRules, good MapSpec) {
	t.Helper()
	page := uint32(os.Getpagesize())
	bad := map[int][]uint32{
		entriesSome:  {0},
		entriesNone:  {1, page},
		entriesBytes: {0, 1, page / 2, page + 1, 3 * page},
	}
	for _, entries := range bad[mt.entries] {
		expectFields(t, *changed(good, func(s *MapSpec) { s.MaxEntries = entries }), "maxEntries")
	}
	fine := map[int][]uint32{
		entriesSome:  {1, 1<<32 - 1},
		entriesNone:  {0},
		entriesCPUs:  {0, 1, 1000},
		entriesBytes: {page, 2 * page, 1 << 31},
	}
	for _, entries := range fine[mt.entries] {
		expectFields(t, *changed(good, func(s *MapSpec) { s.MaxEntries = entries }), "")
	}
}

func checkInnerOf(t *testing.T, mt typeRules, good MapSpec) {
	t.Helper()
	inner := MapSpec{Type: unix.BPF_MAP_TYPE_ARRAY, KeySize: 4, ValueSize: 4, MaxEntries: 1}
	if !mt.inner {
		expectFields(t, *changed(good, func(s *MapSpec) { s.Inner = &inner }), "inner")
		return
	}
	for _, bad := range []*MapSpec{
		nil,
		{},
		changed(inner, func(s *MapSpec) { s.Type = 0 }),
		changed(inner, func(s *MapSpec) { s.Frozen = true }),
		changed(inner, func(s *MapSpec) { s.Inner = &inner }),
		changed(inner, func(s *MapSpec) { s.KeySize = 5 }),
	} {
		expectFields(t, *changed(good, func(s *MapSpec) { s.Inner = bad }), "inner")
	}
}

func TestCheckOfWholeSpecs(t *testing.T) {
	for _, row := range []struct {
		name string
		spec MapSpec
		want string
	}{
		{"zero", MapSpec{}, ""},
		{"type is missing", MapSpec{KeySize: 4}, "type"},
		{"only frozen", MapSpec{Frozen: true}, "type"},
		{"only inner", MapSpec{Inner: &MapSpec{}}, "type"},
		{"unknown type", MapSpec{Type: 4711, KeySize: 4}, "type"},
		{"a type that needs BTF", MapSpec{Type: unix.BPF_MAP_TYPE_SK_STORAGE, KeySize: 4, ValueSize: 4, MaxEntries: 1}, "type"},
		{"all wrong", MapSpec{Type: unix.BPF_MAP_TYPE_ARRAY, Flags: flagTokenFD, Inner: &MapSpec{}}, "keySize valueSize maxEntries flags inner"},
	} {
		t.Run(row.name, func(t *testing.T) { expectFields(t, row.spec, row.want) })
	}
}

func TestParseMapType(t *testing.T) {
	for number, r := range mapTypes {
		if r.name == "" {
			continue
		}
		if got, err := ParseMapType(r.name); err != nil || got != MapType(number) || got.String() != r.name {
			t.Errorf("ParseMapType(%q): got %d (%v), %v, want %d", r.name, got, got, err, number)
		}
	}
	for _, unknown := range []string{"tree", "Hash", "", "sk_storage"} {
		got, err := ParseMapType(unknown)
		for _, want := range []string{fmt.Sprintf("%q", unknown), "hash", "arena"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("ParseMapType(%q): got %v, %v, want an error with %s", unknown, got, err, want)
			}
		}
	}
	if got := MapType(4711).String(); got != "type 4711" {
		t.Errorf("String of an unknown type: got %q, want type 4711", got)
	}
}

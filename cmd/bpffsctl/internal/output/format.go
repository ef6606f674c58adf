// Package output prints what commands found, for people and for machines. What is
// on a node has names that anybody may have given: none of them reaches the
// terminal as anything but text.
package output

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// A Format is what --output takes. The zero value is a table.
type Format string

// The formats.
const (
	Table Format = "table" // for people
	JSON  Format = "json"
	YAML  Format = "yaml"
)

// Formats returns all formats, for completion.
func Formats() []string {
	return []string{string(Table), string(JSON), string(YAML)}
}

// String returns the name of the format.
func (f *Format) String() string {
	if *f == "" {
		return string(Table)
	}
	return string(*f)
}

// Set sets the format to that named s.
func (f *Format) Set(s string) error {
	if !slices.Contains(Formats(), s) {
		return fmt.Errorf("the output can be %s", strings.Join(Formats(), ", "))
	}
	*f = Format(s)
	return nil
}

// Type returns what the help of a flag calls its value.
func (f *Format) Type() string { return strings.Join(Formats(), "|") }

// Write prints v in the format f: by its JSON tags, or with table for people.
func Write(w io.Writer, f Format, v any, table func(io.Writer) error) error {
	switch f {
	case JSON:
		return writeJSON(w, v)
	case YAML:
		return writeYAML(w, v)
	}
	return table(w)
}

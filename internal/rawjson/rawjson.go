// Package rawjson reads and writes JSON one level at a time, and leaves alone
// what is below. It needs no reflection, for the plugin starts anew for every pod
// and would pay for package encoding/json each time; docs/performance.md has the
// numbers. Duplicate names and invalid UTF-8 mean what they mean there: the last
// one counts, and U+FFFD.
package rawjson

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// A Value is the text of one JSON value.
type Value = jsontext.Value

// An Object has the values of a JSON object by their names.
type Object = map[string]Value

// Decode checks the syntax of v and reads it into dst: a pointer to a string,
// bool, uint32, Value, []Value or [Object]. null leaves dst alone, but for a Value.
func Decode(v Value, dst any) error {
	d := jsontext.NewDecoder(bytes.NewBuffer(v), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if err := read(d, dst); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	switch _, err := d.ReadToken(); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	}
	return errors.New("there is more after its end")
}

func read(d *jsontext.Decoder, dst any) error {
	if dst, ok := dst.(*Value); ok {
		return readValue(d, dst)
	}
	token, err := d.ReadToken()
	if err != nil || token.Kind() == jsontext.KindNull {
		return err
	}
	switch dst := dst.(type) {
	case *string:
		if token.Kind() == jsontext.KindString {
			*dst = token.String()
			return nil
		}
		return wrongKind(token, "a string")
	case *bool:
		if token.Kind() == jsontext.KindTrue || token.Kind() == jsontext.KindFalse {
			*dst = token.Bool()
			return nil
		}
		return wrongKind(token, "true or false")
	case *uint32:
		return readUint32(token, dst)
	case *[]Value:
		return readArray(d, token, dst)
	case *Object:
		return readObject(d, token, dst)
	}
	return fmt.Errorf("a JSON value cannot be read into a %T", dst)
}

func readUint32(token jsontext.Token, dst *uint32) error {
	const want = "a whole number from 0 to 4294967295"
	if token.Kind() != jsontext.KindNumber {
		return wrongKind(token, want)
	}
	n, err := strconv.ParseUint(token.String(), 10, 32)
	if err != nil {
		return errors.New("wanted " + want)
	}
	*dst = uint32(n)
	return nil
}

func readArray(d *jsontext.Decoder, begin jsontext.Token, dst *[]Value) error {
	if begin.Kind() != jsontext.KindBeginArray {
		return wrongKind(begin, "an array")
	}
	array := []Value{}
	for d.PeekKind() != jsontext.KindEndArray {
		var v Value
		if err := readValue(d, &v); err != nil {
			return err
		}
		array = append(array, v)
	}
	*dst = array
	_, err := d.ReadToken()
	return err
}

func readObject(d *jsontext.Decoder, begin jsontext.Token, dst *Object) error {
	if begin.Kind() != jsontext.KindBeginObject {
		return wrongKind(begin, "an object")
	}
	object := make(Object)
	for d.PeekKind() != jsontext.KindEndObject {
		token, err := d.ReadToken()
		if err != nil {
			return err
		}
		name := token.String()
		var v Value
		if err := readValue(d, &v); err != nil {
			return err
		}
		object[name] = v
	}
	*dst = object
	_, err := d.ReadToken()
	return err
}

// readValue reads a whole value; the decoder keeps it only until the next one.
func readValue(d *jsontext.Decoder, dst *Value) error {
	v, err := d.ReadValue()
	*dst = v.Clone()
	return err
}

func wrongKind(has jsontext.Token, want string) error {
	what := "a " + has.Kind().String()
	switch has.Kind() {
	case jsontext.KindBeginObject:
		what = "an object"
	case jsontext.KindBeginArray:
		what = "an array"
	case jsontext.KindTrue, jsontext.KindFalse:
		what = has.String()
	}
	return fmt.Errorf("it is %s, wanted %s", what, want)
}

// String returns s as a JSON string.
func String(s string) Value {
	v, _ := jsontext.AppendQuote(nil, s) // its error is about invalid UTF-8, which it has replaced
	return v
}

// Uint returns n as a JSON number.
func Uint(n uint) Value {
	return strconv.AppendUint(nil, uint64(n), 10)
}

// Array returns a JSON array of the values.
func Array(values []Value) Value {
	v := Value("[")
	for i, element := range values {
		if i > 0 {
			v = append(v, ',')
		}
		v = append(v, element...)
	}
	return append(v, ']')
}

// Encode returns o as a JSON object, in the order of the names.
func Encode(o Object) Value {
	v := Value("{")
	for i, name := range slices.Sorted(maps.Keys(o)) {
		if i > 0 {
			v = append(v, ',')
		}
		v = append(v, String(name)...)
		v = append(v, ':')
		v = append(v, o[name]...)
	}
	return append(v, '}')
}

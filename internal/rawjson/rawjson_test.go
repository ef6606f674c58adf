package rawjson

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// texts are JSON values, and what is none.
func texts() []string {
	return []string{
		``, ` `, `null`, ` null `, `nul`, `true`, `false`, `tru`, `0`, `-0`, `-1`, `1.0`, `1e2`, `01`, `4294967295`, `4294967296`,
		`"a"`, ` "a" `, `"`, `"a\nb\u00e9\ud834\udd1e\/"`, `"\ud834"`, "\"\xff\"", "\"\n\"", `"a" "b"`, `{}{}`, `[] x`, `"a"x`,
		`[]`, `[ ]`, `[1, "a" ,null,{"b" : [ ]}]`, `[1,]`, `[1`, `[1 2]`, `[}`,
		`{}`, `{ "a" : 1 , "b":[1, 2],"":null}`, `{"a":1,"a":2}`, `{"\u0061":1,"a":2}`, "{\"\xff\":1}", `{"a"}`, `{"a":}`, `{"a":1,}`, `{a:1}`, `{"a":1`,
		strings.Repeat("[", 9999) + strings.Repeat("]", 9999), strings.Repeat("[", 10001) + strings.Repeat("]", 10001),
		"\ufeff{}", "{}\x00", "// x\n{}",
	}
}

func TestDecode(t *testing.T) {
	for _, text := range texts() {
		compare(t, text)
	}
}

func FuzzDecode(f *testing.F) {
	for _, text := range texts() {
		f.Add(text)
	}
	f.Fuzz(compare)
}

// compare wants Decode to do what package encoding/json does, into all types.
func compare(t *testing.T, text string) {
	t.Helper()
	same(t, text, "before", "before")
	same(t, text, true, true)
	same(t, text, uint32(7), uint32(7))
	same(t, text, []Value{Value("7")}, []json.RawMessage{json.RawMessage("7")})
	same(t, text, Object{"old": nil}, map[string]json.RawMessage{})
}

func same[A, B any](t *testing.T, text string, ours A, theirs B) {
	t.Helper()
	err, want := Decode(Value(text), &ours), json.Unmarshal([]byte(text), &theirs)
	if (err == nil) != (want == nil) {
		t.Errorf("Decode(%.100q) into a %T: %v; encoding/json: %v", text, ours, err, want)
		return
	}
	if got := fmt.Sprintf("%s", any(ours)); err == nil && got != fmt.Sprintf("%s", any(theirs)) && strings.TrimSpace(text) != "null" {
		t.Errorf("Decode(%.100q) into a %T: %.200s; encoding/json: %.200s", text, ours, got, any(theirs))
	}
}

func TestDecodeNull(t *testing.T) {
	text, number, flag, array, object := "a", uint32(1), true, []Value{Value("1")}, Object{"a": Value("1")}
	for _, dst := range []any{&text, &number, &flag, &array, &object} {
		if err := Decode(Value("null"), dst); err != nil {
			t.Errorf("Decode(null) into a %T: %v", dst, err)
		}
	}
	if text != "a" || number != 1 || !flag || len(array) != 1 || len(object) != 1 {
		t.Errorf("Decode(null) left %q, %d, %v, %s, %s; wanted what was there before", text, number, flag, array, object)
	}
}

func TestDecodeErrors(t *testing.T) {
	for _, row := range []struct {
		text string
		dst  any
		want string
	}{
		{`{}`, new(string), "it is an object, wanted a string"},
		{`[]`, new(bool), "it is an array, wanted true or false"},
		{`true`, new(uint32), "it is true, wanted a whole number"},
		{`-1`, new(uint32), "wanted a whole number from 0 to 4294967295"},
		{`"a"`, new([]Value), "it is a string, wanted an array"},
		{`7`, new(Object), "it is a number, wanted an object"},
		{`7`, new(int), "into a *int"},
		{`{} {}`, new(Object), "more after its end"},
		{``, new(Object), "unexpected EOF"},
	} {
		if err := Decode(Value(row.text), row.dst); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("Decode(%q) into a %T: %v; wanted %q", row.text, row.dst, err, row.want)
		}
	}
}

func TestEncode(t *testing.T) {
	o := Object{
		"b": String("a\"\n\xff<é>"), "a": Uint(4711), "c": Array([]Value{Value("1"), Value(`{"x": [ ]}`)}), "\"": Array(nil),
	}
	got := string(Encode(o))
	if want := "{\"\\\"\":[],\"a\":4711,\"b\":\"a\\\"\\n\ufffd<é>\",\"c\":[1,{\"x\": [ ]}]}"; got != want {
		t.Errorf("Encode: got %s, want %s", got, want)
	}
	var back Object
	if err := Decode(Value(got), &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(o, back); diff != "" {
		t.Errorf("Decode of Encode (-want +got):\n%s", diff)
	}
}

package bpffs

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAppendPathsKeepsTheRest(t *testing.T) {
	const path = "/b/m_00001"
	for _, row := range []struct{ name, result, version, want string }{
		{"nothing in it", `{}`, "1.0.0", `{"cniVersion":"1.0.0","interfaces":[{"name":"/b/m_00001"}]}`},
		{
			"interfaces null", `{"cniVersion":"1.0.0","interfaces":null}`, "1.0.0",
			`{"cniVersion":"1.0.0","interfaces":[{"name":"/b/m_00001"}]}`,
		},
		{
			"empty cniVersion", `{"cniVersion":"","ips":[{"address":"::1/128","version":"6"}]}`, "1.1.0",
			`{"cniVersion":"1.1.0","ips":[{"address":"::1/128","version":"6"}],"interfaces":[{"name":"/b/m_00001"}]}`,
		},
		{"cniVersion null", `{"cniVersion":null}`, "0.4.0", `{"cniVersion":"0.4.0","interfaces":[{"name":"/b/m_00001"}]}`},
		{"no cniVersion on either side", `{"ips":null}`, "", `{"ips":null,"interfaces":[{"name":"/b/m_00001"}]}`},
		{
			"unknown keys", `{"cniVersion":"1.0.0","x":{"y":[1.50,1e400,null]},"interfaces":[{"name":"a","z":12345678901234567890}]}`,
			"1.0.0", `{"cniVersion":"1.0.0","x":{"y":[1.50,1e400,null]},` +
				`"interfaces":[{"name":"a","z":12345678901234567890},{"name":"/b/m_00001"}]}`,
		},
		{
			"unknown keys of addresses, converted", `{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.1/8","z":12345678901234567890},null]}`,
			"0.4.0", `{"cniVersion":"0.4.0","ips":[{"address":"10.0.0.1/8","version":"4","z":12345678901234567890},null],` +
				`"interfaces":[{"name":"/b/m_00001"}]}`,
		},
		{
			"indices of interfaces", `{"cniVersion":"0.4.0","interfaces":[{"name":"a"},{"name":"b"}],"ips":[{"interface":1,"version":"4"}]}`,
			"1.0.0", `{"cniVersion":"1.0.0","interfaces":[{"name":"a"},{"name":"b"},{"name":"/b/m_00001"}],"ips":[{"interface":1}]}`,
		},
		{
			"null among the interfaces", `{"cniVersion":"1.0.0","interfaces":[null,{}]}`, "1.0.0",
			`{"cniVersion":"1.0.0","interfaces":[null,{},{"name":"/b/m_00001"}]}`,
		},
		{
			"ips null, converted", `{"cniVersion":"1.0.0","ips":null}`, "0.3.1",
			`{"cniVersion":"0.3.1","ips":null,"interfaces":[{"name":"/b/m_00001"}]}`,
		},
		{
			"characters that HTML escapes", `{"cniVersion":"1.0.0","x":"<&>\u2028"}`, "1.0.0",
			`{"cniVersion":"1.0.0","x":"<&>\u2028","interfaces":[{"name":"/b/m_00001"}]}`,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			once, err := AppendPaths([]byte(row.result), row.version, []string{path})
			if err != nil {
				t.Fatalf("AppendPaths(%s, %q): %v", row.result, row.version, err)
			}
			if diff := cmp.Diff(decoded(t, []byte(row.want)), decoded(t, once)); diff != "" {
				t.Errorf("AppendPaths(%s, %q) (-want +got):\n%s", row.result, row.version, diff)
			}
			twice, err := AppendPaths(once, row.version, []string{path})
			if err != nil || string(twice) != string(once) {
				t.Errorf("AppendPaths a second time = %s, %v; wanted %s", twice, err, once)
			}
		})
	}
}

// decoded returns what is in a JSON text, with numbers as they are written.
func decoded(tb testing.TB, text []byte) any {
	tb.Helper()
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	return v
}

func TestAppendPathsWithoutPaths(t *testing.T) {
	for _, result := range []string{
		`{"cniVersion":"1.0.0"}`, `{"cniVersion":"1.0.0","interfaces":[]}`, `{"cniVersion":"1.0.0","interfaces":null}`,
	} {
		got, err := AppendPaths([]byte(result), "1.0.0", nil)
		if err != nil || string(got) != result {
			t.Errorf("AppendPaths(%s) without paths = %s, %v; wanted no change", result, got, err)
		}
	}
}

func TestAppendPathsTwiceTheSame(t *testing.T) {
	got, err := AppendPaths([]byte(`{"cniVersion":"1.0.0"}`), "1.0.0", []string{"/b/m_00001", "/b/m_00001"})
	if want := `{"cniVersion":"1.0.0","interfaces":[{"name":"/b/m_00001"}]}`; err != nil || string(got) != want {
		t.Errorf("AppendPaths of one path twice = %s, %v; wanted %s", got, err, want)
	}
}

func TestAppendPathsRefuses(t *testing.T) {
	for _, row := range []struct{ name, result, want string }{
		{"nothing", ``, "reading the CNI result"},
		{"no JSON", `{`, "reading the CNI result"},
		{"null", `null`, "it is null"},
		{"array", `[]`, "reading the CNI result"},
		{"number", `1`, "reading the CNI result"},
		{"version is a number", `{"cniVersion":1}`, "cniVersion"},
		{"interfaces is an object", `{"interfaces":{}}`, "interfaces"},
		{"an interface is a string", `{"interfaces":["eth0"]}`, "interfaces"},
		{"a name is a number", `{"interfaces":[{"name":1}]}`, "interfaces"},
		{"ips is an object", `{"cniVersion":"0.4.0","ips":{}}`, "ips"},
		{"an address is a string", `{"cniVersion":"0.4.0","ips":["10.0.0.1/8"]}`, "ips"},
		{"0.1.0", `{"cniVersion":"0.1.0"}`, `"0.1.0"`},
		{"0.2.0", `{"cniVersion":"0.2.0","ip4":{}}`, `"0.2.0"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := AppendPaths([]byte(row.result), "1.0.0", localPaths())
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("AppendPaths(%s) = %s, %v; wanted an error with %q", row.result, got, err, row.want)
			}
		})
	}
}

func TestLocalMaps(t *testing.T) {
	for _, row := range []struct {
		name, result string
		want         []LocalMap
	}{
		{"empty", `{}`, nil},
		{"null", `{"interfaces":null}`, nil},
		{"devices only", `{"interfaces":[{"name":"eth0"},{},null]}`, nil},
		{
			"in their order", `{"interfaces":[{"name":"eth0"},{"name":"/b/z_00002"},{"name":"/b/a_00001"}]}`,
			[]LocalMap{{"/b/z_00002", "z_", 2}, {"/b/a_00001", "a_", 1}},
		},
		{"digits in the name", `{"interfaces":[{"name":"/b/m100042"}]}`, []LocalMap{{"/b/m100042", "m1", 42}}},
		{"short", `{"interfaces":[{"name":"/m00001"}]}`, []LocalMap{{"/m00001", "m", 1}}},
		{"relative", `{"interfaces":[{"name":"b/m_00001"}]}`, nil},
		{"unclean", `{"interfaces":[{"name":"/b/../m_00001"},{"name":"/b//m_00001"},{"name":"/b/m_00001/"}]}`, nil},
		{"only an ID", `{"interfaces":[{"name":"/b/00001"}]}`, nil},
		{"no ID", `{"interfaces":[{"name":"/b/m_"},{"name":"/b/m_0001x"},{"name":"/b/m_1"}]}`, nil},
		{"ID out of range", `{"interfaces":[{"name":"/b/m_00000"},{"name":"/b/m_65536"}]}`, nil},
		{"root alone", `{"interfaces":[{"name":"/"},{"name":""}]}`, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := LocalMaps([]byte(row.result))
			if err != nil {
				t.Fatalf("LocalMaps(%s): %v", row.result, err)
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("LocalMaps(%s) (-want +got):\n%s", row.result, diff)
			}
		})
	}
}

func TestLocalMapsRefuses(t *testing.T) {
	for _, result := range []string{``, `{`, `[]`, `1`, `{"interfaces":{}}`, `{"interfaces":["eth0"]}`} {
		if maps, err := LocalMaps([]byte(result)); err == nil {
			t.Errorf("LocalMaps(%s) = %v; wanted an error", result, maps)
		}
	}
}

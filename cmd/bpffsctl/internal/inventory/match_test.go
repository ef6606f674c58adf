package inventory

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMatch(t *testing.T) {
	all := some()
	for _, i := range []Identity{{ID: 42, Root: "/other"}, {ID: 9, Container: "7777"}, {ID: 10, Container: "77778888"}} {
		all = append(all, Endpoint{Identity: i})
	}
	for _, tt := range []struct {
		name, word string
		want       []uint16
		err        error
		says       string // what the error names
	}{
		{"ID", "300", []uint16{300}, nil, ""},
		{"ID with zeros", "00007", []uint16{7}, nil, ""},
		{"ID of a record that cannot be read", "3", []uint16{3}, nil, ""},
		{"ID in two roots", "42", nil, ErrAmbiguous, "--root /other"},
		{"too many digits", "0000007", nil, ErrUnknown, ""},
		{"more than an ID can be", "77778", []uint16{10}, nil, ""},
		{"pod", "default/web-0", []uint16{42}, nil, ""},
		{"pod of two namespaces", "web-0", nil, ErrAmbiguous, "kube-system/web-0"},
		{"container", "0123456789abcdef", []uint16{42}, nil, ""},
		{"beginning of a container's ID", "01234", []uint16{42}, nil, ""},
		{"all interfaces of a container", "0123cafe", []uint16{7, 300}, nil, ""},
		{"beginning of two", "0123", nil, ErrAmbiguous, "0123456789abcdef"},
		{"whole ID that another begins with", "7777", []uint16{9}, nil, ""},
		{"unknown", "nobody", nil, ErrUnknown, "bpffsctl list"},
		{"empty", "", nil, ErrUnknown, ""},
		{"beginning of a pod's name", "we", nil, ErrUnknown, "begin like this: default/web-0, kube-system/web-0"},
		{"beginning of a pod with its namespace", "kube-system/w", nil, ErrUnknown, "begin like this: kube-system/web-0"},
		{"beginning of a namespace", "kube", nil, ErrUnknown, "begin like this: kube-system/web-0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			found, err := Match(all, tt.word)
			var got []uint16
			for _, e := range found {
				got = append(got, e.ID)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || !errors.Is(err, tt.err) {
				t.Errorf("Match(%q): got error %v, want %v; IDs (-want +got):\n%s", tt.word, err, tt.err, diff)
			}
			if err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Match(%q): got %v, want %q in it", tt.word, err, tt.says)
			}
		})
	}
}

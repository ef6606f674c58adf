package bpffs

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestAttachmentCheck(t *testing.T) {
	long := strings.Repeat("n", maxName)
	for _, row := range []struct {
		name string
		a    Attachment
		want string // in the error
	}{
		{name: "plain", a: Attachment{"net", "pod", "eth0"}},
		{name: "255 bytes", a: Attachment{long, long, long}},
		{name: "85 dots", a: Attachment{"net", strings.Repeat(".", 85), "eth0"}},
		{name: "no network", a: Attachment{"", "pod", "eth0"}, want: "network name"},
		{name: "no container", a: Attachment{"net", "", "eth0"}, want: "container ID"},
		{name: "no interface", a: Attachment{"net", "pod", ""}, want: "interface name"},
		{name: "256 bytes of network", a: Attachment{long + "n", "pod", "eth0"}, want: "network name"},
		{name: "256 bytes of container", a: Attachment{"net", long + "n", "eth0"}, want: "container ID"},
		{name: "256 bytes of interface", a: Attachment{"net", "pod", long + "n"}, want: "interface name"},
		{name: "86 dots", a: Attachment{"net", strings.Repeat(".", 86), "eth0"}, want: "container ID"},
		{name: "zero byte", a: Attachment{"net", "a\x00b", "eth0"}, want: "container ID"},
	} {
		t.Run(row.name, func(t *testing.T) {
			err := row.a.Check()
			if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
				t.Errorf("Check of %.60v: %v; want an error about %q", row.a, err, row.want)
			}
		})
	}
}

func TestCandidatesAreAllIDsOnce(t *testing.T) {
	firsts := make(map[uint16]bool)
	for i := range 20 {
		a := Attachment{"net", fmt.Sprint(i), "eth0"}
		seen := make([]bool, MaxEndpoints+1)
		count := 0
		for id := range a.candidates() {
			if seen[id] {
				t.Fatalf("candidates of %v yields %d twice", a, id)
			}
			if seen[id] = true; count == 0 {
				firsts[id] = true
			}
			count++
		}
		if count != MaxEndpoints || seen[0] {
			t.Errorf("candidates of %v yields %d IDs, 0 among them: %v; want 1 to 65535", a, count, seen[0])
		}
	}
	if len(firsts) < 15 {
		t.Errorf("20 attachments begin with %d different IDs; want hardly any twice", len(firsts))
	}
}

func TestCandidatesAreAlwaysTheSame(t *testing.T) {
	a := Attachment{"net", "pod", "eth0"}
	var runs [2][]uint16
	for i := range runs {
		for id := range a.candidates() {
			if runs[i] = append(runs[i], id); len(runs[i]) == 100 {
				break
			}
		}
	}
	if !slices.Equal(runs[0], runs[1]) {
		t.Errorf("candidates of %v differ from one call to the next", a)
	}
}

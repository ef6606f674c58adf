package gc

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/inventory"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// record returns the record of a container.
func record(now time.Time, network, container, netns string, age time.Duration) inventory.Record {
	return inventory.Record{Root: "/b", Endpoint: bpffs.Endpoint{
		ID: 42, Attachment: bpffs.Attachment{Network: network, ContainerID: container, IfName: "eth0"},
		Details: bpffs.Details{NetNS: netns}, Created: now.Add(-age),
	}}
}

// netns says of a path what it is called.
func netns(path string) int {
	return map[string]int{"exists": inventory.NetNSExists, "gone": inventory.NetNSIsGone}[path]
}

func TestDecide(t *testing.T) {
	now := time.Now()
	live := record(now, "pods", "live-1", "exists", time.Hour)
	lost := record(now, "pods", "lost", "gone", time.Hour)
	broken := inventory.Record{Root: "/b", Endpoint: bpffs.Endpoint{ID: 7}, Err: errors.New("broken")}
	usual := Options{OlderThan: 5 * time.Minute}
	for _, tt := range []struct {
		name    string
		records []inventory.Record
		live    string
		options Options
		want    []string // actions with a word of the reason
	}{
		{"lost", []inventory.Record{live, lost}, "live-1", usual, []string{"remove gone"}},
		{"live with an ID cut off", []inventory.Record{live, lost}, "liv", usual, []string{"remove gone"}},
		{"all alive", []inventory.Record{live, lost}, "live-1 lost", usual, nil},
		{
			"young",
			[]inventory.Record{live, record(now, "pods", "new", "gone", 4*time.Minute)},
			"live-1", usual,
			[]string{"spare 4m old"},
		},
		{
			"from the future",
			[]inventory.Record{live, record(now, "pods", "new", "gone", -time.Hour)},
			"live-1", usual,
			[]string{"spare 0s old"},
		},
		{
			"young with force",
			[]inventory.Record{live, record(now, "pods", "new", "gone", time.Minute)},
			"live-1",
			Options{OlderThan: 5 * time.Minute, Force: true},
			[]string{"spare 60s old"},
		},
		{
			"netns there",
			[]inventory.Record{live, record(now, "pods", "lost", "exists", time.Hour)},
			"live-1", usual,
			[]string{"spare still there"},
		},
		{
			"netns unknown",
			[]inventory.Record{live, record(now, "pods", "lost", "", time.Hour)},
			"live-1", usual,
			[]string{"spare cannot tell"},
		},
		{
			"netns there with force",
			[]inventory.Record{live, record(now, "pods", "lost", "exists", time.Hour)},
			"live-1",
			Options{Force: true},
			[]string{"remove gone"},
		},
		{
			"another runtime's network, before other reasons",
			[]inventory.Record{live, record(now, "podman", "p", "exists", time.Minute)},
			"live-1",
			usual,
			[]string{"spare another runtime; if not"},
		},
		{
			"another runtime's network",
			[]inventory.Record{live, record(now, "podman", "p", "gone", time.Hour)},
			"live-1",
			Options{Force: true},
			[]string{"spare another runtime; if not"},
		},
		{
			"network named",
			[]inventory.Record{live, lost, record(now, "podman", "p", "gone", time.Hour)},
			"live-1",
			Options{Networks: []string{"podman"}},
			[]string{"spare --network", "remove gone"},
		},
		{"nothing recorded, none alive", nil, "", usual, nil},
		{"broken", []inventory.Record{live, broken}, "live-1", Options{Force: true}, []string{"spare cannot be read"}},
		{"none alive, allowed", []inventory.Record{lost}, "", Options{AllowEmpty: true}, []string{"spare network"}},
		{
			"none alive, allowed and named",
			[]inventory.Record{lost},
			"",
			Options{AllowEmpty: true, Networks: []string{"pods"}},
			[]string{"remove gone"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var l Live
			for id := range strings.FieldsSeq(tt.live) {
				l.Add(id)
			}
			got, err := Decide(tt.records, &l, netns, now, tt.options)
			if err != nil || len(got) != len(tt.want) {
				t.Fatalf("Decide: got %+v, %v, want %d decisions", got, err, len(tt.want))
			}
			for i, d := range got {
				action, reason, _ := strings.Cut(tt.want[i], " ")
				if string(d.Action) != action || !strings.Contains(d.Reason, reason) {
					t.Errorf("%s: got %s, want %s", d.Action, d.Reason, tt.want[i])
				}
			}
		})
	}
}

func TestNoneAlive(t *testing.T) {
	got, err := Decide([]inventory.Record{{}}, &Live{}, netns, time.Now(), Options{Force: true, Networks: []string{""}})
	if !errors.Is(err, ErrNoLive) || len(got) > 0 {
		t.Errorf("Decide with an empty list: got %v, %v, want %v", got, err, ErrNoLive)
	}
}

func TestReadList(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		has, not   []string
		err        string
	}{
		{"empty", "", nil, []string{"", "a"}, ""},
		{"IDs", "abc\n\n  def \r\nghi", []string{"abc", "def", "ghi", "abcd"}, []string{"ab", "xabc", ""}, ""},
		{"a table", "POD ID  CREATED\nabc  1h\n", nil, nil, "line 1"},
		{"control characters", "abc\nd\x00e\n", nil, nil, "line 2"},
		{"no end of line", strings.Repeat("a", 1<<20), nil, nil, "too long"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var l Live
			err := l.ReadList(strings.NewReader(tt.text))
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error: got %v, want %q", err, tt.err)
			}
			for _, id := range tt.has {
				if !l.Has(id) {
					t.Errorf("%q is not alive", id)
				}
			}
			for _, id := range tt.not {
				if l.Has(id) {
					t.Errorf("%q is alive", id)
				}
			}
		})
	}
}

func FuzzReadList(f *testing.F) {
	for _, seed := range []string{"", "abc\n def \r\n", "POD ID", "\x00", "\u00a0a\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var l Live
		if err := l.ReadList(strings.NewReader(text)); err != nil {
			return
		}
		if l.Has("") {
			t.Errorf("an empty ID is alive after %q", text)
		}
		for line := range strings.Lines(text) {
			if id := strings.TrimSpace(line); id != "" && !l.Has(id) {
				t.Errorf("%q is not alive after %q", id, text)
			}
		}
	})
}

func TestReport(t *testing.T) {
	r := record(time.Now(), "pods", "0123456789abcdef", "gone", 3*time.Hour)
	r.Details.Pod = "my-ns/web-0"
	all := []Decision{{r, Removed, "its container is gone"}, {r, Failed, "x\x1by"}}
	var b strings.Builder
	testns.Must(t, Print(&b, all))
	const want = `ID     NETWORK  POD          CONTAINER     IFACE  AGE  ACTION   REASON
00042  pods     my-ns/web-0  0123456789ab  eth0   3h   removed  its container is gone
00042  pods     my-ns/web-0  0123456789ab  eth0   3h   failed   x\x1by
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("Print (-want +got):\n%s", diff)
	}
	if got, want := Sum(all), "removed: 1, failed: 1\n"; got != want {
		t.Errorf("Sum: got %q, want %q", got, want)
	}
	e := NewReport(all, true).Endpoints[0]
	if got, want := fmt.Sprintln(e.ID, e.Container, e.PodNamespace, e.Action), "42 0123456789abcdef my-ns removed\n"; got != want {
		t.Errorf("entry of the report: got %s, want %s", got, want)
	}
}

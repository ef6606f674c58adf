package inventory

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// some returns endpoints of all kinds.
func some() []Endpoint {
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d - time.Second/2) }
	const a, b = "0123456789abcdef", "0123cafe0123cafe"
	hash := Pin{Path: "/b/policy_00042", Kind: Map, Type: "hash", MaxEntries: 10}
	return []Endpoint{
		{
			Identity: Identity{
				ID: 42, Network: "cbr0", PodNamespace: "default", PodName: "web-0", Container: a, Interface: "eth0", Created: ago(90 * time.Second), Root: "/b",
			},
			States: []State{OK}, Memory: 2400,
			Pins: []Pin{hash, {Path: "/b/stats_00042", Kind: Map, Type: "percpu_array", MaxEntries: 2}},
		},
		{
			Identity: Identity{
				ID: 7, Network: "cbr0", PodNamespace: "kube-system", PodName: "web-0", Container: b, Interface: "eth0", Created: ago(50 * time.Hour), Root: "/b",
			},
			States: []State{PinMissing, NetNSGone},
			Pins:   []Pin{{Path: "/b/policy_00007", Kind: Missing}, {Path: "/b/x_00007", Kind: Directory}},
		},
		{
			Identity: Identity{
				ID: 300, Network: "podman", PodNamespace: "\x1b[31mred", PodName: "a\nb", Container: b, Interface: "eth1", Created: ago(3 * time.Hour), Root: "/b",
			},
			States: []State{OK}, Memory: 5 << 20,
			Pins: []Pin{hash, hash, hash, {Path: "/b/x_00300", Kind: Missing}, hash},
		},
		{Identity: Identity{ID: 3, Root: "/b"}, States: []State{Unreadable}, Error: "its record is broken"},
	}
}

func TestPrint(t *testing.T) {
	for _, tt := range []struct {
		name            string
		wide, noHeaders bool
		want            string
	}{
		{"plain", false, false, `
ID     NETWORK  POD                CONTAINER     IFACE  MAPS                     MEMORY  AGE  STATE
00042  cbr0     default/web-0      0123456789ab  eth0   hash:10,percpu_array:2   2.3KiB  90s  ok
00007  cbr0     kube-system/web-0  0123cafe0123  eth0   directory:1,missing:1    0B      2d   pin-missing,netns-gone
00300  podman   \x1b[31mred/a\x0ab  0123cafe0123  eth1   maps:4,missing:1       5.0MiB  3h   ok
00003  -        -                  -             -      -                        0B      -    unreadable
`},
		{"wide without headers", true, true, `
00042  cbr0    default/web-0      0123456789abcdef  eth0  hash:10,percpu_array:2           2.3KiB  90s  ok                      /b/policy_00042,/b/stats_00042
00007  cbr0    kube-system/web-0  0123cafe0123cafe  eth0  directory:1,missing:1            0B      2d   pin-missing,netns-gone  /b/policy_00007,/b/x_00007
00300  podman  \x1b[31mred/a\x0ab  0123cafe0123cafe  eth1  hash:10,hash:10,hash:10,hash:10,missing:1  5.0MiB  3h   ok                      /b/policy_00042,/b/policy_00042,/b/policy_00042,/b/x_00300,/b/policy_00042
00003  -       -                  -                 -     -                                0B      -    unreadable              -
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b strings.Builder
			testns.Must(t, Print(&b, some(), tt.wide, tt.noHeaders))
			if diff := cmp.Diff(squeeze(tt.want), squeeze("\n"+b.String())); diff != "" {
				t.Errorf("Print (-want +got):\n%s\n%s", diff, b.String())
			}
		})
	}
}

// squeeze makes one of several spaces, so that columns are compared.
func squeeze(s string) []string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = strings.Join(strings.Fields(line), " ")
	}
	return lines
}

func TestFilterAndSort(t *testing.T) {
	for _, tt := range []struct {
		name, order string
		filter      Filter
		want        []uint16
	}{
		{"all", "id", Filter{}, []uint16{3, 7, 42, 300}},
		{"by pod", "pod", Filter{}, []uint16{3, 300, 42, 7}},
		{"by container", "container", Filter{}, []uint16{3, 42, 7, 300}},
		{"by network", "network", Filter{}, []uint16{3, 7, 42, 300}},
		{"oldest first", "age", Filter{Container: "0"}, []uint16{7, 300, 42}},
		{"largest first", "memory", Filter{}, []uint16{300, 42, 3, 7}},
		{"pod in any namespace", "id", Filter{Pod: "web-0"}, []uint16{7, 42}},
		{"pod", "id", Filter{Pod: "kube-system/web-0"}, []uint16{7}},
		{"no whole name", "id", Filter{Pod: "web"}, nil},
		{"container", "id", Filter{Container: "0123c"}, []uint16{7, 300}},
		{"network", "id", Filter{Network: "podman"}, []uint16{300}},
		{"network and container", "id", Filter{Network: "cbr0", Container: "0123c"}, []uint16{7}},
		{"state", "id", Filter{States: []string{"ok"}}, []uint16{42, 300}},
		{"second state", "id", Filter{States: []string{"netns-gone"}}, []uint16{7}},
		{"states", "id", Filter{States: []string{"unreadable", "pin-missing"}}, []uint16{3, 7}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			order, err := ByName(tt.order)
			if err != nil || tt.filter.Check() != nil {
				t.Fatal(err, tt.filter.Check())
			}
			all := tt.filter.ApplyStates(tt.filter.Apply(some()))
			order.Sort(all)
			var got []uint16
			for _, e := range all {
				got = append(got, e.ID)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("IDs (-want +got):\n%s", diff)
			}
		})
	}
	if _, err := ByName("color"); err == nil {
		t.Error("there is an order by color")
	}
	if f := (Filter{States: []string{"fine"}}); f.Check() == nil {
		t.Error("there is a state fine")
	}
}

// Five hundred endpoints fit a terminal of 120 columns, each in one line.
func TestFiveHundred(t *testing.T) {
	const n, columns = 500, 120
	root := testns.BPFFS(t)
	add(t, root, bpffs.Details{Pod: "default/web-7d4b9c6f5-x2x7q", NetNS: liveNetNS}, pods(n)...)
	start := time.Now()
	all, err := gather(t, root)
	testns.Must(t, err)
	t.Logf("%d endpoints gathered in %v", n, time.Since(start))
	var b strings.Builder
	testns.Must(t, Print(&b, all, false, false))
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	if len(lines) != n+1 {
		t.Errorf("got %d lines, want %d", len(lines), n+1)
	}
	for _, line := range lines {
		if w := utf8.RuneCountInString(line); w > columns || len(strings.Fields(line)) != 9 {
			t.Fatalf("got a line of %d characters, want at most %d, and 9 columns: %s", w, columns, line)
		}
	}
}
